"""`stateless_apply`: the same step on copies."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.variables.variable import Variable, as_variable


def copy_of(variable: Any, value: Any) -> Any:
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
