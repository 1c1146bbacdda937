"""Values between and beyond the places of a grid."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from torchkeras.ops.image.layout import rounded

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


def sample(
    values: Tensor, sizes: Sequence[int], coordinates: Sequence[Tensor], order: int, fill_mode: str, fill_value: float
) -> Tensor:
    """Values at coordinates, by the nearest place (`order` 0; halves to the even one) or linearly between (1).

    Args:
        values: `(N, places, C)`, the places of a grid of the given sizes, row by row.
        coordinates: one `(N, points)` (or `(1, points)`) an axis of the grid.
        fill_mode: what lies beyond the borders: `fill_value` (`"constant"`), the border (`"nearest"`), the grid again
            (`"wrap"`), or its mirror image with (`"reflect"`) or without (`"mirror"`) the border repeated.

    Returns:
        `(N, points, C)` in the type of the values.
    """
    exact = values if values.is_floating_point() else values.float()
    exact = exact.to(torch.promote_types(exact.dtype, coordinates[0].dtype))
    fill = fill_value if values.is_floating_point() else int(fill_value)
    rows = exact.reshape(-1, exact.shape[-1])
    step, axes = 1, []
    for coordinate, size in zip(reversed(coordinates), reversed(sizes)):
        axes.append([_beside(place, weight, size, step, fill_mode) for place, weight in _corners(coordinate, order)])
        step *= size
    if len(values) > 1:  # each image's rows come after those of the images before it
        first = torch.arange(0, len(rows), step, device=values.device)[:, None]
        axes[0] = [(index + first, inside, weight) for index, inside, weight in axes[0]]
    total = None
    for corner in itertools.product(*axes):
        index, inside, weight = functools.reduce(_joined, corner)
        found = rows.index_select(0, index.flatten()).reshape(*index.shape, -1)
        found = found if inside is None else torch.where(inside.unsqueeze(-1), found, fill)
        found = found if weight is None else found * weight.unsqueeze(-1)
        total = found if total is None else total + found
    return rounded(total, values.dtype)  # type: ignore[arg-type]


# The places' part of the row number, whether they lie on the grid (`None`: they do), and their weight (`None`: 1).
Beside = tuple[Tensor, Tensor | None, Tensor | None]


def _corners(coordinate: Tensor, order: int) -> list[tuple[Tensor, Tensor | None]]:
    """The places beside a coordinate and their weights."""
    if order == 0:
        return [(coordinate.round().long(), None)]
    lower = coordinate.floor()
    upper_weight = coordinate - lower
    place = lower.long()
    return [(place, 1 - upper_weight), (place + 1, upper_weight)]


def _beside(place: Tensor, weight: Tensor | None, size: int, step: int, fill_mode: str) -> Beside:
    folded = _folded(place, size, fill_mode)
    inside = place == folded if fill_mode == "constant" else None
    return folded if step == 1 else folded * step, inside, weight


def _joined(first: Beside, second: Beside) -> Beside:
    """Of one axis and another."""
    inside = None if first[1] is None or second[1] is None else first[1] & second[1]
    weight = None if first[2] is None or second[2] is None else first[2] * second[2]
    return first[0] + second[0], inside, weight


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
