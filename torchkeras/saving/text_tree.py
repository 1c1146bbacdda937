"""A tree of names with aligned columns, as plain text."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A node: its name, what stands in the columns beside it, and the nodes below it."""

    name: str
    columns: tuple[str, ...]
    children: list[Row]


def tree_lines(rows: list[Row]) -> list[str]:
    """The lines of a tree. The last column is aligned to the right, the others to the left.

    Args:
        rows: the nodes of the first level.
    """
    lines = _lines(rows, "", top=True)
    filled = [columns for _, columns in lines if columns]
    head = max((len(head) for head, columns in lines if columns), default=0)
    widths = [max(map(len, column)) for column in zip(*filled)]
    return [_line(text, columns, head, widths) for text, columns in lines]


def _lines(rows: list[Row], indent: str, top: bool = False) -> list[tuple[str, tuple[str, ...]]]:
    lines: list[tuple[str, tuple[str, ...]]] = []
    for i, row in enumerate(rows):
        last = i == len(rows) - 1
        branch, below = ("", "") if top else ("└─ ", "   ") if last else ("├─ ", "│  ")
        lines.append((f"{indent}{branch}{row.name}", row.columns))
        lines += _lines(row.children, indent + below)
    return lines


def _line(head: str, columns: tuple[str, ...], width: int, widths: list[int]) -> str:
    if not columns:
        return head
    *left, right = (text.ljust(size) for text, size in zip(columns, widths))
    return "  ".join([head.ljust(width), *left, right.strip().rjust(widths[-1])])
