"""Class numbers as the outputs of preprocessing layers: as they are, one hot, many hot, or counted."""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.core.tensors import dtypes
from torchkeras.core.types import DTypeLike
from torchkeras.ops.nn.encoding import hot_rows, hot_set

MODES = ("int", "one_hot", "multi_hot", "count")


def encode(
    numbers: Tensor, output_mode: str, depth: int, dtype: DTypeLike, count_weights: Tensor | None = None
) -> Tensor:
    """The class numbers in the form of an `output_mode`.

    Args:
        numbers: integer tensor. Negative numbers count as nothing.
        output_mode: one of `MODES`.
        depth: number of classes.
        dtype: type of the outputs.
        count_weights: weight of each number in `"count"`, of the shape of `numbers`; the outputs have its type.
    """
    if output_mode == "int":
        return numbers.to(dtypes.torch_dtype(dtype))
    if numbers.ndim == 0:
        numbers = numbers[None]
    if output_mode == "multi_hot":
        return hot_set(numbers, depth, -1, dtype)
    if output_mode == "one_hot":
        return hot_rows(numbers[..., 0] if numbers.ndim > 1 and numbers.shape[-1] == 1 else numbers, depth, -1, dtype)
    rows = hot_rows(numbers, depth, -1, dtype if count_weights is None else count_weights.dtype)
    if count_weights is not None:
        rows = rows * count_weights.unsqueeze(-1)
    return rows.sum(1 if numbers.ndim > 1 else 0, dtype=rows.dtype)


def check_mode(output_mode: str, allowed: tuple[str, ...], layer: str) -> str:
    """The mode under its current name ("binary" was "multi_hot", "tf-idf" is "tf_idf").

    Raises:
        ValueError: there is no such mode.
    """
    output_mode = {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(output_mode, output_mode)
    if output_mode not in allowed:
        raise ValueError(
            f"Unknown value for `output_mode` argument of layer {layer}. Expected one of: {allowed}. "
            f"Received: output_mode={output_mode}"
        )
    return output_mode


def refuse_sparse(sparse: bool, layer: str) -> None:
    """Raise if sparse outputs are asked for, as Keras does on torch.

    Raises:
        ValueError: `sparse` is true.
    """
    if sparse:
        raise ValueError(f"`sparse=True` cannot be used: {layer} gives dense tensors. Received: sparse={sparse}")


def check_range(numbers: Tensor, depth: int, layer: str) -> None:
    """Raise for a class number outside of `[0, depth)`, where looking does not hold up a device or a graph.

    Raises:
        ValueError: a number is out of range.
    """
    if numbers.device.type != "cpu" or torch.compiler.is_compiling() or not numbers.numel():
        return
    low, high = int(numbers.min()), int(numbers.max())
    if low < 0 or high >= depth:
        raise ValueError(
            f"Input values of {layer} must be in the range 0 <= values < num_tokens with num_tokens={depth}. "
            f"Received: values from {low} to {high}"
        )
