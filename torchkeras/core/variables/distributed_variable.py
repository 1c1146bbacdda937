"""A weight of which each rank has a part, with the methods of a `Variable`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from torchkeras.core.state import state
from torchkeras.core.tensors.convert import convert_to_numpy, convert_to_tensor
from torchkeras.core.tensors.sharded import before_message, dtensors, whole_of
from torchkeras.core.variables.described import Described, VariableInfo

if TYPE_CHECKING:
    _Tensor = torch.Tensor
else:
    _Tensor = object


class _Methods(Described, _Tensor):
    """The methods of a `Variable` for a `DTensor`. Every rank must call those that read or set values."""

    @property
    def value(self) -> Any:
        """The value: the variable itself, or what an open `StatelessScope` says in its place."""
        scope = state.stateless
        return self if scope is None else scope.current_value(self)

    def assign(self, value: Any) -> Any:
        """Put a new value, the same on every rank, in place: each rank keeps its part.

        Raises:
            ValueError: the shapes differ.
        """
        mine: Any = self
        if not hasattr(value, "device_mesh"):
            value = convert_to_tensor(value, dtype=self.dtype, device=self.device)
        if value.shape != self.shape:
            raise ValueError(
                f"The value assigned must have the variable's shape; variable {self.path!r} has "
                f"{tuple(self.shape)}, received {tuple(value.shape)}."
            )
        with torch.no_grad():
            if not hasattr(value, "device_mesh"):
                before_message(f"the setting of {self.path}")
                value = dtensors().distribute_tensor(value, mine.device_mesh, mine.placements)
            self.copy_(value)
        return self

    def assign_add(self, value: Any) -> Any:
        """Add to the value in place."""
        return self.assign(convert_to_numpy(torch.as_tensor(value)) + self.numpy())

    def assign_sub(self, value: Any) -> Any:
        """Subtract from the value in place."""
        return self.assign(self.numpy() - convert_to_numpy(torch.as_tensor(value)))

    def numpy(self, *, force: bool = False) -> np.ndarray:  # type: ignore[override]
        """A copy of the whole value as a NumPy array."""
        mine: Any = self
        return np.array(convert_to_numpy(whole_of(mine.detach(), mine.path)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype)

    def __deepcopy__(self, memo: dict) -> Any:
        if id(self) not in memo:
            other = nn.Parameter(self.detach().clone(), requires_grad=self.requires_grad)
            other.__dict__.update(self.__dict__)
            other.__class__ = type(self)  # type: ignore[assignment]
            memo[id(self)] = other
        return memo[id(self)]


@functools.cache
def _distributed_class() -> type:
    """The class of distributed variables; torch's `DTensor` is imported when the first one is made."""

    class DistributedVariable(_Methods, dtensors().DTensor):  # type: ignore[misc, name-defined]
        """A `DTensor` with the methods of a `Variable`."""

        @staticmethod
        def __tensor_unflatten__(inner: Any, spec: Any, size: Any, stride: Any) -> Any:
            # Compiled code compares the class of each argument with the one that it was made for.
            made = dtensors().DTensor.__tensor_unflatten__(inner, spec, size, stride)
            made.__class__ = DistributedVariable
            return made

    return DistributedVariable


def as_distributed_variable(parameter: nn.Parameter, info: VariableInfo) -> Any:
    """Give a parameter that is a `DTensor` the methods and the metadata of a variable; it stays the same object."""
    parameter.__class__ = _distributed_class()
    parameter._info = info  # type: ignore[attr-defined]
    return parameter
