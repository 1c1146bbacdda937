"""The variables that make up an optimizer's state: making them, giving them values, their files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch

from torchkeras import initializers
from torchkeras.core import naming, registry, settings
from torchkeras.core.config.configurable import Configurable, forgotten_init
from torchkeras.core.types import ArrayLike, DTypeLike, Identifier, Number, Store
from torchkeras.core.variables.variable import Variable
from torchkeras.optimizers import planning, slots
from torchkeras.optimizers.wide_weights import is_narrow


class OptimizerVariables(Configurable):
    """The part of an optimizer that owns variables; `Optimizer` updates others by them."""

    name: str
    built: bool
    low_precision_update: str | None = None
    _variables: list[Any]
    _slots: dict[str, list]
    _trainable_variables: list[Any]
    _pending: tuple[int, ...]
    _bind: Callable[[list], None]

    def __getattr__(self, name: str) -> Any:
        if name in ("built", "_variables"):
            raise RuntimeError(forgotten_init("optimizer", self))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def variables(self) -> list[Any]:
        """The optimizer's own variables, in the order of files."""
        return self._variables[:]

    def add_variable(
        self,
        shape: tuple,
        initializer: Identifier = "zeros",
        dtype: DTypeLike | None = None,
        aggregation: str = "none",
        layout: object = None,
        name: str | None = None,
    ) -> Variable:
        """Make a variable of the optimizer's state.

        Args:
            shape: sizes of the axes.
            initializer: name, or callable `(shape, dtype)`. Default: `"zeros"`.
            dtype: dtype of the variable; `None` means `keras.config.floatx()`. Default: `None`.
            aggregation: how the values of several processes are combined. Default: `"none"`.
            layout: kept for Keras's signature. Default: `None`.
            name: name of the variable. Default: `None`.

        Returns:
            The variable.
        """
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
        self, reference_variable: torch.Tensor, name: str | None = None, initializer: Identifier | float = "zeros"
    ) -> Any:
        """Make a variable of the state with the shape, dtype and device of a given one.

        Args:
            reference_variable: the given variable.
            name: name of the new variable. Default: `None`.
            initializer: name, callable `(shape, dtype)`, or number to fill it with. Default: `"zeros"`.

        Returns:
            The variable.
        """
        with naming.name_scope(self.name):
            variable = slots.make_slot(
                reference_variable, name or "var", initializer, self._slot_dtype(reference_variable)
            )
        self._track(variable)
        return variable

    def _tk_forget_variables(self, gone: Collection[int]) -> None:
        """Drop variables that the model no longer has, and the state for them.

        An optimizer of a user's class keeps them, because its state may be in lists of its own.

        Args:
            gone: the `id` of each of these variables; ids of other variables have no effect.
        """
        before = self._trainable_variables
        kept = [i for i, variable in enumerate(before) if id(variable) not in gone]
        if not self.built or len(kept) == len(before) or not registry.is_own(self._tk_class):
            return
        dropped = {id(row[i]) for row in self._slots.values() for i in range(len(before)) if i not in kept}
        self._variables = [variable for variable in self._variables if id(variable) not in dropped]
        self._slots = {name: [row[i] for i in kept] for name, row in self._slots.items()}
        self._pending = tuple(kept.index(i) for i in self._pending if i in kept)
        self._bind([before[i] for i in kept])

    def add_optimizer_variables(self, trainable_variables: Sequence, name: Any, initializer: Any = "zeros") -> Any:
        """Make a variable of the state for each of the given variables.

        Args:
            trainable_variables: the given variables.
            name: name of the new variables; with several names one list is made for each.
            initializer: as for `add_variable_from_reference`, or one for each name. Default: `"zeros"`.

        Returns:
            A list of variables, or a tuple of lists for several names. A variable that is overwritten with its gradient
            gets `None`.

        Raises:
            ValueError: there are not as many initializers as names.
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

    def _slot_dtype(self, variable: torch.Tensor) -> torch.dtype:
        """The type of the state of a variable: its own, or float32 where its updates are made in float32."""
        return torch.float32 if self.low_precision_update and is_narrow(variable) else variable.dtype

    def _track(self, variable: torch.Tensor) -> None:
        if not any(variable is known for known in self._variables):
            self._variables.append(variable)

    def __setattr__(self, name: str, value: ArrayLike) -> None:
        if isinstance(value, Variable) and not isinstance(value, torch.nn.Parameter):
            self._track(value)
        super().__setattr__(name, value)

    def assign(self, variable: torch.Tensor, value: ArrayLike) -> None:
        """Set a variable, of the model or of the optimizer, to a value.

        Args:
            variable: the variable.
            value: array or tensor.
        """
        slots.assign(variable, value)

    def assign_add(self, variable: torch.Tensor, value: Number) -> None:
        """Add a value to a variable.

        Args:
            variable: the variable.
            value: array or tensor.
        """
        slots.assign(variable, variable + value)

    def assign_sub(self, variable: torch.Tensor, value: Number) -> None:
        """Subtract a value from a variable.

        Args:
            variable: the variable.
            value: array or tensor.
        """
        slots.assign(variable, variable - value)

    def set_weights(self, weights: Sequence) -> None:
        """Set the values of the optimizer's variables.

        Args:
            weights: arrays or tensors, in the order of `variables`.

        Raises:
            ValueError: the optimizer is not built.
        """
        if not self.built:
            raise ValueError(
                f"You are calling set_weights() on {self.name!r}, which is not built: call build(variables) first."
            )
        for variable, weight in zip(self.variables, weights):
            slots.assign(variable, weight)

    def save_own_variables(self, store: Store) -> None:
        """Write the state into a store as arrays.

        Args:
            store: mapping that takes the arrays under "0", "1", ...
        """
        slots.save(self.variables, store)

    def load_own_variables(self, store: Store) -> None:
        """Read the state from a store of arrays.

        Args:
            store: mapping from "0", "1", ... to arrays.
        """
        slots.load(self.variables, store, self.name)
