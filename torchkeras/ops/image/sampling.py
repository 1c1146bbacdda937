"""Values between and beyond the places of a grid."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from torchkeras.ops.image.layout import computed, rounded

FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")
ORDERS = {"nearest": 0, "bilinear": 1}


def require_fill_mode(fill_mode: str) -> None:
    """Raise a ValueError unless there is such a way to go on beyond the border."""
    if fill_mode not in FILL_MODES:
        raise ValueError(
            f"Invalid value for argument `fill_mode`. Expected one of {FILL_MODES}. Received: fill_mode={fill_mode}"
        )


def require_interpolation(interpolation: str) -> None:
    """Raise a ValueError unless there is such an interpolation."""
    if interpolation not in ORDERS:
        raise ValueError(
            f"Invalid value for argument `interpolation`. Expected one of {tuple(ORDERS)}. "
            f"Received: interpolation={interpolation}"
        )


def sample(values: Tensor, coordinates: Tensor, order: int, fill_mode: str, fill_value: float) -> Tensor:
    """Values at coordinates, by the nearest place (`order` 0; halves to the even one) or linearly between (1).

    Args:
        values: `(N, *grid, C)`.
        coordinates: `(axes of the grid, N or 1, points)`.
        fill_mode: what lies beyond the borders: `fill_value` (`"constant"`), the border (`"nearest"`), the grid again
            (`"wrap"`), or its mirror image with (`"reflect"`) or without (`"mirror"`) the border repeated.

    Returns:
        `(N, points, C)` in the type of the values.
    """
    dtype = values.dtype
    exact = computed(values)
    if exact.dtype is not coordinates.dtype:
        exact = exact.to(torch.promote_types(exact.dtype, coordinates.dtype))
    count, *sizes, channels = exact.shape
    beside, weights = _corners(coordinates, order)
    places = [_folded(place, size, fill_mode) for place, size in zip(beside, sizes)]
    row = places[0]
    if count > 1:  # the rows of an image follow those of the images before it
        row = row + torch.arange(0, count * sizes[0], sizes[0], device=row.device).unsqueeze(1)
    for place, size in zip(places[1:], sizes[1:]):
        row = row * size + place
    found = exact.flatten(0, -2).index_select(0, row.flatten()).view(*row.shape, channels)
    if fill_mode == "constant":
        outside = functools.reduce(torch.logical_or, map(torch.ne, beside, places))
        found.masked_fill_(outside.unsqueeze(-1), fill_value if dtype.is_floating_point else int(fill_value))
    if weights is not None:
        found = found.mul_(functools.reduce(torch.mul, weights).unsqueeze(-1)).sum(tuple(range(len(sizes))))
    return rounded(found, dtype)


def _corners(coordinates: Tensor, order: int) -> tuple[Sequence[Tensor], Sequence[Tensor] | None]:
    """For each axis the places beside the coordinates and their weights (`None`: 1).

    Between two places each axis has a leading dimension of 2 of its own, so that the axes' numbers broadcast.
    """
    if order == 0:
        return coordinates.round().long().unbind(), None
    lower = coordinates.floor()
    upper_weight = coordinates - lower
    place = lower.long()
    return _spread(place, place + 1), _spread(1 - upper_weight, upper_weight)


def _spread(lower: Tensor, upper: Tensor) -> list[Tensor]:
    pairs = torch.stack([lower, upper], 1).unbind()
    return [pair[:, *[None] * after] for after, pair in zip(range(len(pairs) - 1, -1, -1), pairs)]


def _folded(place: Tensor, size: int, fill_mode: str) -> Tensor:
    """The place within the grid that stands for one beyond it."""
    if fill_mode == "wrap":
        return place.remainder(size)
    if fill_mode == "mirror":
        place = place.remainder(max(2 * size - 2, 1))
        return torch.minimum(place, 2 * size - 2 - place)
    if fill_mode == "reflect":
        place = place.remainder(2 * size)
        return torch.minimum(place, 2 * size - 1 - place)
    return place.clamp(0, size - 1)
