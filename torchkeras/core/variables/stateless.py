"""The values that a stateless call uses in the place of a layer's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from torchkeras.core.variables.variable import StatelessScope, Variable, as_variable


class CallScope(StatelessScope):
    """A `StatelessScope` that keeps the state of one call in copies: assignments and in-place updates reach those.

    Args:
        constants: pairs of a variable and what to compute with.
        state: pairs of a variable and the value that it starts from, which stays as it is.
    """

    def __init__(self, constants: Any, state: Any) -> None:
        super().__init__([(v, torch.as_tensor(value)) for v, value in constants if isinstance(v, Variable)])
        self._copies: set[int] = set()
        for variable, value in state:
            if isinstance(variable, Variable):
                value = torch.as_tensor(value, dtype=variable.dtype, device=variable.device)
                copy = as_variable(value.detach().clone(), isinstance(variable, nn.Parameter), variable.info)
                copy.requires_grad_(variable.requires_grad)
                self._copies.add(id(copy))
                self._values[id(variable)] = (variable, copy)

    def add_update(self, update: tuple[Any, ...]) -> None:
        variable, value = update
        copy = variable if id(variable) in self._copies else self.get_current_value(variable)
        if copy is None or id(copy) not in self._copies:
            super().add_update(update)
            return
        with torch.no_grad():
            copy.copy_(value)
