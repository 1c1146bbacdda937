"""Prices of houses in California."""

from __future__ import annotations

from torchkeras.datasets.arrays import Split, check_test_split, read_npz, shuffled, split
from torchkeras.datasets.sources import fetch

__all__ = ["load_data"]


def load_data(
    version: str = "large", path: str = "california_housing.npz", test_split: float = 0.2, seed: int = 113
) -> Split:
    """Load the California Housing data: districts with 8 attributes, and the median price of their houses.

    The attributes are: longitude, latitude, median age of the houses, rooms, bedrooms, population, households, median
    income. The data is of the census of 1990 (Pace and Barry, 1997).

    Args:
        version: `"large"` for all 20,640 rows, `"small"` for the first 600. Default: `"large"`.
        path: name of the file in the cache. Default: `"california_housing.npz"`.
        test_split: share of the rows for testing. Default: `0.2`.
        seed: seed of the order of the rows. Default: `113`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, NumPy arrays: attributes `(rows, 8)`, and prices `(rows,)` in dollars.

    Raises:
        ValueError: `version` is unknown, `test_split` is not in `[0, 1)`, or the file is broken.
        OSError: the file is not in the cache and could not be downloaded; says where to put it.
    """
    check_test_split(test_split)
    if version not in ("small", "large"):
        raise ValueError(f"Argument `version` must be one of 'small', 'large'. Received: version={version}")
    rows = 600 if version == "small" else None
    x, y = (array[:rows] for array in read_npz(fetch("california_housing", path), "x", "y"))
    x, y = shuffled(seed, x, y)
    return split(x, y, test_split)
