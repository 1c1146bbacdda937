"""The known names that are nearest to an unknown one: every error about a name asks here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher

_CUTOFF = 0.7  # names less alike than this are not meant
_MARGIN = 0.05  # names less alike than the best one by more than this are not meant either


def nearest_names(name: str, known: Iterable[str] | Mapping[str, object], most: int = 3) -> list[str]:
    """The known names that are most like `name`, the best one first; letter case counts only between equals.

    Args:
        name: the unknown name.
        known: the names to choose from; a mapping says what each one means, and of two names with one meaning the
            nearer one is given.
        most: how many names at most.
    """
    ranked = sorted(known, key=lambda one: (-_likeness(name.lower(), one.lower()), -_likeness(name, one), one))
    if not ranked:
        return []
    best = _likeness(name.lower(), ranked[0].lower())
    close = [one for one in ranked if _likeness(name.lower(), one.lower()) >= max(_CUTOFF, best - _MARGIN)]
    meanings = {id(known[one]) if isinstance(known, Mapping) else one.lower(): one for one in reversed(close)}
    return [one for one in close if one in meanings.values()][:most]


def did_you_mean(name: str, known: Iterable[str] | Mapping[str, object]) -> str:
    """`" Did you mean 'adam' or 'adamw'?"` with the nearest names; empty if no name is near."""
    close = nearest_names(name, known)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def candidates(unknown: Iterable[str], known: Iterable[str]) -> str:
    """`"Did you mean 'units' instead of 'unit'?"` for unknown arguments; all known ones if no name is near."""
    known = sorted(known)
    close = {name: nearest_names(name, known) for name in unknown}
    hints = [f"{' or '.join(map(repr, found))} instead of {name!r}" for name, found in close.items() if found]
    return f"Did you mean {' and '.join(hints)}?" if hints else f"It takes {known}."


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()
