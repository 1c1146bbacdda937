"""Base of merging layers: broadcasting, shapes, masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Unpack

import torch
from torch import Tensor

from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.masks import get_mask, set_mask
from torchkeras.layers.base.joined import JoinedLayers, join_merge
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions

Shape = tuple[int | None, ...]


def broadcast_pair(one: Shape, other: Shape) -> Shape:
    """The broadcast of two shapes without the batch axis; `ValueError` if they do not fit."""
    if len(one) < len(other):
        one, other = other, one
    if not other:
        return tuple(one)
    lead, tail = one[: -len(other)], one[-len(other) :]
    out: list[int | None] = []
    for a, b in zip(tail, other, strict=True):
        if a is None or b is None:
            out.append(None)
        elif a == 1 or b == 1 or a == b:
            out.append(b if a == 1 else a)
        else:
            raise ValueError(f"Inputs have incompatible shapes. Received shapes {one} and {other}")
    return (*lead, *out)


def check_shapes(layer: Layer, input_shape: object) -> None:
    """Raise `ValueError` unless the layer was called on a list of inputs."""
    if not isinstance(input_shape, (list, tuple)) or not input_shape or not isinstance(input_shape[0], (tuple, list)):
        raise ValueError(
            f"A `{type(layer).__name__}` layer should be called on a list of at least 1 input. "
            f"Received: input_shape={input_shape} (not a list of shapes)"
        )


def check_masks(inputs: object, mask: object) -> None:
    """Raise `ValueError` unless `inputs` and `mask` are lists of the same length."""
    if not isinstance(mask, (tuple, list)):
        raise ValueError(f"`mask` should be a list. Received: mask={mask}")
    if not isinstance(inputs, (tuple, list)):
        raise ValueError(f"`inputs` should be a list. Received: inputs={inputs}")
    if len(mask) != len(inputs):
        raise ValueError(
            "The lists `inputs` and `mask` should have the same length. "
            f"Received: {len(inputs)} inputs and {len(mask)} masks."
        )


class Merge(Layer):
    """Base of layers that merge a list of inputs; lower ranks get axes of size 1 behind the batch axis."""

    _tk_builds_weights = False  # build() checks shapes

    keras_module = None

    def __init__(self, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def _merge(self, inputs: Sequence[Tensor]) -> Tensor:
        raise NotImplementedError

    def _tk_pairwise(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """The function of two tensors that merges any number from left to right, if that is what the layer does."""
        return None

    def _tk_joined_alone(self) -> JoinedLayers | None:
        """One call that does what a call of this layer does, or `None`; a functional model uses it."""
        return join_merge(self)

    def build(self, input_shape: Sequence[Shape]) -> None:
        check_shapes(self, input_shape)
        batches = {shape[0] for shape in input_shape if shape} - {None}
        if len(batches) > 1:
            raise ValueError(
                f"Layer '{self.name}' cannot merge tensors with different batch sizes. "
                f"Received tensors with shapes {input_shape}"
            )
        self.compute_output_shape(input_shape)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        if not isinstance(inputs, (list, tuple)):
            raise ValueError(
                f"A merge layer should be called on a list of inputs. Received: inputs={inputs} (not a list of tensors)"
            )
        ndim = max(x.ndim for x in inputs)
        if any(x.ndim != ndim for x in inputs):
            inputs = [x.reshape(x.shape[0], *(1,) * (ndim - x.ndim), *x.shape[1:]) for x in inputs]
        return self._merge(inputs)

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        check_shapes(self, input_shape)
        out = tuple(input_shape[0][1:])
        for shape in input_shape[1:]:
            out = broadcast_pair(out, tuple(shape[1:]))
        batches = {shape[0] for shape in input_shape if shape} - {None}
        return (batches.pop() if len(batches) == 1 else None, *out)

    def compute_output_spec(self, inputs: Sequence[KerasTensor]) -> KerasTensor:
        sparse = all(x.sparse for x in inputs)
        return KerasTensor(self.compute_output_shape([x.shape for x in inputs]), self.compute_dtype, sparse=sparse)

    def compute_mask(self, inputs: Sequence[Tensor], mask: Sequence[Tensor | None] | None = None) -> Tensor | None:
        if mask is None:
            return None
        check_masks(inputs, mask)
        if any(one is None for one in mask):
            return None
        out = convert_to_tensor(mask[0], "bool")
        for one in mask[1:]:
            out = torch.logical_or(out, convert_to_tensor(one, "bool"))
        return out


def value_masks(inputs: Sequence[Tensor]) -> list[Tensor | None]:
    """The masks of the inputs, each expanded to the shape of its input."""
    masks = [get_mask(x) for x in inputs]
    return [m if m is None else m.unsqueeze(-1).expand_as(x) for m, x in zip(masks, inputs, strict=True)]


def fold(operation: Callable[[Tensor, Tensor], Tensor], inputs: Sequence[Tensor]) -> Tensor:
    """Apply `operation` from left to right; where one input is masked, the other is taken."""
    masks = value_masks(inputs)
    output, output_mask = inputs[0], masks[0]
    for x, mask in zip(inputs[1:], masks[1:], strict=True):
        if mask is not None:
            x = torch.where(mask, x, output)
        if output_mask is not None:
            output = torch.where(output_mask, output, x)
        output_mask = None if mask is None or output_mask is None else output_mask | mask
        output = operation(output, x)
    if output_mask is not None:
        set_mask(output, output_mask.any(dim=-1))
    return output
