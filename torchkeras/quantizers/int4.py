"""Two 4-bit integers in each byte."""

from __future__ import annotations

import torch

from torchkeras import ops
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.core.types import ArrayLike


def pack_int4(arr: ArrayLike, axis: int = 0, dtype: str = "int8") -> tuple[torch.Tensor, tuple[int, ...], int]:
    """Pack pairs of 4-bit integers along an axis into bytes.

    The entry at an even index becomes the low four bits of a byte, the entry behind it the high four. A zero is added
    where the axis has an odd size.

    Args:
        arr: tensor of the dtype `dtype`, with values in `[-8, 7]` for int8 and in `[0, 15]` for uint8.
        axis: axis along which pairs are packed. Default: `0`.
        dtype: `"int8"` or `"uint8"`. Default: `"int8"`.

    Returns:
        The packed tensor, whose size along `axis` is `ceil(size / 2)`; its shape; the size before packing.

    Raises:
        ValueError: `dtype` is neither of the two.
        TypeError: `arr` is of another dtype.

    Example:
        >>> values = torch.tensor([[-3, 7], [2, -8], [1, 0]], dtype=torch.int8)
        >>> packed, shape, size = keras.quantizers.pack_int4(values)
        >>> packed
        tensor([[  45, -121],
                [   1,    0]], dtype=torch.int8)
        >>> shape, size
        ((2, 2), 3)
    """
    _check_dtype(dtype)
    x = convert_to_tensor(arr)
    given = standardize_dtype(x.dtype)
    if given != dtype:
        raise TypeError(f"Expected {dtype} tensor for packing, got {given}.")
    size = x.shape[axis]
    if size % 2:
        x = torch.cat([x, torch.zeros_like(x.narrow(axis, 0, 1))], axis)
    low, high = x.unflatten(axis, (-1, 2)).unbind(axis % x.ndim + 1)
    packed = (low & 0x0F) | (high << 4)
    return packed, tuple(packed.shape), size


def unpack_int4(packed: ArrayLike, orig_len: int, axis: int = 0, dtype: str = "int8") -> torch.Tensor:
    """Unpack the 4-bit integers that `pack_int4` packed into bytes.

    Args:
        packed: tensor of int8 or uint8.
        orig_len: size of the axis before packing.
        axis: axis along which pairs were packed. Default: `0`.
        dtype: `"int8"` for values in `[-8, 7]`, `"uint8"` for values in `[0, 15]`. Default: `"int8"`.

    Returns:
        A tensor of the dtype `dtype`, of size `orig_len` along `axis`.

    Raises:
        ValueError: `dtype` is neither of the two.
        TypeError: `packed` is of neither of the two dtypes.

    Example:
        >>> packed = torch.tensor([[45, -121], [1, 0]], dtype=torch.int8)
        >>> keras.quantizers.unpack_int4(packed, 3).tolist()
        [[-3, 7], [2, -8], [1, 0]]
    """
    _check_dtype(dtype)
    x = ops.convert_to_tensor(packed)
    if standardize_dtype(x.dtype) not in ("int8", "uint8"):
        raise TypeError(f"Expected int8 or uint8 tensor for unpacking, got {x.dtype}")
    x = ops.cast(x, dtype)  # keeps the bits; the shift to the right then extends the sign, or does not
    four = ops.convert_to_tensor(4, dtype)
    low, high = ops.right_shift(ops.left_shift(x, four), four), ops.right_shift(x, four)
    pairs = ops.stack([low, high], axis=axis % len(x.shape) + 1)
    shape = [*x.shape]
    shape[axis] = -1
    before = (slice(None),) * (axis % len(shape))
    return ops.reshape(pairs, shape)[(*before, slice(orig_len))]


def _check_dtype(dtype: str) -> None:
    if dtype not in ("int8", "uint8"):
        raise ValueError(f"Expected dtype to be 'int8' or 'uint8', but got '{dtype}'.")
