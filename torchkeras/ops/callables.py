"""A check of the functions that ops call."""

from __future__ import annotations


def check_callable(op: str, argument: str, function: object) -> None:
    """Raise a `TypeError` that names the argument if it is no function."""
    if not callable(function):
        raise TypeError(f"{op}(): `{argument}` should be a callable. Received: {argument}={function!r}.")
