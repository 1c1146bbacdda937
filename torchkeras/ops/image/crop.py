"""Images cut, or with borders of zeros."""

from __future__ import annotations

import functools
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.keras_tensor import KerasTensor
from torchkeras.core.op import op
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
    if target is not None and target < 0:
        raise ValueError(f"{names[2]} must be >= 0. Received: {names[2]}={target}")
    if size is not None:
        if target is None:
            target = size + sign * (before + after)  # type: ignore[operator]
        elif before is None:
            before = sign * (target - size) - after  # type: ignore[operator]
        else:
            after = sign * (target - size) - before
    for name, value in zip(names, (before, after, target)):
        if value is not None and value < 0:
            raise ValueError(f"{name} must be >= 0. Received: {name}={value}")
    return before, after, target


_NAMES = {
    kind: ((f"top_{kind}", f"bottom_{kind}", "target_height"), (f"left_{kind}", f"right_{kind}", "target_width"))
    for kind in ("padding", "cropping")
}


def _borders(images: Any, axis: int, vertical: Border, horizontal: Border, kind: str) -> tuple[int, Border, Border]:
    sign = 1 if kind == "padding" else -1
    height = -3 if axis == -1 else -2
    rows, columns = images.shape[height], images.shape[height + 1]
    above, beside = _NAMES[kind]
    return height, _border(rows, vertical, above, sign), _border(columns, horizontal, beside, sign)


def _resized(images: Any, height: int, new_height: int | None, new_width: int | None) -> KerasTensor:
    shape = list(images.shape)
    shape[height], shape[height + 1] = new_height, new_width
    return KerasTensor(shape, images.dtype)


def _padded(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> KerasTensor:
    axis = channel_axis(images, data_format)
    vertical = (top_padding, bottom_padding, target_height)
    horizontal = (left_padding, right_padding, target_width)
    height, rows, columns = _borders(images, axis, vertical, horizontal, "padding")
    return _resized(images, height, rows[2], columns[2])


@op(spec=_padded)
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
    """Images with rows and columns of zeros around; of the two sides and the resulting size give two, either way."""
    axis = channel_axis(images, data_format)
    vertical = (top_padding, bottom_padding, target_height)
    horizontal = (left_padding, right_padding, target_width)
    _, rows, columns = _borders(images, axis, vertical, horizontal, "padding")
    widths = [*columns[:2], *rows[:2]]
    return F.pad(images, [0, 0, *widths] if axis == -1 else widths)  # type: ignore[list-item]


def _cropped(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> KerasTensor:
    axis = channel_axis(images, data_format)
    vertical = (top_cropping, bottom_cropping, target_height)
    horizontal = (left_cropping, right_cropping, target_width)
    height, rows, columns = _borders(images, axis, vertical, horizontal, "cropping")
    for side, place, target in (("height", height, rows[2]), ("width", height + 1, columns[2])):
        if images.shape[place] is None and target is None:
            raise ValueError(
                f"When the {side} of the images is unknown, `target_{side}` must be specified. "
                f"Received: images.shape={images.shape}"
            )
    return _resized(images, height, rows[2], columns[2])


@op(spec=_cropped)
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
    """Images without rows and columns at the sides; of the two sides and the resulting size give two, either way."""
    axis = channel_axis(images, data_format)
    vertical = (top_cropping, bottom_cropping, target_height)
    horizontal = (left_cropping, right_cropping, target_width)
    height, rows, columns = _borders(images, axis, vertical, horizontal, "cropping")
    result = images.narrow(height, rows[0], rows[2])  # type: ignore[arg-type]
    return result.narrow(height + 1, columns[0], columns[2])  # type: ignore[arg-type]
