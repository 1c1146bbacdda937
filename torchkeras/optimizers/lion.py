"""Lion."""

from __future__ import annotations

from typing import Any, Unpack

from torchkeras.core.torch_internals import foreach_add_, foreach_mul, foreach_sign_
from torchkeras.core.types import Number
from torchkeras.optimizers.arguments import LearningRate
from torchkeras.optimizers.foreach import descend_, lerp_
from torchkeras.optimizers.optimizer import Optimizer, OptimizerArguments
from torchkeras.optimizers.parameter_group import ParameterGroup


class Lion(Optimizer):
    """Update weights by the sign of a momentum (Lion).

    `w -= lr * sign(beta_1 * m + (1 - beta_1) * g)`; `m += (1 - beta_2) * (g - m)`. All updates have the same size, so
    rates are 3 to 10 times smaller than Adam's. [Chen et al., 2023](http://arxiv.org/abs/2302.06675)

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
            Default: `0.001`.
        beta_1: part of the momentum in the direction, in `(0, 1]`. Default: `0.9`.
        beta_2: decay of the momentum, per step. Default: `0.99`.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema`, `name` and the other arguments of `Optimizer`.

    Raises:
        ValueError: `beta_1` is not above 0 and at most 1.

    Example:
        >>> optimizer = keras.optimizers.Lion(learning_rate=0.1)
        >>> weight = keras.Variable(1.0)
        >>> optimizer.apply([torch.tensor(1.0)], [weight])
        >>> round(float(weight), 4)
        0.9
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **kwargs: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not 0 < beta_1 <= 1:
            raise ValueError(
                f"Argument `beta_1` must be in the [0, 1] range. Otherwise, the optimizer degenerates to SignSGD. "
                f"Received: beta_1={beta_1}."
            )
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def slot_groups(self) -> list[dict[str, float]]:
        return [{"momentum": 0.0}]

    def update_many(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        momentums = group.slots["momentum"]
        directions = foreach_mul(momentums, self.beta_1)
        foreach_add_(directions, grads, alpha=1.0 - self.beta_1)
        foreach_sign_(directions)
        descend_(group.parameters, directions, lr)
        lerp_(momentums, grads, 1.0 - self.beta_2)
