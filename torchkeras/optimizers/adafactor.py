"""Adafactor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import torch

from torchkeras.core.naming import name_scope
from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.torch_internals import (
    foreach_add_,
    foreach_clamp_min_,
    foreach_div,
    foreach_div_,
    foreach_mul,
    foreach_mul_,
    foreach_norm,
    foreach_recip_,
    foreach_sqrt,
)
from torchkeras.core.types import Number
from torchkeras.core.variables.variable import Variable
from torchkeras.optimizers import planning
from torchkeras.optimizers.arguments import LearningRate
from torchkeras.optimizers.foreach import descend_, lerp_, smaller
from torchkeras.optimizers.optimizer import Optimizer, OptimizerArguments
from torchkeras.optimizers.parameter_group import ParameterGroup


class Adafactor(Optimizer):
    """Update weights as Adam without momentum, with mean squares kept per row and per column only (Adafactor).

    The state of a matrix is two vectors, so that little memory is needed. The rate is `min(learning_rate, 1 / sqrt(t))`
    at step `t`, times the root mean square of the weight. [Shazeer & Stern, 2018](https://arxiv.org/abs/1804.04235)

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
            Default: `0.001`.
        beta_2_decay: exponent of the decay of the means, `1 - t**beta_2_decay` at step `t`. Default: `-0.8`.
        epsilon_1: number that is added to the squared gradients. Default: `1e-30`.
        epsilon_2: least scale of a weight. Default: `0.001`.
        clip_threshold: limit of the root mean square of an update. Default: `1.0`.
        relative_step: kept for files only: as in Keras, it changes nothing. Default: `True`.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema`, `name` and the other arguments of `Optimizer`.

    Example:
        >>> optimizer = keras.optimizers.Adafactor(learning_rate=0.1)
        >>> weight = keras.Variable(1.0)
        >>> optimizer.apply([torch.tensor(1.0)], [weight])
        >>> round(float(weight), 4)
        0.9
    """

    elementwise = False

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 0.001,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **kwargs: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        if self.built:
            return
        variables = list(variables)
        super().build(variables)
        rows, columns, velocities = [], [], []
        for v in variables:
            skipped = planning.is_overwritten(v)
            name = getattr(v, "name", None) or "parameter"
            if v.dim() < 2:  # Keras's files have two integers in this place
                rows.append(self._unused(v, name))
                columns.append(self._unused(v, name))
            else:
                rows.append(None if skipped else self._mean(v, v.shape[:-1], name))
                columns.append(None if skipped else self._mean(v, (*v.shape[:-2], v.shape[-1]), name))
            velocities.append(None if skipped else self.add_variable_from_reference(v, "velocity"))
        self._slots.update(row=rows, column=columns, velocity=velocities)

    def _unused(self, reference: torch.Tensor, name: str) -> Variable:
        number = Variable(torch.zeros((), dtype=torch.int32, device=reference.device), trainable=False, name=name)
        self._track(number)
        return number

    def _mean(self, reference: torch.Tensor, shape: tuple, name: str) -> Any:
        mean = reference.new_zeros(tuple(shape), requires_grad=False, dtype=self._slot_dtype(reference))
        if not is_sharded(mean):
            with name_scope(self.name):
                mean = Variable(mean.detach().as_subclass(torch.Tensor), trainable=False, name=name)
        self._track(mean)
        return mean

    def _tk_kind_of(self, variable: torch.Tensor) -> bool:
        """Whether the variable has rows and columns."""
        return variable.dim() >= 2

    def update_many(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        rate, share = smaller(lr, step**-0.5), step**self.beta_2_decay
        self._move_velocities(group, grads, share)
        changes = list(foreach_sqrt(group.slots["velocity"]))
        foreach_recip_(changes)
        foreach_mul_(changes, grads)
        scales = _rms(group.parameters)
        foreach_clamp_min_(scales, self.epsilon_2)
        excess = list(foreach_div(_rms(changes), self.clip_threshold))
        foreach_clamp_min_(excess, 1.0)
        foreach_div_(scales, excess)
        foreach_mul_(changes, scales)
        descend_(group.parameters, changes, rate)

    def _move_velocities(self, group: ParameterGroup, grads: list[Any], share: Number) -> None:
        """Move the mean squares, those of matrices by the means of the rows and columns."""
        squares = list(foreach_mul(grads, grads))
        foreach_add_(squares, self.epsilon_1)
        velocities = group.slots["velocity"]
        if not group.kind:
            lerp_(velocities, squares, share)
            return
        rows, columns = group.slots["row"], group.slots["column"]
        lerp_(rows, [square.mean(dim=-1) for square in squares], share)
        lerp_(columns, [square.mean(dim=-2) for square in squares], share)
        squares.clear()  # their memory is for what follows
        shares = foreach_div(rows, [row.mean(dim=-1, keepdim=True) for row in rows])
        for velocity, row, column in zip(velocities, shares, columns):
            velocity.copy_(row.unsqueeze(-1) * column.unsqueeze(-2))


def _rms(tensors: list) -> list:
    """The root mean square of each tensor."""
    return list(foreach_div(foreach_norm(tensors), [max(t.numel(), 1) ** 0.5 for t in tensors]))
