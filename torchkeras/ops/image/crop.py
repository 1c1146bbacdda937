"""Images cut, or with borders of zeros."""

from __future__ import annotations

import functools
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.ops.image.layout import channel_axis

op = functools.partial(op, module="keras.ops.image", file_module="keras.src.ops.image")

Border = tuple[int | None, int | None, int | None]  # before, after, the resulting size


def _border(size: int | None, border: Border, names: tuple[str, str, str], sign: int) -> Border:
    """All three of an axis's numbers from two of them; `sign` is 1 for padding, -1 for cropping.

    Raises:
        ValueError: not two are given, or one is negative.
    """
    before, after, target = border
    if border.count(None) != 1:
        raise ValueError(
            f"Must specify exactly two of {', '.join(names)}. "
            f"Received: {', '.join(f'{name}={value}' for name, value in zip(names, border))}"
        )
    if size is not None:
        if target is None:
            target = size + sign * (before + after)  # type: ignore[operator]
        elif before is None:
            before = sign * (target - size) - after  # type: ignore[operator]
        else:
            after = sign * (target - size) - before
    if size is None or before < 0 or after < 0 or target < 0:  # type: ignore[operator]
        for name, value in zip((names[2], *names), (border[2], before, after, target)):
            if value is not None and value < 0:
                raise ValueError(f"{name} must be >= 0. Received: {name}={value}")
    return before, after, target


_NAMES = {
    kind: ((f"top_{kind}", f"bottom_{kind}", "target_height"), (f"left_{kind}", f"right_{kind}", "target_width"))
    for kind in ("padding", "cropping")
}


def _borders(
    images: Any, vertical: Border, horizontal: Border, data_format: str | None, kind: str
) -> tuple[int, Border, Border]:
    """The axis of the rows, and the borders above and below, to the left and to the right."""
    height = -3 if channel_axis(images, data_format) == -1 else -2
    sign = 1 if kind == "padding" else -1
    shape, (above, beside) = images.shape, _NAMES[kind]
    return (
        height,
        _border(shape[height], vertical, above, sign),
        _border(shape[height + 1], horizontal, beside, sign),
    )


def _bordered(images: Any, data_format: str | None = None, *, kind: str, **numbers: int | None) -> KerasTensor:
    """The outcome of padding or cropping with the numbers of its config."""
    vertical, horizontal = (tuple(numbers[name] for name in names) for names in _NAMES[kind])
    height, rows, columns = _borders(images, vertical, horizontal, data_format, kind)  # type: ignore[arg-type]
    for side, target in (("height", rows[2]), ("width", columns[2])):
        if kind == "cropping" and target is None:
            raise ValueError(
                f"When the {side} of the images is unknown, `target_{side}` must be specified. "
                f"Received: images.shape={images.shape}"
            )
    shape = list(images.shape)
    shape[height], shape[height + 1] = rows[2], columns[2]
    return KerasTensor(shape, images.dtype)


@op(spec=functools.partial(_bordered, kind="padding"))
def pad_images(
    images: Tensor,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Add rows and columns of zeros to images.

    For each direction, give two of the three: both sides, or one side and the resulting size.

    Args:
        images: image `(H, W, C)` or batch `(N, H, W, C)`; channels come first with `"channels_first"`.
        top_padding: rows at the top; `None`: what the others leave. Default: `None`.
        left_padding: columns at the left; `None`: what the others leave. Default: `None`.
        bottom_padding: rows at the bottom; `None`: what the others leave. Default: `None`.
        right_padding: columns at the right; `None`: what the others leave. Default: `None`.
        target_height: resulting height; `None`: what the sides leave. Default: `None`.
        target_width: resulting width; `None`: what the sides leave. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        Images of the resulting size.

    Example:
        >>> keras.ops.image.pad_images(np.ones((4, 4, 1)), 1, 1, 1, 1).shape
        torch.Size([6, 6, 1])
    """
    vertical = (top_padding, bottom_padding, target_height)
    horizontal = (left_padding, right_padding, target_width)
    height, (top, bottom, _), (left, right, _) = _borders(images, vertical, horizontal, data_format, "padding")
    widths = [left, right, top, bottom]
    return F.pad(images, [0, 0, *widths] if height == -3 else widths)  # type: ignore[list-item]


@op(spec=functools.partial(_bordered, kind="cropping"))
def crop_images(
    images: Tensor,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Cut rows and columns off images.

    For each direction, give two of the three: both sides, or one side and the resulting size.

    Args:
        images: image `(H, W, C)` or batch `(N, H, W, C)`; channels come first with `"channels_first"`.
        top_cropping: rows at the top; `None`: what the others leave. Default: `None`.
        left_cropping: columns at the left; `None`: what the others leave. Default: `None`.
        bottom_cropping: rows at the bottom; `None`: what the others leave. Default: `None`.
        right_cropping: columns at the right; `None`: what the others leave. Default: `None`.
        target_height: resulting height; `None`: what the sides leave. Default: `None`.
        target_width: resulting width; `None`: what the sides leave. Default: `None`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        Images of the resulting size.

    Example:
        >>> keras.ops.image.crop_images(np.ones((4, 4, 1)), 1, 1, 1, 1).shape
        torch.Size([2, 2, 1])
    """
    vertical = (top_cropping, bottom_cropping, target_height)
    horizontal = (left_cropping, right_cropping, target_width)
    height, (top, _, rows), (left, _, columns) = _borders(images, vertical, horizontal, data_format, "cropping")
    block = (slice(top, top + rows), slice(left, left + columns))  # type: ignore[operator]
    return images[(..., *block, slice(None)) if height == -3 else (..., *block)]
