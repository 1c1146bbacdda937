"""Sample weights: their agreement with the targets, and class weights turned into them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from torchkeras.core import settings, tree
from torchkeras.core.tensors.convert import constant
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.training.data.columns import as_tensor


def check_class_weight(class_weight: Any, y: Any, sample_weight: Any) -> None:
    """Raise `ValueError` where class weights can't be applied to these targets."""
    if sample_weight is not None:
        raise ValueError("Pass either class_weight or sample_weight, not both at the same time.")
    if tree.is_nested(y):
        raise ValueError(
            f"class_weight is only supported for models with a single output; the targets are a {type(y).__name__}. "
            "Pass one sample_weight array an output instead."
        )
    if y is None:
        raise ValueError("class_weight needs targets; received y=None.")
    if not isinstance(class_weight, Mapping):
        raise ValueError(
            f"class_weight must be a dict from class index to weight; received {class_weight!r} "
            f"(of type {type(class_weight).__name__})."
        )


def class_weight_to_sample_weight(y: Any, class_weight: Mapping[int, float]) -> torch.Tensor:
    """The weight of each sample's class, 1 for a class that is not named.

    One-hot rows count as their largest entry, floats as the nearest class.
    """
    classes = as_tensor(y)
    if classes.ndim > 1:
        classes = classes.argmax(-1) if classes.shape[-1] != 1 else classes.squeeze(-1)
    if classes.is_floating_point():
        classes = classes.round()
    found, position = classes.to(torch.int64).unique(return_inverse=True)
    table = [float(class_weight.get(index, 1.0)) for index in found.tolist()]
    return constant(table, torch_dtype(settings.floatx()), classes.device)[position]


def match_sample_weight(sample_weight: Any, y: Any) -> Any:
    """Sample weights in the structure of the targets: one array for several outputs counts for each.

    Raises:
        ValueError: the structures differ, or a shared array has more than a number a sample.
    """
    if not tree.is_nested(y):
        return sample_weight
    if tree.is_nested(sample_weight):
        try:
            tree.assert_same_structure(y, sample_weight)
        except ValueError as error:
            raise ValueError(f"sample_weight must have one array an output, in the structure of y. {error}") from error
        return sample_weight
    shape = tuple(sample_weight.shape)
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        raise ValueError(
            "For a model with multiple outputs a single sample_weight array must have one number a sample, so shape "
            f"(num_samples,); received shape {shape}. Pass one array an output instead."
        )
    return tree.map_structure(lambda _: sample_weight, y)
