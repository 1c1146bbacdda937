"""The settings that a step reads in Python, and the code of the user's that it runs.

A replay runs no Python, so it must notice a setting that somebody changed since the capture (the rate of a dropout, a
limit of gradients), and must not be used where code of the user's runs, which may do something else in every step.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from functools import cache
from operator import is_
from typing import Any

import torch
from torch import nn

from torchkeras import activations, initializers, losses, metrics, ops
from torchkeras.core import registry, settings
from torchkeras.core.library_code import is_library_class
from torchkeras.core.tf32 import float32_precisions
from torchkeras.core.variables import session
from torchkeras.core.variables.portable_random import is_portable_random_enabled

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size, slice, range)
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
# Private attributes that hold what a user gave.
_GIVEN = (
    "_tk_trainable",
    "_dtype_policy",
    "_tk_autocast_type",
    "_tk_input_type",
    "_tk_vocabulary",
    "_fn",
    "_inner_optimizers",
    "_undecayed",
    "_undecayed_names",
)
# Attributes of models that a call of fit sets and no step reads.
_OF_THE_RUN = ("history", "stop_training", "stop_evaluating", "stop_predicting")


class Settings:
    """The settings below some objects at one moment; two of them are equal if nothing was changed in between.

    Args:
        roots: models, losses, metrics, optimizers.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        self.values: list[Any] = []
        self.users_code: str | None = None
        """The first piece of code of the user's that a step runs; `None` if there is none."""
        self.hooks: str | None = None
        """The first module with hooks; `None` if there is none."""
        self._owners: list[tuple[Any, Any, list[Any]]] = []  # a dict or list, the keys to look at, their values
        self._global = _global_settings()
        self.values.append(self._global)
        self._seen: dict[int, Any] = {}  # the objects, too: while they are kept, no other one gets their identity
        for root in roots:
            self._read(root)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self.values == other.values

    __hash__ = None  # type: ignore[assignment]

    def are_unchanged(self) -> bool:
        """A quick look: true if all attributes are the very objects that they were. If not, they may still be equal."""
        if self._global != _global_settings():
            return False
        for owner, keys, values in self._owners:
            if keys is None:
                if len(owner) != len(values) or not all(map(is_, owner, values)):
                    return False
            elif not all(map(is_, map(owner.get, keys), values)):
                return False
        return True

    def _read(self, value: Any) -> None:
        if isinstance(value, _PLAIN):
            self.values.append(value)
        elif isinstance(value, torch.Tensor):
            self.values.append(id(value))
            self._seen[id(value)] = value
        elif isinstance(value, (list, tuple, set, frozenset)):
            self.values.append(len(value))
            self._owners.append((value, None, list(value)))
            for item in value:
                self._read(item)
        elif isinstance(value, dict):
            self.values.append(len(value))
            self._owners.append((value, list(value), list(value.values())))
            for key, item in value.items():
                self.values.append(key if isinstance(key, _PLAIN) else id(key))
                self._read(item)
        else:
            self._read_object(value)

    def _read_object(self, value: Any) -> None:
        self.values.append(id(value))
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, nn.Module):
            self._read_module(value)
        elif registry.is_own(type(value)):
            self._read_attributes(value)
        elif callable(value) and not is_library_function(value):
            self._note(value)

    def _read_module(self, module: nn.Module) -> None:
        if not is_library_class(type(module)) or getattr(type(module), "_tk_runs_user_code", False):
            self._note(module)
        if any(module.__dict__.get(name) for name in HOOKS):
            self.hooks = self.hooks or f"{type(module).__name__} has hooks"
        self._read_attributes(module)
        for held in (module._modules, module._parameters, module._buffers):
            self.values.append(tuple((name, id(one)) for name, one in held.items()))
            self._owners += [(held, None, list(held)), (held, list(held), list(held.values()))]
        for hooks in map(module.__dict__.get, HOOKS):
            if hooks is not None:
                self._owners.append((hooks, None, list(hooks)))
                self.values.append(len(hooks))
        for child in module._modules.values():
            if child is not None:
                self._read_object(child)

    def _read_attributes(self, owner: Any) -> None:
        attributes = vars(owner)
        names = [name for name in attributes if name in _GIVEN or not (name[0] == "_" or name in _OF_THE_RUN)]
        self._owners.append((attributes, names, [attributes[name] for name in names]))
        for name in names:
            self._read(attributes[name])

    def _note(self, code: Any) -> None:
        if self.users_code is None:
            name = getattr(code, "__name__", None) or type(code).__name__
            self.users_code = f"{name} is code of yours"


def _global_settings() -> tuple[Any, ...]:
    """The settings of this library and of torch that choose kernels."""
    cudnn = torch.backends.cudnn
    return (
        settings.floatx(),
        settings.epsilon(),
        session.is_flash_attention_enabled(),
        is_portable_random_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        float32_precisions(),
        torch.is_autocast_enabled("cuda"),
        torch.get_default_dtype(),
        torch.is_anomaly_enabled(),
        (cudnn.enabled, cudnn.benchmark, cudnn.deterministic),
    )


@cache
def _library_functions() -> frozenset[Any]:
    namespaces = (activations, initializers, losses, metrics, ops, nn.functional)
    return frozenset(value for names in namespaces for value in vars(names).values() if callable(value))


def is_library_function(function: Any) -> bool:
    """Whether a function or class is one of this package's or of torch's."""
    if isinstance(function, types.BuiltinFunctionType):
        return True
    if isinstance(function, type):
        return registry.is_own(function) or is_library_class(function)
    try:
        return function in _library_functions()
    except TypeError:  # a callable that can't be hashed
        return False
