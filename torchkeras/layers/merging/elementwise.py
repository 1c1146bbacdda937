"""Merges of equal or broadcastable shapes: sum, difference, product, mean, maximum, minimum."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add as plus
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.tensors.masks import set_mask
from torchkeras.layers.merging.base_merge import Merge, Shape, fold, value_masks


class Add(Merge):
    """The sum of the inputs."""

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return reduce(plus, inputs)


class Subtract(Merge):
    """The first of two inputs less the second."""

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
    """The product of the inputs; a masked value counts as one."""

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


class Average(Merge):
    """The mean of the inputs."""

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return reduce(plus, inputs) / len(inputs)


class Maximum(Merge):
    """The elementwise maximum of the inputs."""

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return fold(torch.maximum, inputs)


class Minimum(Merge):
    """The elementwise minimum of the inputs."""

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return fold(torch.minimum, inputs)


def add(inputs: Any, **kwargs: Any) -> Any:
    """`Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """`Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """`Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """`Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """`Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """`Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)
