"""Questions about data, and its small conversions, that Keras answers in private modules."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchkeras.core import tree
from torchkeras.training.data.array_source import check_lengths
from torchkeras.training.data.columns import is_sparse
from torchkeras.training.data.weights import class_weight_to_sample_weight


def is_torch_tensor(value: object) -> bool:
    """Whether the value is a tensor of torch."""
    return isinstance(value, torch.Tensor)


def is_torch_dataloader(value: object) -> bool:
    """Whether the value is a `torch.utils.data.DataLoader`."""
    return isinstance(value, torch.utils.data.DataLoader)


def is_scipy_sparse(value: object) -> bool:
    """Whether the value is a sparse matrix of SciPy."""
    return is_sparse(value) and not isinstance(value, torch.Tensor)


def is_tensorflow_tensor(value: object) -> bool:
    """Whether the value is a tensor of TensorFlow: never, as it is not in use."""
    return False


is_tf_dataset = is_grain_dataset = is_jax_array = is_tensorflow_tensor


def list_to_tuple(value: Any) -> Any:
    """A list as a tuple, any other value as it is."""
    return tuple(value) if isinstance(value, list) else value


def check_data_cardinality(data: Any) -> None:
    """Check that all arrays have the same number of rows.

    Raises:
        ValueError: they have not.
    """
    check_lengths(tree.flatten(data))


def class_weight_to_sample_weights(y: Any, class_weight: dict[int, float]) -> np.ndarray:
    """The weight of each sample's class, 1 for a class that is not named."""
    return class_weight_to_sample_weight(y, class_weight).cpu().numpy()
