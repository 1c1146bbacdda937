"""The learning rate of an optimizer and its count of updates, which may lie on a device."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core.types import Number
from torchkeras.core.variables.variable import Variable
from torchkeras.optimizers import accumulation
from torchkeras.optimizers.arguments import LearningRate
from torchkeras.optimizers.schedules.schedule import LearningRateSchedule
from torchkeras.optimizers.variables import OptimizerVariables


class RateAndCount(OptimizerVariables):
    """The part of an optimizer that knows the learning rate and counts steps."""

    gradient_accumulation_steps: int | None
    _iterations: Variable
    _learning_rate: LearningRate
    _trainable_variables: list[Any]
    _counts_on_device: bool
    _accumulated_weight: float | torch.Tensor | None
    _batch_weight: float | torch.Tensor | None

    @property
    def iterations(self) -> Any:
        """The number of updates so far, a tensor on the CPU."""
        if self.gradient_accumulation_steps:
            return torch.div(self._iterations, self.gradient_accumulation_steps, rounding_mode="floor")
        return self._iterations

    @property
    def _tk_accumulates(self) -> bool:
        """Whether several calls of `apply` make one update."""
        return bool(self.gradient_accumulation_steps)

    @property
    def _tk_batch_weight(self) -> float | torch.Tensor | None:
        """The weight of the next calls' gradients among those accumulated; `None` gives all the same weight.

        For a loss that is a mean over the rows of a batch, it is the number of rows.
        """
        return self._batch_weight

    @_tk_batch_weight.setter
    def _tk_batch_weight(self, weight: float | torch.Tensor | None) -> None:
        self._batch_weight = weight

    @property
    def learning_rate(self) -> Any:
        """The rate at this step. If the optimizer was made with a float it can be set, also by `assign`."""
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate(self.iterations)
        return self._learning_rate() if callable(self._learning_rate) else self._learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: LearningRate) -> None:
        current = self._learning_rate
        if callable(learning_rate) and not isinstance(learning_rate, torch.Tensor):
            self._variables = [v for v in self._variables if v is not current]
            self._learning_rate = learning_rate
        elif isinstance(current, Variable):
            current.assign(learning_rate)
        else:
            kind = "`LearningRateSchedule`" if isinstance(current, LearningRateSchedule) else "callable"
            raise TypeError(
                f"This optimizer was created with a {kind} as its `learning_rate`, hence its learning rate is not "
                f"settable: {self.name!r} has {current!r}; received "
                f"learning_rate={learning_rate!r}. Create the optimizer with a float to set its learning rate later."
            )

    def _count(self) -> Any:
        """How often `apply` was called: an integer, or a tensor where reading it would mean waiting for a device."""
        waits = self._counts_on_device or torch.compiler.is_compiling()
        return self._iterations if waits else self._iterations.item()

    def _tk_count_on(self, device: torch.device) -> None:
        """Count steps on a device, which alone knows whether they happen: `LossScaleOptimizer` reverts steps.

        Args:
            device: the device.
        """
        self._counts_on_device = True
        dtype = accumulation.weight_dtype(self._trainable_variables)
        self._accumulated_weight = torch.full((), accumulation.UNKNOWN, dtype=dtype, device=device)
        for variable in self._state():
            if variable.dim() == 0 and variable.device != device:
                variable._tk_move(device)

    def _tk_move_numbers(self, device: torch.device) -> None:
        """Move numbers that updates change, beside the count, to a device, for steps that are replayed there.

        Args:
            device: the device.
        """

    def _tk_numbers(self) -> list[Variable]:
        rate = self._learning_rate
        return [self._iterations, rate] if isinstance(rate, Variable) else [self._iterations]

    def _state(self) -> list[Any]:
        """The tensors that steps change: all variables but the learning rate."""
        state = [v for v in self._variables if v is not self._learning_rate]
        if self._counts_on_device:
            state.append(self._accumulated_weight)
        return state

    def _rate(self, count: int | torch.Tensor) -> Any:
        """The rate as a Python number, or as a tensor when reading it would mean waiting for a device."""
        rate = self._learning_rate
        if isinstance(rate, Variable):
            return rate if torch.compiler.is_compiling() else rate.item()
        if isinstance(rate, LearningRateSchedule):
            return rate(count) if isinstance(count, torch.Tensor) else rate.at(count)
        return as_number(rate())  # type: ignore[operator]


def as_number(rate: Number) -> Any:
    """A rate as a Python number; a tensor as it is if reading it would wait for a device."""
    if isinstance(rate, torch.Tensor) and (rate.device.type != "cpu" or torch.compiler.is_compiling()):
        return rate
    return float(rate)
