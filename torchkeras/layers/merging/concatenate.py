"""Concatenate: inputs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.layers.merging.base_merge import Merge, Shape, check_masks, check_shapes


class Concatenate(Merge):
    """The inputs joined along `axis`; all other dimensions must agree."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def build(self, input_shape: Sequence[Shape]) -> None:
        check_shapes(self, input_shape)
        ranks = {len(shape) for shape in input_shape}
        if len(ranks) == 1:
            rank = ranks.pop()
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

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Tensor | None:
        if previous_mask is None:
            return None
        check_masks(inputs, previous_mask)
        if all(mask is None for mask in previous_mask):
            return None
        masks = []
        for x, mask in zip(inputs, previous_mask, strict=True):
            if mask is None:
                mask = torch.ones_like(x, dtype=torch.bool)
            elif mask.ndim < x.ndim:
                mask = mask.unsqueeze(-1).expand(x.shape)
            masks.append(mask)
        return torch.cat(masks, dim=self.axis).any(dim=-1)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)
