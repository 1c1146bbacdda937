"""Merges of inputs value by value: sum, difference, product, mean, maximum, minimum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add as plus
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.tensors.masks import set_mask
from torchkeras.layers.merging.base_merge import Merge, Shape, fold, value_masks


class Add(Merge):
    """Add several inputs value by value.

    `outputs = inputs[0] + inputs[1] + ...`, the sum of a residual connection.

    Args:
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: list or tuple of tensors with shapes that broadcast; at least one.

    Input shape:
        A list of shapes `(batch, ...)`. Inputs of lower rank get axes of size 1 behind the batch axis.

    Output shape:
        The broadcast shape.

    Raises:
        ValueError: the inputs are no list, their shapes do not broadcast, or their batch sizes differ.

    Example:
        >>> keras.layers.Add()([torch.tensor([[1.0, 2.0]]), torch.tensor([[10.0, 20.0]])]).tolist()
        [[11.0, 22.0]]
    """

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return reduce(plus, inputs)

    def _tk_pairwise(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        return plus if type(self).call is Merge.call and type(self)._merge is Add._merge else None


class Subtract(Merge):
    """Subtract the second input from the first, value by value.

    `outputs = inputs[0] - inputs[1]`.

    Args:
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: list or tuple of tensors with shapes that broadcast; exactly two.

    Input shape:
        A list of shapes `(batch, ...)`. Inputs of lower rank get axes of size 1 behind the batch axis.

    Output shape:
        The broadcast shape.

    Raises:
        ValueError: the inputs are no list, their shapes do not broadcast, or their batch sizes differ, or there are not
            two of them.

    Example:
        >>> keras.layers.Subtract()([torch.tensor([[10.0, 20.0]]), torch.tensor([[1.0, 2.0]])]).tolist()
        [[9.0, 18.0]]
    """

    _tk_builds_weights = False  # build() checks shapes

    def build(self, input_shape: Sequence[Shape]) -> None:
        super().build(input_shape)
        if len(input_shape) != 2:
            raise ValueError(
                f"A `Subtract` layer should be called on exactly 2 inputs. Received: input_shape={input_shape}"
            )

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        if len(inputs) != 2:
            raise ValueError(f"A `Subtract` layer should be called on exactly 2 inputs. Received {len(inputs)} inputs.")
        return inputs[0] - inputs[1]


class Multiply(Merge):
    """Multiply several inputs value by value.

    `outputs = inputs[0] * inputs[1] * ...`, the product of a gate. Where an input is masked, it counts as 1.

    Args:
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: list or tuple of tensors with shapes that broadcast; at least one.

    Input shape:
        A list of shapes `(batch, ...)`. Inputs of lower rank get axes of size 1 behind the batch axis.

    Output shape:
        The broadcast shape.

    Raises:
        ValueError: the inputs are no list, their shapes do not broadcast, or their batch sizes differ.

    Example:
        >>> keras.layers.Multiply()([torch.tensor([[3.0, 4.0]]), torch.tensor([[10.0, 0.5]])]).tolist()
        [[30.0, 2.0]]
    """

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        masks = value_masks(inputs)
        shown = [x if m is None else torch.where(m, x, 1) for x, m in zip(inputs, masks, strict=True)]
        output = reduce(torch.mul, shown)
        if any(mask is None for mask in masks):
            return output
        mask = reduce(torch.logical_or, masks)
        output = torch.where(mask, output, 0)
        set_mask(output, mask.any(dim=-1))
        return output

    def _tk_pairwise(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        return torch.mul if type(self).call is Merge.call and type(self)._merge is Multiply._merge else None


class Average(Merge):
    """Average several inputs value by value.

    `outputs = (inputs[0] + inputs[1] + ...) / len(inputs)`.

    Args:
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: list or tuple of tensors with shapes that broadcast; at least one.

    Input shape:
        A list of shapes `(batch, ...)`. Inputs of lower rank get axes of size 1 behind the batch axis.

    Output shape:
        The broadcast shape.

    Raises:
        ValueError: the inputs are no list, their shapes do not broadcast, or their batch sizes differ.

    Example:
        >>> keras.layers.Average()([torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 6.0]])]).tolist()
        [[2.0, 4.0]]
    """

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return reduce(plus, inputs) / len(inputs)


class Maximum(Merge):
    """Take the largest of several inputs, value by value.

    `outputs = max(inputs[0], inputs[1], ...)`. Where an input is masked, the others count.

    Args:
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: list or tuple of tensors with shapes that broadcast; at least one.

    Input shape:
        A list of shapes `(batch, ...)`. Inputs of lower rank get axes of size 1 behind the batch axis.

    Output shape:
        The broadcast shape.

    Raises:
        ValueError: the inputs are no list, their shapes do not broadcast, or their batch sizes differ.

    Example:
        >>> keras.layers.Maximum()([torch.tensor([[1.0, 8.0]]), torch.tensor([[3.0, 6.0]])]).tolist()
        [[3.0, 8.0]]
    """

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return fold(torch.maximum, inputs)


class Minimum(Merge):
    """Take the smallest of several inputs, value by value.

    `outputs = min(inputs[0], inputs[1], ...)`. Where an input is masked, the others count.

    Args:
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: list or tuple of tensors with shapes that broadcast; at least one.

    Input shape:
        A list of shapes `(batch, ...)`. Inputs of lower rank get axes of size 1 behind the batch axis.

    Output shape:
        The broadcast shape.

    Raises:
        ValueError: the inputs are no list, their shapes do not broadcast, or their batch sizes differ.

    Example:
        >>> keras.layers.Minimum()([torch.tensor([[1.0, 8.0]]), torch.tensor([[3.0, 6.0]])]).tolist()
        [[1.0, 6.0]]
    """

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return fold(torch.minimum, inputs)


def add(inputs: Sequence[Tensor], **kwargs: Any) -> Tensor:
    """Add several inputs value by value: `Add(**kwargs)(inputs)`.

    Args:
        inputs: list of tensors or KerasTensors.
        **kwargs: the other arguments of `Add`, such as `name`.

    Returns:
        The outputs of `Add` for the inputs.

    Example:
        >>> keras.layers.add([torch.ones(1, 2), torch.ones(1, 2)]).tolist()
        [[2.0, 2.0]]
    """
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Tensor], **kwargs: Any) -> Tensor:
    """Subtract the second of two inputs from the first: `Subtract(**kwargs)(inputs)`.

    Args:
        inputs: list of tensors or KerasTensors.
        **kwargs: the other arguments of `Subtract`, such as `name`.

    Returns:
        The outputs of `Subtract` for the inputs.

    Example:
        >>> keras.layers.subtract([torch.ones(1, 2), torch.ones(1, 2)]).tolist()
        [[0.0, 0.0]]
    """
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Tensor], **kwargs: Any) -> Tensor:
    """Multiply several inputs value by value: `Multiply(**kwargs)(inputs)`.

    Args:
        inputs: list of tensors or KerasTensors.
        **kwargs: the other arguments of `Multiply`, such as `name`.

    Returns:
        The outputs of `Multiply` for the inputs.

    Example:
        >>> keras.layers.multiply([torch.full((1, 2), 2.0), torch.full((1, 2), 3.0)]).tolist()
        [[6.0, 6.0]]
    """
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Tensor], **kwargs: Any) -> Tensor:
    """Average several inputs value by value: `Average(**kwargs)(inputs)`.

    Args:
        inputs: list of tensors or KerasTensors.
        **kwargs: the other arguments of `Average`, such as `name`.

    Returns:
        The outputs of `Average` for the inputs.

    Example:
        >>> keras.layers.average([torch.zeros(1, 2), torch.ones(1, 2)]).tolist()
        [[0.5, 0.5]]
    """
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Tensor], **kwargs: Any) -> Tensor:
    """Take the largest of several inputs, value by value: `Maximum(**kwargs)(inputs)`.

    Args:
        inputs: list of tensors or KerasTensors.
        **kwargs: the other arguments of `Maximum`, such as `name`.

    Returns:
        The outputs of `Maximum` for the inputs.

    Example:
        >>> keras.layers.maximum([torch.zeros(1, 2), torch.ones(1, 2)]).tolist()
        [[1.0, 1.0]]
    """
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Tensor], **kwargs: Any) -> Tensor:
    """Take the smallest of several inputs, value by value: `Minimum(**kwargs)(inputs)`.

    Args:
        inputs: list of tensors or KerasTensors.
        **kwargs: the other arguments of `Minimum`, such as `name`.

    Returns:
        The outputs of `Minimum` for the inputs.

    Example:
        >>> keras.layers.minimum([torch.zeros(1, 2), torch.ones(1, 2)]).tolist()
        [[0.0, 0.0]]
    """
    return Minimum(**kwargs)(inputs)
