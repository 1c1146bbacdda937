"""The variables that make up an optimizer's state: making them, giving them values, their files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from torchkeras import initializers
from torchkeras.core import naming, settings
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.variables.variable import Variable
from torchkeras.optimizers import planning, slots


class OptimizerVariables(Configurable):
    """The part of an optimizer that owns variables; `Optimizer` updates others by them."""

    name: str
    built: bool
    _variables: list[Any]

    @property
    def variables(self) -> list[Any]:
        """The optimizer's own variables, in the order that files have them in."""
        return self._variables[:]

    def add_variable(
        self,
        shape: tuple,
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Make a variable that belongs to the optimizer's state."""
        with naming.name_scope(self.name):
            variable = Variable(
                initializers.get(initializer),
                shape=shape,
                dtype=dtype or settings.floatx(),
                trainable=False,
                aggregation=aggregation,
                name=name,
            )
        self._track(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable: Any, name: str | None = None, initializer: Any = "zeros"
    ) -> Any:
        """Make a variable of the shape and type, and at the place, of a given one.

        Args:
            initializer: a name, a callable `(shape, dtype)`, or the number to fill it with.
        """
        with naming.name_scope(self.name):
            variable = slots.make_slot(reference_variable, name or "var", initializer)
        self._track(variable)
        return variable

    def add_optimizer_variables(self, trainable_variables: Sequence, name: Any, initializer: Any = "zeros") -> Any:
        """Make one variable for each of the given ones: a list; or for several names a tuple of lists.

        Variables that are overwritten with their gradient get `None`.
        """
        names = [name] if isinstance(name, str) else list(name)
        initializers = list(initializer) if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        if len(names) != len(initializers):
            raise ValueError(
                f"There must be as many initializers as names. Received: name={name!r}, initializer={initializer!r}"
            )
        lists: tuple[list, ...] = tuple([] for _ in names)
        for v in trainable_variables:
            for row, slot, start in zip(lists, names, initializers):
                row.append(None if planning.is_overwritten(v) else self.add_variable_from_reference(v, slot, start))
        return lists[0] if isinstance(name, str) else lists

    def _add_number(self, name: str, value: float, dtype: torch.dtype) -> Variable:
        """A scalar on the CPU, so that reading it never waits for an accelerator."""
        with naming.name_scope(self.name):
            number = Variable(
                torch.tensor(value, dtype=dtype, device="cpu"),
                trainable=False,
                aggregation="only_first_replica",
                name=name,
            )
        self._track(number)
        return number

    def _track(self, variable: Any) -> None:
        if not any(variable is known for known in self._variables):
            self._variables.append(variable)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Variable) and not isinstance(value, torch.nn.Parameter):
            self._track(value)
        super().__setattr__(name, value)

    def assign(self, variable: Any, value: Any) -> None:
        """Give a variable (the model's or the optimizer's) a value."""
        slots.assign(variable, value)

    def assign_add(self, variable: Any, value: Any) -> None:
        """Add to a variable."""
        slots.assign(variable, variable + value)

    def assign_sub(self, variable: Any, value: Any) -> None:
        """Subtract from a variable."""
        slots.assign(variable, variable - value)

    def set_weights(self, weights: Sequence) -> None:
        """Give the optimizer's variables values, in the order of `variables`."""
        if not self.built:
            raise ValueError(
                f"You are calling set_weights() on {self.name!r}, which is not built: call build(variables) first."
            )
        for variable, weight in zip(self.variables, weights):
            slots.assign(variable, weight)

    def save_own_variables(self, store: Any) -> None:
        """Put the state into `store` as arrays under "0", "1", ..."""
        slots.save(self.variables, store)

    def load_own_variables(self, store: Any) -> None:
        """Take the state back from `store`."""
        slots.load(self.variables, store, self.name)
