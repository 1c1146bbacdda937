"""Ops in the source of a torch module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from torchkeras.core.operations.op import OPS
from torchkeras.core.operations.operation import Operation
from torchkeras.saving.plain_torch.functions import ELEMENTWISE
from torchkeras.saving.plain_torch.source import (
    ClassSource,
    NoCounterpartError,
    Value,
    in_keras_order,
    literal,
    writes,
)


def _operation_of(name: str) -> type:
    return next(row for key, row in OPS.items() if key.rpartition(".")[2] == name).operation_class


def _code(value: object, w: ClassSource) -> str:
    """A value, a weight, or a constant."""
    if isinstance(value, np.ndarray) and value.ndim:
        value = torch.from_numpy(value)
    if isinstance(value, torch.Tensor):
        return w.tensor(value)
    return in_keras_order(value).code if isinstance(value, Value) else literal(value)


def _config(operation: Operation) -> dict[str, Any]:
    """The config of an op without its name."""
    return {key: value for key, value in operation.get_config().items() if key != "name"}


# ---------------------------------------------------------------------------- of one or two tensors


def _elementwise(template: str) -> Callable[..., Value]:
    def write(operation: Any, w: ClassSource, x: Value, *rest: Any, **named: Any) -> Value:
        if rest or any(value not in (None, False) for value in (_config(operation) | named).values()):
            return _with_options(operation, x, {**_config(operation), **named})
        return x.of(template.format(x=x.code))

    return write


def _with_options(operation: Any, x: Value, options: dict[str, Any]) -> Value:
    name = operation.definition.name
    if name == "gelu":
        return x.of(f"F.gelu({x.code}, approximate='tanh')" if options.get("approximate") else f"F.gelu({x.code})")
    known = {
        "leaky_relu": ("F.leaky_relu", ["negative_slope"]),
        "elu": ("F.elu", ["alpha"]),
        "celu": ("F.celu", ["alpha"]),
    }.get(name)
    if known is None or set(options) - set(known[1]):
        raise NoCounterpartError(f"it has the arguments {options}")
    return x.of(f"{known[0]}({x.code}, {', '.join(literal(options[key]) for key in known[1])})")


_ONE = ELEMENTWISE | {
    "abs": "torch.abs({x})",
    "absolute": "torch.abs({x})",
    "negative": "-{x}",
    "sqrt": "torch.sqrt({x})",
    "rsqrt": "torch.rsqrt({x})",
    "log": "torch.log({x})",
    "log1p": "torch.log1p({x})",
    "expm1": "torch.expm1({x})",
    "sin": "torch.sin({x})",
    "cos": "torch.cos({x})",
    "floor": "torch.floor({x})",
    "ceil": "torch.ceil({x})",
    "round": "torch.round({x})",
    "sign": "torch.sign({x})",
    "reciprocal": "torch.reciprocal({x})",
    "erf": "torch.erf({x})",
    "stop_gradient": "{x}.detach()",
}
_TWO = {
    "add": "{x} + {y}",
    "subtract": "{x} - {y}",
    "multiply": "{x} * {y}",
    "divide": "{x} / {y}",
    "true_divide": "{x} / {y}",
    "power": "{x} ** {y}",
    "matmul": "{x} @ {y}",
    "maximum": "torch.maximum({x}, {y})",
    "minimum": "torch.minimum({x}, {y})",
}


def _two(template: str) -> Callable[..., Value]:
    def write(operation: Any, w: ClassSource, x: Any, y: Any) -> Value:
        values = [value for value in (x, y) if isinstance(value, Value)]
        numbers = [value for value in (x, y) if not isinstance(value, Value)]
        plain = all(isinstance(value, (int, float)) for value in numbers)
        # Numbers alone, or tensors of one order and rank, need no look at their axes.
        alike = plain and len({(value.swapped, value.rank) for value in values}) == 1 and "@" not in template
        codes = [_simple(value, w, keep=alike) for value in (x, y)]
        if template.startswith("torch.") and numbers and plain:
            number = literal(float(numbers[0]))
            side = "min" if "maximum" in template else "max"
            return values[0].of(f"{values[0].code}.clamp({side}={number})")
        return Value(template.format(x=codes[0], y=codes[1]), swapped=alike and values[0].swapped)

    return write


def _simple(value: object, w: ClassSource, keep: bool) -> str:
    return value.code if keep and isinstance(value, Value) else _code(value, w)


for _name, _template in _ONE.items():
    if any(key.rpartition(".")[2] == _name for key in OPS):
        writes(_operation_of(_name))(_elementwise(_template))
for _name, _template in _TWO.items():
    writes(_operation_of(_name))(_two(_template))


@writes(_operation_of("softmax"), _operation_of("log_softmax"))
def _softmax(operation: Any, w: ClassSource, x: Value) -> Value:
    axis = _config(operation).get("axis", -1)
    if not isinstance(axis, int):
        raise NoCounterpartError(f"its axis is {axis!r}")
    return x.of(f"torch.{operation.definition.name}({x.code}, {x.axis(axis)})")


# ---------------------------------------------------------------------------- along axes


def _reduced(function: str, many: bool = True) -> Callable[..., Value]:
    def write(operation: Any, w: ClassSource, x: Value) -> Value:
        config = _config(operation)
        axis, keep = config.pop("axis", None), bool(config.pop("keepdims", False))
        if any(value is not None for value in config.values()):
            raise NoCounterpartError(f"it has the arguments {config}")
        axes = range(x.rank) if axis is None else axis if isinstance(axis, (list, tuple)) else (axis,)
        dims = tuple(x.axis(one) for one in axes)
        if len(dims) > 1 and not many:
            raise NoCounterpartError("torch takes one axis there")
        shown = str(dims[0]) if len(dims) == 1 else literal(dims)
        kept_swapped = x.swapped and keep
        x = x if keep or not x.swapped or x.rank - 1 in [one % x.rank for one in axes] else in_keras_order(x)
        if not x.swapped and not kept_swapped:
            dims = tuple(one % x.rank for one in axes)
            shown = str(dims[0]) if len(dims) == 1 else literal(dims)
        return Value(f"{x.code}.{function}({shown}{', keepdim=True' if keep else ''})", swapped=kept_swapped)

    return write


for _name, _function in {"mean": "mean", "sum": "sum", "max": "amax", "min": "amin", "prod": "prod"}.items():
    writes(_operation_of(_name))(_reduced(_function, many=_name != "prod"))
for _name in ("argmax", "argmin"):
    writes(_operation_of(_name))(_reduced(_name, many=False))


@writes(_operation_of("concatenate"))
def _concatenate(operation: Operation, w: ClassSource, xs: Sequence[Value]) -> Value:
    axis = _config(operation).get("axis", 0)
    return Value(f"torch.cat([{', '.join(_code(x, w) for x in xs)}], {literal(axis)})")


@writes(_operation_of("stack"))
def _stack(operation: Operation, w: ClassSource, xs: Sequence[Value]) -> Value:
    axis = _config(operation).get("axis", 0)
    return Value(f"torch.stack([{', '.join(_code(x, w) for x in xs)}], {literal(axis)})")


@writes(_operation_of("split"))
def _split(operation: Operation, w: ClassSource, x: Value) -> list[Value]:
    config = _config(operation)
    axis, parts = config.get("axis", 0), config["indices_or_sections"]
    size = x.shape[axis]
    if not isinstance(parts, int) or size is None:
        raise NoCounterpartError("it splits at given places")
    found = w.assign(f"{_code(x, w)}.split({size // parts}, {axis})", "parts")
    return [Value(f"{found}[{i}]") for i in range(parts)]


# ---------------------------------------------------------------------------- shapes


@writes(_operation_of("reshape"))
def _reshape(operation: Operation, w: ClassSource, x: Value) -> Value:
    sizes = _config(operation)["newshape"]
    return Value(f"{_code(x, w)}.reshape({literal(sizes)})")


@writes(_operation_of("transpose"))
def _transpose(operation: Operation, w: ClassSource, x: Value) -> Value:
    axes = _config(operation).get("axes") or tuple(reversed(range(x.rank)))
    return Value(f"{_code(x, w)}.permute({literal(axes)})")


@writes(_operation_of("expand_dims"))
def _expand_dims(operation: Operation, w: ClassSource, x: Value) -> Value:
    axis = _config(operation)["axis"]
    if not isinstance(axis, int):
        raise NoCounterpartError("it adds several axes")
    return Value(f"{_code(x, w)}.unsqueeze({axis})")


@writes(_operation_of("squeeze"))
def _squeeze(operation: Operation, w: ClassSource, x: Value) -> Value:
    axis = _config(operation).get("axis")
    return Value(f"{_code(x, w)}.squeeze({'' if axis is None else literal(axis)})")


@writes(_operation_of("cast"))
def _cast(operation: Operation, w: ClassSource, x: Value) -> Value:
    return x.of(f"{x.code}.to(torch.{_config(operation)['dtype']})")


@writes(_operation_of("clip"))
def _clip(operation: Operation, w: ClassSource, x: Value, x_min: Any = None, x_max: Any = None) -> Value:
    config = _config(operation)
    low, high = config.get("x_min", x_min), config.get("x_max", x_max)
    return x.of(f"{x.code}.clamp({literal(low)}, {literal(high)})")


@writes(_operation_of("get_item"))
def _get_item(operation: Operation, w: ClassSource, x: Value, key: object = None, **named: Any) -> Value:
    key = named.get("key", key)
    keys = key if isinstance(key, tuple) else (key,)
    return Value(f"{_code(x, w)}[{', '.join(_index(one) for one in keys)}]")


def _index(key: object) -> str:
    if isinstance(key, slice):
        if isinstance(key.step, int) and key.step < 0:
            raise NoCounterpartError("torch has no slices with a negative step")
        parts = ["" if value is None else literal(value) for value in (key.start, key.stop)]
        return ":".join(parts) + ("" if key.step in (None, 1) else f":{literal(key.step)}")
    return "..." if key is Ellipsis else literal(key)
