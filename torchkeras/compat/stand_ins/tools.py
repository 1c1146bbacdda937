"""Small functions that other packages import from Keras's private modules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from torchkeras.core import registry, settings
from torchkeras.core.naming import snake_case
from torchkeras.core.tensors.dtypes import is_float as is_float
from torchkeras.core.tensors.dtypes import result_type, standardize_dtype, torch_dtype
from torchkeras.core.types import DTypeLike
from torchkeras.ops.casting import cast

T = TypeVar("T")


# ---------------------------------------------------------------------------- the public names of a package


class keras_export:
    """Decorator that says under which public names Keras has something; here it changes nothing.

    Args:
        path: the name, or a list of names.
    """

    def __init__(self, path: str | Sequence[str]) -> None:
        self.path = path

    def __call__(self, symbol: T) -> T:
        return symbol


def register_internal_serializable(path: str | Sequence[str], symbol: Any) -> None:
    """Say that files may name a class or function; register it with `keras.saving.register_keras_serializable`.

    Raises:
        ValueError: always.
    """
    raise ValueError(
        f"{path!r} can't join the names of Keras itself. Register {symbol!r} by "
        "@keras.saving.register_keras_serializable(package=...)."
    )


def get_name_from_symbol(symbol: Any) -> str | None:
    """The public name of one of Keras's classes or functions, such as `"keras.layers.Dense"`; else `None`."""
    found = registry.public_name(symbol)
    return None if found is None else ".".join(found)


def get_symbol_from_name(name: str) -> Any:
    """The class or function of a public name such as `"keras.layers.Dense"`; `None` if there is none."""
    return registry.lookup(*name.rpartition(".")[::2])


# ---------------------------------------------------------------------------- arguments


def standardize_tuple(value: int | Sequence[int], n: int, name: str, allow_zero: bool = False) -> tuple[int, ...]:
    """A tuple of `n` ints, from one int or `n` of them.

    Args:
        value: the int or the ints.
        n: how many there must be.
        name: the argument, for the error.
        allow_zero: whether zeros are allowed. Default: `False`, only positive ints are.

    Raises:
        ValueError: there is another number of values, or one is not an int, or too small.
    """
    given = (value,) * n if isinstance(value, int) else value
    kind = ">= 0" if allow_zero else "> 0"
    problem = ""
    if not isinstance(given, (tuple, list)) or len(given) != n:
        problem = f"must be a tuple of {n} integers"
    elif any(not isinstance(one, (int, np.integer)) for one in given):
        problem = f"must be a tuple of {n} integers, of which each is an int"
    elif any(one < (0 if allow_zero else 1) for one in given):
        problem = f"must be a tuple of {n} integers, each {kind}"
    if problem:
        raise ValueError(f"The `{name}` argument {problem}. Received: {name}={value}")
    return tuple(int(one) for one in given)


def standardize_padding(value: str, allow_causal: bool = False) -> str:
    """The padding's name in small letters.

    Raises:
        ValueError: it is not `"valid"`, `"same"` or, where allowed, `"causal"`.
    """
    allowed = {"valid", "same"} | ({"causal"} if allow_causal else set())
    if str(value).lower() not in allowed:
        raise ValueError(f"The `padding` argument must be one of {sorted(allowed)}. Received: {value}")
    return value.lower()


def validate_string_arg(
    value: Any, allowable_strings: Sequence[str], caller_name: str, arg_name: str, allow_none: bool = False,
    allow_callables: bool = False,
) -> None:  # fmt: skip
    """Check that an argument is one of some strings, or `None` or a callable where these are allowed.

    Raises:
        ValueError: it is not.
    """
    if (allow_none and value is None) or (allow_callables and callable(value)):
        return
    if not isinstance(value, str) or value not in allowable_strings:
        raise ValueError(
            f"Unknown value for `{arg_name}` argument of {caller_name}. Allowed values are: {allowable_strings}. "
            f"Received: {value}"
        )


