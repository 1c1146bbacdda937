"""From what the user passes as `x` to the source of batches of its kind."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import torch

from torchkeras.core import tree
from torchkeras.core.types import ArrayLike, DeviceLike, Nest
from torchkeras.training.data.array_source import ArraySource
from torchkeras.training.data.columns import is_array, loaded, with_columns
from torchkeras.training.data.iterable_source import IterableSource, LoaderSource, loader_of
from torchkeras.training.data.named_parts import NamedParts, Names, are_names, columns_by_name, named_arrays
from torchkeras.training.data.py_dataset import PyDataset
from torchkeras.training.data.py_dataset_source import PyDatasetSource
from torchkeras.training.data.source import Source


def make_source(
    x: Any,
    y: Nest[ArrayLike] | Names | None = None,
    sample_weight: Nest[ArrayLike] | Names | None = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = True,
    class_weight: Mapping[int, float] | None = None,
    device: DeviceLike = "cpu",
    input_names: Collection[str] = (),
    output_names: Collection[str] = (),
) -> Source:
    """The source of batches for data of any kind that `fit` takes.

    Args:
        x: arrays (nested), lists of strings, a DataFrame, a PyDataset, a torch DataLoader or Dataset, a generator or
            another iterable of batches.
        y: targets of arrays. The other kinds give them in their batches; where those are dicts, `y` may be the name of
            the targets' entry, or names in the structure of the targets.
        sample_weight: likewise.
        batch_size: rows per batch, of arrays and torch Datasets. Default: 32, or as `steps` divide the samples.
        steps: batches per epoch. Default: all.
        shuffle: another order each epoch, for data that can be indexed; `"batch"`: only inside each batch.
        class_weight: weight by class index, for arrays and PyDatasets.
        device: where batches are wanted.
        input_names: names of the model's inputs, where they are known.
        output_names: names of the model's outputs, where they are known: if a batch is a dict that has all of them,
            and no input is called so, these entries are the targets.

    Raises:
        ValueError: data of an unknown kind, or arguments that don't go with its kind.
    """
    if isinstance(x, Source):
        return x
    _check_batch_size(batch_size)
    x, y, sample_weight = loaded((with_columns(x), y, sample_weight))
    x, y, sample_weight = named_arrays(x, y, sample_weight)
    x = columns_by_name(x, input_names)
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
    if _all_arrays((x,)):
        _refuse_beside_arrays(y=y, sample_weight=sample_weight)
    kind = _kind(x)
    parts = NamedParts(None, None, input_names, output_names) if output_names else None
    if are_names(y) or are_names(sample_weight):
        parts = NamedParts(y, sample_weight, input_names, output_names)  # type: ignore[arg-type]
        y = sample_weight = None
    _refuse(kind, y=y, sample_weight=sample_weight)
    if isinstance(x, PyDataset):
        return PyDatasetSource(x, steps=steps, shuffle=shuffle, class_weight=class_weight, parts=parts, device=device)
    if class_weight is not None:
        raise ValueError(
            f"class_weight is not supported for a {kind}: let it give (inputs, targets, sample_weights) instead. "
            f"Received: class_weight={class_weight}."
        )
    if _is_dataset(x):
        x = loader_of(x, batch_size, shuffle)
    source = LoaderSource if isinstance(x, torch.utils.data.DataLoader) else IterableSource
    return source(x, steps=steps, device=device, parts=parts)


def _check_batch_size(batch_size: int | None) -> None:
    """Raise `ValueError` if a batch size is no positive integer; 0 stands for the default, as in Keras."""
    whole = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
    if batch_size is not None and (not whole or batch_size < 0):
        raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size!r}.")


def _is_dataset(x: object) -> bool:
    """Whether torch's DataLoader batches it: a torch Dataset, or what gives several samples by `__getitems__`."""
    # A row of stages that begins with a DataLoader, as WebDataset's WebLoader, gives batches already.
    stages = getattr(x, "pipeline", None)
    begins = stages[0] if isinstance(stages, list) and stages else x
    loader = isinstance(x, torch.utils.data.DataLoader) or isinstance(begins, torch.utils.data.DataLoader)
    return not loader and (isinstance(x, torch.utils.data.Dataset) or hasattr(x, "__getitems__"))


def _all_arrays(data: tuple) -> bool:
    leaves = tree.flatten(data)
    return data[0] is not None and all(leaf is None or is_array(leaf) for leaf in leaves)


def _kind(x: Any) -> str:
    for cls, name in (
        (PyDataset, "PyDataset"),
        (torch.utils.data.DataLoader, "torch DataLoader"),
    ):
        if isinstance(x, cls):
            return name
    if _is_dataset(x):
        return "torch Dataset"
    if tree.is_nested(x) or isinstance(x, (str, bytes)) or not isinstance(x, Iterable):
        raise ValueError(
            f"Unrecognized data type: x={str(x)[:200]} ({type(x).__name__}). Pass arrays (np.array(x) makes one "
            "of a list of numbers), a PyDataset, a torch DataLoader or Dataset, or a generator of batches."
        )
    return "generator" if hasattr(x, "__next__") else "iterable of batches"


def _refuse_beside_arrays(**arguments: object) -> None:
    """Raise `ValueError` for targets or weights of arrays that are no arrays themselves."""
    for name, value in arguments.items():
        wrong = [leaf for leaf in tree.flatten(value) if leaf is not None and not is_array(leaf)]
        if wrong and not are_names(value):
            raise ValueError(
                f"Unrecognized data type: {name}={str(value)[:200]} ({type(value).__name__}). x is arrays, so {name} "
                f"must be an array, too (np.array({name}) makes one of a list of numbers), or arrays in the structure "
                "of the model's outputs."
            )


def _refuse(kind: str, **arguments: object) -> None:
    """Raise `ValueError` if an argument is given that data of this kind bring themselves."""
    article = "an" if kind[0] == "i" else "a"
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"When x is {article} {kind}, {name} must not be passed: it should be included as part of the {kind}. "
                f"Received {name} of type {type(value).__name__}. If the {kind} gives dicts, {name} may be the name of "
                "an entry."
            )
