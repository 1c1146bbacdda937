"""Building: shapes in, weights named after their layer out, and a record of the shapes for files."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core import naming
from torchkeras.core.tensors.devices import with_values
from torchkeras.layers.base import inputs as arguments
from torchkeras.layers.base.torch_parts import convert_torch_parts


def build_for(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Build a layer that is not built yet from the shapes of a call's arguments."""
    if layer.built:
        return
    with naming.name_scope(layer.name, caller=layer), with_values():
        layer._tk_path = naming.current_path()
        layer._tk_follow_policy()
        layer.build(**arguments.build_shapes(layer, args, kwargs))


class Locked:
    """The time of a layer's first call, in which `add_weight` is refused: it would make another weight in each call."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __enter__(self) -> None:
        self.layer.__dict__["_tk_locked"] = True

    def __exit__(self, *error: object) -> None:
        self.layer.__dict__["_tk_locked"] = False


def recorded(build: Callable[..., Any]) -> Callable[..., Any]:
    """A `build` that records its shapes, names its weights after the layer, and marks the layer as built."""
    if getattr(build, "_tk_recorded", False):
        return build
    signature = inspect.signature(build)

    @functools.wraps(build)
    def recorded_build(self: Any, *args: Any, **kwargs: Any) -> None:
        with naming.name_scope(self.name, caller=self):
            if "_tk_path" not in self.__dict__:
                self._tk_path = naming.current_path()
                self._tk_follow_policy()
            args = tuple(as_shapes(value) for value in args)
            build(self, *args, **kwargs)
        convert_torch_parts(self)
        self.built = True
        bound = signature.bind(self, *args, **kwargs).arguments
        shapes = dict(list(bound.items())[1:])
        if "kwargs" not in shapes:
            self._tk_build_shapes = shapes

    recorded_build._tk_recorded = True  # type: ignore[attr-defined]
    return recorded_build


def as_shapes(value: Any) -> Any:
    """Lists of sizes, as JSON has them or as users type them, as tuples, however nested."""
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (list, tuple)):
        if all(size is None or isinstance(size, int) for size in value):
            return tuple(value)
        return type(value)(as_shapes(item) for item in value)
    if isinstance(value, dict):
        return {key: as_shapes(item) for key, item in value.items()}
    return value


def legacy_input_shape(kwargs: dict[str, Any]) -> tuple[int | None, ...] | None:
    """Take Keras 2's arguments for the first layer's input shape out of `kwargs`; the batch shape, or `None`."""
    if not kwargs:
        return None
    for name in ("input_shape", "input_dim", "batch_input_shape", "batch_shape"):
        if name in kwargs and kwargs[name] is None:
            del kwargs[name]
    batch = kwargs.pop("batch_size", None) if any(k in kwargs for k in ("input_shape", "input_dim")) else None
    if "batch_input_shape" in kwargs:
        return tuple(kwargs.pop("batch_input_shape"))
    if "batch_shape" in kwargs:
        return tuple(kwargs.pop("batch_shape"))
    if "input_shape" in kwargs:
        shape = kwargs.pop("input_shape")
        kwargs.pop("input_dim", None)
        return (batch, *((shape,) if isinstance(shape, int) else shape))
    if "input_dim" in kwargs:
        length = kwargs.pop("input_length", None)
        return (batch, kwargs.pop("input_dim")) if length is None else (batch, length, kwargs.pop("input_dim"))
    return None
