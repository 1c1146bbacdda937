"""LAMB."""

from __future__ import annotations

from typing import Any, Unpack

import torch

from torchkeras.core.torch_internals import foreach_div, foreach_div_, foreach_mul_, foreach_norm
from torchkeras.core.types import Number
from torchkeras.optimizers.arguments import LearningRate
from torchkeras.optimizers.foreach import descend_, lerp_, lerp_square_, root
from torchkeras.optimizers.optimizer import Optimizer, OptimizerArguments
from torchkeras.optimizers.parameter_group import ParameterGroup


class Lamb(Optimizer):
    """Update weights in Adam's direction, with a length in proportion to the weight's (LAMB).

    For very large batches: `w -= lr * |w| / |u| * u` with `u = m / (1 - beta_1**t) / (sqrt(v / (1 - beta_2**t)) +
    epsilon)` at step `t`. [You et al., 2019](https://arxiv.org/pdf/1904.00962)

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
            Default: `0.001`.
        beta_1: decay of the mean `m` of the gradients, per step. Default: `0.9`.
        beta_2: decay of the mean `v` of their squares, per step. Default: `0.999`.
        epsilon: small number that keeps the denominator above zero. Default: `1e-07`.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema`, `name` and the other arguments of `Optimizer`.

    Example:
        >>> optimizer = keras.optimizers.Lamb(learning_rate=0.1)
        >>> weight = keras.Variable(1.0)
        >>> optimizer.apply([torch.tensor(1.0)], [weight])
        >>> round(float(weight), 4)
        0.9
    """

    elementwise = False

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-07,
        **kwargs: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def slot_groups(self) -> list[dict[str, float]]:
        return [{"momentum": 0.0, "velocity": 0.0}]

    def update_many(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        momentums, velocities = group.slots["momentum"], group.slots["velocity"]
        lerp_(momentums, grads, 1 - self.beta_1)
        lerp_square_(velocities, grads, 1 - self.beta_2)
        directions = foreach_div(momentums, 1 - self.beta_1**step)
        foreach_div_(directions, root(velocities, self.epsilon, 1 - self.beta_2**step))
        weights, lengths = foreach_norm(group.parameters), foreach_norm(directions)
        ratios = [torch.where((w > 0) & (u > 0), w / u, 1.0) for w, u in zip(weights, lengths)]
        foreach_mul_(directions, ratios)
        descend_(group.parameters, directions, lr)
