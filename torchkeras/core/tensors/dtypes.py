"""Names of data types, and the rules by which two of them make a third."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchkeras.core import settings
from torchkeras.core.memo import memoized
from torchkeras.core.nearest_names import did_you_mean
from torchkeras.core.torch_internals import constant_result

TORCH_DTYPES: dict[str, torch.dtype] = {
    "bool": torch.bool,
    "uint8": torch.uint8,
    "uint16": torch.int32,  # torch computes little in these two: the next type that holds them, as in Keras
    "uint32": torch.int64,
    "uint64": torch.uint64,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
    "complex64": torch.complex64,
    "complex128": torch.complex128,
    "float8_e4m3fn": torch.float8_e4m3fn,
    "float8_e5m2": torch.float8_e5m2,
}
_NAMES: dict[Any, str] = {getattr(torch, name): name for name in TORCH_DTYPES}
_PYTHON = {bool: "bool", int: "int32", float: "float32", str: "string", complex: "complex64"}
ALLOWED = frozenset(TORCH_DTYPES) | {"string", "int", "int4", "uint4"}


def standardize_dtype(dtype: Any) -> str:
    """Return the name of a dtype.

    Args:
        dtype: name, or type of torch, NumPy or Python; `None` means `keras.config.floatx()`.

    Returns:
        A name such as `"float32"`.

    Raises:
        ValueError: there is no such dtype.

    Example:
        >>> keras.backend.standardize_dtype(torch.int64), keras.backend.standardize_dtype(float)
        ('int64', 'float32')
    """
    if dtype is None:
        return settings.floatx()
    name = _NAMES.get(dtype) if not isinstance(dtype, str) else None
    if name is not None:
        return name
    return _name_of(dtype)


def _name_of(dtype: Any) -> str:
    if isinstance(dtype, type) and dtype in _PYTHON:
        return _PYTHON[dtype] if dtype is not float else settings.floatx()
    if isinstance(dtype, str):
        name = dtype.removeprefix("torch.")
        name = {"int": "int32", "float": settings.floatx()}.get(name, name)
    else:
        try:
            name = np.dtype(dtype).name
        except TypeError:
            name = getattr(dtype, "name", getattr(dtype, "__name__", str(dtype)))
        if name.startswith("str"):
            name = "string"
    if name not in ALLOWED:
        raise ValueError(f"Invalid dtype: {dtype!r}.{did_you_mean(name, ALLOWED)} Known: {', '.join(sorted(ALLOWED))}.")
    return name


def torch_dtype(dtype: Any) -> torch.dtype:
    """The dtype of torch for a name, or for anything else that `standardize_dtype` takes."""
    if dtype is None:
        return TORCH_DTYPES[settings.floatx()]
    if isinstance(dtype, torch.dtype):
        return dtype
    found = TORCH_DTYPES.get(dtype) if isinstance(dtype, str) else None
    return found if found is not None else TORCH_DTYPES[standardize_dtype(dtype)]


def is_float(dtype: Any) -> bool:
    """Return whether a dtype is a real floating point type.

    Args:
        dtype: name or type.

    Example:
        >>> keras.backend.is_float_dtype("bfloat16"), keras.backend.is_float_dtype(torch.int32)
        (True, False)
    """
    if isinstance(dtype, torch.dtype):
        return dtype.is_floating_point
    return "float" in standardize_dtype(dtype)


def is_int(dtype: Any) -> bool:
    """Return whether a dtype is an integer type.

    Args:
        dtype: name or type.

    Example:
        >>> keras.backend.is_int_dtype("uint8"), keras.backend.is_int_dtype(torch.float32)
        (True, False)
    """
    return "int" in standardize_dtype(dtype)


# The lattice of promotion: each type names those directly above it. Weak Python scalars (`int`, `float`) sit
# between their kinds, so that `bfloat16_tensor + 1.0` stays bfloat16 (the same lattice as JAX's and Keras's).
_ABOVE: dict[str, tuple[str, ...]] = {
    "bool": ("int",),
    "int": ("uint8", "int8"),
    "uint8": ("int16", "uint16"),
    "uint16": ("int32", "uint32"),
    "uint32": ("int64", "uint64"),
    "uint64": ("float",),
    "int8": ("int16",),
    "int16": ("int32",),
    "int32": ("int64",),
    "int64": ("float",),
    "float": ("float8_e4m3fn", "float8_e5m2", "bfloat16", "float16"),
    "float8_e4m3fn": (),
    "float8_e5m2": (),
    "bfloat16": ("float32",),
    "float16": ("float32",),
    "float32": ("float64", "complex64"),
    "float64": ("complex128",),
    "complex64": ("complex128",),
    "complex128": (),
}


@memoized
def _upper_bounds(name: str) -> frozenset[str]:
    bounds = {name}
    for above in _ABOVE[name]:
        bounds |= _upper_bounds(above)
    return frozenset(bounds)


@memoized
def _join(names: frozenset[str]) -> str:
    common = frozenset.intersection(*(_upper_bounds(name) for name in names))
    least = [name for name in common if common == _upper_bounds(name)]
    if len(least) != 1:
        raise ValueError(f"No implicit promotion exists for the dtypes {sorted(names)}; cast one of them first.")
    return least[0]


@constant_result
@memoized
def _result(names: tuple[str, ...], default_float: str) -> str:
    joined = _join(frozenset(names))
    # Weak scalars alone have the bits of `floatx()` (integers at most 32), and no more of its name: as Keras has it.
    bits = default_float[-2:]
    return {"int": "int16" if bits == "16" else "int32", "float": f"float{bits}"}.get(joined, joined)


_NARROWED = {"int64": "int32", "uint64": "uint32", "float64": "float32", "complex128": "complex64"}


def result_type(*dtypes: Any) -> str:
    """Return the dtype in which values of the given dtypes are computed, with 64 bits made 32 as Keras does.

    Python's `int` and `float` (the types themselves) stand for scalars and are weak: they never widen an array.

    Args:
        *dtypes: names or types.

    Returns:
        A name such as `"float32"`.

    Raises:
        ValueError: the dtypes have no common one.

    Example:
        >>> keras.backend.result_type("bfloat16", "float16"), keras.backend.result_type("bfloat16", float)
        ('float32', 'bfloat16')
    """
    joined = promote(*dtypes)
    return _NARROWED.get(joined, joined)


def promote(*dtypes: Any) -> str:
    """The dtype in which tensors of the given dtypes are computed together: `result_type`, with 64 bits kept."""
    if not dtypes:
        return settings.floatx()
    names = tuple(
        "int" if dtype is int else "float" if dtype is float else standardize_dtype(dtype) for dtype in dtypes
    )
    for name in names:
        if name.startswith("float8") or name not in _ABOVE and set(names) != {name}:
            raise ValueError(
                f"There is no implicit conversions from float8 dtypes (nor between strings and numbers): cast them "
                f"first. Received: {dtypes}."
            )
    return names[0] if names[0] not in _ABOVE else _result(names, settings.floatx())


def dtype_of_scalar(x: bool | int | float) -> Any:
    """The argument of `result_type` for a Python number: booleans are strong, integers and floats weak."""
    return "bool" if isinstance(x, bool) else int if isinstance(x, int) else float


# Keras's second names.
is_float_dtype = is_float
is_int_dtype = is_int
