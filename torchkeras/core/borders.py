"""Zeros around images, sequences and volumes."""

from __future__ import annotations

from typing import NamedTuple

Sides = tuple[int, int]
"""Zeros before and after."""


class Border(NamedTuple):
    """Zeros around the spatial dimensions, as torch sees them.

    Attributes:
        sides: zeros before and after in each dimension.
        even: zeros on either side of each dimension; `None` if they are not as many on both.
    """

    sides: tuple[Sides, ...]
    even: tuple[int, ...] | None


def border_of(sides: tuple[Sides, ...]) -> Border:
    """The border with zeros of `sides` in each dimension."""
    is_even = all(before == after for before, after in sides)
    return Border(sides, tuple(before for before, _ in sides) if is_even else None)
