"""The base of layers that take strings: they compute on the host, and give tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_numpy, convert_to_tensor
from torchkeras.core.tensors.strings import holds_strings, is_string_array, string_array
from torchkeras.layers.base.layer import Layer


class HostLayer(Layer):
    """A layer of which a call takes strings: lists, NumPy arrays, columns of pandas, pyarrow or Polars."""

    _tk_takes_strings = True

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(self._tk_as_data(inputs), *args, **kwargs)

    def _tk_as_data(self, inputs: Any) -> Any:
        """The inputs as an array of strings or as a tensor of numbers; symbols as they are."""
        return as_data(inputs, type(self).__name__)


def as_data(inputs: Any, owner: str) -> Tensor | KerasTensor | np.ndarray:
    """An array of strings, or a tensor of numbers.

    Args:
        inputs: array, tensor, KerasTensor, column, or nested lists of strings or numbers.
        owner: class of the layer, for messages.
    """
    if isinstance(inputs, (Tensor, KerasTensor)):
        return inputs
    if isinstance(inputs, (np.ndarray, np.generic)):
        return string_array(inputs, owner) if inputs.dtype.kind in "USTO" else _numbers(inputs)
    if holds_strings(inputs):
        return string_array(inputs, owner)
    if hasattr(inputs, "__array__"):
        array = np.asarray(inputs)
        return string_array(inputs, owner) if array.dtype.kind in "USTO" else _numbers(array)
    return _numbers(inputs)


def _numbers(value: Any) -> Tensor:
    return convert_to_tensor(value, device=host_or_current())


def host_or_current() -> torch.device | None:
    """The CPU in a worker of a DataLoader, which can't use an accelerator; else `None`, the current device."""
    return torch.device("cpu") if torch.utils.data.get_worker_info() is not None else None


def strings_of(inputs: Any, owner: str) -> np.ndarray:
    """The inputs as an array of strings.

    Raises:
        TypeError: they are numbers.
    """
    if is_string_array(inputs):
        return inputs
    if isinstance(inputs, Tensor):
        raise TypeError(
            f"{owner} takes strings. Received: a tensor of dtype {inputs.dtype} and shape {tuple(inputs.shape)}. "
            "Convert numbers with `str`, or use a layer for numbers, such as IntegerLookup."
        )
    return string_array(inputs, owner)


def array_of_numbers(inputs: Tensor) -> np.ndarray:
    """The numbers of a tensor as an array on the host, floats cut to integers."""
    array = convert_to_numpy(inputs)
    return array if array.dtype.kind in "iub" else array.astype(np.int64)


def to_tensor(numbers: np.ndarray, device: torch.device | None) -> Tensor:
    """A tensor of numbers from the host.

    Args:
        numbers: array.
        device: where it is wanted; `None`: where tensors are made now.
    """
    return convert_to_tensor(numbers, device=device or host_or_current())
