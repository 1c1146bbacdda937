"""The base of optimizers: Keras's arguments, variables and files; one kernel call for all weights."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from operator import is_
from typing import Any

import torch

from torchkeras.core import naming, settings
from torchkeras.core.config.configurable import config_of
from torchkeras.core.config.keywords import accepted_keywords
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.nearest_names import candidates
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.torch_internals import foreach_div, foreach_zero_
from torchkeras.core.variables.variable import Variable
from torchkeras.distributed.gradient_reduction import ReducesGradients
from torchkeras.optimizers import accumulation, averages, clipping, planning, slots, stateless
from torchkeras.optimizers.arguments import OptimizerArguments as OptimizerArguments
from torchkeras.optimizers.arguments import check_arguments
from torchkeras.optimizers.clock import Clock
from torchkeras.optimizers.foreach import shrink_
from torchkeras.optimizers.parameter_group import ParameterGroup, Plan, to_parameter
from torchkeras.optimizers.reversible import SavedValues
from torchkeras.optimizers.schedules.schedule import LearningRateSchedule
from torchkeras.optimizers.variables import OptimizerVariables


class Optimizer(ReducesGradients, OptimizerVariables):
    """Changes variables by their gradients. The base of all optimizers.

    One step is `apply(grads, variables)`:

        unscale the gradients, or add them to those of the steps before
        clip them, shrink the weights (weight decay), update all of them
        move the averages (EMA), apply the weights' constraints, count the step

    A new algorithm names its state in `slot_groups` and defines `update_many` for lists of tensors; or, as in Keras,
    it makes its variables in `build` and defines `update_step` for one variable.

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments.
        weight_decay: each step first takes `weight_decay * learning_rate` times the weight off the weight.
        clipnorm: limit of the 2-norm of each gradient.
        clipvalue: limit of the size of each element of the gradients.
        global_clipnorm: limit of the 2-norm of all gradients together.
        use_ema: keep an exponential moving average of the weights.
        ema_momentum: share of the old average in the new one.
        ema_overwrite_frequency: put the averages in the weights' place every so many steps; `None`: when `fit` ends.
        loss_scale_factor: number that the loss is multiplied by, and the gradients are divided by.
        gradient_accumulation_steps: update once in so many calls of `apply`, by the mean of their gradients, which
            `batch_weight` weighs. Everything that goes by updates (schedules, EMA, constraints, `iterations`) counts
            the updates, not the calls. `apply_accumulated_gradients` applies what is left over.
        name: default: made of the class's.
    """

    _tk_config_base = True
    _uses_update_step = False
    _clock: Clock | None = None  # where the rate and the number of an update are read, while a step is captured
    elementwise = True  # whether each number is updated by itself, so that shards can be updated where they are

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("decay", None) is not None:
            warnings.warn("The argument `decay` has no effect; give a schedule as `learning_rate`.", stacklevel=3)
        if kwargs:
            hint = candidates(kwargs, accepted_keywords(type(self))[0])
            raise ValueError(f"Argument(s) not recognized: {kwargs}. {hint}")
        self._variables: list[Any] = []
        self._reset_plans()
        self._trainable_variables: list[Any] = []
        self._index: dict[int, int] = {}
        self._slots: dict[str, list] = {}
        self._undecayed: set[int] = set()
        self._undecayed_names: re.Pattern | None = None
        self._counts_on_device = False
        self._wanted: torch.Tensor | None = None
        self._pending: tuple[int, ...] = ()  # indices of the variables with gradients since the last update
        self._accumulated_weight: float | torch.Tensor | None = None
        self._batch_weight: float | torch.Tensor | None = None
        self.built = False
        self.name = naming.auto_name(type(self).__name__) if name is None else name
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        check_arguments(self)
        self._iterations = self._add_number("iteration", 0, torch.int32)
        if callable(learning_rate):
            self._learning_rate = learning_rate
        elif isinstance(learning_rate, float):
            self._learning_rate = self._add_number("learning_rate", learning_rate, torch_dtype(settings.floatx()))
        else:
            raise ValueError(
                "Argument `learning_rate` must be a float, a LearningRateSchedule, or a callable that returns a rate. "
                f"Received: learning_rate={learning_rate!r}"
            )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        algorithm = next(
            base for base in cls.__mro__ if "update_step" in base.__dict__ or "update_many" in base.__dict__
        )
        cls._uses_update_step = algorithm is not Optimizer and "update_step" in algorithm.__dict__

    # -- what a subclass defines

    def slot_groups(self) -> list[dict[str, float]]:
        """The names of the state that each variable needs, with the value that it starts from.

        A group's slots lie side by side in files: all of the first variable's, then the second's, ...
        """
        return []

    def update_many(self, group: ParameterGroup, grads: list, lr: Any, step: Any) -> None:
        """Update the parameters of a group in place, by one call of a kernel for all of them if possible.

        Args:
            lr: the rate: a float, or a tensor without dimensions when it comes from a device or is being compiled.
            step: the number of this update, counted from 1: an int, or such a tensor.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update_many() or update_step().")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable (Keras's way of defining an algorithm)."""
        group = self._plan_of((self._get_variable_index(variable),)).groups[0]
        with torch.no_grad():
            updates = self._count() // (self.gradient_accumulation_steps or 1)
            step = (updates + 1).double() if isinstance(updates, torch.Tensor) else updates + 1
            self.update_many(group, [to_parameter(gradient, variable)], _number(learning_rate), step)

    def kind_of(self, variable: Any) -> Any:
        """The case of a variable, for algorithms that treat some variables in another way."""
        return None

    # -- variables

    def build(self, variables: Iterable[Any]) -> None:
        """Make the optimizer's own variables for the variables that it will change."""
        if self.built:
            return
        variables = list(variables)
        self._bind(variables)
        if self.use_ema:
            self._slots["average"] = self.add_optimizer_variables(variables, "average")
        if self.gradient_accumulation_steps:
            name = "gradient_accumulator"
            self._slots[name] = [self.add_variable_from_reference(v, name) for v in variables]
        for names in self.slot_groups():
            lists = self.add_optimizer_variables(variables, list(names), list(names.values()))
            self._slots.update(zip(names, lists))
        self.built = True

    def _bind(self, variables: list) -> None:
        self._trainable_variables = variables
        self._index = {id(v): i for i, v in enumerate(variables)}
        self._reset_plans()
        can_skip = type(self).can_skip is not Optimizer.can_skip and not self._uses_update_step
        special = any(getattr(v, "constraint", None) is not None or planning.is_overwritten(v) for v in variables)
        self._skips_alone = can_skip and not special

    def _get_variable_index(self, variable: Any) -> int:
        return self._index[id(variable)]

    # -- learning rate and step count

    @property
    def iterations(self) -> Any:
        """How many updates were made, a tensor on the CPU."""
        if self.gradient_accumulation_steps:
            return torch.div(self._iterations, self.gradient_accumulation_steps, rounding_mode="floor")
        return self._iterations

    @property
    def accumulates(self) -> bool:
        """Whether several calls of `apply` make one update."""
        return bool(self.gradient_accumulation_steps)

    @property
    def batch_weight(self) -> float | torch.Tensor | None:
        """How much the gradients of the next calls of `apply` count among those accumulated; `None`: all alike.

        For a loss that is a mean over the rows of a batch, it is the number of rows.
        """
        return self._batch_weight

    @batch_weight.setter
    def batch_weight(self, weight: float | torch.Tensor | None) -> None:
        self._batch_weight = weight

    @property
    def learning_rate(self) -> Any:
        """The rate at this step. Of an optimizer made with a float it can be set, also by `assign`."""
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate(self.iterations)
        return self._learning_rate() if callable(self._learning_rate) else self._learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        current = self._learning_rate
        if callable(learning_rate) and not isinstance(learning_rate, torch.Tensor):
            self._variables = [v for v in self._variables if v is not current]
            self._learning_rate = learning_rate
        elif isinstance(current, Variable):
            current.assign(learning_rate)
        else:
            kind = "`LearningRateSchedule`" if isinstance(current, LearningRateSchedule) else "callable"
            raise TypeError(
                f"This optimizer was created with a {kind} as its `learning_rate`, hence its learning rate is not "
                f"settable: {self.name!r} has {current!r}; received "
                f"learning_rate={learning_rate!r}. Create the optimizer with a float to set its learning rate later."
            )

    def _count(self) -> Any:
        """How often `apply` was called: an integer, or a tensor where reading it would mean waiting for a device."""
        waits = self._counts_on_device or torch.compiler.is_compiling()
        return self._iterations if waits else self._iterations.item()

    def count_on(self, device: torch.device) -> None:
        """Count steps on a device, which alone knows whether they happen: `LossScaleOptimizer` takes steps back."""
        self._counts_on_device = True
        dtype = accumulation.weight_dtype(self._trainable_variables)
        self._accumulated_weight = torch.full((), accumulation.UNKNOWN, dtype=dtype, device=device)
        for variable in self._state():
            if variable.dim() == 0 and variable.device != device:
                variable.data = variable.data.to(device)

    def move_numbers(self, device: torch.device) -> None:
        """Bring numbers that updates change, beside the count, to a device, for steps that are replayed there."""

    def _state(self) -> list[Any]:
        """The tensors that steps change: all variables but the learning rate."""
        state = [v for v in self._variables if v is not self._learning_rate]
        if self._counts_on_device:
            state.append(self._accumulated_weight)
        return state

    def _rate(self, count: Any) -> Any:
        """The rate as a Python number, or as a tensor when reading it would mean waiting for a device."""
        rate = self._learning_rate
        if isinstance(rate, Variable):
            return rate if torch.compiler.is_compiling() else rate.item()
        if isinstance(rate, LearningRateSchedule):
            return rate(count) if isinstance(count, torch.Tensor) else rate.at(count)
        return _number(rate())

    # -- the step

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> Any:
        """`apply` for pairs of gradients and variables; returns the step count."""
        grads, variables = zip(*grads_and_vars)
        self.apply(list(grads), list(variables))
        return self._iterations

    def apply(self, grads: Sequence, trainable_variables: Iterable[Any] | None = None) -> None:
        """Update the variables by their gradients.

        Args:
            grads: a tensor for each variable; a variable whose gradient is `None` is left as it is.
            trainable_variables: default: those that the optimizer was built with. The first call builds it.

        Raises:
            ValueError: every gradient is `None`, or the optimizer was built with other variables.
        """
        grads = list(grads)
        if not grads:
            return
        with torch.no_grad():
            variables = None if trainable_variables is None else list(trainable_variables)
            plan = self._plan
            if plan is None or not self._is_whole(variables) or not plan.fits(grads) or not plan.is_current():
                plan, grads = self._prepare(grads, variables)
            if grads:
                self._apply_plan(plan, grads)
            self._iterations.add_(1 if self._wanted is None else self._wanted)

    def apply_if(self, wanted: torch.Tensor, grads: Sequence, variables: list) -> None:
        """`apply` if a flag, a boolean tensor, is true; it is not waited for. Needs `count_on` its device."""
        if self._skips_alone and not self.use_ema and not self.gradient_accumulation_steps:
            self._wanted = wanted
            try:
                self.apply(grads, variables)
            finally:
                self._wanted = None
            return
        saved = SavedValues([*variables, *self._state()])
        self.apply(grads, variables)
        saved.restore_unless(wanted)

    def can_skip(self, group: ParameterGroup, lr: Any) -> bool:
        """Whether the update heeds `self._wanted` by itself and changes nothing where it is false."""
        return False

    def _is_whole(self, variables: list | None) -> bool:
        """Whether these are all the variables that the optimizer was built with, in that order."""
        known = self._trainable_variables
        return variables is None or (len(variables) == len(known) and all(map(is_, variables, known)))

    def _prepare(self, grads: list, variables: list | None) -> tuple[Plan | None, list]:
        """The plan for these variables, and the gradients as its kernels want them."""
        if not self.built and variables is not None:
            self.build(variables)
        indices = planning.indices_of(self, grads, variables)
        self._follow_variables()
        grads, indices = planning.select(self, grads, indices)
        grads, indices = planning.overwrite(self, grads, indices)
        if not grads:
            return None, grads
        plan = self._plan_of(tuple(indices))
        if len(indices) == len(self._trainable_variables) and indices == list(range(len(indices))):
            self._plan = plan
        return plan, [to_parameter(g, v) for g, v in zip(grads, plan.variables)]

    def _follow_variables(self) -> None:
        """Bring the state to where the variables are now."""
        if self._plan is not None and not self._plan.is_current():
            planning.move_state(self, self._trainable_variables, with_dtype=True)
            self._reset_plans()

    def _plan_of(self, indices: tuple[int, ...]) -> Plan:
        plan = self._plans.get(indices)
        if plan is None:
            plan = self._plans[indices] = planning.make_plan(self, indices)
        return plan

    def _reset_plans(self) -> None:
        self._plan: Plan | None = None  # type: ignore[no-redef]
        self._plans: dict[tuple[int, ...], Plan] = {}

    def _apply_plan(self, plan: Plan, grads: list) -> None:
        if self.loss_scale_factor is not None:
            grads = foreach_div(grads, self.loss_scale_factor)  # type: ignore[assignment]
        count, every = self._count(), self.gradient_accumulation_steps
        if not every:
            self._step(plan, grads, count)
            return
        done = count % every
        plan = self._accumulate(plan, grads, done)
        due = done + 1 == every
        if isinstance(due, torch.Tensor):
            changed = self._trainable_variables if self.use_ema else plan.variables
            saved = SavedValues([*changed, *self._state()])
            self._step_accumulated(plan, every, count // every)
            saved.restore_unless(due)
        elif due:
            self._step_accumulated(plan, every, count // every)

    def _accumulate(self, plan: Plan, grads: list, done: Any) -> Plan:
        """Add gradients to those since the last update; the plan of an update of all their variables."""
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

    def apply_accumulated_gradients(self) -> bool:
        """Update the variables by the gradients that wait for more, as at the end of `fit`.

        The update is by the mean of the gradients since the last one, weighted by `batch_weight`, and counts as one
        in `iterations`. The next call of `apply` begins to accumulate from nothing.

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
            self._step_accumulated(plan, done, int(self._iterations) // every)
            self._iterations.add_(every - done)
        return True

    def _step_accumulated(self, plan: Plan, done: int, updates: Any) -> None:
        """The update by the mean of the gradients of `done` calls, which are forgotten then."""
        self._step(plan, list(foreach_div(plan.accumulators, done)), updates)
        foreach_zero_(plan.all_accumulators)

    def _step(self, plan: Plan, grads: list, updates: Any) -> None:
        """One update, after so many before."""
        step = (updates + 1).double() if isinstance(updates, torch.Tensor) else updates + 1
        rate = None
        if self._clock is not None:
            rate, step = self._clock.rate, step if self._clock.step is None else self._clock.step
        if rate is None:
            rate = self._rate(updates)
        self._update(plan, self._clip_gradients(grads, plan), rate, step)
        if self.use_ema:
            averages.move(plan, updates, self.ema_momentum, self.ema_overwrite_frequency)
        for variable in plan.constrained:
            slots.assign(variable, variable.constraint(variable))

    def _update(self, plan: Plan, grads: list, lr: Any, step: Any) -> None:
        for group in plan.groups:
            mine = grads if len(plan.groups) == 1 else [grads[i] for i in group.positions]
            if plan.sharded and not self.elementwise:
                mine = plan.whole(mine, group.parameters)
            saved = None
            if self._wanted is not None and not self.can_skip(group, lr):
                saved = SavedValues([*group.parameters, *(slot for row in group.slots.values() for slot in row)])
            if self._uses_update_step:
                self.shrink(group, lr)
                rate = self.learning_rate
                for index, grad in zip(group.indices, mine):
                    self.update_step(grad, self._trainable_variables[index], rate)
            else:
                self.decay_and_update(group, mine, lr, step)
            if saved is not None:
                saved.restore_unless(self._wanted)  # type: ignore[arg-type]

    def decay_and_update(self, group: ParameterGroup, grads: list, lr: Any, step: Any) -> None:
        """Weight decay, then the update; an algorithm whose kernel does both overrides this."""
        self.shrink(group, lr)
        self.update_many(group, grads, lr, step)

    def shrink(self, group: ParameterGroup, lr: Any) -> None:
        """Weight decay."""
        if self.weight_decay is not None and group.decayed:
            shrink_(group.decayed, self.weight_decay * lr)

    def _clip_gradients(self, grads: list, plan: Plan | None = None) -> list:
        if plan is None:
            grads = [torch.as_tensor(grad) for grad in grads]
        if self.clipvalue and self.clipvalue > 0:
            return clipping.clip_by_value(grads, self.clipvalue)
        clip = clipping.clip_by_norm if self.clipnorm else clipping.clip_by_global_norm
        limit = self.clipnorm or self.global_clipnorm
        if not limit or limit <= 0:
            return grads
        return clip(
            grads, limit, clipping.norms_of(plan.whole(grads, plan.variables) if plan and plan.sharded else grads)
        )

    @property
    def _model_variables_moving_average(self) -> list:
        """The averages of the variables, with `use_ema` (Keras's name: callbacks of users read it)."""
        return self._slots.get("average", [])

    @property
    def _accumulated_gradients(self) -> list:
        return self._slots.get("gradient_accumulator", [])

    def finalize_variable_values(self, var_list: Sequence) -> None:
        """End training: apply gradients that wait for more; with `use_ema`, make the averages the variables' values.

        Raises:
            ValueError: these are not as many variables as the optimizer was built with.
        """
        self.apply_accumulated_gradients()
        if not self.use_ema:
            return
        kept = self._model_variables_moving_average
        if len(var_list) != len(kept):
            raise ValueError(
                f"There must be an average for each variable; received {len(var_list)} variables, "
                f"the optimizer {self.name!r} has {len(kept)} averages. Was it used on this model?"
            )
        for variable, average in zip(var_list, kept):
            if average is not None:
                slots.assign(variable, average)

    def scale_loss(self, loss: Any) -> Any:
        """The loss to take the gradients of: times `loss_scale_factor`, if there is one."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def exclude_from_weight_decay(
        self, var_list: Iterable | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave variables out of weight decay.

        Args:
            var_list: the variables themselves.
            var_names: regular expressions; a variable in whose name one is found is left out.
        """
        self._undecayed = {id(v) for v in var_list or ()}
        self._undecayed_names = re.compile("|".join(set(var_names))) if var_names else None
        self._reset_plans()

    def uses_weight_decay(self, variable: Any) -> bool:
        """Whether weight decay shrinks the variable."""
        if id(variable) in self._undecayed:
            return False
        pattern = self._undecayed_names
        return pattern is None or pattern.search(str(getattr(variable, "name", None) or "")) is None

    def stateless_apply(self, optimizer_variables: Sequence, grads: Sequence, trainable_variables: Sequence) -> tuple:
        """The values that `apply` would give, computed on copies.

        Args:
            optimizer_variables: values in the place of `self.variables`.
            grads: the gradients.
            trainable_variables: values in the place of the variables that the optimizer was built with.

        Returns:
            The new values of the trainable variables, and those of the optimizer's.

        Raises:
            ValueError: the optimizer isn't built, or the lists have other lengths.
        """
        if not self.built:
            raise ValueError(
                f"stateless_apply() needs the variables of {self.name!r}; call optimizer.build(variables) first."
            )
        mine, theirs = self.variables, self._trainable_variables
        if len(optimizer_variables) != len(mine) or len(trainable_variables) != len(theirs):
            raise ValueError(
                f"There must be {len(mine)} values for the optimizer's variables, {len(theirs)} for the others. "
                f"Received: {len(optimizer_variables)} and {len(trainable_variables)}."
            )
        copies = {id(v): stateless.copy_of(v, value) for v, value in zip(mine, optimizer_variables)}
        copies |= {id(v): stateless.copy_of(v, value) for v, value in zip(theirs, trainable_variables)}
        twin = stateless.twin(self, copies)
        twin.apply(grads)
        return stateless.plain(twin._trainable_variables), stateless.plain(twin.variables)

    # -- files

    def get_config(self) -> dict[str, Any]:
        config = config_of(self)
        rate = self._learning_rate
        config["learning_rate"] = float(rate) if isinstance(rate, Variable) else serialize_keras_object(rate)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = deserialize_keras_object(config["learning_rate"], custom_objects=custom_objects)
        return cls(**config)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_plan": None, "_plans": {}, "_index": {}}

    def set_weights(self, weights: Sequence) -> None:
        super().set_weights(weights)
        self._forget_accumulated_weight()

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        self._forget_accumulated_weight()

    def _forget_accumulated_weight(self) -> None:
        """The gradients in the accumulators are others now, which count like the next ones."""
        if self._counts_on_device:
            self._accumulated_weight.fill_(accumulation.UNKNOWN)  # type: ignore[union-attr]
        else:
            self._accumulated_weight = None
        self._pending = ()

    def __setstate__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)
        self._bind(self._trainable_variables)


def _number(rate: Any) -> Any:
    """A rate as a Python number, unless it lies on a device."""
    if isinstance(rate, torch.Tensor) and (rate.device.type != "cpu" or torch.compiler.is_compiling()):
        return rate
    return float(rate)
