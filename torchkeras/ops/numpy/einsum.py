"""Einstein's sum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.infer import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.promotion import FLOATS
from torchkeras.ops.numpy.axes import shape_of
from torchkeras.ops.numpy.products import multiplied


def _spec(*operands: Any, subscripts: str, **_: Any) -> KerasTensor:
    terms, arrow, output = subscripts.replace(" ", "").partition("->")
    _require_operands(subscripts, terms, output, operands)
    labels = [_labels(term, len(shape_of(x))) for term, x in zip(terms.split(","), operands)]
    sizes: dict[Any, int | None] = {}
    for names, x in zip(labels, operands):
        for name, size in dict(zip(names, shape_of(x))).items():
            before = sizes.get(name, 1)
            if None not in (before, size) and 1 not in (before, size) and before != size:
                raise ValueError(f"einsum({subscripts!r}): sizes of {name!r} must agree; received {before} and {size}.")
            sizes[name] = before if size == 1 or before not in (1, None) else size
    under_dots = sorted(name for name in sizes if isinstance(name, int))
    if arrow:
        result = _labels(output, len(under_dots) + len(output.replace("...", "")), len(under_dots))
    else:
        result = [*under_dots, *sorted(name for name in set(terms) - set(",.") if terms.count(name) == 1)]
    ones = [KerasTensor([1] * len(shape_of(x)), x.dtype) if hasattr(x, "dtype") else x for x in operands]
    return KerasTensor([sizes[name] for name in result], infer(einsum, (subscripts, *ones), {}).dtype)


def _require_operands(subscripts: str, terms: str, output: str, operands: tuple[Any, ...]) -> None:
    """Raise an error if `subscripts` have another number of terms than operands, or an output axis of none of them."""
    expected = terms.count(",") + 1
    if expected != len(operands):
        raise ValueError(
            f"einsum({subscripts!r}) takes {expected} operand{'s' * (expected > 1)}; received {len(operands)}, of "
            f"shapes {[tuple(shape_of(x)) for x in operands]}."
        )
    unknown = sorted(set(output) - set(terms) - {"."})
    if unknown:
        raise ValueError(f"einsum({subscripts!r}): the output names {unknown}, which no operand has.")


def _refuse(subscripts: str, *operands: Any, **_: Any) -> None:
    terms, _arrow, output = subscripts.replace(" ", "").partition("->")
    _require_operands(subscripts, terms, output, operands)


def _labels(term: str, rank: int, under_dots: int | None = None) -> list:
    """A label for each axis: the letter, or for those under `...` the place, counted from the last of them."""
    before, dots, after = term.partition("...")
    count = rank - len(before) - len(after) if under_dots is None else under_dots
    if count < 0 or not dots and under_dots is None and count:
        raise ValueError(f"einsum(): {term!r} does not name the axes of a tensor of {rank} dimensions.")
    return [*before, *(range(-count, 0) if dots else ()), *after]


@op(dtype="common_product", spec=_spec, check=_refuse)
def einsum(subscripts: str, *operands: Tensor, **kwargs: Any) -> Tensor:
    """Sum products of tensors whose axes are named by letters.

    Args:
        subscripts: the names, as in `"...ij,jk->...ik"`.
        *operands: the tensors.
        **kwargs: `optimize`, which other backends of Keras take.

    Returns:
        A tensor.

    Example:
        >>> keras.ops.einsum("ij,j->i", [[1, 2], [3, 4]], [1, 1])
        tensor([3, 7], dtype=torch.int32)
    """
    if operands[0].dtype in FLOATS:
        return torch.einsum(subscripts, *operands)
    return multiplied(lambda *xs: torch.einsum(subscripts, *xs), *operands)
