"""Arrays to tensors and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchkeras.core import settings
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.tensors.dtypes import dtype_of_scalar, result_type, standardize_dtype, torch_dtype
from torchkeras.core.types import ArrayLike, DeviceLike

_CPU = torch.device("cpu")
# Numbers that torch's tracing leaves open.
_SYMBOLIC_NUMBERS = (torch.SymInt, torch.SymFloat)
_STACKED = (torch.Tensor, *_SYMBOLIC_NUMBERS)

try:  # NumPy then knows bfloat16 and float8 by name, as it does after importing Keras
    import ml_dtypes
except ImportError:
    ml_dtypes = None

# The types that NumPy has by ml_dtypes alone: the bits of an array go over as integers.
_VIEWED = {
    "bfloat16": ("int16", torch.bfloat16),
    "float8_e4m3fn": ("int8", torch.float8_e4m3fn),
    "float8_e5m2": ("int8", torch.float8_e5m2),
}
_WITHOUT_NUMPY = frozenset(own for _, own in _VIEWED.values())
_SIGNED = {1: torch.int8, 2: torch.int16}


def is_tensor(x: Any) -> bool:
    """Return whether a value is a tensor of torch; weights are tensors, too.

    Args:
        x: any value.

    Example:
        >>> keras.ops.is_tensor(torch.ones(2)), keras.ops.is_tensor([1.0, 1.0])
        (True, False)
    """
    return isinstance(x, torch.Tensor)


def convert_to_tensor(x: Any, dtype: Any = None, device: Any = None) -> torch.Tensor:
    """A tensor of `x` with the given type (a name or a torch type).

    Without a type, Python floats (and NumPy's float64 scalars) become `floatx()` and Python ints `int32`; arrays keep
    theirs, but in lists 64 bits become 32. A tensor stays on its device unless told otherwise.

    Raises:
        ValueError: `x` holds something that has no tensor form.
    """
    wanted = None if dtype is None else torch_dtype(dtype)
    if isinstance(x, torch.Tensor):
        if wanted is not None and x.dtype != wanted:
            x = x.to(wanted)
        return x if device is None or x.device == device else x.to(device)
    place = current_device() if device is None else device
    if wanted is None:
        wanted = _default_type(x)
    if isinstance(x, (bool, int, float, complex)):
        return torch.tensor(x, dtype=wanted, device=place) if place == _CPU else constant(x, wanted, place)
    if isinstance(x, _SYMBOLIC_NUMBERS):
        return torch.scalar_tensor(x, dtype=wanted, device=place)  # type: ignore[arg-type]
    if isinstance(x, (list, tuple)) and any(isinstance(item, _STACKED) for item in _leaves(x)):
        return _stack(x, place).to(wanted) if wanted is not None else _stack(x, place)
    if isinstance(x, (list, tuple, np.ndarray)) and torch.compiler.is_compiling():  # it can't look into NumPy's arrays
        return torch.as_tensor(x, dtype=wanted, device=place)
    array = np.asarray(x)
    if array.dtype == object or array.dtype.kind in "USMm":
        raise ValueError(f"A tensor can't be made of values of dtype {array.dtype}: {x!r}. Convert them to numbers.")
    if array.dtype.name in _VIEWED:  # ml_dtypes' types, unknown to torch.from_numpy
        bits, own = _VIEWED[array.dtype.name]
        return torch.from_numpy(array.copy().view(bits)).view(own).to(device=place, dtype=wanted or own)
    if any(step < 0 for step in array.strides) or not array.flags.writeable or not array.dtype.isnative:
        array = np.array(array, dtype=array.dtype.newbyteorder("="))
    if wanted is None and array.dtype.kind == "u":
        wanted = torch_dtype(array.dtype.name)
    return torch.as_tensor(array, dtype=wanted, device=place)


# Of so few numbers each one is a kernel that fills it in: a step that makes them can be captured as a CUDA graph.
_FILLED = 8


def constant(values: ArrayLike | complex, dtype: torch.dtype | None, device: DeviceLike) -> torch.Tensor:
    """Numbers as a tensor on a device. Unlike `torch.tensor` it does not wait for the device.

    Args:
        values: a number, nested lists of numbers, an array or a tensor. An array or tensor must not change meanwhile.
        dtype: the type of the tensor; `None` leaves it to torch.
        device: the device.
    """
    values = _plain(values)
    if torch.device(device).type in ("cpu", "meta") or torch.compiler.is_compiling():
        return torch.as_tensor(values, dtype=dtype, device=device)
    if isinstance(values, (bool, int, float, complex)):
        return torch.full((), values, dtype=dtype, device=device)
    made = torch.as_tensor(values, dtype=dtype, device=None if isinstance(values, torch.Tensor) else "cpu")
    if made.device.type == "cpu" and 0 < made.numel() <= _FILLED:
        filled = [torch.full((), value, dtype=made.dtype, device=device) for value in made.flatten().tolist()]
        return torch.stack(filled).view(made.shape)
    return made.to(device, non_blocking=True)


def constant_like(tensor: torch.Tensor, values: ArrayLike) -> torch.Tensor:
    """Numbers in the type and on the device of a tensor, made as by `constant`."""
    return constant(values, tensor.dtype, tensor.device)


def _plain(values: Any) -> Any:
    """Lists and tuples as plain lists: compiled code takes no others, and those of a layer's attributes are."""
    return [_plain(value) for value in values] if isinstance(values, (list, tuple)) else values


def _default_type(x: Any) -> torch.dtype | None:
    if isinstance(x, bool):
        return torch.bool
    if isinstance(x, int):
        return torch.int32 if -(2**31) <= x < 2**31 else torch.int64
    if isinstance(x, float):  # NumPy's float64 scalars too
        return torch_dtype(settings.floatx())
    if isinstance(x, torch.SymInt):
        return torch.int64
    if isinstance(x, torch.SymFloat):
        return torch_dtype(settings.floatx())
    if isinstance(x, (list, tuple)):
        return _type_of_leaves(_leaves(x))
    return None


def _type_of_leaves(leaves: list) -> torch.dtype | None:
    kinds = {_kind(leaf) for leaf in leaves}
    if None in kinds:
        return None
    found = torch_dtype(result_type(*kinds) if kinds else settings.floatx())
    if found == torch.int32 and any(isinstance(leaf, int) and not -(2**31) <= leaf < 2**31 for leaf in leaves):
        return torch.int64
    return found


def _kind(leaf: Any) -> Any:
    """The argument of `result_type` for a value of a list; `None` if torch or NumPy must find its type."""
    if isinstance(leaf, (bool, int, float)):
        return dtype_of_scalar(leaf)
    if isinstance(leaf, complex):
        return "complex64"
    name = getattr(leaf, "dtype", None)
    return name.name if isinstance(name, np.dtype) and name.kind in "biufc" else None


def _leaves(x: Any) -> list:
    if isinstance(x, (list, tuple)):
        return [leaf for item in x for leaf in _leaves(item)]
    return [x]


def _stack(x: Any, device: Any) -> torch.Tensor:
    if isinstance(x, (list, tuple)):
        return torch.stack([_stack(item, device) for item in x])
    return convert_to_tensor(x, device=device)


def convert_to_numpy(x: Any) -> np.ndarray:
    """Convert a value to a NumPy array.

    Args:
        x: tensor on any device, array, number, or nested lists of them. bfloat16 and float8 become float32 if
            `ml_dtypes` is not installed.

    Returns:
        An array; of a tensor on the CPU it shares the memory.

    Example:
        >>> keras.ops.convert_to_numpy(torch.tensor([1.0, 2.0]))
        array([1., 2.], dtype=float32)
    """
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu()
        if x.dtype in _WITHOUT_NUMPY:
            if ml_dtypes is None:
                return x.float().numpy()
            name = str(x.dtype).removeprefix("torch.")
            return x.contiguous().view(_SIGNED[x.element_size()]).numpy().view(getattr(ml_dtypes, name))
        return x.resolve_conj().resolve_neg().numpy()
    if isinstance(x, (list, tuple)) and any(isinstance(item, torch.Tensor) for item in _leaves(x)):
        return np.stack([convert_to_numpy(item) for item in x])
    return np.asarray(x)


def cast(x: Any, dtype: Any) -> torch.Tensor:
    """`x` as a tensor of the given type."""
    return convert_to_tensor(x, dtype=dtype)


def shape_tuple(x: Any) -> tuple[Any, ...]:
    """The shape as a plain tuple."""
    return tuple(x.shape)


def dtype_name(x: Any) -> str:
    """The name of the dtype of a tensor, array or KerasTensor."""
    return standardize_dtype(x.dtype)
