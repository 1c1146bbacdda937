"""The names of `keras.optimizers.legacy`, which only Keras 2 had something behind."""

from __future__ import annotations

from typing import Any


class LegacyOptimizer:
    """Raise an error: Keras 3 has no legacy optimizers; those of the same names in `keras.optimizers` replace them.

    Raises:
        ImportError: always.

    Example:
        >>> keras.optimizers.legacy.Adam()
        Traceback (most recent call last):
        ImportError: `keras.optimizers.legacy` is not supported in Keras 3: ...
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ImportError(
            "`keras.optimizers.legacy` is not supported in Keras 3: use the optimizer of the same name in "
            "`keras.optimizers`. Configs and files that name a legacy optimizer are read as that one."
        )
