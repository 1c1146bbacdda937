"""Concatenate: inputs joined along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.merging.base_merge import Merge, Shape, check_masks, check_shapes


class Concatenate(Merge):
    """Join several inputs along one axis.

    Args:
        axis: the axis along which the inputs are joined. Default: `-1`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: list or tuple of at least one tensor, equal in all sizes but that of `axis`.

    Input shape:
        A list of shapes `(batch, ...)`.

    Output shape:
        The input shape, with the sum of the sizes at `axis`.

    Raises:
        ValueError: the inputs are no list, or differ in another size than that of `axis`.

    Example:
        >>> keras.layers.Concatenate()([torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]])]).tolist()
        [[1.0, 2.0, 3.0]]
        >>> keras.layers.Concatenate(axis=1)([torch.zeros(4, 2, 8), torch.zeros(4, 3, 8)]).shape
        torch.Size([4, 5, 8])
    """

    _tk_builds_weights = False  # build() checks shapes

    def __init__(self, axis: int = -1, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def build(self, input_shape: Sequence[Shape]) -> None:
        check_shapes(self, input_shape)
        ranks = {len(shape) for shape in input_shape}
        if len(ranks) == 1:
            rank = ranks.pop()
            if not -rank <= self.axis < rank:
                raise ValueError(
                    f"A `Concatenate` layer with axis={self.axis} needs inputs that have such an axis. "
                    f"Received: input_shape={input_shape}"
                )
            others = [axis for axis in range(rank) if axis != self.axis % rank]
            sizes = [{shape[axis] for shape in input_shape} - {None} for axis in others]
            if all(len(size) <= 1 for size in sizes):
                return
        raise ValueError(
            "A `Concatenate` layer requires inputs with matching shapes except for the concatenation axis. "
            f"Received: input_shape={input_shape}, axis={self.axis}"
        )

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(inputs), dim=self.axis)

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        check_shapes(self, input_shape)
        lengths = [shape[self.axis] for shape in input_shape]
        out = list(input_shape[0])
        out[self.axis] = None if None in lengths else sum(lengths)
        return tuple(out)

    def compute_mask(self, inputs: Sequence[Tensor], mask: Sequence[Tensor | None] | None = None) -> Tensor | None:
        if mask is None:
            return None
        check_masks(inputs, mask)
        if all(one is None for one in mask):
            return None
        known = [one if one is None else convert_to_tensor(one, "bool") for one in mask]
        everything = torch.ones((), dtype=torch.bool, device=next(one.device for one in known if one is not None))
        masks = []
        for x, one in zip(inputs, known, strict=True):
            if one is None:
                masks.append(everything.expand(x.shape))
            else:
                masks.append(one.unsqueeze(-1).expand(x.shape) if one.ndim < len(x.shape) else one)
        return torch.cat(masks, dim=self.axis).any(dim=-1)


def concatenate(inputs: Sequence[Tensor], axis: int = -1, **kwargs: Any) -> Tensor:
    """Join several inputs along one axis: `Concatenate(axis, **kwargs)(inputs)`.

    Args:
        inputs: list of tensors or KerasTensors.
        axis: the axis along which the inputs are joined. Default: `-1`.
        **kwargs: the other arguments of `Concatenate`, such as `name`.

    Returns:
        The outputs of `Concatenate` for the inputs.

    Example:
        >>> keras.layers.concatenate([torch.zeros(4, 2), torch.zeros(4, 3)]).shape
        torch.Size([4, 5])
    """
    return Concatenate(axis=axis, **kwargs)(inputs)
