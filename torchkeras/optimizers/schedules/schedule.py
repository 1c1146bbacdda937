"""The base of learning rate schedules, and the two arithmetics that one formula is written for."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from torchkeras.core.config.configurable import Configurable
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import Number

# The functions that a schedule's formula may use, for Python numbers; for tensors it gets `TENSOR`.
HOST = SimpleNamespace(
    cos=math.cos,
    floor=math.floor,
    ceil=math.ceil,
    log=math.log,
    minimum=min,
    where=lambda condition, a, b: a if condition else b,
)
TENSOR = SimpleNamespace(
    cos=torch.cos,
    floor=torch.floor,
    ceil=torch.ceil,
    log=torch.log,
    minimum=lambda a, b: torch.clamp(a, max=b),
    where=torch.where,
)


class LearningRateSchedule(Configurable):
    """Base class of schedules: learning rates that depend on the step.

    Subclasses define `__call__(step)` and `get_config()`. An optimizer takes a schedule as its `learning_rate`.

    Example:
        >>> class Halving(keras.optimizers.schedules.LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return 0.5**step
        >>> optimizer = keras.optimizers.SGD(learning_rate=Halving())
        >>> float(optimizer.learning_rate)
        1.0
    """

    keras_module = "keras.optimizers.schedules"
    _tk_config_base = True

    def __call__(self, step: Any) -> Any:  # Any: an override may take a narrower type
        """Return the rate at a step. Subclasses define it.

        Args:
            step: number of updates so far, an int or a tensor.

        Raises:
            NotImplementedError: the class does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must override __call__(self, step).")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON-ready values. Subclasses define it.

        Raises:
            NotImplementedError: the class does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must override get_config() to be saved.")

    def at(self, step: int) -> float | torch.Tensor:
        """Return the rate at a step as a Python number, or as a tensor if reading it would wait for a device.

        Args:
            step: number of updates so far.
        """
        rate = self(torch.tensor(step, dtype=torch.int32, device="cpu"))
        if isinstance(rate, torch.Tensor) and rate.device.type != "cpu":
            return rate
        return float(rate)


class _Formula(LearningRateSchedule):
    """A schedule given by `formula(step, arithmetic)`, defined once for Python numbers and for tensors.

    Calling it computes in the float type of the initial rate, like Keras; the optimizer asks `at`, in double precision.
    """

    _tk_config_base = True
    exact_on_host = True  # whether rounding to float32 can't move a jump of the curve to another step

    def formula(self, step: Number, m: SimpleNamespace) -> Any:
        """Compute the rate at a step.

        Args:
            step: number of updates so far, a number or a tensor.
            m: functions for numbers or for tensors: `cos`, `floor`, `ceil`, `log`, `minimum` and `where`.
        """
        raise NotImplementedError

    def _dtype(self) -> torch.dtype:
        dtype = convert_to_tensor(self.initial_learning_rate, device="cpu").dtype  # type: ignore[attr-defined]
        return dtype if dtype.is_floating_point else torch.get_default_dtype()

    def __call__(self, step: Number) -> torch.Tensor:
        """Return the rate at a step as a tensor, in the float type of the initial rate."""
        if not isinstance(step, torch.Tensor):
            step = torch.as_tensor(np.asarray(step), device="cpu")
        return self.formula(step.to(self._dtype()), TENSOR)

    def at(self, step: int) -> float | torch.Tensor:
        if self.exact_on_host and type(self).__call__ is _Formula.__call__:
            return float(self.formula(step, HOST))
        return super().at(step)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON-ready values."""
        return super(LearningRateSchedule, self).get_config()


def check_steps(value: float, argument: str = "decay_steps") -> None:
    """Raise a ValueError unless the number of steps is positive."""
    if value <= 0:
        raise ValueError(f"Argument `{argument}` must be > 0. Received: {argument}={value}")
