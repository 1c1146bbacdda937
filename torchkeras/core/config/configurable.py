"""A config is the constructor's arguments: one rule for layers, losses, metrics, optimizers, initializers, ..."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any, Self

import numpy as np
import torch

from torchkeras.core import registry
from torchkeras.core.config.keywords import accepted_keywords, check_keywords
from torchkeras.core.tensors.dtypes import standardize_dtype

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Configurable:
    """Base of everything that files describe by a class name and a config.

    A class of this package puts itself on the allow list of files, under the Keras module that it or a base of it names
    as `keras_module`. A class that names `None` itself is not on the list: it is a base for others.
    """

    keras_module: str | None = None
    _tk_class: type

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if registry.claim(cls) and not cls.__name__.startswith("_"):
            module = _keras_module_of(cls)
            if module is not None:
                registry.register_public(cls, module)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if kwargs:
            check_keywords(cls, kwargs)
        instance = super().__new__(cls)
        object.__setattr__(instance, "_tk_init_args", (args, kwargs))
        # FSDP2 gives the object another class later; files know it by this one.
        object.__setattr__(instance, "_tk_class", cls)
        return instance

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, from which `from_config` makes an equal object, as JSON-ready values.

        They are derived from the constructors' signatures: an argument `p` is read from `self.p`, else used as it was
        given.

        Returns:
            A dict.
        """
        return config_of(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make an object from its config.

        Args:
            config: result of `get_config`.

        Returns:
            A new object with the same arguments.
        """
        return cls(**config)

    def _tk_from_description(self) -> None:
        """Called on an object that was made from a description in a file."""


def forgotten_init(kind: str, obj: object) -> str:
    """The message for an object whose constructor did not call the constructor of its base class."""
    return (
        f"In {kind} {type(obj).__name__!r}, you forgot to call `super().__init__()` as the first statement in the "
        f"`__init__()` method."
    )


def config_of(obj: Any) -> dict[str, Any]:
    """The arguments of those constructors for which no `get_config` below them is defined.

    A class that overrides `get_config` and calls `super()` adds its own constructor's arguments itself. Of a user's
    base class the config has the arguments that the call passed on (by `**kwargs`); any other one is its default, or
    the subclass passes it itself.
    """
    mro = [cls for cls in type(obj).__mro__ if cls not in (Configurable, object)]
    overrides = [i for i, cls in enumerate(mro) if "get_config" in cls.__dict__ and not _is_base(cls)]
    start = overrides[-1] + 1 if overrides else 0
    given = _given_arguments(obj)
    called = next((cls for cls in mro if "__init__" in cls.__dict__), None)
    config: dict[str, Any] = {}
    for cls in reversed(mro[start:]):
        is_users_base = cls is not called and not registry.is_own(cls)
        for name, default in _parameters(cls):
            if is_users_base and name not in given:
                continue
            if registry.is_own(cls) and hasattr(obj, name):
                config[name] = config_value(getattr(obj, name))
            else:
                config[name] = config_value(given.get(name, default))
    for cls in mro[start:]:  # what a subclass fixes or takes away is no argument of the object
        if "__init__" in cls.__dict__:
            accepted, is_open = accepted_keywords(cls)
            if not is_open:
                config = {name: value for name, value in config.items() if name in accepted}
                break
    return config


def _keras_module_of(cls: type) -> str | None:
    if "keras_module" in cls.__dict__:
        return cls.__dict__["keras_module"]
    return next((base.__dict__["keras_module"] for base in cls.__mro__ if base.__dict__.get("keras_module")), None)


def _is_base(cls: type) -> bool:
    return "_tk_config_base" in cls.__dict__


@lru_cache(None)
def _parameters(cls: type) -> tuple[tuple[str, Any], ...]:
    if "__init__" not in cls.__dict__:
        return ()
    found = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    return tuple(
        (p.name, None if p.default is p.empty else p.default)
        for p in found
        if p.kind not in _VARIADIC and not p.name.startswith("_")
    )


def _given_arguments(obj: Any) -> dict[str, Any]:
    args, kwargs = obj.__dict__.get("_tk_init_args", ((), {}))
    try:
        bound = inspect.signature(type(obj).__init__).bind_partial(obj, *args, **kwargs)
    except TypeError:
        return dict(kwargs)
    given = dict(list(bound.arguments.items())[1:])
    for parameter in bound.signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            given.update(given.pop(parameter.name, {}))
    return given


def config_value(value: Any) -> Any:
    """A constructor argument as a JSON-ready value."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        items = [config_value(item) for item in value]
        return tuple(items) if type(value) is tuple else items
    if isinstance(value, dict):
        return {key: config_value(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, torch.dtype):
        return standardize_dtype(value)
    public = registry.public_name(value)
    if public is not None and public[0] == "keras.activations":
        return public[1]
    from_object = _SERIALIZER[0]
    return from_object(value)


# core/config/serialization.py, the storey above, puts its serializer here when it is imported.
_SERIALIZER: list[Any] = [lambda value: value]
