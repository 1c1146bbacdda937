"""Windows over images, sequences and volumes: argument checks, borders, and the NHWC-seen-as-NCHW view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.borders import Sides
from torchkeras.core.settings import standardize_data_format


def standardize_tuple(value: Any, n: int, name: str, allow_zero: bool = False) -> tuple[int, ...]:
    """`value` as `n` integers; a single integer is repeated. Raises `ValueError` on another length, type or sign."""
    items = (value,) * n if isinstance(value, int) else value
    try:
        items = tuple(items)
        integral = len(items) == n and all(int(item) == item for item in items)
    except (TypeError, ValueError):
        integral = False
    if not integral:
        raise ValueError(f"The `{name}` argument must be a tuple of {n} integers. Received {name}={value}")
    bad = {item for item in items if item < 0 or (item == 0 and not allow_zero)}
    if bad:
        raise ValueError(
            f"The `{name}` argument must be a tuple of {n} integers. Received {name}={value}, including values {bad} "
            f"that do not satisfy `value {'>= 0' if allow_zero else '> 0'}`"
        )
    return items


def same_sides(length: int, size: int, stride: int, dilation: int = 1) -> Sides:
    """Zeros before and after with which a window of `size` gives `ceil(length / stride)` outputs."""
    total = max(0, (size - 1) * dilation + 1 - stride + -length % stride)
    return total // 2, total - total // 2


def crop_sides(window: int, stride: int, padding: str, output_padding: int | None) -> Sides:
    """The sizes by which a transposed convolution crops its full result of length `(length - 1) * stride + window`.

    Before and after; negative means zeros.
    """
    if padding == "valid":
        extra = max(window, stride) - window if output_padding is None else output_padding
        return 0, -extra
    if output_padding is None:
        total = window - stride
        before = window - 1 - min((stride + window - 1) // 2, window - 1)
    else:
        total = window - window % 2 - output_padding
        before = window - 1 - min((window + window % 2 - 1 + output_padding) // 2, window - 1)
    return before, total - before


def pad_argument(sides: Sequence[Sides]) -> tuple[int, ...]:
    """Pairs in the order of the dimensions, as `F.pad` wants them: last dimension first."""
    return tuple(n for side in reversed(sides) for n in side)


class TorchView:
    """Shows a batch to torch as `(N, C, *spatial)` and its result to Keras again, by views alone.

    A sequence is shown as an image of height one: an `(N, C, 1, W)` view of an `(N, W, C)` tensor is in torch's
    channels_last format, which a 1D kernel does not know. Measured on CPU, `conv1d` of (32, 100, 32) with 64 filters of
    3, forward and backward: 1.06 ms so, 1.60 ms as `F.conv1d` of the permuted view, 1.28 ms as `F.conv1d` of NCW.
    """

    def __init__(self, rank: int, data_format: str) -> None:
        self.lift = rank == 1
        self.rank = max(rank, 2)
        last = self.rank + 1
        channels_last = data_format == "channels_last"
        self.to_torch = (0, last, *range(1, last)) if channels_last else None
        self.to_keras = (0, *range(2, last + 1), 1) if channels_last else None
        self.kernel_order = (last, self.rank, *range(self.rank))
        self.height_axis = 1 if channels_last else 2
        self.none = (None,) * self.rank
        self.small = {n: self.sizes((n,) * rank) for n in range(1, 9)}

    def enter(self, x: Tensor) -> Tensor:
        if self.lift:
            x = x.unsqueeze(self.height_axis)
        return torch.permute(x, self.to_torch) if self.to_torch else x

    def leave(self, y: Tensor) -> Tensor:
        if self.to_keras:
            y = torch.permute(y, self.to_keras)
        return y.squeeze(self.height_axis) if self.lift else y

    def kernel(self, kernel: Tensor) -> Tensor:
        """`(*window, in, out)` seen as `(out, in, *window)`. Raises `ValueError` on another number of dimensions."""
        try:
            view = torch.permute(kernel.unsqueeze(0) if self.lift else kernel, self.kernel_order)
        except RuntimeError:
            raise ValueError(
                "The kernel must have as many dimensions as the inputs. Received: "
                f"kernel.shape={tuple(kernel.shape)}, inputs of {len(self.kernel_order) - self.lift} dimensions"
            ) from None
        # torch has no gradient of a strided kernel of one filter for a batch of one small image (2.13, on a CPU).
        return view.contiguous() if view.shape[0] == 1 and view.is_cpu else view

    def sizes(self, values: Sequence[int], fill: int = 1) -> tuple[int, ...]:
        """One number a torch dimension: windows, strides, dilations (`fill` 1), or paddings (`fill` 0)."""
        return (fill, *values) if self.lift else tuple(values)

    def steps(self, value: Any, name: str, allow_zero: bool = False) -> tuple[int, ...]:
        """An integer, or one a spatial dimension, as `sizes`. Raises `ValueError` on another number or sign."""
        if value.__class__ is int and value in self.small:
            return self.small[value]
        return self.sizes(standardize_tuple(value, 1 if self.lift else self.rank, name, allow_zero))


_VIEWS = {(rank, form): TorchView(rank, form) for rank in (1, 2, 3) for form in settings.DATA_FORMATS}


def view_of(x: Tensor, data_format: str | None) -> TorchView:
    """How torch sees a batch of sequences, images or volumes. Raises `ValueError` on another rank or format."""
    view = _VIEWS.get((x.dim() - 2, data_format or settings.image_data_format()))
    return view or _view_of_unusual(x, data_format)


def _view_of_unusual(x: Tensor, data_format: str | None) -> TorchView:
    view = _VIEWS.get((x.dim() - 2, standardize_data_format(data_format)))
    if view is None:
        raise ValueError(
            "The inputs must have 3, 4 or 5 dimensions: a batch of sequences, images or volumes, and their channels. "
            f"Received an input of shape {tuple(x.shape)}."
        )
    return view
