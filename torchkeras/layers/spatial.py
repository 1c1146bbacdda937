"""Windows over images, sequences and volumes: argument checks, output lengths, and the NHWC-seen-as-NCHW view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchkeras.core import settings

Sides = tuple[int, int]


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


def standardize_sides(value: Any, rank: int, name: str) -> tuple[Sides, ...]:
    """Cropping or padding as one `(before, after)` pair a spatial dimension."""
    if isinstance(value, int):
        if value < 0:
            raise ValueError(f"`{name}` cannot be negative. Received: {name}={value}.")
        return ((value, value),) * rank
    if not hasattr(value, "__len__") or len(value) != rank:
        raise ValueError(
            f"`{name}` should be an int, or have {rank} elements: ints or pairs of ints, one for each spatial "
            f"dimension. Received: {name}={value}."
        )
    return tuple(standardize_tuple(v, 2, f"entry {i + 1} of {name}", allow_zero=True) for i, v in enumerate(value))


def standardize_padding(value: str, allow_causal: bool = False) -> str:
    allowed = ("valid", "same", "causal") if allow_causal else ("valid", "same")
    padding = value.lower() if isinstance(value, str) else value
    if padding not in allowed:
        raise ValueError(f"The `padding` argument must be one of {allowed}. Received: padding={value}")
    return padding


def standardize_data_format(data_format: str | None) -> str:
    if data_format is None:
        return settings.image_data_format()
    name = str(data_format).lower()
    if name not in ("channels_last", "channels_first"):
        raise ValueError(
            "The `data_format` argument must be one of ('channels_first', 'channels_last'). "
            f"Received: data_format={data_format}"
        )
    return name


def channel_axis(data_format: str) -> int:
    return -1 if data_format == "channels_last" else 1


def spatial_dims(shape: Sequence[Any], data_format: str) -> tuple[Any, ...]:
    return tuple(shape[1:-1] if data_format == "channels_last" else shape[2:])


def with_spatial_dims(shape: Sequence[Any], spatial: Sequence[Any], channels: Any, data_format: str) -> tuple[Any, ...]:
    """The shape of a batch like `shape` with other spatial dimensions and channels."""
    if data_format == "channels_last":
        return (shape[0], *spatial, channels)
    return (shape[0], channels, *spatial)


def same_sides(length: int, size: int, stride: int, dilation: int = 1) -> Sides:
    """Zeros before and after with which a window of `size` gives `ceil(length / stride)` outputs."""
    total = max(0, (size - 1) * dilation + 1 - stride + -length % stride)
    return total // 2, total - total // 2


def window_lengths(
    lengths: Sequence[int | None],
    sizes: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int] | None = None,
) -> tuple[int | None, ...]:
    """Output lengths of sliding windows; `None` stays `None`. Raises `ValueError` where no window fits."""
    out: list[int | None] = []
    for length, size, stride, dilation in zip(lengths, sizes, strides, dilations or (1,) * len(sizes), strict=True):
        if length is None:
            out.append(None)
        elif padding == "valid":
            out.append((length - dilation * (size - 1) - 1) // stride + 1)
        elif padding in ("same", "causal"):
            out.append((length - 1) // stride + 1)
        else:
            raise ValueError(f"`padding` must be 'valid' or 'same'. Received: padding={padding}")
        if out[-1] is not None and out[-1] <= 0:
            raise ValueError(
                "Computed output size would be zero or negative: the window does not fit into the input. Received: "
                f"spatial input shape={tuple(lengths)}, window={tuple(sizes)}, strides={tuple(strides)}, "
                f"dilation_rate={dilations}, padding={padding}"
            )
    return tuple(out)


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
        self.height_axis = 1 if channels_last else 2

    def enter(self, x: Tensor) -> Tensor:
        if self.lift:
            x = x.unsqueeze(self.height_axis)
        return x.permute(self.to_torch) if self.to_torch else x

    def leave(self, y: Tensor) -> Tensor:
        if self.to_keras:
            y = y.permute(self.to_keras)
        return y.squeeze(self.height_axis) if self.lift else y

    def kernel(self, kernel: Tensor) -> Tensor:
        """`(*window, in, out)` seen as `(out, in, *window)`."""
        if self.lift:
            kernel = kernel.unsqueeze(0)
        rank = self.rank
        return kernel.permute(rank + 1, rank, *range(rank))

    def sizes(self, values: Sequence[int], fill: int = 1) -> tuple[int, ...]:
        """One number a torch dimension: windows, strides, dilations (`fill` 1), or paddings (`fill` 0)."""
        return (fill, *values) if self.lift else tuple(values)


def product(dims: Sequence[int | None]) -> int | None:
    return None if None in dims else math.prod(dims)  # type: ignore[arg-type]
