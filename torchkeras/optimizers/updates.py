"""One update of an optimizer, a group of parameters at a time."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core.torch_internals import foreach_zero_
from torchkeras.core.types import Number
from torchkeras.optimizers import accumulation, averages, planning, slots
from torchkeras.optimizers.clock import Clock
from torchkeras.optimizers.foreach import shrink_
from torchkeras.optimizers.gradients import Gradients
from torchkeras.optimizers.parameter_group import ParameterGroup, Plan
from torchkeras.optimizers.rate_and_count import RateAndCount
from torchkeras.optimizers.reversible import SavedValues
from torchkeras.optimizers.weight_decay import WeightDecay


class MakesUpdates(WeightDecay, RateAndCount):
    """The part of an optimizer that updates the parameters of a plan.

        unscale the gradients, or add them to those of the steps before
        for each group of parameters: clip, shrink (weight decay), update, move the averages, apply the constraints

    What is computed on the way is of the size of a group.
    """

    weight_decay: float | None
    clipvalue: float | None
    clipnorm: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    built: bool
    elementwise = True
    """Whether each number is updated by itself, so that shards can be updated where they are."""
    _uses_update_step = False
    _cuts_weights = False
    _clock: Clock | None = None
    """Where the rate and the number of an update are read, while a step is captured."""
    _wanted: torch.Tensor | None
    _pending: tuple[int, ...]
    _index: dict[int, int]
    _tk_kind_of: Any
    _plan_of: Any
    _follow_variables: Any
    _state: Any
    _tk_can_skip: Any
    update_many: Any
    update_step: Any

    def _apply_plan(self, plan: Plan, grads: list) -> None:
        given = Gradients(plan, grads, self.loss_scale_factor)
        count, every = self._count(), self.gradient_accumulation_steps
        if not every:
            self._step(plan, given, count)
            return
        done = count % every
        plan = self._accumulate(plan, given, done)
        due = done + 1 == every
        if isinstance(due, torch.Tensor):
            changed = self._trainable_variables if self.use_ema else plan.variables
            saved = SavedValues([*changed, *self._state()])
            self._step_accumulated(plan, every, count // every)
            saved.restore_unless(due)
        elif due:
            self._step_accumulated(plan, every, count // every)

    def _accumulate(self, plan: Plan, grads: Gradients, done: int | torch.Tensor) -> Plan:
        """Add gradients to those since the last update; return the plan of an update of all their variables."""
        weight = accumulation.add_gradients(plan, grads, done, self._batch_weight, self._accumulated_weight)
        if not self._counts_on_device:
            self._accumulated_weight = weight
        elif weight is None:
            self._accumulated_weight.fill_(accumulation.UNKNOWN)  # type: ignore[union-attr]
        else:
            self._accumulated_weight.copy_(weight)  # type: ignore[union-attr, arg-type]
        if not self._pending or (not isinstance(done, torch.Tensor) and done == 0):
            self._pending = plan.indices
        elif self._pending is not plan.indices:
            self._pending = tuple(sorted({*self._pending, *plan.indices}))
        return self._plan_of(self._pending)

    def _tk_apply_accumulated_gradients(self) -> bool:
        """Update the variables by the gradients accumulated since the last update, as at the end of `fit`.

        The update is by their mean, weighted by `batch_weight`, and counts as one in `iterations`. The next call of
        `apply` begins to accumulate from nothing.

        Returns:
            Whether there were any.
        """
        every = self.gradient_accumulation_steps
        done = int(self._iterations) % every if every and self.built else 0
        if not done:
            return False
        with torch.no_grad():
            self._follow_variables()
            planning.overwrite_accumulated(self)
            plan = self._plan_of(self._pending or planning.updated_indices(self))
            self._step_accumulated(plan, done, self._count() // every)
            self._iterations.add_(every - done)
        return True

    def _step_accumulated(self, plan: Plan, done: int, updates: int | torch.Tensor) -> None:
        """Update by the mean of the gradients of `done` calls, then reset them."""
        self._step(plan, Gradients(plan, plan.accumulators, done), updates)
        foreach_zero_(plan.all_accumulators)

    def _step(self, plan: Plan, grads: Gradients, updates: int | torch.Tensor) -> None:
        """Make one update; `updates` is the number of updates before it."""
        step = (updates + 1).double() if isinstance(updates, torch.Tensor) else updates + 1
        rate = None
        if self._clock is not None:
            rate, step = self._clock.rate, step if self._clock.step is None else self._clock.step
        if rate is None:
            rate = self._rate(updates)
        if self.clipvalue or self.clipnorm or self.global_clipnorm:
            grads.clip(self.clipvalue, self.clipnorm, self.global_clipnorm)
        self._tk_begin_update(step)
        wide = plan.wide
        if wide is not None:
            wide.begin(step)
        for group in plan.groups if grads.are_copies else plan.wholes:
            if wide is not None:
                wide.widen(group.indices)
            if group.is_large and self._cuts_weights and (grads.are_copies or not self._tk_updates_in_place(group)):
                for part in group.parts():
                    self._update(plan, part, grads.of(part), rate, step)
            else:
                self._update(plan, group, grads.of(group), rate, step)
            if wide is not None or group.averages or group.constrained:
                self._finish(plan, group, updates)
        for group in plan.idle:
            if wide is not None:
                wide.widen(group.indices)
            self._finish(plan, group, updates)

    def _finish(self, plan: Plan, group: ParameterGroup, updates: int | torch.Tensor) -> None:
        """Move the averages of a group and apply the constraints, after its update or without one."""
        if group.averages:
            averages.move(group, updates, self.ema_momentum, self.ema_overwrite_frequency)
        for variable, constraint in group.constrained:
            slots.assign(variable, constraint(slots.whole(variable)))
        if plan.wide is not None:
            plan.wide.round(group.indices)

    def _update(self, plan: Plan, group: ParameterGroup, grads: list, lr: Number, step: Number) -> None:
        if plan.sharded and not self.elementwise:
            grads = plan.whole(grads, group.parameters)
        saved = None
        if self._wanted is not None and not self._tk_can_skip(group, lr):
            saved = SavedValues([*group.parameters, *(slot for row in group.slots.values() for slot in row)])
        if self._uses_update_step:
            self._tk_shrink(group, lr)
            rate = self.learning_rate
            for index, parameter, grad in zip(group.indices, group.parameters, grads):
                self.update_step(grad, parameter if plan.wide else self._trainable_variables[index], rate)
        else:
            self._tk_decay_and_update(group, grads, lr, step)
        if saved is not None:
            saved.restore_unless(self._wanted)  # type: ignore[arg-type]

    def _tk_begin_update(self, step: Number) -> None:
        """Change the numbers that an update changes once for all variables.

        Args:
            step: number of the update, as for `update_many`.
        """

    def _tk_updates_in_place(self, group: ParameterGroup) -> bool:
        """Return whether the update of a group makes no tensors of the size of its parameters.

        Args:
            group: the parameters.
        """
        return False

    def _tk_decay_and_update(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        """Apply weight decay, then the update; an algorithm whose kernel does both overrides this.

        Args:
            group, grads, lr, step: as for `update_many`.
        """
        self._tk_shrink(group, lr)
        self.update_many(group, grads, lr, step)

    def _tk_shrink(self, group: ParameterGroup, lr: Number) -> None:
        """Apply weight decay.

        Args:
            group: the parameters.
            lr: learning rate.
        """
        if self.weight_decay is not None and group.decayed:
            shrink_(group.decayed, self.weight_decay * lr)
