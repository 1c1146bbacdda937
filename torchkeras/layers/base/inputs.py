"""The arguments of a layer's call: converted, cast, completed with `training` and masks."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from torchkeras.core import tree
from torchkeras.core.memo import memoized
from torchkeras.core.operations.tracebacks import complete
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import is_float, standardize_dtype
from torchkeras.core.tensors.strings import is_string_array, lists_to_arrays, string_array
from torchkeras.layers.base.call_spec import CallSpec, mask_source


def cast_float(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A float tensor in the layer's type, its mask kept. Under `torch.autocast` torch decides."""
    if torch.is_autocast_enabled(x.device.type if x.device.type != "meta" else "cpu"):
        return x
    cast = x.to(dtype)
    mask = getattr(x, "_keras_mask", None)
    if mask is not None:
        cast._keras_mask = mask  # type: ignore[attr-defined]
    return cast


def convert(layer: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """Arrays to tensors, floats to the layer's compute type, in all arguments however nested.

    Raises:
        ValueError: a positional argument is no tensor.
    """
    own = layer.__dict__
    if not own.get("_tk_converts_arguments", True):
        for value in args:
            _checked_positional(layer, value)
        return args, kwargs
    dtype = own["_tk_input_type"]

    def one(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if dtype is not None and value.dtype is not dtype and value.is_floating_point():
                return cast_float(value, dtype)
            return value
        if isinstance(value, (np.ndarray, np.generic)) or (
            hasattr(value, "__array__") and not isinstance(value, KerasTensor)
        ):
            if is_string_array(np.asarray(value)):
                return _strings(layer, value)
            tensor = convert_to_tensor(value)
            return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
        return value

    args = tuple(
        _map(one, value if isinstance(value, (torch.Tensor, np.ndarray)) else _checked_positional(layer, value))
        for value in args
    )
    return args, {name: _map(one, value) for name, value in kwargs.items()} if kwargs else kwargs


def cast_symbols(layer: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """The arguments with symbolic floats in the layer's compute type, as `call` gets the tensors themselves."""
    own = layer.__dict__
    if own["_tk_input_type"] is None or not own.get("_tk_converts_arguments", True):
        return args, kwargs
    dtype = standardize_dtype(own["_tk_input_type"])

    def one(value: Any) -> Any:
        if not isinstance(value, KerasTensor) or value.dtype == dtype or not is_float(value.dtype):
            return value
        cast = copy.copy(value)
        cast._dtype = dtype
        return cast

    return tuple([_map(one, value) for value in args]), {name: _map(one, value) for name, value in kwargs.items()}


def beside_weights(layer: torch.nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """The arguments of a user's call with tensors of the CPU moved to the accelerator on which the weights lie.

    As in Keras, data need not be moved by hand. Tensors on accelerators stay where they are.
    """
    if not _holds_cpu_tensors((args, kwargs)):
        return args, kwargs
    weight = next(layer.parameters(), None)
    if weight is None or weight.device.type in ("cpu", "meta"):
        return args, kwargs
    device = weight.device

    def moved(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.device.type != "cpu":
            return value
        there = value.to(device)
        mask = getattr(value, "_keras_mask", None)
        if mask is not None:
            there._keras_mask = mask.to(device)  # type: ignore[attr-defined]
        return there

    return tuple([_map(moved, value) for value in args]), {name: _map(moved, value) for name, value in kwargs.items()}


def _holds_cpu_tensors(nest: Any) -> bool:
    if isinstance(nest, torch.Tensor):
        return nest.device.type == "cpu"
    if isinstance(nest, (list, tuple)):
        return any(map(_holds_cpu_tensors, nest))
    return isinstance(nest, dict) and any(map(_holds_cpu_tensors, nest.values()))


def _map(function: Any, value: Any) -> Any:
    if isinstance(value, (list, tuple, dict)):
        return tree.map_structure(function, value)
    return function(value)


def _strings(layer: Any, value: Any) -> np.ndarray:
    """A column or array of strings as an array, for a layer that takes them itself or holds one that does.

    Raises:
        ValueError: the layer takes numbers.
    """
    if _takes_strings(layer):
        return string_array(value, f"{type(layer).__name__} {layer.name!r}")
    raise complete(
        ValueError(
            f"Layer {layer.name!r} ({type(layer).__name__}) takes numbers; received strings: an array of dtype "
            f"{value.dtype} and shape {value.shape}. Put a layer before it that turns strings into numbers: "
            f"StringLookup, TextVectorization or Hashing."
        )
    )


def _takes_strings(layer: torch.nn.Module) -> bool:
    """Whether the layer takes strings, or a layer in it does."""
    return any(getattr(module, "_tk_takes_strings", False) for module in layer.modules())


def _checked_positional(layer: Any, value: Any) -> Any:
    """A positional argument, with arrays in the place of lists of strings where the layer takes strings."""
    for leaf in tree.flatten(value):
        if leaf is not None and not hasattr(leaf, "shape") and not hasattr(leaf, "__array__"):
            if layer._allow_non_tensor_positional_args:
                return value
            if isinstance(leaf, (str, bytes)) and _takes_strings(layer):
                return lists_to_arrays(value, f"{type(layer).__name__} {layer.name!r}")
            raise complete(
                ValueError(
                    f"Only input tensors may be passed as positional arguments (arrays and nests of them, too); layer "
                    f"{layer.name!r} received {leaf!r} (of type {type(leaf).__name__}). Turn it into an array, or pass "
                    f"it by keyword."
                )
            )
    return value


def first(args: tuple, kwargs: dict[str, Any]) -> Any:
    """The first argument of a call, which the input spec and masks are about."""
    return args[0] if args else next(iter(kwargs.values()), None)


def with_training(spec: CallSpec, args: tuple, kwargs: dict[str, Any], training: bool) -> dict[str, Any]:
    """The keyword arguments with `training`, unless a positional argument already says it."""
    if not kwargs:
        return kwargs if spec.training_position < len(args) else {"training": training}
    if "training" not in kwargs and spec.training_position < len(args):
        return kwargs
    return {**kwargs, "training": training}


def without_training(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments but `training`, for a `call` that does not take it."""
    return {name: value for name, value in kwargs.items() if name != "training"} if "training" in kwargs else kwargs


def with_masks(spec: CallSpec, args: tuple, kwargs: dict) -> dict:
    """The keyword arguments with those masks filled in that ride on the inputs."""
    found: dict[str, Any] = {}
    for name in spec.masks:
        position = spec.names.index(name)
        if position < len(args) or kwargs.get(name) is not None:
            continue
        source = mask_source(name, spec.names)
        if source is None:
            continue
        index = spec.names.index(source)
        value = args[index] if index < len(args) else kwargs.get(source)
        mask = mask_of(value)
        if mask is not None:
            found[name] = mask
    return {**kwargs, **found} if found else kwargs


def mask_of(value: Any) -> Any:
    """The mask on a tensor, or those on a nest of tensors (`None` if there is none at all)."""
    if isinstance(value, (torch.Tensor, KerasTensor)) or value is None:
        return getattr(value, "_keras_mask", None)
    if not isinstance(value, (list, tuple, dict)):
        return None
    masks = tree.map_structure(lambda t: getattr(t, "_keras_mask", None), value)
    return masks if any(m is not None for m in tree.flatten(masks)) else None


def build_shapes(layer: Any, args: tuple, kwargs: dict) -> dict[str, Any]:
    """The arguments of `build` for a call: shapes of the tensors among the call's arguments.

    A `build` with one parameter gets the first argument's shape; one whose parameters are named `x_shape` those of
    the arguments `x`.
    """
    spec = layer._tk_call_spec
    given = spec.bind(args, kwargs) if spec.names else dict(enumerate(args))
    parameters = parameter_names(layer.build)
    if not parameters:
        return {}
    first = next(iter(given.values()), None)
    if len(parameters) == 1:
        return {parameters[0]: shapes_of(first)}
    shapes: dict[str, Any] = {}
    for i, parameter in enumerate(parameters):
        name = parameter.removesuffix("_shape")
        if name == parameter:
            _check_has_default(layer, parameter)
        if name in given:
            value = shapes_of(given[name])
            if value is not None:
                shapes[parameter] = value
        elif i == 0 and parameter == "input_shape":
            shapes[parameter] = shapes_of(first)
        elif name not in spec.names:
            _check_has_default(layer, parameter)
    return shapes


def _check_has_default(layer: Any, parameter: str) -> None:
    """Raise a `ValueError` if `build` has no default for a parameter that no argument of `call` gives a shape for."""
    if inspect.signature(layer.build).parameters[parameter].default is not inspect.Parameter.empty:
        return
    name = parameter.removesuffix("_shape")
    reason = (
        f"argument `{parameter}`, which does not end in `_shape`"
        if name == parameter
        else f"`build()` argument `{parameter}`, but `call()` does not have argument `{name}`"
    )
    raise ValueError(
        f"For a `build()` method with more than one argument, all arguments should have a `_shape` suffix and match an "
        f"argument from `call()`, such as `build(self, foo_shape, bar_shape)`. For layer {layer.name!r}, received "
        f"{reason}."
    )


def parameter_names(method: Callable) -> tuple[str, ...]:
    """The names of a method's parameters, without `*args` and `**kwargs`; read once per function, not per layer."""
    function = getattr(method, "__func__", None)
    return _names_of(method) if function is None else _names_of(function)[1:]


@memoized
def _names_of(function: Callable) -> tuple[str, ...]:
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))


def shapes_of(value: Any) -> Any:
    """The shapes of a tensor or of a nest of tensors."""
    if value is None:
        return None
    if not isinstance(value, (list, tuple, dict)):
        shape = getattr(value, "shape", None)
        return None if shape is None else tuple(shape)
    return tree.map_structure(lambda t: tuple(t.shape) if hasattr(t, "shape") else None, value)
