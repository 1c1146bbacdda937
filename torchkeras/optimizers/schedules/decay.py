"""Schedules by which a learning rate falls."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import Number
from torchkeras.optimizers.schedules.schedule import LearningRateSchedule, _Formula, check_steps


class ExponentialDecay(_Formula):
    """Multiply the rate by `decay_rate` every `decay_steps` steps.

    `initial_learning_rate * decay_rate ** (step / decay_steps)`

    Args:
        initial_learning_rate: rate at step 0, a float.
        decay_steps: number of steps after which the rate is multiplied, positive.
        decay_rate: number that the rate is multiplied by.
        staircase: whether the rate falls in jumps, at multiples of `decay_steps`. Default: `False`.
        name: name of the schedule. Default: `"ExponentialDecay"`.

    Raises:
        ValueError: the number of steps is not positive.

    Example:
        >>> schedule = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)
        >>> [round(float(schedule(step)), 4) for step in (0, 10, 20)]
        [0.1, 0.05, 0.025]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        check_steps(decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def formula(self, step: Number, m: SimpleNamespace) -> Any:
        p = step / self.decay_steps
        if self.staircase:
            p = m.floor(p)
        return self.initial_learning_rate * self.decay_rate**p


class InverseTimeDecay(_Formula):
    """Divide the rate by a number that grows linearly with the step.

    `initial_learning_rate / (1 + decay_rate * step / decay_steps)`

    Args:
        initial_learning_rate: rate at step 0, a float.
        decay_steps: number of steps by which the step is divided, positive.
        decay_rate: number that is added to the divisor every `decay_steps` steps.
        staircase: whether the rate falls in jumps, at multiples of `decay_steps`. Default: `False`.
        name: name of the schedule. Default: `"InverseTimeDecay"`.

    Raises:
        ValueError: the number of steps is not positive.

    Example:
        >>> schedule = keras.optimizers.schedules.InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)
        >>> [round(float(schedule(step)), 4) for step in (0, 10, 30)]
        [0.1, 0.05, 0.025]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        check_steps(decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def formula(self, step: Number, m: SimpleNamespace) -> Any:
        p = step / self.decay_steps
        if self.staircase:
            p = m.floor(p)
        return self.initial_learning_rate / (1 + self.decay_rate * p)


class PolynomialDecay(_Formula):
    """Let the rate fall to `end_learning_rate` along a polynomial.

    `(initial_learning_rate - end_learning_rate) * (1 - step / decay_steps) ** power + end_learning_rate`, and
    `end_learning_rate` after `decay_steps`.

    Args:
        initial_learning_rate: rate at step 0, a float.
        decay_steps: number of steps of the decay, positive.
        end_learning_rate: rate at the end. Default: `0.0001`.
        power: exponent; 1 gives a line. Default: `1.0`.
        cycle: whether the decay starts over with a multiple of `decay_steps` each time its end is reached. Default:
            `False`.
        name: name of the schedule. Default: `"PolynomialDecay"`.

    Raises:
        ValueError: the number of steps is not positive.

    Example:
        >>> schedule = keras.optimizers.schedules.PolynomialDecay(0.1, decay_steps=10, end_learning_rate=0.0)
        >>> [round(float(schedule(step)), 4) for step in (0, 5, 20)]
        [0.1, 0.05, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        check_steps(decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def formula(self, step: Number, m: SimpleNamespace) -> Any:
        steps = self.decay_steps
        if self.cycle:
            steps = steps * m.where(step == 0, 1.0, m.ceil(step / self.decay_steps))
        else:
            step = m.minimum(step, steps)
        span = self.initial_learning_rate - self.end_learning_rate
        return span * (1 - step / steps) ** self.power + self.end_learning_rate


class CosineDecay(_Formula):
    """Let the rate fall along half a cosine to `alpha` times its start, after a linear warmup if there is one.

    `start * ((1 - alpha) * 0.5 * (1 + cos(pi * step / decay_steps)) + alpha)`. [Loshchilov & Hutter,
    2016](https://arxiv.org/abs/1608.03983)

    Args:
        initial_learning_rate: rate at step 0, a float.
        decay_steps: number of steps of the decay, positive.
        alpha: last rate as a fraction of the rate at which the decay starts. Default: `0.0`.
        name: name of the schedule. Default: `"CosineDecay"`.
        warmup_target: rate at which the warmup ends and the decay starts; `None` for no warmup. Default: `None`.
        warmup_steps: number of steps of the warmup, before those of the decay. Default: `0`.

    Raises:
        ValueError: the number of steps is not positive.

    Example:
        >>> schedule = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=10)
        >>> [round(float(schedule(step)), 4) for step in (0, 5, 10)]
        [0.1, 0.05, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        check_steps(decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def formula(self, step: Number, m: SimpleNamespace) -> Any:
        if self.warmup_target is None:
            return self._decay(m.minimum(step, self.decay_steps), self.initial_learning_rate, m)
        step = m.minimum(step, self.decay_steps + self.warmup_steps)
        decayed = self._decay(step - self.warmup_steps, self.warmup_target, m)
        if self.warmup_steps == 0:
            return decayed
        rise = (self.warmup_target - self.initial_learning_rate) * (step / self.warmup_steps)
        return m.where(step < self.warmup_steps, rise + self.initial_learning_rate, decayed)

    def _decay(self, step: Number, start: float, m: SimpleNamespace) -> Any:
        cosine = 0.5 * (1.0 + m.cos(math.pi * (step / self.decay_steps)))
        return start * ((1 - self.alpha) * cosine + self.alpha)


class CosineDecayRestarts(_Formula):
    """Repeat cosine decays, each `t_mul` times as long as the last and starting `m_mul` times as high.

    [Loshchilov & Hutter, 2016](https://arxiv.org/abs/1608.03983) (SGDR)

    Args:
        initial_learning_rate: rate at step 0, a float.
        first_decay_steps: number of steps of the first decay, positive.
        t_mul: length of a decay divided by that of the last. Default: `2.0`.
        m_mul: start of a decay divided by that of the last. Default: `1.0`.
        alpha: last rate of each decay as a fraction of `initial_learning_rate`. Default: `0.0`.
        name: name of the schedule. Default: `"SGDRDecay"`.

    Raises:
        ValueError: the number of steps is not positive.

    Example:
        >>> schedule = keras.optimizers.schedules.CosineDecayRestarts(0.1, first_decay_steps=10)
        >>> [round(float(schedule(step)), 4) for step in (0, 5, 10, 20)]
        [0.1, 0.05, 0.1, 0.05]
    """

    exact_on_host = False  # the step of a restart depends on the rounding of a logarithm

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        check_steps(first_decay_steps, "first_decay_steps")
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def formula(self, step: Number, m: SimpleNamespace) -> Any:
        fraction: Any = step / self.first_decay_steps
        if self.t_mul == 1.0:
            restart = m.floor(fraction)
            fraction = fraction - restart
        else:
            growth = torch.tensor(self.t_mul, dtype=fraction.dtype, device="cpu")
            restart = m.floor(m.log(1.0 - fraction * (1.0 - growth)) / m.log(growth))
            fraction = (fraction - (1.0 - growth**restart) / (1.0 - growth)) / growth**restart
        cosine = 0.5 * self.m_mul**restart * (1.0 + m.cos(math.pi * fraction))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)


class PiecewiseConstantDecay(LearningRateSchedule):
    """Use one rate after the other, each up to a given step.

    `values[0]` up to and including step `boundaries[0]`, then `values[1]` up to `boundaries[1]`, and so on.

    Args:
        boundaries: steps, in rising order.
        values: rates, one more than there are boundaries.
        name: name of the schedule. Default: `"PiecewiseConstant"`.

    Raises:
        ValueError: there are not one more values than boundaries.

    Example:
        >>> schedule = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries=[10, 20], values=[0.1, 0.05, 0.01])
        >>> [round(float(schedule(step)), 4) for step in (0, 10, 11, 21)]
        [0.1, 0.1, 0.05, 0.01]
    """

    _tk_config_base = True

    def __init__(self, boundaries: list[Any], values: list[Any], name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "There must be one value more than boundaries. "
                f"Received: {len(boundaries)} boundaries={boundaries} and {len(values)} values={values}."
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: Number) -> torch.Tensor:
        """Return the rate at a step as a tensor."""
        step = convert_to_tensor(step, device=None if isinstance(step, torch.Tensor) else "cpu")
        values = torch.stack([convert_to_tensor(value, device="cpu") for value in self.values]).to(step.device)
        boundaries = [convert_to_tensor(boundary, dtype=step.dtype, device=step.device) for boundary in self.boundaries]
        index = sum((step > boundary).long() for boundary in boundaries)
        return values[index]

    def at(self, step: int) -> float | torch.Tensor:
        """Return the rate at a step as a Python number."""
        if type(self).__call__ is not PiecewiseConstantDecay.__call__:
            return super().at(step)
        return float(self.values[sum(step > int(boundary) for boundary in self.boundaries)])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON-ready values."""
        return super(LearningRateSchedule, self).get_config()
