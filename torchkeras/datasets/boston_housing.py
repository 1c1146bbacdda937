"""Prices of houses in the suburbs of Boston."""

from __future__ import annotations

from torchkeras.datasets.arrays import Split, check_test_split, read_npz, shuffled, split
from torchkeras.datasets.sources import fetch

__all__ = ["load_data"]


def load_data(path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> Split:
    """Load the Boston Housing data: 506 districts with 13 attributes, and the median price of their houses.

    The data is from 1978 and has an ethical problem: one attribute supposes that the share of Black people in a
    district sways its prices. Prefer `california_housing`.

    Args:
        path: name of the file in the cache. Default: `"boston_housing.npz"`.
        test_split: share of the rows for testing. Default: `0.2`.
        seed: seed of the order of the rows. Default: `113`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, NumPy arrays of float64: attributes `(rows, 13)`, and prices `(rows,)`
        in thousands of dollars.

    Raises:
        ValueError: `test_split` is not in `[0, 1)`, or the file is broken.
        OSError: the file is not in the cache and could not be downloaded; says where to put it.
    """
    check_test_split(test_split)
    x, y = read_npz(fetch("boston_housing", path), "x", "y")
    x, y = shuffled(seed, x, y)
    return split(x, y, test_split)
