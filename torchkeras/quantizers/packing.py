"""Several small integers in each byte, from the low bits to the high ones."""

from __future__ import annotations

import torch

from torchkeras import ops
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.core.types import ArrayLike


def pack_bits(x: ArrayLike, bits: int, axis: int, dtype: str) -> tuple[torch.Tensor, tuple[int, ...], int]:
    """Pack integers of `bits` bits along an axis into bytes; zeros fill the last byte.

    Args:
        x: tensor of the dtype `dtype`.
        bits: size of an integer, 2 or 4.
        axis: axis along which neighbours share a byte.
        dtype: `"int8"` or `"uint8"`.

    Returns:
        The packed tensor, its shape, and the size of the axis before packing.

    Raises:
        ValueError: `dtype` is neither of the two.
        TypeError: `x` is of another dtype.
    """
    _check_dtype(dtype)
    x = convert_to_tensor(x)
    given = standardize_dtype(x.dtype)
    if given != dtype:
        raise TypeError(f"Expected {dtype} tensor for packing, got {given}.")
    size, in_a_byte = x.shape[axis], 8 // bits
    x = padded(x, axis, in_a_byte)
    fields = x.unflatten(axis, (-1, in_a_byte)).unbind(axis % x.ndim + 1)
    packed = fields[0] & (2**bits - 1)
    for i, field in enumerate(fields[1:], 1):
        packed = packed | ((field & (2**bits - 1)) << bits * i)
    return packed, tuple(packed.shape), size


def unpack_bits(packed: ArrayLike, bits: int, size: int, axis: int, dtype: str) -> torch.Tensor:
    """Undo `pack_bits`.

    Args:
        packed: tensor of int8 or uint8.
        bits: size of an integer, 2 or 4.
        size: size of the axis before packing.
        axis: axis along which neighbours share a byte.
        dtype: `"int8"` for integers with a sign, `"uint8"` for those without.

    Returns:
        A tensor of the dtype `dtype`, of size `size` along `axis`.

    Raises:
        ValueError: `dtype` is neither of the two.
        TypeError: `packed` is of neither of the two dtypes.
    """
    _check_dtype(dtype)
    x = ops.convert_to_tensor(packed)
    if standardize_dtype(x.dtype) not in ("int8", "uint8"):
        raise TypeError(f"Expected int8 or uint8 tensor for unpacking, got {x.dtype}")
    x = ops.cast(x, dtype)  # keeps the bits; the shift to the right then extends the sign, or does not
    right = ops.convert_to_tensor(8 - bits, dtype)
    lefts = [ops.convert_to_tensor(8 - bits - start, dtype) for start in range(0, 8, bits)]
    fields = [ops.right_shift(ops.left_shift(x, left), right) for left in lefts]
    joined = ops.stack(fields, axis=axis % len(x.shape) + 1)
    shape = [*x.shape]
    shape[axis] = -1
    before = (slice(None),) * (axis % len(shape))
    return ops.reshape(joined, shape)[(*before, slice(size))]


def padded(x: torch.Tensor, axis: int, multiple: int) -> torch.Tensor:
    """The tensor with zeros behind it, so that the size of an axis is a multiple of a number."""
    missing = -x.shape[axis] % multiple
    if not missing:
        return x
    shape = [*x.shape]
    shape[axis] = missing
    return torch.cat([x, x.new_zeros(shape)], axis)


def _check_dtype(dtype: str) -> None:
    if dtype not in ("int8", "uint8"):
        raise ValueError(f"Expected dtype to be 'int8' or 'uint8', but got '{dtype}'.")
