"""Images resampled by separable kernels: scaled and moved along any axes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Shape
from torchkeras.ops.image.layout import computed, rounded

op = functools.partial(op, module="keras.ops.image", file_module="keras.src.ops.image")


_NEAR_ZERO = 1000 * torch.finfo(torch.float32).eps  # sums of weights that are taken for zero


def _triangle(x: Tensor) -> Tensor:
    return (1 - x).clamp(min=0)


def _cubic(x: Tensor) -> Tensor:
    """Keys's kernel with a = -1/2."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0))


def _lanczos(x: Tensor, radius: int) -> Tensor:
    return torch.where(x < radius, torch.sinc(x) * torch.sinc(x / radius), 0)


KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    **dict.fromkeys(("linear", "bilinear", "trilinear"), _triangle),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), _cubic),
    "lanczos3": functools.partial(_lanczos, radius=3),
    "lanczos5": functools.partial(_lanczos, radius=5),
}


def resampled(x: Tensor, axis: int, size: int, scale: Any, translation: Any, width: Any, method: str) -> Tensor:
    """`x` along one axis at the `size` places whose centres lie at `(place - translation) / scale`.

    The kernel is widened `width` times (`None`: it isn't). Pixels outside count for nothing; places whose centre
    does are zero.
    """
    length = x.shape[axis]
    places = torch.arange(0.5, size, dtype=x.dtype, device=x.device)
    centres = ((places - translation) / scale).sub_(0.5)
    samples = torch.arange(length, dtype=x.dtype, device=x.device).unsqueeze(1)
    distances = (centres - samples).abs_()
    weights = KERNELS[method](distances if width is None else distances / width)
    total = weights.sum(0)
    unseen = (total.abs() <= _NEAR_ZERO).logical_or_(centres != centres.clamp(-0.5, length - 0.5))
    weights = weights / total.masked_fill(unseen, torch.inf)
    return torch.tensordot(x, weights, dims=([axis], [0])).movedim(-1, axis)


def _output(images: Any, output_shape: Shape, scale: Any, translation: Any, **_: Any) -> KerasTensor:
    return KerasTensor(output_shape, images.dtype)


@op(call=("output_shape",), spec=_output)
def scale_and_translate(
    images: Tensor,
    output_shape: tuple[int, ...],
    scale: Tensor,
    translation: Tensor,
    spatial_dims: tuple[int, ...],
    method: str,
    antialias: bool = True,
) -> Tensor:
    """Scale images, then move them, along chosen axes.

    Args:
        images: tensor.
        output_shape: shape of the result.
        scale: factors, one for each of `spatial_dims`.
        translation: distances, one for each of `spatial_dims`.
        spatial_dims: axes to scale and move.
        method: `"linear"`, `"cubic"`, `"lanczos3"` or `"lanczos5"`.
        antialias: whether to smooth images that shrink. Default: `True`.

    Returns:
        A tensor of that shape.

    Example:
        >>> images, factors, offsets = torch.ones(2, 2, 1), torch.tensor([2.0, 2.0]), torch.zeros(2)
        >>> keras.ops.image.scale_and_translate(images, (4, 4, 1), factors, offsets, (0, 1), "linear").shape
        torch.Size([4, 4, 1])
    """
    if method not in KERNELS:
        raise ValueError(f"`method` must be one of {sorted(KERNELS)}. Received: method={method!r}.")
    x = computed(images)
    scale, translation = scale.to(x.dtype), translation.to(x.dtype)
    widths = scale.reciprocal().clamp(min=1) if antialias else None
    for i, axis in enumerate(spatial_dims):
        width = None if widths is None else widths[i]
        x = resampled(x, axis, output_shape[axis], scale[i], translation[i], width, method)
    return rounded(x, images.dtype)
