"""Schedules by which a learning rate falls."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.optimizers.schedules.schedule import LearningRateSchedule, _Formula, check_steps


class ExponentialDecay(_Formula):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`.

    Args:
        staircase: decay in jumps, at whole multiples of `decay_steps`.
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

    def formula(self, step: Any, m: SimpleNamespace) -> Any:
        p = step / self.decay_steps
        if self.staircase:
            p = m.floor(p)
        return self.initial_learning_rate * self.decay_rate**p


class InverseTimeDecay(_Formula):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`.

    Args:
        staircase: decay in jumps, at whole multiples of `decay_steps`.
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

    def formula(self, step: Any, m: SimpleNamespace) -> Any:
        p = step / self.decay_steps
        if self.staircase:
            p = m.floor(p)
        return self.initial_learning_rate / (1 + self.decay_rate * p)


class PolynomialDecay(_Formula):
    """`(initial - end) * (1 - step / decay_steps) ** power + end`.

    Args:
        cycle: start over with a longer `decay_steps` each time its end is reached, instead of staying at the end.
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

    def formula(self, step: Any, m: SimpleNamespace) -> Any:
        steps = self.decay_steps
        if self.cycle:
            steps = steps * m.where(step == 0, 1.0, m.ceil(step / self.decay_steps))
        else:
            step = m.minimum(step, steps)
        span = self.initial_learning_rate - self.end_learning_rate
        return span * (1 - step / steps) ** self.power + self.end_learning_rate


class CosineDecay(_Formula):
    """Half a cosine from the initial rate down to `alpha` times it, after a linear warmup if there is one.

    [Loshchilov & Hutter, 2016](https://arxiv.org/abs/1608.03983)

    Args:
        alpha: the final rate as a fraction of the one that decay starts from.
        warmup_target: the rate that the warmup ends at and the decay starts from; `None`: no warmup.
        warmup_steps: steps of the warmup, before those of the decay.
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

    def formula(self, step: Any, m: SimpleNamespace) -> Any:
        if self.warmup_target is None:
            return self._decay(m.minimum(step, self.decay_steps), self.initial_learning_rate, m)
        step = m.minimum(step, self.decay_steps + self.warmup_steps)
        decayed = self._decay(step - self.warmup_steps, self.warmup_target, m)
        if self.warmup_steps == 0:
            return decayed
        rise = (self.warmup_target - self.initial_learning_rate) * (step / self.warmup_steps)
        return m.where(step < self.warmup_steps, rise + self.initial_learning_rate, decayed)

    def _decay(self, step: Any, start: float, m: SimpleNamespace) -> Any:
        cosine = 0.5 * (1.0 + m.cos(math.pi * (step / self.decay_steps)))
        return start * ((1 - self.alpha) * cosine + self.alpha)


class CosineDecayRestarts(_Formula):
    """Cosine decays in a row, each `t_mul` times as long as the one before and starting `m_mul` times as high.

    [Loshchilov & Hutter, 2016](https://arxiv.org/abs/1608.03983)
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

    def formula(self, step: Any, m: SimpleNamespace) -> Any:
        fraction = step / self.first_decay_steps
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
    """`values[0]` up to and including step `boundaries[0]`, then `values[1]` up to `boundaries[1]`, and so on.

    Args:
        boundaries: steps, rising.
        values: one rate more than there are boundaries.
    """

    _tk_config_base = True

    def __init__(self, boundaries: list, values: list, name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "There must be one value more than boundaries. "
                f"Received: {len(boundaries)} boundaries={boundaries} and {len(values)} values={values}."
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: Any) -> torch.Tensor:
        step = convert_to_tensor(step, device=None if isinstance(step, torch.Tensor) else "cpu")
        values = torch.stack([convert_to_tensor(value, device="cpu") for value in self.values]).to(step.device)
        boundaries = [convert_to_tensor(boundary, dtype=step.dtype, device=step.device) for boundary in self.boundaries]
        index = sum((step > boundary).long() for boundary in boundaries)
        return values[index]

    def at(self, step: int) -> float | torch.Tensor:
        if type(self).__call__ is not PiecewiseConstantDecay.__call__:
            return super().at(step)
        return float(self.values[sum(step > int(boundary) for boundary in self.boundaries)])

    def get_config(self) -> dict[str, Any]:
        return super(LearningRateSchedule, self).get_config()
