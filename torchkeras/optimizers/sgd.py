"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any, Unpack

import torch

from torchkeras.core.torch_internals import foreach_add_, foreach_mul, foreach_mul_, foreach_sub_, fused_sgd_
from torchkeras.core.types import Number
from torchkeras.optimizers.arguments import LearningRate
from torchkeras.optimizers.foreach import descend_, is_number, is_scalar_on
from torchkeras.optimizers.optimizer import Optimizer, OptimizerArguments
from torchkeras.optimizers.parameter_group import ParameterGroup


class SGD(Optimizer):
    """Update weights by gradient descent, with momentum if asked for.

    `w -= lr * g`; with momentum `m = momentum * m - lr * g` and `w += m`; with `nesterov` `w += momentum * m - lr * g`.

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
            Default: `0.01`.
        momentum: part of the last change that is added to this one, a float in `[0, 1]`. Default: `0.0`.
        nesterov: whether to use Nesterov momentum. Default: `False`.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema`, `name` and the other arguments of `Optimizer`.

    Raises:
        ValueError: `momentum` is no float from 0 to 1.

    Example:
        >>> optimizer = keras.optimizers.SGD(learning_rate=0.1)
        >>> weight = keras.Variable(1.0)
        >>> optimizer.apply([torch.tensor(1.0)], [weight])
        >>> round(float(weight), 4)
        0.9
        >>> optimizer = keras.optimizers.SGD(learning_rate=0.1, momentum=0.5)
        >>> for _ in range(2):
        ...     optimizer.apply([torch.tensor(1.0)], [weight])
        >>> round(float(weight), 4)  # 0.9 - 0.1 - 0.15
        0.65
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not isinstance(momentum, float) or not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be a float between [0, 1]. Received: momentum={momentum!r}")
        self.momentum = momentum
        self.nesterov = nesterov

    def slot_groups(self) -> list[dict[str, float]]:
        return [{"momentum": 0.0}] if self.momentum else []

    @property
    def momentums(self) -> list[Any]:
        """The momentum of each variable; empty without momentum."""
        return self._slots.get("momentum", [])

    def _tk_can_skip(self, group: ParameterGroup, lr: Number) -> bool:
        return group.fusible and is_number(lr) and group.parameters[0].dtype == torch.float32

    def _tk_shrink(self, group: ParameterGroup, lr: Number) -> None:
        super()._tk_shrink(
            group, lr * self._wanted if self._wanted is not None and self._tk_can_skip(group, lr) else lr
        )

    def _tk_decay_and_update(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        first = group.parameters[0]
        if not self.momentum and is_scalar_on(lr, first) and group.fusible and first.dtype == torch.float32:
            self._tk_shrink(group, lr)
            self._fused(group.parameters, grads, [], lr.float())  # type: ignore[union-attr]
        elif self.momentum or not (group.fusible and group.all_decay and is_number(lr)):
            super()._tk_decay_and_update(group, grads, lr, step)
        else:  # without momentum, decay and L2 gradient are one and the same
            self._fused(group.parameters, grads, [], lr, weight_decay=self.weight_decay or 0.0)

    def _tk_updates_in_place(self, group: ParameterGroup) -> bool:
        return group.fusible and not (self.momentum and self.nesterov)

    def update_many(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        parameters, momentums = group.parameters, group.slots.get("momentum", [])
        if group.fusible and is_number(lr):
            self._update_fused(parameters, grads, momentums, lr)  # type: ignore[arg-type]
            return
        if not self.momentum:
            descend_(parameters, foreach_mul(grads, 1.0) if not is_number(lr) else grads, lr)
            return
        changes = foreach_mul(grads, lr.to(grads[0].dtype) if isinstance(lr, torch.Tensor) else lr)
        foreach_mul_(momentums, self.momentum)
        foreach_sub_(momentums, changes)
        if self.nesterov:
            foreach_add_(parameters, momentums, alpha=self.momentum)
            foreach_sub_(parameters, changes)
        else:
            foreach_add_(parameters, momentums)

    def _update_fused(self, parameters: list, grads: list, momentums: list, lr: float) -> None:
        if not self.momentum:
            self._fused(parameters, grads, [], lr)
        elif self.nesterov:
            # Of gradients times `-lr` torch's momentum is Keras's, and it steps ahead by `g + momentum * m`.
            changes = list(foreach_mul(grads, -lr))
            self._fused(parameters, changes, momentums, -1.0, momentum=self.momentum, nesterov=True)
        else:
            # torch's `buf = momentum * buf + (1 - dampening) * g; w -= lr * buf` becomes Keras's rule.
            self._fused(parameters, grads, momentums, -1.0, momentum=self.momentum, dampening=1.0 + lr)

    def _fused(
        self,
        parameters: list,
        grads: list,
        momentums: list,
        lr: float | torch.Tensor,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        fused_sgd_(
            parameters,
            grads,
            momentums,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=False,
            is_first_step=False,
            found_inf=None if self._wanted is None else (~self._wanted).float(),
        )
