"""Filters over the neighbourhood of each pixel, and the likeness of images that they measure."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.torch_internals import in_functorch_transform
from torchkeras.core.types import Sizes
from torchkeras.ops.image.layout import channel_axis, computed, from_nchw, rounded, to_nchw

op = functools.partial(op, module="keras.ops.image", file_module="keras.src.ops.image")

_SMALL = 25  # weights of a kernel up to which one pass costs less than one along each axis


def _blurred(images: Any, kernel_size: Sizes, sigma: float | Sequence[float], data_format: str | None) -> KerasTensor:
    channel_axis(images, data_format)
    return KerasTensor(images.shape, images.dtype)


@op(spec=_blurred)
def gaussian_blur(
    images: Tensor,
    kernel_size: Sizes = (3, 3),
    sigma: Sequence[float] = (1.0, 1.0),
    data_format: str | None = None,
) -> Tensor:
    """Smooth images with a Gaussian; zeros lie around them. Integers are rounded.

    Args:
        images: image `(H, W, C)` or batch `(N, H, W, C)`; channels come first with `"channels_first"`.
        kernel_size: width and height of the window, in pixels. Default: `(3, 3)`.
        sigma: standard deviations across and down, in pixels. Default: `(1.0, 1.0)`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        Images of the same shape.

    Example:
        >>> keras.ops.image.gaussian_blur(np.ones((4, 4, 1), "float32")).shape
        torch.Size([4, 4, 1])
    """
    axis = channel_axis(images, data_format)
    blurred = gaussian_blurred(computed(to_nchw(images, axis)), kernel_size, sigma)  # type: ignore[arg-type]
    return rounded(from_nchw(blurred, axis, images.dim()), images.dtype)


def gaussian_blurred(x: Tensor, kernel_size: Sequence[int], sigma: Sequence[float] | Tensor) -> Tensor:
    """Smooth `(N, C, H, W)` with a Gaussian, whose sizes are given across and down."""
    across, down = map(int, kernel_size)
    padded = F.pad(x, [(across - 1) // 2, across // 2, (down - 1) // 2, down // 2])
    weights = gaussian(across, sigma[0], x)
    same = down == across and sigma[1] is sigma[0]  # the very same object, for a tensor's value isn't read
    return filtered(padded, weights, weights if same else gaussian(down, sigma[1], x))


def gaussian(size: int, sigma: float | Tensor, like: Tensor, width: float | Tensor | None = None) -> Tensor:
    """Return the weights of a Gaussian at `size` pixels around its center, which sum to 1.

    With a `width`, the weights outside a window of `int(width) | 1` pixels are 0.
    """
    distance = torch.arange((1 - size) / 2, size / 2, dtype=like.dtype, device=like.device)
    exponents = (distance / sigma).square_().mul_(-0.5)
    if width is not None:
        exponents = exponents.masked_fill(distance.abs() > width // 2, -torch.inf)
    return exponents.softmax(0)


def _channels_last(x: Tensor) -> Tensor:
    """In the format in which torch filters channels several times faster; torch.vmap has it not."""
    transformed = in_functorch_transform()
    return x if transformed else x.contiguous(memory_format=torch.channels_last)


def filtered(x: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Each channel of `(N, C, H, W)` weighted along both axes, without borders."""
    channels = x.shape[1]
    x = _channels_last(x)
    if across.numel() * down.numel() <= _SMALL:
        return F.conv2d(x, torch.outer(down, across).expand(channels, 1, -1, -1), groups=channels)
    x = F.conv2d(x, across.expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(x, down[:, None].expand(channels, 1, -1, 1), groups=channels)


@op
def sobel_edges(images: Tensor, data_format: str | None = None) -> Tensor:
    """Compute Sobel's derivatives of images, down and across. Integers keep their dtype.

    Args:
        images: batch `(N, H, W, C)`; channels come first with `"channels_first"`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        A tensor with a new last axis of size 2.

    Example:
        >>> keras.ops.image.sobel_edges(np.ones((1, 4, 4, 1))).shape
        torch.Size([1, 4, 4, 1, 2])
    """
    if images.ndim != 4:
        raise ValueError(
            f"Invalid images rank: expected rank 4 (batch of images). Received: images.shape={tuple(images.shape)}"
        )
    axis = channel_axis(images, data_format)
    x = _channels_last(computed(to_nchw(images, axis)))
    difference = torch.arange(-1, 2, dtype=x.dtype, device=x.device)
    down = torch.outer(difference, 2 - difference.abs())
    channels = x.shape[1]
    kernels = torch.stack([down, down.mT]).expand(channels, 2, 3, 3).reshape(-1, 1, 3, 3)
    edges = F.conv2d(x, kernels, padding=1, groups=channels).unflatten(1, (channels, 2))
    result = edges.movedim((1, 2), (3, 4)) if axis == -1 else edges.movedim(2, -1)
    return result if x is images or images.is_floating_point() else result.int().to(images.dtype)


@op(dtype="common_float", name="SSIM")
def ssim(
    image1: Tensor,
    image2: Tensor,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    """Compute the structural similarity of images (Wang et al., 2004); 1 for equal images.

    Args:
        image1: image `(H, W, C)` or batch `(N, H, W, C)`; channels come first with `"channels_first"`.
        image2: images of the same shape.
        max_val: range of the pixels' values. Default: `1.0`.
        filter_size: size of the Gaussian window. Default: `11`.
        filter_sigma: standard deviation of the Gaussian window. Default: `1.5`.
        k1: constant that keeps the first divisor from 0. Default: `0.01`.
        k2: constant that keeps the second divisor from 0. Default: `0.03`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        A number, or one for each pair of images.

    Example:
        >>> keras.ops.image.ssim(np.ones((1, 16, 16, 1)), np.ones((1, 16, 16, 1)))
        tensor([1.], dtype=torch.float64)
    """
    axis = channel_axis(image1, data_format, "image1")
    channel_axis(image2, data_format, "image2")
    first, second = to_nchw(image1, axis), to_nchw(image2, axis)
    if first.shape != second.shape:
        first, second = torch.broadcast_tensors(first, second)
    window = gaussian(filter_size, filter_sigma, first)
    moments = torch.cat([first, second, _squares(first, second), _doubled(first, second)], 1)
    mean1, mean2, squares, product = filtered(moments, window, window).chunk(4, 1)
    mean_squares, mean_product = _squares(mean1, mean2), _doubled(mean1, mean2)
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    contrast = (product - mean_product).add_(c2) / (squares - mean_squares).add_(c2)
    luminance = mean_product.add_(c1) / mean_squares.add_(c1)
    result = (luminance * contrast).mean((-3, -2, -1))
    return result if image1.ndim == 4 or image2.ndim == 4 else result.squeeze(0)


def _squares(a: Tensor, b: Tensor) -> Tensor:
    """`a^2 + b^2`."""
    return torch.addcmul(a * a, b, b)


def _doubled(a: Tensor, b: Tensor) -> Tensor:
    """`2 a b`."""
    return (a + a) * b
