"""Schedule-free AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import torch

from torchkeras.core.torch_internals import foreach_div_, foreach_lerp_, foreach_mul, foreach_sub_
from torchkeras.core.types import Number
from torchkeras.optimizers.arguments import LearningRate
from torchkeras.optimizers.foreach import descend_by_ratio_, lerp_, lerp_square_, root, smaller
from torchkeras.optimizers.optimizer import Optimizer, OptimizerArguments
from torchkeras.optimizers.parameter_group import ParameterGroup


class ScheduleFreeAdamW(Optimizer):
    """Update weights as AdamW does, without the need of a learning rate schedule.

    The weights are a mixture of a fast sequence `z` and its average `x`: `z -= lr * g / (sqrt(v / (1 - beta_2**t)) +
    epsilon)`; `x += (z - x) / t`; `w = (1 - beta_1) * z + beta_1 * x` at step `t`. [Defazio et al.,
    2024](https://arxiv.org/abs/2405.15682)

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
            Default: `0.0025`.
        beta_1: part of the average in the weights. Default: `0.9`.
        beta_2: decay of the mean `v` of the squared gradients, per step. Default: `0.999`.
        epsilon: small number that keeps the denominator above zero. Default: `1e-08`.
        warmup_steps: number of steps over which the rate rises linearly. Default: `0`.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema`, `name` and the other arguments of `Optimizer`.

    Example:
        >>> optimizer = keras.optimizers.ScheduleFreeAdamW(learning_rate=0.1)
        >>> weight = keras.Variable(1.0)
        >>> optimizer.apply([torch.tensor(1.0)], [weight])
        >>> round(float(weight), 4)
        0.9
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-08,
        warmup_steps: int = 0,
        **kwargs: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.warmup_steps = warmup_steps

    def slot_groups(self) -> list[dict[str, float]]:
        return [{"momentum": 0.0, "velocity": 0.0}]

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        with torch.no_grad():
            for z, variable in zip(self._slots["momentum"], variables):
                if z is not None:
                    z.copy_(variable)

    def update_many(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        parameters, fast, velocities = group.parameters, group.slots["momentum"], group.slots["velocity"]
        if self.warmup_steps > 0:
            lr = lr * smaller(step / self.warmup_steps, 1.0)
        foreach_sub_(parameters, foreach_mul(fast, 1 - self.beta_1))
        foreach_div_(parameters, self.beta_1)  # the averages
        lerp_square_(velocities, grads, 1 - self.beta_2)
        descend_by_ratio_(fast, grads, root(velocities, self.epsilon, 1 - self.beta_2**step), lr)
        lerp_(parameters, fast, 1.0 / step)
        foreach_lerp_(parameters, fast, 1 - self.beta_1)
