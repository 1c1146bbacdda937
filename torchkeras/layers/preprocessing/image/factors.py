"""Ranges of random strengths: the arguments that are one number or two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Factor: TypeAlias = float | Sequence[float]
Bounds: TypeAlias = tuple[float, float]


def symmetric_range(factor: Factor, name: str, message: str, low: float, high: float, open_low: bool = False) -> Bounds:
    """Two ordered numbers; one number `f` means `(-abs(f), abs(f))`.

    Args:
        factor: one number, or two.
        name: name of the argument.
        message: the error's first sentence: what the argument must be.
        low: smallest number.
        high: largest number.
        open_low: whether `low` itself is excluded. Default: `False`.

    Raises:
        ValueError: `factor` is nothing of the kind, or beyond the bounds.
    """
    pair = isinstance(factor, (tuple, list))
    if not pair and not isinstance(factor, (int, float)) or pair and len(factor) != 2:  # type: ignore[arg-type]
        raise ValueError(f"{message} Received: {name}={factor}")
    numbers: Sequence[float] = factor if pair else [factor]  # type: ignore[list-item,assignment]
    for number in numbers:
        if not low <= number <= high or open_low and number == low:
            raise ValueError(f"{message} Received: input_number={number}, in {name}={factor}")
    if pair:
        lower, upper = sorted(numbers)
        return lower, upper
    return -abs(numbers[0]), abs(numbers[0])


def range_from_zero(factor: Factor, name: str, bounds: Bounds = (0, 1)) -> Bounds:
    """Two ordered numbers; one number `f` means `(0, f)`.

    Args:
        factor: one number, or two.
        name: name of the argument.
        bounds: smallest and largest number. Default: `(0, 1)`.

    Raises:
        ValueError: `factor` is nothing of the kind, or beyond the bounds.
    """
    low, high = bounds
    wrong = ValueError(
        f"The `{name}` argument should be a number (or a list of two numbers) in the range [{low}, {high}]. "
        f"Received: {name}={factor}"
    )
    if isinstance(factor, (tuple, list)):
        if len(factor) != 2 or factor[0] > high or factor[1] < low:
            raise wrong
        lower, upper = sorted(factor)
        return lower, upper
    if not isinstance(factor, (int, float)) or not low <= factor <= high:
        raise wrong
    return max(-abs(factor), low), abs(factor)
