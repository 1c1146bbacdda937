"""Two 4-bit integers in each byte."""

from __future__ import annotations

import torch

from torchkeras.core.types import ArrayLike
from torchkeras.quantizers.packing import pack_bits, unpack_bits


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
    return pack_bits(arr, 4, axis, dtype)


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
    return unpack_bits(packed, 4, orig_len, axis, dtype)
