"""A rule that holds for many things, as one test that names all that break it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def for_each(values: Mapping[str, T]) -> Callable[[Callable[[T], None]], Callable[[], None]]:
    """Make one test of a check of one value: thousands of tests of a millisecond each take twice as long.

    Args:
        values: what the check is called with, by the name that the message gives it.
    """

    def decorate(check: Callable[[T], None]) -> Callable[[], None]:
        def test() -> None:
            broken = []
            for name, value in values.items():
                try:
                    check(value)
                except Exception as error:
                    broken.append(f"{name}: {type(error).__name__}: {error}")
            assert values and not broken, "\n\n".join(broken)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate
