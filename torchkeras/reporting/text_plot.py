"""Curves as text, for terminals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

_MARKS = "●○◆◇▲△"


def text_plot(curves: Mapping[str, Sequence[float]], width: int = 60, height: int = 10) -> list[str]:
    """Draw curves over a common axis in characters.

    Args:
        curves: values by name; values that are not finite are left out.
        width: characters of the area of the curves. Default: `60`.
        height: lines of it. Default: `10`.

    Returns:
        The lines: the area with its scale at the left, an axis of steps, and a legend.

    Example:
        >>> from torchkeras.reporting.text_plot import text_plot
        >>> print(*text_plot({"loss": [3.0, 2.0, 1.0]}, width=5, height=3), sep="\\n")
                 3 ┤●
                   │  ●
                 1 ┤    ●
                   └─────
                    1   3
        ● loss
    """
    finite = [value for values in curves.values() for value in values if math.isfinite(value)]
    steps = max((len(values) for values in curves.values()), default=0)
    if not finite or not steps:
        return ["(no values yet)"]
    low, high = min(finite), max(finite)
    area = [[" "] * width for _ in range(height)]
    for number, values in reversed(list(enumerate(curves.values()))):
        for step, value in enumerate(values):
            if math.isfinite(value):
                column = round(step * (width - 1) / max(steps - 1, 1))
                row = round((high - value) * (height - 1) / ((high - low) or 1))
                area[row][column] = _MARKS[number % len(_MARKS)]
    scales = {0: f"{high:10.4g} ┤", height - 1: f"{low:10.4g} ┤"}
    lines = [(scales.get(row, f"{'':10} │") + "".join(cells)).rstrip() for row, cells in enumerate(area)]
    last = str(steps) if steps > 1 else ""
    lines += [f"{'':10} └{'─' * width}", f"{'':12}1{last.rjust(width - 1)}".rstrip()]
    legend = [f"{_MARKS[number % len(_MARKS)]} {name}" for number, name in enumerate(curves)]
    return [*lines, "  ".join(legend)]
