"""Several optimizers, each for its own variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import torch

from torchkeras.core.config.keywords import ChecksKeywords
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.types import Number
from torchkeras.core.variables.variable import Variable
from torchkeras.optimizers import planning
from torchkeras.optimizers.loss_scale import LossScaleOptimizer
from torchkeras.optimizers.optimizer import Optimizer


class OptimizerMap(ChecksKeywords, MutableMapping):
    """Map variable paths to optimizers: keys are paths, or regular expressions that match whole paths.

    Args:
        default_optimizer: optimizer of variables that no key matches.
        optimizer_map: dict of keys and optimizers to start with. Default: `None`.

    Raises:
        TypeError: an argument is of another type.
        ValueError: (when a variable is looked up) several keys match its path.

    Example:
        >>> optimizers = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1))
        >>> optimizers[".*embeddings"] = keras.optimizers.Adam(0.001)
        >>> [type(optimizers[path]).__name__ for path in ("embedding/embeddings", "dense/kernel")]
        ['Adam', 'SGD']
    """

    def __init__(self, default_optimizer: Optimizer, optimizer_map: dict[str, Optimizer] | None = None) -> None:
        if not isinstance(default_optimizer, Optimizer):
            raise TypeError(f"default_optimizer must be an Optimizer. Received: {default_optimizer!r}")
        if optimizer_map is not None and not isinstance(optimizer_map, dict):
            raise TypeError(f"optimizer_map must be a dict. Received: {optimizer_map!r}")
        self._default_optimizer = default_optimizer
        self._optimizer_map = optimizer_map or {}

    @property
    def default_optimizer(self) -> Optimizer:
        """The optimizer of variables that no key matches."""
        return self._default_optimizer

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._optimizer_map:
            return self._optimizer_map[key]
        matches = [pattern for pattern in self._optimizer_map if re.fullmatch(pattern, key)]
        if len(matches) > 1:
            raise ValueError(f"One pattern at most may match a variable; {key!r} is matched by {matches}.")
        return self._optimizer_map[matches[0]] if matches else self._default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if not isinstance(key, str):
            raise ValueError(f"key must be a string. Received: {key!r}")
        if key in self._optimizer_map:
            raise ValueError(f"{key!r} is already in the map, with {self._optimizer_map[key]!r}.")
        _check_inner(optimizer, f"For {key!r}")
        self._optimizer_map[key] = optimizer

    def __delitem__(self, key: str) -> None:
        del self._optimizer_map[key]

    def __len__(self) -> int:
        return len(self._optimizer_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._optimizer_map)

    def __call__(self, variable: Variable) -> Optimizer:
        return self[variable.path]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON-ready values."""
        return {
            "default_optimizer": serialize_keras_object(self._default_optimizer),
            "optimizer_map": serialize_keras_object(self._optimizer_map),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> OptimizerMap:
        """Make a map from its config.

        Args:
            config: result of `get_config`.
            custom_objects: classes by name, beside the registered ones. Default: `None`.

        Returns:
            The map.
        """
        default = deserialize_keras_object(config["default_optimizer"], custom_objects=custom_objects)
        return cls(default, deserialize_keras_object(config["optimizer_map"], custom_objects=custom_objects))


class MultiOptimizer(Optimizer):
    """Update each variable by an optimizer of its own.

    Args:
        optimizer_map: an `OptimizerMap`, or a function from a variable to its optimizer.
        loss_scale_factor: number that the loss is multiplied by and the gradients are divided by; the inner optimizers
            get it. Default: `None`.
        name: name of the optimizer; `None` derives it from the name of the class. Default: `None`.

    Raises:
        ValueError: (when variables are known) the map gives no `Optimizer`, or one that wraps others.

    Example:
        >>> optimizers = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1), {"slow": keras.optimizers.SGD(0.01)})
        >>> optimizer = keras.optimizers.MultiOptimizer(optimizers)
        >>> slow, fast = keras.Variable(1.0, name="slow"), keras.Variable(1.0, name="fast")
        >>> optimizer.apply([torch.tensor(1.0), torch.tensor(1.0)], [slow, fast])
        >>> round(float(slow), 4), round(float(fast), 4)
        (0.99, 0.9)
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Variable], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        self._inner_optimizers: list[Optimizer] = []
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        self._optimizer_map = optimizer_map
        self._owner: list[int] = []
        if hasattr(optimizer_map, "values"):
            for optimizer in optimizer_map.values():
                self._add(optimizer)
        default = getattr(optimizer_map, "default_optimizer", None)
        if default is not None:
            self._add(default)

    def _add(self, optimizer: Optimizer) -> int:
        for i, known in enumerate(self._inner_optimizers):
            if known is optimizer:
                return i
        optimizer.loss_scale_factor = self.loss_scale_factor
        optimizer._tk_batch_weight = self._batch_weight
        self._inner_optimizers.append(optimizer)
        return len(self._inner_optimizers) - 1

    def build(self, variables: Iterable[Variable]) -> None:  # type: ignore[override]
        if self.built:
            return
        variables = list(variables)
        self._owner = []
        for variable in variables:
            optimizer = self._optimizer_map(variable)
            _check_inner(optimizer, f"For {variable.path!r}")
            self._owner.append(self._add(optimizer))
        for optimizer, mine in zip(self._inner_optimizers, self._split(variables, variables)):
            if mine:
                optimizer.build(mine)
        super().build(variables)

    def _tk_replace_variables(
        self, replaced: Mapping[int, torch.Tensor], layouts: Mapping[int, Callable[[torch.Tensor], torch.Tensor]] = {}
    ) -> None:
        super()._tk_replace_variables(replaced, layouts)
        for optimizer in self._inner_optimizers:
            optimizer._tk_replace_variables(replaced, layouts)

    def _tk_forget_variables(self, gone: Collection[int]) -> None:
        if not self.built:
            return
        self._owner = [i for i, variable in zip(self._owner, self._trainable_variables) if id(variable) not in gone]
        super()._tk_forget_variables(gone)
        for optimizer in self._inner_optimizers:
            optimizer._tk_forget_variables(gone)

    def _split(self, items: Sequence, variables: Sequence) -> list[list]:
        """The items (one a variable) of each inner optimizer."""
        parts: list[list] = [[] for _ in self._inner_optimizers]
        for item, i in zip(items, self._indices(variables)):
            parts[self._owner[i]].append(item)
        return parts

    def _indices(self, variables: Sequence) -> Sequence[int]:
        return [self._index[id(v)] for v in variables] if self.built else range(len(variables))

    @property
    def optimizers(self) -> list[Optimizer]:
        """The inner optimizers."""
        return self._inner_optimizers

    @property
    def variables(self) -> list[Any]:
        return [*self._variables, *(v for optimizer in self._inner_optimizers for v in optimizer.variables)]

    def _tk_count_on(self, device: torch.device) -> None:
        super()._tk_count_on(device)
        for optimizer in self._inner_optimizers:
            optimizer._tk_count_on(device)

    def _state(self) -> list[Any]:
        return [*super()._state(), *(v for optimizer in self._inner_optimizers for v in optimizer._state())]

    @property
    def learning_rate(self) -> Any:
        raise AttributeError("A MultiOptimizer has no learning rate of its own: see those of its `optimizers`.")

    @learning_rate.setter  # type: ignore[override]
    def learning_rate(self, learning_rate: Number) -> None:
        raise AttributeError("A MultiOptimizer has no learning rate of its own: set those of its `optimizers`.")

    @property
    def loss_scale_factor(self) -> float | None:
        """The number that the loss is multiplied by; setting it sets that of the inner optimizers."""
        return self._loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: float | None) -> None:
        self._loss_scale_factor = value
        for optimizer in self._inner_optimizers:
            optimizer.loss_scale_factor = value

    @property
    def iterations(self) -> Any:
        return self._iterations

    @property
    def _tk_accumulates(self) -> bool:
        return not self.built or any(optimizer._tk_accumulates for optimizer in self._inner_optimizers)

    @property
    def _tk_batch_weight(self) -> float | torch.Tensor | None:
        return self._batch_weight

    @_tk_batch_weight.setter
    def _tk_batch_weight(self, weight: float | torch.Tensor | None) -> None:
        self._batch_weight = weight
        for optimizer in self._inner_optimizers:
            optimizer._tk_batch_weight = weight

    def _tk_numbers(self) -> list[Variable]:
        inner = [number for optimizer in self._inner_optimizers for number in optimizer._tk_numbers()]
        return [self._iterations, *inner]

    def _tk_apply_accumulated_gradients(self) -> bool:
        applied = [optimizer._tk_apply_accumulated_gradients() for optimizer in self._inner_optimizers]
        return any(applied)

    def apply(self, grads: Sequence[Any], trainable_variables: Iterable[torch.Tensor] | None = None) -> None:
        grads = list(grads)
        if not grads:
            return
        variables = None if trainable_variables is None else list(trainable_variables)
        if not self.built and variables is not None:
            self.build(variables)  # type: ignore[arg-type]
        indices = planning.indices_of(self, grads, variables)
        variables = [self._trainable_variables[i] for i in indices]
        parts = zip(self._inner_optimizers, self._split(grads, variables), self._split(variables, variables))
        for optimizer, mine, theirs in parts:
            if mine:
                optimizer.apply(mine, theirs)
        self._iterations.add_(1)

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        for optimizer, mine in zip(self._inner_optimizers, self._split(var_list, var_list)):
            if mine:
                optimizer.finalize_variable_values(mine)

    def get_config(self) -> dict[str, Any]:
        return {
            "optimizer_map": serialize_keras_object(self._optimizer_map),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        found = deserialize_keras_object(config["optimizer_map"], custom_objects=custom_objects)
        return cls(**{**config, "optimizer_map": found})


def _check_inner(optimizer: object, place: str) -> None:
    """Raise a ValueError unless this is an optimizer that wraps no other."""
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"{place} the optimizer must be an Optimizer. Received: {optimizer!r}")
    if isinstance(optimizer, (LossScaleOptimizer, MultiOptimizer)):
        raise ValueError(
            f"{place} the optimizer cannot be {type(optimizer).__name__}. {type(optimizer).__name__} cannot be used "
            "inside an MultiOptimizer."
        )
