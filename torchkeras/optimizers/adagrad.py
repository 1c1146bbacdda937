"""Adagrad and Adadelta."""

from __future__ import annotations

from typing import Any, Unpack

from torchkeras.core.torch_internals import foreach_add, foreach_addcmul_, foreach_div_, foreach_mul_, foreach_sqrt_
from torchkeras.core.types import Number
from torchkeras.optimizers.arguments import LearningRate
from torchkeras.optimizers.foreach import descend_, descend_by_ratio_, lerp_square_
from torchkeras.optimizers.optimizer import Optimizer, OptimizerArguments
from torchkeras.optimizers.parameter_group import ParameterGroup


class Adagrad(Optimizer):
    """Update weights by the gradient over the root of the sum of its squares so far (Adagrad).

    `a += g**2`; `w -= lr * g / sqrt(a + epsilon)`. [Duchi et al.,
    2011](http://www.jmlr.org/papers/volume12/duchi11a/duchi11a.pdf)

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
            Default: `0.001`.
        initial_accumulator_value: first value of the sum `a`. Default: `0.1`.
        epsilon: small number that keeps the denominator above zero. Default: `1e-07`.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema`, `name` and the other arguments of `Optimizer`.

    Example:
        >>> optimizer = keras.optimizers.Adagrad(learning_rate=0.1)
        >>> weight = keras.Variable(1.0)
        >>> optimizer.apply([torch.tensor(1.0)], [weight])
        >>> round(float(weight), 4)
        0.9047
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-07,
        **kwargs: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def slot_groups(self) -> list[dict[str, float]]:
        return [{"accumulator": self.initial_accumulator_value}]

    def update_many(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        sums = group.slots["accumulator"]
        foreach_addcmul_(sums, grads, grads)
        scales = foreach_add(sums, self.epsilon)
        foreach_sqrt_(scales)
        descend_by_ratio_(group.parameters, grads, scales, lr)


class Adadelta(Optimizer):
    """Update weights by the gradient times the ratio of the root mean squares of past changes and gradients.

    `v += (1 - rho) * (g**2 - v)`; `d = sqrt(u + epsilon) / sqrt(v + epsilon) * g`; `u += (1 - rho) * (d**2 - u)`; `w -=
    lr * d`. [Zeiler, 2012](http://arxiv.org/abs/1212.5701), who uses `learning_rate=1.0`.

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
            Default: `0.001`.
        rho: decay of both means of squares, per step. Default: `0.95`.
        epsilon: small number that is added to both means before their roots are taken. Default: `1e-07`.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema`, `name` and the other arguments of `Optimizer`.

    Example:
        >>> optimizer = keras.optimizers.Adadelta(learning_rate=1.0)
        >>> weight = keras.Variable(1.0)
        >>> optimizer.apply([torch.tensor(1.0)], [weight])
        >>> round(float(weight), 4)
        0.9986
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-07,
        **kwargs: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = rho
        self.epsilon = epsilon

    def slot_groups(self) -> list[dict[str, float]]:
        return [{"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}]

    def update_many(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        squares, changes = group.slots["accumulated_grad"], group.slots["accumulated_delta_var"]
        lerp_square_(squares, grads, 1 - self.rho)
        directions = self._rms(changes)
        foreach_mul_(directions, grads)
        foreach_div_(directions, self._rms(squares))
        lerp_square_(changes, directions, 1 - self.rho)
        descend_(group.parameters, directions, lr)

    def _rms(self, means: list) -> list:
        roots = foreach_add(means, self.epsilon)
        foreach_sqrt_(roots)
        return list(roots)
