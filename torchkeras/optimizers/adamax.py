"""Adamax and Nadam, two relatives of Adam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import torch

from torchkeras.core import settings
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.torch_internals import foreach_abs, foreach_add, foreach_maximum_, foreach_mul_
from torchkeras.core.types import Number
from torchkeras.core.variables.variable import Variable
from torchkeras.optimizers.arguments import LearningRate
from torchkeras.optimizers.foreach import descend_by_ratio_, lerp_, lerp_square_, root
from torchkeras.optimizers.optimizer import Optimizer, OptimizerArguments
from torchkeras.optimizers.parameter_group import ParameterGroup


class Adamax(Optimizer):
    """Update weights as Adam does, with the greatest gradient in place of the root mean square (Adamax).

    `m += (1 - beta_1) * (g - m)`; `u = max(beta_2 * u, |g|)`; `w -= lr / (1 - beta_1**t) * m / (u + epsilon)` at step
    `t`. [Kingma & Ba, 2014](https://arxiv.org/abs/1412.6980), section 7.1.

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
            Default: `0.001`.
        beta_1: decay of the mean `m` of the gradients, per step. Default: `0.9`.
        beta_2: decay of the greatest gradient `u`, per step. Default: `0.999`.
        epsilon: small number that keeps the denominator above zero. Default: `1e-07`.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema`, `name` and the other arguments of `Optimizer`.

    Example:
        >>> optimizer = keras.optimizers.Adamax(learning_rate=0.1)
        >>> weight = keras.Variable(1.0)
        >>> optimizer.apply([torch.tensor(1.0)], [weight])
        >>> round(float(weight), 4)
        0.9
    """

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
        return [{"momentum": 0.0, "norm": 0.0}]

    def update_many(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        momentums, norms = group.slots["momentum"], group.slots["norm"]
        lerp_(momentums, grads, 1 - self.beta_1)
        foreach_mul_(norms, self.beta_2)
        foreach_maximum_(norms, foreach_abs(grads))
        rate = lr / (1 - self.beta_1**step)
        descend_by_ratio_(group.parameters, momentums, foreach_add(norms, self.epsilon), rate)


class Nadam(Optimizer):
    """Update weights as Adam does, with Nesterov momentum (Nadam).

    The momentum's coefficient rises with the steps: `beta_1 * (1 - 0.5 * 0.96**t)` at step `t`. [Dozat,
    2015](http://cs229.stanford.edu/proj2015/054_report.pdf)

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
            Default: `0.001`.
        beta_1: decay of the mean `m` of the gradients, per step. Default: `0.9`.
        beta_2: decay of the mean `v` of their squares, per step. Default: `0.999`.
        epsilon: small number that keeps the denominator above zero. Default: `1e-07`.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema`, `name` and the other arguments of `Optimizer`.

    Example:
        >>> optimizer = keras.optimizers.Nadam(learning_rate=0.1)
        >>> weight = keras.Variable(1.0)
        >>> optimizer.apply([torch.tensor(1.0)], [weight])
        >>> round(float(weight), 4)
        0.8937
    """

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

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        dtype = self._slot_dtype(variables[0]) if variables else torch_dtype(settings.floatx())
        self._u_product = Variable(torch.ones((), dtype=dtype, device="cpu"), trainable=False, name="variable")

    def _tk_move_numbers(self, device: torch.device) -> None:
        if self._u_product.device != device:
            self._u_product._tk_move(device)

    def _momentum_at(self, step: Number) -> Any:
        return self.beta_1 * (1.0 - 0.5 * 0.96**step)

    def _tk_begin_update(self, step: Number) -> None:
        if isinstance(step, torch.Tensor):
            self._tk_move_numbers(step.device)
        self._u_product.mul_(self._momentum_at(step))

    def update_many(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        # For torch.compile a tensor that is no variable.
        product = self._u_product * 1.0 if isinstance(step, torch.Tensor) else self._u_product.item()
        u, u_next = self._momentum_at(step), self._momentum_at(step + 1)
        momentums, velocities = group.slots["momentum"], group.slots["velocity"]
        lerp_(momentums, grads, 1 - self.beta_1)
        lerp_square_(velocities, grads, 1 - self.beta_2)
        scales = root(velocities, self.epsilon, 1 - self.beta_2**step)
        descend_by_ratio_(group.parameters, momentums, scales, lr * u_next / (1 - product * u_next))
        descend_by_ratio_(group.parameters, grads, scales, lr * (1 - u) / (1 - product))
