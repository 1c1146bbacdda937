"""From what the user passes as `x` to the source of batches of its kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.core.types import DeviceLike
from torchkeras.training.data.array_source import ArraySource
from torchkeras.training.data.columns import is_array
from torchkeras.training.data.iterable_source import IterableSource, LoaderSource, loader_of
from torchkeras.training.data.py_dataset import PyDataset
from torchkeras.training.data.py_dataset_source import PyDatasetSource
from torchkeras.training.data.source import Source


def make_source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = True,
    class_weight: Any = None,
    device: DeviceLike = "cpu",
) -> Source:
    """The source of batches for data of any kind that `fit` takes.

    Args:
        x: arrays (nested), a PyDataset, a torch DataLoader or Dataset, a generator or another iterable of batches.
        y: targets; only with arrays, for the other kinds bring their own.
        sample_weight: likewise.
        batch_size: rows a batch, for arrays and torch Datasets. Default: 32, or as `steps` divide the samples.
        steps: batches an epoch. Default: all.
        shuffle: other order each epoch for what can be indexed; `"batch"`: only inside each batch.
        class_weight: weight by class index, for arrays and PyDatasets.
        device: where batches are wanted.

    Raises:
        ValueError: data of an unknown kind, or arguments that don't go with its kind.
    """
    if isinstance(x, Source):
        return x
    if _all_arrays((x, y, sample_weight)):
        return ArraySource(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            steps=steps,
            shuffle=shuffle,
            class_weight=class_weight,
            device=device,
        )
    kind = _kind(x)
    _refuse(kind, y=y, sample_weight=sample_weight)
    if isinstance(x, PyDataset):
        return PyDatasetSource(x, steps=steps, shuffle=shuffle, class_weight=class_weight, device=device)
    if class_weight is not None:
        raise ValueError(
            f"class_weight is not supported for a {kind}: let it give (inputs, targets, sample_weights) instead. "
            f"Received: class_weight={class_weight}."
        )
    if isinstance(x, torch.utils.data.Dataset):
        x = loader_of(x, batch_size, shuffle)
    source = LoaderSource if isinstance(x, torch.utils.data.DataLoader) else IterableSource
    return source(x, steps=steps, device=device)


def _all_arrays(data: tuple) -> bool:
    leaves = tree.flatten(data)
    return data[0] is not None and all(leaf is None or is_array(leaf) for leaf in leaves)


def _kind(x: Any) -> str:
    for cls, name in (
        (PyDataset, "PyDataset"),
        (torch.utils.data.DataLoader, "torch DataLoader"),
        (torch.utils.data.Dataset, "torch Dataset"),
    ):
        if isinstance(x, cls):
            return name
    if tree.is_nested(x) or isinstance(x, (str, bytes)) or not isinstance(x, Iterable):
        raise ValueError(
            f"Unrecognized data type: x={str(x)[:200]} ({type(x).__name__}). Pass arrays (np.array(x) makes one "
            "of a list of numbers), a PyDataset, a torch DataLoader or Dataset, or a generator of batches."
        )
    return "generator" if hasattr(x, "__next__") else "iterable of batches"


def _refuse(kind: str, **arguments: Any) -> None:
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"When x is a {kind}, {name} must not be passed: it should be included as part of the {kind}. "
                f"Received {name} of type {type(value).__name__}."
            )
