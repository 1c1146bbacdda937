"""Weights that are -1, 0 or 1 times one scale, five in a byte (Ma et al., 2024, "The Era of 1-bit LLMs")."""

from __future__ import annotations

import torch

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.core.types import ArrayLike
from torchkeras.quantizers.packing import padded

# A byte holds as many digits of base 3 as fit: 3**5 = 243.
IN_A_BYTE = 5
# The byte whose digits all stand for 0.
ZERO_BYTE = 121


def pack_ternary(arr: ArrayLike, axis: int = 0) -> tuple[torch.Tensor, tuple[int, ...], int]:
    """Pack fives of the values -1, 0 and 1 along an axis into bytes.

    A byte is `d0 + 3 * d1 + 9 * d2 + 27 * d3 + 81 * d4`, with `d = value + 1`: 1.6 bits for each value. Zeros are added
    where the size of the axis is no multiple of five.

    Args:
        arr: tensor of any type of numbers; its values are rounded and clipped to `[-1, 1]`.
        axis: axis along which fives are packed. Default: `0`.

    Returns:
        The packed uint8 tensor, whose size along `axis` is `ceil(size / 5)`; its shape; the size before packing.

    Example:
        >>> values = np.array([[1, 0, -1, 0, 0, 1]])
        >>> packed, shape, size = keras.quantizers.pack_ternary(values, axis=1)
        >>> packed
        tensor([[113, 122]], dtype=torch.uint8)
        >>> shape, size
        ((1, 2), 6)
    """
    x = convert_to_tensor(arr)
    if x.dtype.is_floating_point:
        x = x.round()
    digits = padded(x.clamp(-1, 1).to(torch.int16), axis, IN_A_BYTE) + 1
    fives = digits.unflatten(axis, (-1, IN_A_BYTE)).unbind(axis % x.ndim + 1)
    packed = sum(3**i * digit for i, digit in enumerate(fives)).to(torch.uint8)  # type: ignore[union-attr]
    return packed, tuple(packed.shape), x.shape[axis]


def unpack_ternary(packed: ArrayLike, orig_len: int, axis: int = 0) -> torch.Tensor:
    """Unpack the values -1, 0 and 1 that `pack_ternary` packed into bytes.

    Args:
        packed: uint8 tensor.
        orig_len: size of the axis before packing.
        axis: axis along which fives were packed. Default: `0`.

    Returns:
        An int8 tensor of size `orig_len` along `axis`.

    Raises:
        TypeError: `packed` is no uint8 tensor.

    Example:
        >>> packed = torch.tensor([[113, 122]], dtype=torch.uint8)
        >>> keras.quantizers.unpack_ternary(packed, 6, axis=1).tolist()
        [[1, 0, -1, 0, 0, 1]]
    """
    x = convert_to_tensor(packed)
    if standardize_dtype(x.dtype) != "uint8":
        raise TypeError(f"Expected uint8 tensor for unpacking, got {x.dtype}")
    digits = [x.div(3**i, rounding_mode="floor") % 3 for i in range(IN_A_BYTE)]
    along = axis % x.ndim
    return (torch.stack(digits, along + 1).to(torch.int8) - 1).flatten(along, along + 1).narrow(along, 0, orig_len)


def ternarize(weight: torch.Tensor, threshold: float | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Round a weight to -1, 0 and 1, and find their scale.

    Values within the threshold become 0, the others their sign. The scale is the mean of the absolute values, and the
    threshold half of it (arXiv:2402.17764).

    Args:
        weight: float tensor.
        threshold: largest absolute value that becomes 0; the scale is then 1. Default: `None`, half of the mean.

    Returns:
        The values -1, 0 and 1 in the type of the weight, and the scale as a float32 tensor without axes.
    """
    magnitudes = weight.abs().float()
    scale = magnitudes.mean()
    codes = weight.sign() * (magnitudes > (0.5 * scale if threshold is None else threshold)).to(weight.dtype)
    return codes, scale if threshold is None else torch.ones_like(scale)
