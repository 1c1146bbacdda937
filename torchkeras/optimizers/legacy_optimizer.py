"""The names of `keras.optimizers.legacy`, which only Keras 2 had something behind."""

from __future__ import annotations

from typing import Any


class LegacyOptimizer:
    """Refuses to be made: the optimizers of the same names in `keras.optimizers` have taken its place."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ImportError(
            "`keras.optimizers.legacy` is not supported in Keras 3: use the optimizer of the same name in "
            "`keras.optimizers`. Configs and files that name a legacy optimizer are read as that one."
        )
