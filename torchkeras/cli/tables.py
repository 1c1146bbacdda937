"""Tables and sizes as plain text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from torchkeras.saving.safety.budget import readable


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = ()) -> str:
    """Rows under a head, the columns aligned.

    Args:
        head: the names of the columns.
        rows: what stands in them.
        right: the columns that are aligned to the right.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(name), *(len(row[i]) for row in cells)) if cells else len(name) for i, name in enumerate(head)]

    def line(row: Sequence[str]) -> str:
        parts = [cell.rjust(w) if name in right else cell.ljust(w) for cell, w, name in zip(row, widths, head)]
        return "  ".join(parts).rstrip()

    return "\n".join([line(head), "  ".join("─" * w for w in widths), *map(line, cells)])


def fields(pairs: Sequence[tuple[str, Any]]) -> str:
    """Names and values, the values aligned; pairs without a value are left out."""
    shown = [(name, value) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in shown)


def section(title: str, text: str) -> str:
    """A text under a title, with an empty line before."""
    return f"\n{title}\n{text}"


def size(count: int) -> str:
    """A number of bytes for people."""
    return readable(count)


def shape(sizes: Sequence[int | None]) -> str:
    """A shape for people: `(None, 28, 28)`."""
    return str(tuple(sizes))


def as_json(value: Any) -> str:
    """A value as indented JSON."""
    return json.dumps(value, indent=2, default=str)
