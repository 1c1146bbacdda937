"""Einstein's sum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.infer import infer
from torchkeras.core.keras_tensor import KerasTensor
from torchkeras.core.op import op
from torchkeras.ops.numpy.products import multiplied


def _spec(*operands: Any, subscripts: str, **_: Any) -> Any:
    """A size that one operand leaves open is known from the others that have it under the same letter."""
    terms = subscripts.replace(" ", "").split("->")[0].split(",")
    labels = [_labels(term, len(x.shape)) for term, x in zip(terms, operands)]
    known: dict[Any, int] = {}
    for names, x in zip(labels, operands):
        known |= {name: size for name, size in zip(names, x.shape) if size is not None and size != 1}
    filled = [
        KerasTensor([known.get(name) if size is None else size for name, size in zip(names, x.shape)], x.dtype)
        for names, x in zip(labels, operands)
    ]
    return infer(einsum, (subscripts, *filled), {})


def _labels(term: str, rank: int) -> list:
    """A label for each axis: the letter, or for those under `...` the place, counted from the last of them."""
    if "..." not in term:
        if len(term) != rank:
            raise ValueError(f"einsum(): {term!r} names {len(term)} axes of a tensor of {rank}.")
        return list(term)
    before, after = term.split("...")
    count = rank - len(before) - len(after)
    return [*before, *range(-count, 0), *after]


@op(dtype="common", spec=_spec)
def einsum(subscripts: str, *operands: Tensor, **kwargs: Any) -> Tensor:
    """The sum of products of tensors whose axes `subscripts` names, as in `"...ij,jk->...ik"`.

    Keywords (`optimize`) are for Keras's other backends.
    """
    return multiplied(lambda *xs: torch.einsum(subscripts, *xs), *operands, small=True)
