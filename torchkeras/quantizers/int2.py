"""Four 2-bit integers in each byte."""

from __future__ import annotations

import torch

from torchkeras.core.types import ArrayLike
from torchkeras.quantizers.packing import pack_bits, unpack_bits


def pack_int2(arr: ArrayLike, axis: int = 0, dtype: str = "int8") -> tuple[torch.Tensor, tuple[int, ...], int]:
    """Pack fours of 2-bit integers along an axis into bytes.

    The first entry of four becomes the lowest two bits of a byte, the last one the highest two. Zeros are added where
    the size of the axis is no multiple of four.

    Args:
        arr: tensor of the dtype `dtype`, with values in `[-2, 1]` for int8 and in `[0, 3]` for uint8.
        axis: axis along which fours are packed. Default: `0`.
        dtype: `"int8"` or `"uint8"`. Default: `"int8"`.

    Returns:
        The packed tensor, whose size along `axis` is `ceil(size / 4)`; its shape; the size before packing.

    Raises:
        ValueError: `dtype` is neither of the two.
        TypeError: `arr` is of another dtype.

    Example:
        >>> values = torch.tensor([[1, 0, -1, -2, 1]], dtype=torch.int8)
        >>> packed, shape, size = keras.quantizers.pack_int2(values, axis=1)
        >>> packed
        tensor([[-79,   1]], dtype=torch.int8)
        >>> shape, size
        ((1, 2), 5)
    """
    return pack_bits(arr, 2, axis, dtype)


def unpack_int2(packed: ArrayLike, orig_len: int, axis: int = 0, dtype: str = "int8") -> torch.Tensor:
    """Unpack the 2-bit integers that `pack_int2` packed into bytes.

    Args:
        packed: tensor of int8 or uint8.
        orig_len: size of the axis before packing.
        axis: axis along which fours were packed. Default: `0`.
        dtype: `"int8"` for values in `[-2, 1]`, `"uint8"` for values in `[0, 3]`. Default: `"int8"`.

    Returns:
        A tensor of the dtype `dtype`, of size `orig_len` along `axis`.

    Raises:
        ValueError: `dtype` is neither of the two.
        TypeError: `packed` is of neither of the two dtypes.

    Example:
        >>> packed = torch.tensor([[-79, 1]], dtype=torch.int8)
        >>> keras.quantizers.unpack_int2(packed, 5, axis=1).tolist()
        [[1, 0, -1, -2, 1]]
    """
    return unpack_bits(packed, 2, orig_len, axis, dtype)
