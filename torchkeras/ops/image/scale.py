"""Images resampled by separable kernels: scaled and moved along any axes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.keras_tensor import KerasTensor
from torchkeras.core.op import op
from torchkeras.ops.image.layout import computed, rounded

op = functools.partial(op, module="keras.ops.image", file_module="keras.src.ops.image")


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


def resampled(x: Tensor, axis: int, size: int, scale: Any, translation: Any, method: str, antialias: bool) -> Tensor:
    """`x` along one axis at the `size` places whose centres lie at `(place - translation) / scale`.

    With `antialias` the kernel is widened where that shrinks. What lies outside counts for nothing; places whose
    centre does are zero.
    """
    kernel, length = KERNELS[method], x.shape[axis]
    places = torch.arange(size, dtype=x.dtype, device=x.device) + 0.5
    centres = (places - translation) / scale - 0.5
    step = 1 / scale
    if antialias:
        step = step.clamp(min=1) if isinstance(step, Tensor) else max(step, 1.0)
    else:
        step = 1.0
    samples = torch.arange(length, dtype=x.dtype, device=x.device)
    weights = kernel((centres - samples[:, None]).abs() / step)
    total = weights.sum(0)
    near_zero = total.abs() <= 1000 * torch.finfo(torch.float32).eps
    outside = (centres < -0.5) | (centres > length - 0.5)
    weights = torch.where(near_zero | outside, 0, weights / torch.where(near_zero, 1, total))
    return torch.tensordot(x, weights, dims=([axis], [0])).movedim(-1, axis)


def _output(images: Any, output_shape: Any, scale: Any, translation: Any, **_: Any) -> KerasTensor:
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
    """Images scaled, then moved, along the axes `spatial_dims`.

    Args:
        output_shape: sizes of the result.
        scale, translation: a number an axis of `spatial_dims`.
        method: `"linear"`, `"cubic"` (each also under its names of two and three axes), `"lanczos3"`, `"lanczos5"`.
        antialias: whether kernels are widened where images shrink.
    """
    if method not in KERNELS:
        raise ValueError(f"`method` must be one of {sorted(KERNELS)}. Received: method={method!r}.")
    x = computed(images)
    scale, translation = scale.to(x.dtype), translation.to(x.dtype)
    for i, axis in enumerate(spatial_dims):
        x = resampled(x, axis, output_shape[axis], scale[i], translation[i], method, antialias)
    return rounded(x, images.dtype)
