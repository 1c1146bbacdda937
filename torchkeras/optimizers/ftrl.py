"""FTRL-Proximal."""

from __future__ import annotations

from typing import Any, Unpack

import torch

from torchkeras.core.torch_internals import (
    foreach_add_,
    foreach_addcmul_,
    foreach_clamp_max_,
    foreach_clamp_min_,
    foreach_copy_,
    foreach_div_,
    foreach_mul_,
    foreach_pow,
    foreach_sub_,
)
from torchkeras.core.types import Number
from torchkeras.optimizers.arguments import LearningRate
from torchkeras.optimizers.optimizer import Optimizer, OptimizerArguments
from torchkeras.optimizers.parameter_group import ParameterGroup


class Ftrl(Optimizer):
    """Follow the regularized leader (FTRL-Proximal), for sparse linear models.

    `n = a + g**2`; `z += g - (n**-p - a**-p) / lr * w`; `w = (clip(z, -l1, l1) - z) / (n**-p / lr + 2 * l2)`; `a = n`,
    with `p = learning_rate_power`. [McMahan et al., 2013](https://research.google.com/pubs/archive/41159.pdf)

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
            Default: `0.001`.
        learning_rate_power: exponent `p`, zero or negative; with zero the rate does not fall. Default: `-0.5`.
        initial_accumulator_value: first value of `a`, not negative. Default: `0.1`.
        l1_regularization_strength: strength of the L1 penalty, not negative. Default: `0.0`.
        l2_regularization_strength: strength of the L2 penalty, not negative. Default: `0.0`.
        l2_shrinkage_regularization_strength: strength of an L2 penalty that acts on the gradient only. Default: `0.0`.
        beta: number of the paper; it adds `beta / (2 * lr)` to the L2 strength. Default: `0.0`.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema`, `name` and the other arguments of `Optimizer`.

    Raises:
        ValueError: an argument has the wrong sign.

    Example:
        >>> optimizer = keras.optimizers.Ftrl(learning_rate=0.1)
        >>> weight = keras.Variable(1.0)
        >>> optimizer.apply([torch.tensor(1.0)], [weight])
        >>> round(float(weight), 4)
        0.6031
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **kwargs: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        if learning_rate_power > 0.0:
            raise ValueError(f"`learning_rate_power` needs to be negative or zero. Received: {learning_rate_power=}.")
        for name in (
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
        ):
            if getattr(self, name) < 0.0:
                raise ValueError(f"`{name}` needs to be positive or zero. Received: {name}={getattr(self, name)}.")

    def slot_groups(self) -> list[dict[str, float]]:
        return [{"accumulator": self.initial_accumulator_value, "linear": 0.0}]

    def update_many(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        parameters, squares, linears = group.parameters, group.slots["accumulator"], group.slots["linear"]
        power = -self.learning_rate_power
        l1, l2 = self.l1_regularization_strength, self.l2_regularization_strength + self.beta / (2.0 * lr)
        changes = list(foreach_pow(squares, power))
        foreach_addcmul_(squares, grads, grads)
        curvatures = list(foreach_pow(squares, power))
        foreach_sub_(changes, curvatures)
        foreach_div_(changes, lr)
        foreach_mul_(changes, parameters)
        foreach_add_(linears, grads)
        foreach_add_(linears, parameters, alpha=2 * self.l2_shrinkage_regularization_strength)
        foreach_add_(linears, changes)
        foreach_div_(curvatures, lr)
        foreach_add_(curvatures, [2 * l2] * len(curvatures) if isinstance(l2, torch.Tensor) else 2 * l2)
        foreach_copy_(parameters, linears)
        foreach_clamp_max_(parameters, l1)
        foreach_clamp_min_(parameters, -l1)
        foreach_sub_(parameters, linears)
        foreach_div_(parameters, curvatures)
