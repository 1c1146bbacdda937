"""Adagrad and Adadelta."""

from __future__ import annotations

from typing import Any, Unpack

from torchkeras.core.torch_internals import foreach_add, foreach_addcmul_, foreach_div_, foreach_mul_, foreach_sqrt_
from torchkeras.optimizers.foreach import descend_, descend_by_ratio_, lerp_square_
from torchkeras.optimizers.optimizer import Optimizer, OptimizerArguments
from torchkeras.optimizers.parameter_group import ParameterGroup


class Adagrad(Optimizer):
    """The gradient over the root of the sum of all its squares: `a += g**2`; `w -= lr * g / sqrt(a + epsilon)`.

    [Duchi et al., 2011](http://www.jmlr.org/papers/volume12/duchi11a/duchi11a.pdf)

    Args:
        initial_accumulator_value: what the sum starts from.
        epsilon: keeps the denominator off zero.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-07,
        **kwargs: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def slot_groups(self) -> list[dict[str, float]]:
        return [{"accumulator": self.initial_accumulator_value}]

    def update_many(self, group: ParameterGroup, grads: list, lr: Any, step: Any) -> None:
        sums = group.slots["accumulator"]
        foreach_addcmul_(sums, grads, grads)
        scales = foreach_add(sums, self.epsilon)
        foreach_sqrt_(scales)
        descend_by_ratio_(group.parameters, grads, scales, lr)


class Adadelta(Optimizer):
    """Adagrad with a window: the gradient times the ratio of the root mean squares of past changes and of gradients.

    [Zeiler, 2012](http://arxiv.org/abs/1212.5701)

    Args:
        rho: decay of both means of squares.
        epsilon: added to the means before their roots are taken.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-07,
        **kwargs: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = rho
        self.epsilon = epsilon

    def slot_groups(self) -> list[dict[str, float]]:
        return [{"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}]

    def update_many(self, group: ParameterGroup, grads: list, lr: Any, step: Any) -> None:
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