def validate_activation(classifier_activation: Any, weights: str | None) -> None:
    """Check that pretrained weights of a classifier come with one of its two activations.

    Raises:
        ValueError: they do not.
    """
    name = getattr(classifier_activation, "__name__", classifier_activation)
    if weights is not None and name not in (None, "softmax", "linear"):
        raise ValueError(
            "`classifier_activation` can only be `None`, 'linear' or `softmax` when using a pretrained top layer; "
            f"Received: classifier_activation={classifier_activation}"
        )


# ---------------------------------------------------------------------------- Python values


def default(method: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a method as the one that a subclass has not overridden."""
    method._is_default = True  # type: ignore[attr-defined]
    return method


def is_default(method: Callable[..., Any]) -> bool:
    """Whether a method was marked by `default`."""
    return getattr(method, "_is_default", False)


def to_list(x: Any) -> list[Any]:
    """A list as it is, any other value as a list of one."""
    return x if isinstance(x, list) else [x]


removeprefix = str.removeprefix
removesuffix = str.removesuffix


def remove_by_id(items: list[Any], value: object) -> None:
    """Remove the object itself, not one that equals it."""
    items[:] = [one for one in items if one is not value]


def remove_long_seq(maxlen: int, seq: Sequence[Any], label: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The sequences shorter than `maxlen`, and their labels."""
    kept = [(one, its) for one, its in zip(seq, label) if len(one) < maxlen]
    return [one for one, _ in kept], [its for _, its in kept]


def pythonify_logs(logs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Logs with floats for numbers and for tensors of one number, sorted by name; logs in logs lie flat."""
    flat: dict[str, Any] = {}
    for key, value in sorted((logs or {}).items()):
        if isinstance(value, Mapping):
            flat.update(pythonify_logs(value))
            continue
        try:
            flat[key] = float(value)
        except (TypeError, ValueError):
            flat[key] = value
    return flat


def get_object_name(obj: Any) -> str:
    """The `name` of an object, its `__name__`, or the name of its class in small letters."""
    if hasattr(obj, "name"):
        return obj.name
    name = getattr(obj, "__name__", obj.__class__.__name__)
    return snake_case(name)


# ---------------------------------------------------------------------------- tensors


def get_tensor_attr(tensor: Any, attr: str) -> Any:
    """An attribute of a tensor, else `None`."""
    return getattr(tensor, attr, None)


def set_tensor_attr(tensor: Any, attr: str, value: Any) -> None:
    """Set an attribute of a tensor."""
    setattr(tensor, attr, value)


def dtype_size(dtype: DTypeLike) -> int:
    """The size of a type in bits."""
    name = standardize_dtype(dtype)
    return 1 if name == "bool" else 8 * torch_dtype(name).itemsize


def cast_to_common_dtype(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The tensors in the type that all floats among them promote to; without floats as they are."""
    floats = [one.dtype for one in tensors if one.is_floating_point()]
    return [cast(one, result_type(*floats)) for one in tensors] if floats else list(tensors)


def count_params(weights: Sequence[torch.Tensor]) -> int:
    """How many numbers the weights hold."""
    return sum(math.prod(weight.shape) for weight in weights)


def weight_memory_size(weights: Sequence[torch.Tensor]) -> int:
    """How many bytes the weights take."""
    return sum(math.prod(weight.shape) * dtype_size(weight.dtype) for weight in weights) // 8


def readable_memory_size(weight_memory_size: float) -> str:
    """A number of bytes in words, such as `"1.50 KB"`."""
    units = ("Byte", "KB", "MB", "GB", "TB", "PB")
    size = float(weight_memory_size)
    unit = next((index for index in range(len(units)) if size < 1024 ** (index + 1)), len(units) - 1)
    return f"{size / 1024**unit:.2f} {units[unit]}"


def correct_pad(inputs: Any, kernel_size: int | Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The zero padding before a strided convolution that gives the sizes of `padding="same"`, for both sides."""
    kernel = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
    first = 2 if settings.image_data_format() == "channels_first" else 1
    sides = inputs.shape[first : first + 2]
    return tuple(  # type: ignore[return-value]
        (one // 2 - (0 if side is None else 1 - side % 2), one // 2) for side, one in zip(sides, kernel)
    )
