"""Dynamic loss scaling for training in float16."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import torch

from torchkeras.core.config.keywords import accepted_keywords
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.nearest_names import candidates
from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.torch_internals import foreach_div
from torchkeras.core.types import Number
from torchkeras.core.variables.variable import Variable
from torchkeras.optimizers import clipping, planning
from torchkeras.optimizers.optimizer import Optimizer

_INNER_ARGUMENTS = {
    "weight_decay": None,
    "clipnorm": None,
    "global_clipnorm": None,
    "clipvalue": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


_HOSTS = ("cpu",)
"""Devices whose values Python reads without waiting."""


class LossScaleOptimizer(Optimizer):
    """Multiply the loss before gradients are computed, so that small gradients do not vanish in float16.

    The scale doubles after `dynamic_growth_steps` steps in a row with finite gradients. If gradients are not finite,
    the step is skipped and the scale is halved.

    Args:
        inner_optimizer: optimizer that makes the updates.
        initial_scale: first value of the scale. Default: `32768.0`.
        dynamic_growth_steps: number of finite steps in a row after which the scale doubles. Default: `2000`.
        name: name of the optimizer; `None` derives it from the name of the class. Default: `None`.
        **kwargs: none; weight decay, clipping, EMA and accumulation are arguments of the inner optimizer.

    Raises:
        ValueError: an argument belongs to the inner optimizer, or is unknown.

    Example:
        >>> optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=4.0)
        >>> weight = keras.Variable(1.0)
        >>> float(optimizer.scale_loss(torch.tensor(0.5)))
        2.0
        >>> optimizer.apply([torch.tensor(4.0)], [weight])  # 4 times the gradient
        >>> round(float(weight), 4)
        0.9
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: object,
    ) -> None:
        if not kwargs.pop("dynamic", True):
            raise ValueError(
                "`dynamic=False` is not supported: set `loss_scale_factor` on the inner optimizer instead."
            )
        unknown = [argument for argument in kwargs if argument not in _INNER_ARGUMENTS]
        if unknown:
            named = ", ".join(f"`{argument}`" for argument in unknown)
            hint = candidates(unknown, accepted_keywords(type(self))[0])
            raise ValueError(f"LossScaleOptimizer does not support arguments: {named}. {hint}")
        for argument, value in kwargs.items():
            if value != _INNER_ARGUMENTS[argument]:
                raise ValueError(f"LossScaleOptimizer does not support `{argument}`: set it on the `inner_optimizer`.")
        super().__init__(0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        self.inner_optimizer.loss_scale_factor = None
        self._overwritten: set[int] = set()

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        if self.built:
            return
        variables = list(variables)
        self.step_counter = self._add_number("step_counter", 0, torch.int32)
        self.dynamic_scale = self._add_number("dynamic_scale", self.initial_scale, torch.float32)
        self.inner_optimizer.build(variables)
        super().build(variables)
        if variables:
            self._move(variables[0].device)

    def _bind(self, variables: list) -> None:
        super()._bind(variables)
        self._overwritten = {id(v) for v in variables if planning.is_overwritten(v)}

    def _tk_replace_variables(
        self, replaced: Mapping[int, torch.Tensor], layouts: Mapping[int, Callable[[torch.Tensor], torch.Tensor]] = {}
    ) -> None:
        super()._tk_replace_variables(replaced, layouts)
        self.inner_optimizer._tk_replace_variables(replaced, layouts)

    def _tk_forget_variables(self, gone: Collection[int]) -> None:
        super()._tk_forget_variables(gone)
        self.inner_optimizer._tk_forget_variables(gone)

    def _move(self, device: torch.device) -> None:
        """Keep the scale and the counts on the device, which alone knows whether the gradients are finite."""
        for number in (self.step_counter, self.dynamic_scale):
            number._tk_move(device)
        if isinstance(self.inner_optimizer, Optimizer) and device.type not in _HOSTS:
            self.inner_optimizer._tk_count_on(device)

    @property
    def variables(self) -> list[Any]:
        return self._variables + self.inner_optimizer.variables

    @property
    def learning_rate(self) -> Any:
        return self.inner_optimizer.learning_rate

    @learning_rate.setter  # type: ignore[override]
    def learning_rate(self, learning_rate: Number) -> None:
        self.inner_optimizer.learning_rate = learning_rate  # type: ignore[assignment]

    @property
    def iterations(self) -> Any:
        return self.inner_optimizer.iterations

    @property
    def _tk_accumulates(self) -> bool:
        return self.inner_optimizer._tk_accumulates

    @property
    def _tk_batch_weight(self) -> float | torch.Tensor | None:
        return self.inner_optimizer._tk_batch_weight

    @_tk_batch_weight.setter
    def _tk_batch_weight(self, weight: float | torch.Tensor | None) -> None:
        self.inner_optimizer._tk_batch_weight = weight

    def _tk_numbers(self) -> list[Variable]:
        own = [self._iterations, self.step_counter, self.dynamic_scale]
        return own + self.inner_optimizer._tk_numbers()

    def _tk_apply_accumulated_gradients(self) -> bool:
        return self.inner_optimizer._tk_apply_accumulated_gradients()

    def apply(self, grads: Sequence[Any], trainable_variables: Iterable[torch.Tensor] | None = None) -> None:
        grads = list(grads)
        variables = None if trainable_variables is None else list(trainable_variables)
        if not self.built:
            if variables is None:
                planning.indices_of(self, grads, None)  # raises: there is nothing to build with
            self.build(variables)
        with torch.no_grad():
            changing = self._trainable_variables if variables is None else variables
            if changing and changing[0].device != self.dynamic_scale.device:
                self._move(changing[0].device)
            grads = self._unscaled(grads, changing)
            finite = self.check_finite(grads)
            self._apply_if(finite, grads, changing)
            self._adapt_scale(finite)

    def _apply_if(self, finite: torch.Tensor, grads: list, variables: list) -> None:
        """The inner optimizer's step if the gradients are finite; on a device without waiting to know it."""
        inner = self.inner_optimizer
        on_host = self.dynamic_scale.device.type in _HOSTS and not torch.compiler.is_compiling()
        if not on_host and isinstance(inner, Optimizer):
            inner._tk_apply_if(finite, grads, variables)
        elif finite:  # known here already, or waited for by torch's own optimizers, which can't be undone
            inner.apply(grads, variables)

    def _adapt_scale(self, finite: torch.Tensor) -> None:
        """Double the scale after enough finite steps in a row, halve it after another one."""
        steps = self.step_counter + 1
        enough = steps == self.dynamic_growth_steps
        self.dynamic_scale.mul_(torch.where(finite, torch.where(enough, 2.0, 1.0), 0.5))
        self.step_counter.copy_(torch.where(finite & ~enough, steps, 0))

    def _unscaled(self, grads: list, variables: list) -> list:
        result = list(grads)
        groups: dict[tuple[torch.device, bool], list[int]] = {}
        for i, (grad, variable) in enumerate(zip(grads, variables)):
            if grad is not None and not (self._overwritten and id(variable) in self._overwritten):
                result[i] = _wide(torch.as_tensor(grad))
                groups.setdefault((result[i].device, is_sharded(result[i])), []).append(i)
        for (device, in_parts), places in groups.items():
            scale = self.dynamic_scale.to(device)
            grads = [result[i] for i in places]
            unscaled = [grad / scale for grad in grads] if in_parts else foreach_div(grads, scale)
            for i, grad in zip(places, unscaled):
                result[i] = grad
        return result

    def check_finite(self, grads: Sequence[Any]) -> torch.Tensor:
        """Compute whether all numbers of all gradients are finite, without waiting for the device.

        Args:
            grads: tensors; `None` entries are left out.

        Returns:
            A boolean tensor without dimensions.
        """
        present = [_wide(torch.as_tensor(g)) for g in grads if g is not None]
        # The sum of the absolute values is NaN or infinite if any number is, and takes no square that overflows.
        sums = clipping.norms_of(present, 1) if present else [torch.zeros(())]
        device = self.dynamic_scale.device if self.built else sums[0].device
        finite = [torch.isfinite(torch.stack(part)).all().to(device) for part in _by_device(sums)]
        return finite[0] if len(finite) == 1 else torch.stack(finite).all()

    def scale_loss(self, loss: torch.Tensor) -> Any:
        if not self.built:
            return loss * self.initial_scale
        scale = self.dynamic_scale.detach().clone()  # the step changes it in place
        return loss * (scale.to(loss.device) if isinstance(loss, torch.Tensor) else scale)

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "inner_optimizer": serialize_keras_object(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        config = dict(config)
        inner = deserialize_keras_object(config.pop("inner_optimizer"), custom_objects=custom_objects)
        return cls(inner, **config)


def _wide(grad: torch.Tensor) -> torch.Tensor:
    """A gradient in a type that holds any scale."""
    return grad.float() if grad.dtype in (torch.float16, torch.bfloat16) else grad


def _by_device(tensors: Iterable[torch.Tensor]) -> list[list[torch.Tensor]]:
    groups: dict[torch.device, list[torch.Tensor]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.device, []).append(tensor)
    return list(groups.values())
