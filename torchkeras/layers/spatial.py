"""Arguments and shapes of layers over sequences, images and volumes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from torchkeras.ops.nn.windows import Sides, standardize_tuple

# Cropping or padding as users give it: one int, or for each dimension an int or a `(before, after)` pair.
SidesLike: TypeAlias = int | Sequence[int | Sequence[int]]


def standardize_sides(value: SidesLike, rank: int, name: str) -> tuple[Sides, ...]:
    """Bring `cropping` or `padding` to one `(before, after)` pair per spatial dimension."""
    if isinstance(value, int):
        if value < 0:
            raise ValueError(f"`{name}` cannot be negative. Received: {name}={value}.")
        return ((value, value),) * rank
    if not hasattr(value, "__len__") or len(value) != rank:
        raise ValueError(
            f"`{name}` should be an int, or have {rank} elements: ints or pairs of ints, one for each spatial "
            f"dimension. Received: {name}={value}."
        )
    return tuple(standardize_tuple(v, 2, f"entry {i + 1} of {name}", allow_zero=True) for i, v in enumerate(value))  # type: ignore[misc]


def standardize_padding(value: str, allow_causal: bool = False) -> str:
    """The name of a padding in lower case; `ValueError` if there is no such padding."""
    allowed = ("valid", "same", "causal") if allow_causal else ("valid", "same")
    padding = value.lower() if isinstance(value, str) else value
    if padding not in allowed:
        raise ValueError(f"The `padding` argument must be one of {allowed}. Received: padding={value}")
    return padding


def channel_axis(data_format: str) -> int:
    """The axis of the channels in a batch: -1 or 1."""
    return -1 if data_format == "channels_last" else 1


def spatial_dims(shape: Sequence[int | None], data_format: str) -> tuple[int | None, ...]:
    """The sizes of a batch's shape between the batch and the channels."""
    return tuple(shape[1:-1] if data_format == "channels_last" else shape[2:])


def with_spatial_dims(
    shape: Sequence[int | None], spatial: Sequence[int | None], channels: int | None, data_format: str
) -> tuple[int | None, ...]:
    """Put a batch shape together from a batch like `shape`, spatial sizes and channels."""
    if data_format == "channels_last":
        return (shape[0], *spatial, channels)
    return (shape[0], channels, *spatial)


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


def product(dims: Sequence[int | None]) -> int | None:
    """The product of the sizes, `None` if one is not known."""
    return None if None in dims else math.prod(dims)  # type: ignore[arg-type]
