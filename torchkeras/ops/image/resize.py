"""Images in another size."""

from __future__ import annotations

import functools

import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.types import Sizes
from torchkeras.ops.image.layout import channel_axis, computed, from_nchw, rounded, to_nchw
from torchkeras.ops.image.scale import resampled

op = functools.partial(op, module="keras.ops.image", file_module="keras.src.ops.image")

_MODES = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}
_KERNELS = ("lanczos3", "lanczos5")


@op
def resize(
    images: Tensor,
    size: tuple[int, int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Resize images. Integers are rounded.

    Args:
        images: image `(H, W, C)` or batch `(N, H, W, C)`; channels come first with `"channels_first"`.
        size: height and width of the result.
        interpolation: `"nearest"`, `"bilinear"`, `"bicubic"`, `"lanczos3"` or `"lanczos5"`. Default: `"bilinear"`.
        antialias: whether to smooth images that shrink. Default: `False`.
        crop_to_aspect_ratio: whether to cut the middle of the resulting aspect ratio first. Default: `False`.
        pad_to_aspect_ratio: whether to pad to the resulting aspect ratio first. Default: `False`.
        fill_mode: must be `"constant"`. Default: `"constant"`.
        fill_value: value of the padding. Default: `0.0`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        Images of that size.

    Example:
        >>> keras.ops.image.resize(np.ones((4, 4, 3)), (2, 2)).shape
        torch.Size([2, 2, 3])
    """
    axis = channel_axis(images, data_format)
    _check(size, interpolation, crop_to_aspect_ratio, pad_to_aspect_ratio, fill_mode)
    x = computed(to_nchw(images, axis))
    if crop_to_aspect_ratio:
        (height, width), (rows, columns) = size, x.shape[-2:]
        new_rows = min(rows, max(int(columns * height / width), 1))
        new_columns = min(columns, max(int(rows * width / height), 1))
        x = x.narrow(-2, (rows - new_rows) // 2, new_rows).narrow(-1, (columns - new_columns) // 2, new_columns)
    elif pad_to_aspect_ratio:
        (height, width), (rows, columns) = size, x.shape[-2:]
        above = (max(rows, int(columns * height / width)) - rows) // 2
        left = (max(columns, int(rows * width / height)) - columns) // 2
        x = F.pad(x, [left, left, above, above], value=fill_value)
    return from_nchw(rounded(_resized(x, size, interpolation, antialias), images.dtype), axis, images.ndim)


def _resized(x: Tensor, size: tuple[int, int], interpolation: str, antialias: bool) -> Tensor:
    if interpolation in _MODES:
        smooth = antialias and interpolation != "nearest"
        exact = x.float() if smooth and x.element_size() == 2 else x  # torch has no kernel for 16 bits
        return F.interpolate(exact, size, mode=_MODES[interpolation], antialias=smooth)
    for axis, new in zip((-2, -1), size):
        scale = new / x.shape[axis]
        x = resampled(x, axis, new, scale, 0.0, max(1 / scale, 1.0) if antialias else None, interpolation)
    return x


def _check(size: Sizes, interpolation: str, crop: bool, pad: bool, fill_mode: str) -> None:
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ValueError(f"Expected `size` to be a tuple of 2 integers. Received: size={size}")
    if size[0] <= 0 or size[1] <= 0:
        raise ValueError(f"`size` must have positive height and width. Received: size={size}")
    if interpolation not in _MODES and interpolation not in _KERNELS:
        raise ValueError(
            f"`interpolation` must be one of {(*_MODES, *_KERNELS)}. Received: interpolation={interpolation}"
        )
    if crop and pad:
        raise ValueError("Only one of `pad_to_aspect_ratio` & `crop_to_aspect_ratio` can be `True`.")
    if fill_mode != "constant":
        raise ValueError(
            f"Invalid value for argument `fill_mode`. Only `'constant'` is supported. Received: fill_mode={fill_mode}"
        )
