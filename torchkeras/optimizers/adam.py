"""Adam and AdamW."""

from __future__ import annotations

from typing import Any, Unpack

import torch

from torchkeras.core.torch_internals import foreach_maximum_, fused_adam_, fused_adamw_
from torchkeras.core.types import Number
from torchkeras.optimizers.arguments import LearningRate
from torchkeras.optimizers.foreach import descend_by_ratio_, is_number, is_scalar_on, lerp_, lerp_square_, root, sqrt
from torchkeras.optimizers.optimizer import Optimizer, OptimizerArguments
from torchkeras.optimizers.parameter_group import ParameterGroup


class Adam(Optimizer):
    """Update weights by the mean of the gradients over the root of the mean of their squares (Adam).

    `m += (1 - beta_1) * (g - m)`; `v += (1 - beta_2) * (g**2 - v)`; `w -= lr * sqrt(1 - beta_2**t) / (1 - beta_1**t) *
    m / (sqrt(v) + epsilon)` at step `t`. [Kingma & Ba, 2014](https://arxiv.org/abs/1412.6980)

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
            Default: `0.001`.
        beta_1: decay of the mean `m` of the gradients, per step. Default: `0.9`.
        beta_2: decay of the mean `v` of their squares, per step. Default: `0.999`.
        epsilon: small number that keeps the denominator above zero ("epsilon hat" of the paper). Default: `1e-07`.
        amsgrad: whether to divide by the greatest `v` so far ([Reddi et al.,
            2018](https://openreview.net/forum?id=ryQu7f-RZ)). Default: `False`.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema`, `name` and the other arguments of `Optimizer`.

    Example:
        >>> optimizer = keras.optimizers.Adam(learning_rate=0.1)
        >>> weight = keras.Variable(1.0)
        >>> optimizer.apply([torch.tensor(1.0)], [weight])
        >>> round(float(weight), 4)
        0.9
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile(optimizer=keras.optimizers.Adam(1e-4, clipnorm=1.0), loss="mse")
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-07,
        amsgrad: bool = False,
        **kwargs: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self._no_bias: dict[torch.device, torch.Tensor] = {}

    def slot_groups(self) -> list[dict[str, float]]:
        groups = [{"momentum": 0.0, "velocity": 0.0}]
        return [*groups, {"velocity_hat": 0.0}] if self.amsgrad else groups

    def _tk_decay_and_update(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        fused = self._tk_can_skip(group, lr) if isinstance(step, torch.Tensor) else group.fusible and is_number(lr)
        decay = self.weight_decay if fused and group.all_decay and not isinstance(step, torch.Tensor) else None
        if decay is None:
            self._tk_shrink(group, lr if self._wanted is None or not fused else lr * self._wanted)
        if fused:
            self._fused(group, grads, lr, step, decay or 0.0)  # type: ignore[arg-type]
        else:
            self.update_many(group, grads, lr, step)

    def _tk_can_skip(self, group: ParameterGroup, lr: Number) -> bool:
        # A rate that depends on a count on a device is float32 for the kernel.
        first = group.parameters[0]
        return group.fusible and (is_number(lr) or is_scalar_on(lr, first)) and first.dtype == torch.float32

    def _tk_updates_in_place(self, group: ParameterGroup) -> bool:
        return group.fusible

    def update_many(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        momentums, velocities = group.slots["momentum"], group.slots["velocity"]
        lerp_(momentums, grads, 1 - self.beta_1)
        lerp_square_(velocities, grads, 1 - self.beta_2)
        if self.amsgrad:
            foreach_maximum_(group.slots["velocity_hat"], velocities)
            velocities = group.slots["velocity_hat"]
        rate = corrected_rate(lr, self.beta_1, self.beta_2, step)
        descend_by_ratio_(group.parameters, momentums, root(velocities, self.epsilon), rate)

    def _fused(self, group: ParameterGroup, grads: list, lr: float, step: Number, decay: float) -> None:
        """torch's kernel with its own bias correction switched off: it happens in the rate, as in Keras."""
        rate = corrected_rate(lr, self.beta_1, self.beta_2, step)
        kernel = fused_adamw_ if decay else fused_adam_
        kernel(
            group.parameters,
            grads,
            group.slots["momentum"],
            group.slots["velocity"],
            group.slots["velocity_hat"] if self.amsgrad else [],
            [self._infinity(group.parameters[0].device)] * len(grads),
            lr=rate if isinstance(rate, float) else rate.float(),
            beta1=self.beta_1,
            beta2=self.beta_2,
            weight_decay=decay * lr / rate if decay and rate else 0.0,  # the kernel multiplies it by its rate
            eps=self.epsilon,
            amsgrad=self.amsgrad,
            maximize=False,
            found_inf=None if self._wanted is None else (~self._wanted).float(),
        )

    def _infinity(self, device: torch.device) -> torch.Tensor:
        """A step count at which the kernel's bias correction, `1 - beta**step`, is one."""
        found = self._no_bias.get(device)
        if found is None:
            found = self._no_bias[device] = torch.full((), torch.inf, device=device)
        return found


class AdamW(Adam):
    """Update weights as Adam does, after shrinking them (AdamW).

    Each step first subtracts `weight_decay * lr` times the weight from the weight. [Loshchilov & Hutter,
    2017](https://arxiv.org/abs/1711.05101)

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
            Default: `0.001`.
        weight_decay: strength of the decay. Default: `0.004`.
        beta_1: decay of the mean `m` of the gradients, per step. Default: `0.9`.
        beta_2: decay of the mean `v` of their squares, per step. Default: `0.999`.
        epsilon: small number that keeps the denominator above zero. Default: `1e-07`.
        amsgrad: whether to divide by the greatest `v` so far ([Reddi et al.,
            2018](https://openreview.net/forum?id=ryQu7f-RZ)). Default: `False`.
        **kwargs: `weight_decay`, `clipnorm`, `use_ema`, `name` and the other arguments of `Optimizer`.

    Raises:
        ValueError: `weight_decay` is `None`.

    Example:
        >>> optimizer = keras.optimizers.AdamW(learning_rate=0.1, weight_decay=0.1)
        >>> weight = keras.Variable(1.0)
        >>> optimizer.apply([torch.tensor(1.0)], [weight])
        >>> round(float(weight), 4)
        0.89
    """

    def __init__(  # type: ignore[misc]
        self,
        learning_rate: LearningRate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-07,
        amsgrad: bool = False,
        **kwargs: Unpack[OptimizerArguments],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs)
        if weight_decay is None:
            raise ValueError("Argument `weight_decay` must be a float. Received: weight_decay=None")


def corrected_rate(lr: Number, beta_1: float, beta_2: float, step: Number) -> Any:
    """`lr * sqrt(1 - beta_2**step) / (1 - beta_1**step)`."""
    return lr * sqrt(1 - beta_2**step) / (1 - beta_1**step)
