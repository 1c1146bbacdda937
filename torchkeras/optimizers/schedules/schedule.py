"""The base of learning rate schedules, and the two arithmetics that one formula is written for."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from torchkeras.core.config.configurable import Configurable
from torchkeras.core.tensors.convert import convert_to_tensor

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
    """A learning rate that depends on the step. Subclasses define `__call__(step)` and `get_config()`."""

    keras_module = "keras.optimizers.schedules"
    _tk_config_base = True

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must override __call__(self, step).")

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError(f"{type(self).__name__} must override get_config() to be saved.")

    def at(self, step: int) -> float | torch.Tensor:
        """The rate at a step: a Python number where that needs no wait for a device."""
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

    def formula(self, step: Any, m: SimpleNamespace) -> Any:
        raise NotImplementedError

    def _dtype(self) -> torch.dtype:
        dtype = convert_to_tensor(self.initial_learning_rate, device="cpu").dtype  # type: ignore[attr-defined]
        return dtype if dtype.is_floating_point else torch.get_default_dtype()

    def __call__(self, step: Any) -> torch.Tensor:
        if not isinstance(step, torch.Tensor):
            step = torch.as_tensor(np.asarray(step), device="cpu")
        return self.formula(step.to(self._dtype()), TENSOR)

    def at(self, step: int) -> float | torch.Tensor:
        if self.exact_on_host and type(self).__call__ is _Formula.__call__:
            return float(self.formula(step, HOST))
        return super().at(step)

    def get_config(self) -> dict[str, Any]:
        return super(LearningRateSchedule, self).get_config()


def check_steps(value: float, argument: str = "decay_steps") -> None:
    """Raise a ValueError unless the number of steps is positive."""
    if value <= 0:
        raise ValueError(f"Argument `{argument}` must be > 0. Received: {argument}={value}")
