"""Patches and blocks of images put elsewhere."""

from __future__ import annotations

import functools

import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.types import Axes
from torchkeras.ops.nn.windows import standardize_data_format

op = functools.partial(op, file_module="keras.src.ops.nn")


@op
def unfold(
    x: Tensor,
    kernel_size: Axes,
    dilation: Axes = 1,
    padding: Axes = 0,
    stride: Axes = 1,
) -> Tensor:
    """Return the patches of images as columns.

    Args:
        x: tensor `(N, C, H, W)`.
        kernel_size: size of a patch, one number or two.
        dilation: distance between a patch's elements. Default: `1`.
        padding: zeros around the images. Default: `0`.
        stride: distance between patches. Default: `1`.

    Returns:
        A tensor `(N, C * kernel height * kernel width, patches)`.

    Example:
        >>> keras.ops.unfold(np.ones((1, 1, 3, 3)), 2).shape
        torch.Size([1, 4, 4])
    """
    _check_rank(x, 4)
    return F.unfold(x, kernel_size, dilation, padding, stride)  # type: ignore[arg-type]


@op
def fold(
    x: Tensor,
    output_size: Axes,
    kernel_size: Axes,
    dilation: Axes = 1,
    padding: Axes = 0,
    stride: Axes = 1,
) -> Tensor:
    """Put columns of patches back into images; overlapping elements add up.

    Args:
        x: tensor `(N, C * kernel height * kernel width, patches)`.
        output_size: height and width of the images.
        kernel_size: size of a patch, one number or two.
        dilation: distance between a patch's elements. Default: `1`.
        padding: zeros around the images. Default: `0`.
        stride: distance between patches. Default: `1`.

    Returns:
        A tensor `(N, C, *output_size)`.

    Example:
        >>> keras.ops.fold(np.ones((1, 4, 4)), 3, 2)[0, 0]
        tensor([[1., 2., 1.],
                [2., 4., 2.],
                [1., 2., 1.]], dtype=torch.float64)
    """
    _check_rank(x, 3)
    return F.fold(x, output_size, kernel_size, dilation, padding, stride)  # type: ignore[arg-type]


@op
def space_to_depth(x: Tensor, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Make each block of pixels one pixel with more channels.

    Args:
        x: batch of images.
        block_size: height and width of a block.
        data_format: `"channels_last"` or `"channels_first"`. Default: `"channels_last"`.

    Returns:
        A tensor `(N, H / block, W / block, C * block**2)`.

    Raises:
        ValueError: `x` is no batch of images, or its size is no multiple of the block.

    Example:
        >>> keras.ops.space_to_depth(np.ones((1, 4, 4, 1)), 2).shape
        torch.Size([1, 2, 2, 4])
    """
    last = _blocks_are_of_last(x, block_size, data_format)
    n, h, w, c = x.shape if last else (x.shape[0], *x.shape[2:], x.shape[1])
    if h % block_size or w % block_size:
        raise ValueError(
            f"Height and width must be divisible by `block_size`. Received: x.shape={tuple(x.shape)}, "
            f"block_size={block_size}"
        )
    rows, columns = h // block_size, w // block_size
    if last:
        y = x.reshape(n, rows, block_size, columns, block_size, c).permute(0, 1, 3, 2, 4, 5)
        return y.reshape(n, rows, columns, c * block_size**2)
    y = x.reshape(n, c, rows, block_size, columns, block_size).permute(0, 1, 3, 5, 2, 4)
    return y.reshape(n, c * block_size**2, rows, columns)


@op
def depth_to_space(x: Tensor, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Make each pixel a block of pixels with fewer channels.

    Args:
        x: batch of images.
        block_size: height and width of a block.
        data_format: `"channels_last"` or `"channels_first"`. Default: `"channels_last"`.

    Returns:
        A tensor `(N, H * block, W * block, C / block**2)`.

    Raises:
        ValueError: `x` is no batch of images, or its channels are no multiple of the block's pixels.

    Example:
        >>> keras.ops.depth_to_space(np.ones((1, 2, 2, 4)), 2).shape
        torch.Size([1, 4, 4, 1])
    """
    last = _blocks_are_of_last(x, block_size, data_format)
    n, h, w, c = x.shape if last else (x.shape[0], *x.shape[2:], x.shape[1])
    if c % block_size**2:
        raise ValueError(
            f"The number of channels must be divisible by `block_size**2`. Received: x.shape={tuple(x.shape)}, "
            f"block_size={block_size}"
        )
    left = c // block_size**2
    if last:
        y = x.reshape(n, h, w, block_size, block_size, left).permute(0, 1, 3, 2, 4, 5)
        return y.reshape(n, h * block_size, w * block_size, left)
    y = x.reshape(n, left, block_size, block_size, h, w).permute(0, 1, 4, 2, 5, 3)
    return y.reshape(n, left, h * block_size, w * block_size)


def _check_rank(x: Tensor, rank: int) -> None:
    if x.dim() != rank:
        raise ValueError(f"The input must be a {rank}D tensor. Received: x.shape={tuple(x.shape)}")


def _blocks_are_of_last(x: Tensor, block_size: int, data_format: str) -> bool:
    _check_rank(x, 4)
    if block_size < 2:
        raise ValueError(f"`block_size` must be at least 2. Received: block_size={block_size}")
    return standardize_data_format(data_format) == "channels_last"
