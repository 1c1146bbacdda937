"""Filters over the neighbourhood of each pixel, and the likeness of images that they measure."""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.keras_tensor import KerasTensor
from torchkeras.core.op import op
from torchkeras.ops.image.layout import channel_axis, computed, from_nchw, rounded, to_nchw

op = functools.partial(op, module="keras.ops.image", file_module="keras.src.ops.image")


def _blurred(images: Any, kernel_size: Any, sigma: Any, data_format: str | None) -> KerasTensor:
    channel_axis(images, data_format)
    return KerasTensor(images.shape, images.dtype)


@op(spec=_blurred)
def gaussian_blur(
    images: Tensor, kernel_size: Any = (3, 3), sigma: Any = (1.0, 1.0), data_format: str | None = None
) -> Tensor:
    """Images smoothed by a Gaussian, with zeros around; integers are rounded.

    Args:
        kernel_size: pixels across and down.
        sigma: standard deviations across and down, in pixels.
    """
    axis = channel_axis(images, data_format)
    blurred = gaussian_blurred(computed(to_nchw(images, axis)), kernel_size, sigma)
    return rounded(from_nchw(blurred, axis, images.dim()), images.dtype)


def gaussian_blurred(x: Tensor, kernel_size: Any, sigma: Any) -> Tensor:
    """The last two axes smoothed by a Gaussian, whose sizes are given across and down."""
    across, down = (int(size) for size in kernel_size)
    borders = [(across - 1) // 2, across // 2, (down - 1) // 2, down // 2]
    padded = F.pad(x, borders).reshape(-1, 1, x.shape[-2] + down - 1, x.shape[-1] + across - 1)
    return _filtered(padded, gaussian(across, sigma[0], x), gaussian(down, sigma[1], x)).reshape(x.shape)


def gaussian(size: int, sigma: Any, like: Tensor) -> Tensor:
    """The weights of a Gaussian at `size` pixels around its centre, of sum 1."""
    distance = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    return torch.softmax(-0.5 * (distance / sigma).square(), 0)


def _filtered(x: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """`(N, 1, H, W)` weighted along both axes, without borders."""
    return F.conv2d(F.conv2d(x, across.reshape(1, 1, 1, -1)), down.reshape(1, 1, -1, 1))


@op
def sobel_edges(images: Tensor, data_format: str | None = None) -> Tensor:
    """Sobel's derivatives of a batch of images, down and across, along a new last axis; zeros lie around.

    Integers keep their type, in which negative numbers may not fit.
    """
    if images.dim() != 4:
        raise ValueError(
            f"Invalid images rank: expected rank 4 (batch of images). Received: images.shape={tuple(images.shape)}"
        )
    axis = channel_axis(images, data_format)
    x = F.pad(computed(to_nchw(images, axis)), [1, 1, 1, 1])
    rows = x[..., 2:, :] - x[..., :-2, :]
    columns = x[..., 2:] - x[..., :-2]
    down = rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]
    across = columns[..., :-2, :] + 2 * columns[..., 1:-1, :] + columns[..., 2:, :]
    result = torch.stack([from_nchw(down, axis, 4), from_nchw(across, axis, 4)], -1)
    return result if images.is_floating_point() else result.int().to(images.dtype)


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
    """The structural similarity of two images, or of each pair of two batches (Wang et al. 2004); 1 for the same.

    Args:
        max_val: the range of the pixels' values.
        filter_size, filter_sigma: of the Gaussian window.
        k1, k2: constants that keep the quotients from small divisors.
    """
    axis = channel_axis(image1, data_format, "image1")
    channel_axis(image2, data_format, "image2")
    first, second = torch.broadcast_tensors(to_nchw(image1, axis), to_nchw(image2, axis))
    window = gaussian(filter_size, filter_sigma, first)
    moments = torch.stack([first, second, first * first + second * second, first * second])
    means = _filtered(moments.reshape(-1, 1, *first.shape[-2:]), window, window)
    mean1, mean2, squares, product = means.reshape(*moments.shape[:3], *means.shape[-2:])
    products, mean_squares = mean1 * mean2, mean1 * mean1 + mean2 * mean2
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    luminance = (2 * products + c1) / (mean_squares + c1)
    contrast = (2 * (product - products) + c2) / (squares - mean_squares + c2)
    result = (luminance * contrast).mean((-3, -2, -1))
    return result if max(image1.dim(), image2.dim()) == 4 else result.squeeze(0)
