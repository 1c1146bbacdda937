"""Optimizers in training steps that are captured once and replayed: the part of an update that the host must do.

A replay repeats kernels. The host still decides whether an update is due, computes the learning rate and counts.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from torchkeras.core import registry
from torchkeras.core.variables.variable import Variable
from torchkeras.optimizers.clock import Clock
from torchkeras.optimizers.loss_scale import LossScaleOptimizer
from torchkeras.optimizers.multi import MultiOptimizer
from torchkeras.optimizers.optimizer import Optimizer
from torchkeras.optimizers.rate_and_count import as_number
from torchkeras.optimizers.schedules.schedule import LearningRateSchedule

Weight = float | torch.Tensor | None

# Why updates with `low_precision_update` can't be replayed: a replay runs no Python.
_LOW_PRECISION = {
    "master_weights": "looks on the host in each step whether a weight was set, to bring its float32 master up to it",
    "stochastic_rounding": "seeds on the host in each step the generator that rounds its weights at random",
}


class ReplayedUpdates:
    """The host's part of the updates of an optimizer whose steps are replayed.

    Args:
        optimizer: an optimizer of this package, built.
        device: the device of the weights.
    """

    def __init__(self, optimizer: Optimizer, device: torch.device) -> None:
        self.optimizer = optimizer
        self._parts = list(_parts(optimizer))
        self._clocks = [Clock(device) for _ in self._parts]
        for part in self._parts:
            part._tk_move_numbers(device)
        self._next: list[tuple[float | None, float | None]] = []

    @staticmethod
    def obstacle(optimizer: Any) -> str | None:
        """Why the updates of an optimizer can't be replayed; `None` if they can."""
        if not isinstance(optimizer, Optimizer):
            return f"the optimizer {type(optimizer).__name__} counts and decides by itself"
        for part in (optimizer, *_parts(optimizer)):
            if not registry.is_own(type(part)):
                return f"the optimizer {type(part).__name__} runs code of yours"
            if part.low_precision_update is not None:
                return f"the optimizer {type(part).__name__} {_LOW_PRECISION[part.low_precision_update]}"
        return None

    @property
    def host_tensors(self) -> list[torch.Tensor]:
        """The tensors that a step reads and writes on the host, which the methods here take care of."""
        found: list[torch.Tensor] = []
        for part in (self.optimizer, *self._parts):
            found += [] if part._counts_on_device else [part._iterations]
            found += [part._learning_rate] if isinstance(part._learning_rate, Variable) else []
        return found

    @property
    def weight(self) -> Weight:
        """How much the gradients of the last step counted among those accumulated."""
        return self.optimizer._tk_batch_weight

    def case(self, weight: Weight) -> Hashable:
        """The case of the next update: steps of one case run the same kernels. `None`: it can't be replayed.

        Args:
            weight: how much the gradients of the step will count among those accumulated.
        """
        cases, self._next = [], []
        for part in self._parts:
            found = _next_update(part, weight)
            if found is None:
                return None
            case, rate, step = found
            cases.append(case)
            self._next.append((rate, step))
        return tuple(cases)

    def fill(self) -> None:
        """Write the numbers of the next update, which `case` found, to where the kernels read them."""
        for clock, (rate, step) in zip(self._clocks, self._next):
            clock.fill(rate, step)

    def count(self, weight: Weight) -> None:
        """Count an update that was replayed."""
        for part in self._parts:
            if part._counts_on_device:
                continue
            every = part.gradient_accumulation_steps
            if every:
                done = int(part._iterations) % every
                before = part._accumulated_weight if done else 0
                part._accumulated_weight = None if weight is None else before + weight  # type: ignore[operator]
            part._iterations.add_(1)
        if self.optimizer not in self._parts and isinstance(self.optimizer, MultiOptimizer):
            self.optimizer._iterations.add_(1)

    @contextmanager
    def reading_the_device(self) -> Iterator[None]:
        """Inside, a step reads the numbers that `fill` wrote to the device. After an error nothing was counted."""
        everything = [self.optimizer, *(part for part in self._parts if part is not self.optimizer)]
        before = [(part, part._accumulated_weight, part._pending, part._batch_weight) for part in everything]
        counts = [(tensor, tensor.detach().clone()) for tensor in self.host_tensors]
        for part, clock in zip(self._parts, self._clocks):
            part._clock = clock
        try:
            yield
        except BaseException:
            for part, accumulated, pending, weight in before:
                if not part._counts_on_device:
                    part._accumulated_weight = accumulated
                part._pending, part._batch_weight = pending, weight
            with torch.no_grad():
                for tensor, value in counts:
                    tensor.copy_(value)
            raise
        finally:
            for part in self._parts:
                part._clock = None


def _parts(optimizer: Any) -> Iterator[Optimizer]:
    """The optimizers that make the updates: those inside of a wrapper, or the optimizer itself."""
    if isinstance(optimizer, LossScaleOptimizer):
        yield from _parts(optimizer.inner_optimizer)
    elif isinstance(optimizer, MultiOptimizer):
        for inner in optimizer.optimizers:
            if inner.built:
                yield inner
    else:
        yield optimizer


def _next_update(part: Optimizer, weight: Weight) -> tuple[Hashable, float | None, float | None] | None:
    """The case of an optimizer's next call of `apply`, its rate, and its number; `None` if it can't be replayed.

    A number is `None` where the device computes it by itself.
    """
    if part._counts_on_device:
        return _next_counted_on_device(part)
    every = part.gradient_accumulation_steps or 1
    updates, done = divmod(int(part._iterations), every)
    due = done + 1 == every
    case: Hashable = ()
    if every > 1:
        known = part._accumulated_weight
        alike = done == 0 or (weight is None and known is None) or _equal(known, weight, done)
        if not alike or isinstance(weight, torch.Tensor):
            return None
        case = (due, part._pending if done else ())
    if due and part.use_ema:
        if updates == 0:  # the averages become the weights then
            return None
        frequency = part.ema_overwrite_frequency
        case = (case, bool(frequency) and (updates + 1) % frequency == 0)  # type: ignore[operator]
    rate = part._rate(updates)
    return None if isinstance(rate, torch.Tensor) else (case, float(rate), float(updates + 1))


def _next_counted_on_device(part: Optimizer) -> tuple[Hashable, float | None, None] | None:
    rate = part._learning_rate
    if isinstance(rate, Variable):
        return (), float(rate.item()), None
    if isinstance(rate, LearningRateSchedule):
        return ((), None, None) if registry.is_own(type(rate)) else None
    found = as_number(rate())  # type: ignore[operator]
    return None if isinstance(found, torch.Tensor) else ((), float(found), None)


def _equal(known: Weight, weight: Weight, done: int) -> bool:
    """Whether the gradients accumulated so far all counted as much as the next ones."""
    if isinstance(known, torch.Tensor) or isinstance(weight, torch.Tensor) or known is None or weight is None:
        return False
    return known == weight * done
