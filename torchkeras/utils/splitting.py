"""A data set in two parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Subset, TensorDataset, random_split


def split_dataset(
    dataset: Dataset[Any] | np.ndarray | torch.Tensor | Sequence[Any],
    left_size: float | int | None = None,
    right_size: float | int | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Subset[Any], Subset[Any]]:
    """Split a data set in two, such as one for training and one for validation.

    Args:
        dataset: torch `Dataset`, an array or tensor, or a list or tuple of them of one length.
        left_size: size of the first part, a share (float in (0, 1)) or a number of rows. Default: `None`, what
            `right_size` leaves.
        right_size: size of the second part, likewise. Default: `None`, what `left_size` leaves.
        shuffle: whether the rows are dealt at random; if not, the first part has the first rows. Default: `False`.
        seed: seed of the random order. Default: `None`, a new order in each call.
        preferred_backend: `"torch"`, or `None`. Default: `None`.

    Returns:
        Two torch data sets; their rows are tuples where arrays were given.

    Raises:
        TypeError: `dataset` or a size is of another type.
        ValueError: no size is given, a size does not fit, arrays differ in length, or `preferred_backend` is another
            one.

    Example:
        >>> left, right = keras.utils.split_dataset([np.arange(10), np.arange(10) * 2], left_size=0.8)
        >>> len(left), len(right), [value.item() for value in right[0]]
        (8, 2, [8, 16])
    """
    if preferred_backend not in (None, "torch"):
        raise ValueError(f'`preferred_backend` must be "torch" or None. Received: {preferred_backend!r}')
    rows = _as_dataset(dataset)
    if left_size is None and right_size is None:
        raise ValueError(
            "At least one of the `left_size` or `right_size` must be specified. "
            "Received: left_size=None and right_size=None"
        )
    total = len(rows)  # type: ignore[arg-type]
    left, right = _sizes(left_size, right_size, total)
    if not shuffle:
        return Subset(rows, range(left)), Subset(rows, range(total - right, total))
    generator = torch.Generator()
    generator.manual_seed(seed) if seed is not None else generator.seed()
    first, second, _ = random_split(rows, [left, right, total - left - right], generator)
    return first, second


def _as_dataset(dataset: object) -> Dataset:
    if isinstance(dataset, Dataset):
        return dataset
    if isinstance(dataset, (np.ndarray, torch.Tensor)):
        dataset = [dataset]
    if not isinstance(dataset, (list, tuple)):
        raise TypeError(
            "The `dataset` argument must be a `torch.utils.data.Dataset` object, or a list/tuple of arrays. "
            f"Received: dataset of type {type(dataset)}"
        )
    if not dataset:
        raise ValueError("Received an empty list dataset. Please provide a non-empty list of arrays.")
    for index, array in enumerate(dataset):
        if not isinstance(array, (np.ndarray, torch.Tensor)):
            raise ValueError(f"Expected a list of arrays or tensors, Received: {type(array)} at index {index}.")
        if len(array) != len(dataset[0]):
            raise ValueError(
                f"Received a list of arrays with different lengths. Mismatch found at index {index}, Expected "
                f"length={len(dataset[0])} Received length={len(array)}. Please provide arrays of the same length."
            )
    return TensorDataset(*(torch.as_tensor(array) for array in dataset))


def _sizes(left: float | int | None, right: float | int | None, total: int) -> tuple[int, int]:
    """The sizes in rows; one that is not given is the rest."""
    for side, size in (("left_size", left), ("right_size", right)):
        if size is not None and (isinstance(size, bool) or not isinstance(size, (int, float))):
            raise TypeError(
                f"Invalid `{side}` Type. Expected: int or float or None, Received: type({side})={type(size)}."
            )
    if left == 0 and right == 0:
        raise ValueError(
            "Both `left_size` and `right_size` are zero. At least one of the split sizes must be non-zero."
        )
    for side, size in (("left_size", left), ("right_size", right)):
        if size is not None and not 0 < size < (total if isinstance(size, int) else 1):
            raise ValueError(
                f"`{side}` should be either a positive integer smaller than {total}, or a float within the range "
                f"`[0, 1]`. Received: {side}={size}"
            )
    if isinstance(left, float) and isinstance(right, float) and left + right > 1:
        raise ValueError(
            "The sum of `left_size` and `right_size` is greater than 1. It must be less than or equal to 1."
        )
    first, second = (round(size * total) if isinstance(size, float) else size for size in (left, right))
    first = total - (second or 0) if first is None else first
    second = total - first if second is None else second
    if first + second > total:
        raise ValueError(
            f"The sum of `left_size` and `right_size` should be smaller than the {total}. "
            f"Received: left_size + right_size = {first + second} and total_length = {total}"
        )
    for side, size in (("left", first), ("right", second)):
        if size == 0:
            raise ValueError(
                f"With `dataset` of length={total}, `left_size`={first} and `right_size`={second}. Resulting {side} "
                "side dataset split will be empty. Adjust any of the aforementioned parameters"
            )
    return first, second
