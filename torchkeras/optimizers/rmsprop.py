"""RMSprop."""

from __future__ import annotations

from typing import Any, Unpack

from torchkeras.core.torch_internals import foreach_add, foreach_addcmul_, foreach_mul_, foreach_sqrt_, foreach_sub_
from torchkeras.core.types import Number
from torchkeras.optimizers.arguments import LearningRate
from torchkeras.optimizers.foreach import descend_by_ratio_, lerp_, lerp_square_
from torchkeras.optimizers.optimizer import Optimizer, OptimizerArguments
from torchkeras.optimizers.parameter_group import ParameterGroup


class RMSprop(Optimizer):
    """Update weights by the gradient over the root of the running mean of its square (RMSprop).

    `v += (1 - rho) * (g**2 - v)`; `w -= lr * g / sqrt(v + epsilon)`. [Hinton,
    2012](http://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf)

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
            Default: `0.001`.
        rho: decay of the mean of squares, per step. Default: `0.9`.
        momentum: part of the last change that is added to this one. Default: `0.0`.
        epsilon: small number that keeps the denominator above zero. Default: `1e-07`.
        centered: whether to divide by the root of the estimated variance, `v - mean(g)**2`, instead. Default: `False`.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema`, `name` and the other arguments of `Optimizer`.

    Example:
        >>> optimizer = keras.optimizers.RMSprop(learning_rate=0.1)
        >>> weight = keras.Variable(1.0)
        >>> optimizer.apply([torch.tensor(1.0)], [weight])
        >>> round(float(weight), 4)
        0.6838
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-07,
        centered: bool = False,
        **kwargs: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def slot_groups(self) -> list[dict[str, float]]:
        groups = [{"velocity": 0.0}]
        if self.momentum > 0:
            groups.append({"momentum": 0.0})
        if self.centered:
            groups.append({"average_gradient": 0.0})
        return groups

    def update_many(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        velocities = group.slots["velocity"]
        lerp_square_(velocities, grads, 1 - self.rho)
        scales = foreach_add(velocities, self.epsilon)
        if self.centered:
            means = group.slots["average_gradient"]
            lerp_(means, grads, 1 - self.rho)
            foreach_addcmul_(scales, means, means, value=-1)
        foreach_sqrt_(scales)
        if self.momentum <= 0:
            descend_by_ratio_(group.parameters, grads, scales, lr)
            return
        momentums = group.slots["momentum"]
        foreach_mul_(momentums, self.momentum)
        descend_by_ratio_(momentums, grads, scales, -lr)
        foreach_sub_(group.parameters, momentums)
