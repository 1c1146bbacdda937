"""`stateless_apply`: the same step on copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike
from torchkeras.core.variables.variable import Variable, as_variable


def apply(
    optimizer: Any, optimizer_variables: Sequence, grads: Sequence, trainable_variables: Sequence
) -> tuple[list, list]:
    """The values of the trainable variables and of the optimizer's variables after a step from the given ones.

    Raises:
        ValueError: the lists do not have the lengths of the optimizer's.
    """
    mine, theirs = optimizer.variables, optimizer._trainable_variables
    if len(optimizer_variables) != len(mine) or len(trainable_variables) != len(theirs):
        raise ValueError(
            f"There must be {len(mine)} values for the optimizer's variables, {len(theirs)} for the others. "
            f"Received: {len(optimizer_variables)} and {len(trainable_variables)}."
        )
    copies = {id(v): copy_of(v, value) for v, value in zip(mine, optimizer_variables)}
    copies |= {id(v): copy_of(v, value) for v, value in zip(theirs, trainable_variables)}
    changed = twin(optimizer, copies)
    changed.apply(grads)
    return plain(changed._trainable_variables), plain(changed.variables)


def copy_of(variable: torch.Tensor, value: ArrayLike) -> Any:
    """A variable that has what is known of `variable`, and a copy of `value`."""
    value = convert_to_tensor(value, dtype=variable.dtype).detach().clone()
    if value.shape != variable.shape:
        raise ValueError(
            f"A value must have the shape of its variable; {getattr(variable, 'path', 'the variable')!r} has "
            f"{tuple(variable.shape)}, received {tuple(value.shape)}."
        )
    if not isinstance(variable, Variable):
        return value
    return as_variable(value.as_subclass(torch.Tensor), isinstance(variable, torch.nn.Parameter), variable.info)


def twin(optimizer: Any, copies: dict[int, Any]) -> Any:
    """The optimizer, and those inside it, on other variables: `copies` by the id of the one that each stands for."""

    def replaced(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return copies.get(id(value), value)
        if type(value) in (list, tuple):
            return type(value)(replaced(item) for item in value)
        if type(value) is dict:
            return {key: replaced(item) for key, item in value.items()}
        return twin(value, copies) if isinstance(value, _base(optimizer)) else value

    other = object.__new__(type(optimizer))
    other.__dict__.update({name: replaced(value) for name, value in optimizer.__dict__.items()})
    other._bind(other._trainable_variables)
    return other


def _base(optimizer: Any) -> type:
    return next(cls for cls in type(optimizer).__mro__ if "_tk_config_base" in cls.__dict__)


def plain(tensors: list) -> list:
    """The tensors without what makes them variables."""
    return [t.detach().as_subclass(torch.Tensor) if isinstance(t, Variable) else t for t in tensors]
