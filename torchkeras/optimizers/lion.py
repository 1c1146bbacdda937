"""Lion."""

from __future__ import annotations

from typing import Any, Unpack

from torchkeras.core.torch_internals import foreach_add_, foreach_mul, foreach_sign_
from torchkeras.optimizers.foreach import descend_, lerp_
from torchkeras.optimizers.optimizer import Optimizer, OptimizerArguments
from torchkeras.optimizers.parameter_group import ParameterGroup


class Lion(Optimizer):
    """The sign of the momentum: `w -= lr * sign(beta_1 * m + (1 - beta_1) * g)`; `m += (1 - beta_2) * (g - m)`.

    [Chen et al., 2023](http://arxiv.org/abs/2302.06675)

    Args:
        beta_1: share of the momentum in the direction, in (0, 1].
        beta_2: decay of the momentum.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
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

    def update_many(self, group: ParameterGroup, grads: list, lr: Any, step: Any) -> None:
        momentums = group.slots["momentum"]
        directions = foreach_mul(momentums, self.beta_1)
        foreach_add_(directions, grads, alpha=1.0 - self.beta_1)
        foreach_sign_(directions)
        descend_(group.parameters, directions, lr)
        lerp_(momentums, grads, 1.0 - self.beta_2)
