"""The base of optimizers: Keras's arguments, variables and files; one kernel call for all weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import is_
from typing import Any

import torch

from torchkeras.core import naming, settings
from torchkeras.core.config.configurable import config_of
from torchkeras.core.config.keywords import accepted_keywords
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.nearest_names import candidates
from torchkeras.core.registry import is_own
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import Number, Store
from torchkeras.core.user_warnings import warn_user
from torchkeras.core.variables.variable import Variable
from torchkeras.optimizers import accumulation, clipping, planning, slots, stateless
from torchkeras.optimizers.arguments import LearningRate, check_arguments
from torchkeras.optimizers.arguments import OptimizerArguments as OptimizerArguments
from torchkeras.optimizers.in_graph import AppliesInGraph
from torchkeras.optimizers.parameter_group import ParameterGroup, Plan, to_parameter
from torchkeras.optimizers.rate_and_count import as_number
from torchkeras.optimizers.reversible import SavedValues
from torchkeras.optimizers.updates import MakesUpdates


class Optimizer(MakesUpdates, AppliesInGraph):
    """Base class of optimizers: it changes variables by their gradients.

    One step is `apply(grads, variables)`:

        unscale the gradients, or add them to those of the steps before
        clip them, shrink the weights (weight decay), update all of them
        move the averages (EMA), apply the weights' constraints, count the step

    A new algorithm names its state in `slot_groups` and defines `update_many` for lists of tensors; or, as in Keras, it
    makes its variables in `build` and defines `update_step` for one variable.

    Args:
        learning_rate: a float, a `LearningRateSchedule`, or a callable without arguments that returns the rate.
        weight_decay: each step first subtracts `weight_decay * learning_rate` times the weight from the weight.
            Default: `None`.
        clipnorm: limit of the 2-norm of each gradient. Default: `None`.
        clipvalue: limit of the size of each element of the gradients. Default: `None`.
        global_clipnorm: limit of the 2-norm of all gradients together. Default: `None`.
        use_ema: whether to keep an exponential moving average (EMA) of the weights. Default: `False`.
        ema_momentum: part of the old average in the new one, from 0 to 1. Default: `0.99`.
        ema_overwrite_frequency: number of steps after which the averages replace the weights; `None` does so at the end
            of `fit` only. Default: `None`.
        loss_scale_factor: number that the loss is multiplied by and the gradients are divided by. Default: `None`.
        gradient_accumulation_steps: number of calls of `apply` that make one update, by the mean of their gradients
            weighted by `batch_weight`. Schedules, EMA, constraints and `iterations` count updates, not calls. Default:
            `None`.
        name: name of the optimizer; `None` derives it from the name of the class. Default: `None`.
        **kwargs: `low_precision_update`, how bfloat16 or float16 weights are updated so that small changes are not
            rounded away. `"master_weights"`: float32 copies of them take the updates and are part of the state.
            `"stochastic_rounding"` (bfloat16): updates are computed in float32 and rounded up or down at random. Both
            keep the state in float32. Default: `None`, all in the weights' type, as in Keras. (`decay` has no effect.)

    Raises:
        ValueError: an argument is unknown, or its value is not allowed.

    Example:
        >>> class SignDescent(keras.optimizers.Optimizer):
        ...     def update_step(self, gradient, variable, learning_rate):
        ...         self.assign_sub(variable, learning_rate * torch.sign(gradient))
        >>> optimizer = SignDescent(learning_rate=0.5)
        >>> weight = keras.Variable(2.0)
        >>> optimizer.apply([torch.tensor(3.0)], [weight])
        >>> float(weight), int(optimizer.iterations)
        (1.5, 1)
    """

    _tk_config_base = True
    _algorithm: type
    _tk_apply_again = AppliesInGraph._tk_apply_plan_again  # as `apply` below does it

    def __init__(
        self,
        learning_rate: LearningRate,
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
        **kwargs: object,
    ) -> None:
        if kwargs.pop("decay", None) is not None:
            warn_user("The argument `decay` has no effect; give a schedule as `learning_rate`.")
        self.low_precision_update = kwargs.pop("low_precision_update", None)  # type: ignore[assignment]
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
            self._learning_rate = self._add_number("learning_rate", learning_rate, torch_dtype(settings.floatx()))  # type: ignore[assignment]
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
        cls._algorithm = algorithm
        cls._uses_update_step = algorithm is not Optimizer and "update_step" in algorithm.__dict__

    # -- what a subclass defines

    def slot_groups(self) -> list[dict[str, float]]:
        """Name the state that each variable needs, with its first value.

        Returns:
            Dicts from names to first values. In files the slots of a group lie side by side: all of the first
            variable's, then the second's, and so on.
        """
        return []

    def update_many(self, group: ParameterGroup, grads: list[Any], lr: Number, step: Number) -> None:
        """Update the parameters of a group in place, by one call of a kernel for all of them if possible.

        Args:
            group: parameters of one device and dtype, with their slots. A large model has several groups.
            grads: their gradients.
            lr: learning rate: a float, or a tensor without dimensions if it lies on a device or is compiled.
            step: number of this update, counted from 1: an int, or such a tensor.

        Raises:
            NotImplementedError: the class defines neither this nor `update_step`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update_many() or update_step().")

    def update_step(self, gradient: torch.Tensor, variable: torch.Tensor, learning_rate: Number) -> None:
        """Update one variable: Keras's way of defining an algorithm.

        Args:
            gradient: its gradient.
            variable: the variable.
            learning_rate: rate of this step.
        """
        group = self._plan_of((self._get_variable_index(variable),)).groups[0]
        with torch.no_grad():
            updates = self._count() // (self.gradient_accumulation_steps or 1)
            step = (updates + 1).double() if isinstance(updates, torch.Tensor) else updates + 1
            self.update_many(group, [to_parameter(gradient, variable)], as_number(learning_rate), step)

    def _tk_kind_of(self, variable: torch.Tensor) -> Any:
        """Return the case of a variable, for algorithms that treat some variables in another way.

        Args:
            variable: the variable.

        Returns:
            A hashable value; variables of one value are updated together.
        """
        return None

    # -- variables

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        """Make the optimizer's own variables for the variables that it will change.

        Args:
            variables: the model's trainable variables.
        """
        if self.built:
            return
        variables = list(variables)
        self._bind(variables)
        if self.use_ema:
            self._slots["average"] = self.add_optimizer_variables(variables, "average")
        if self.gradient_accumulation_steps:
            name = "gradient_accumulator"
            self._slots[name] = [self.add_variable_from_reference(v, name) for v in variables]
        self._slots.update(planning.make_masters(self, variables))
        for names in self.slot_groups():
            self._slots.update(zip(names, self.add_optimizer_variables(variables, list(names), list(names.values()))))
        self.built = True

    def _bind(self, variables: list) -> None:
        self._trainable_variables = variables
        self._index = {id(v): i for i, v in enumerate(variables)}
        self._reset_plans()
        can_skip = type(self)._tk_can_skip is not Optimizer._tk_can_skip and not self._uses_update_step
        special = any(getattr(v, "constraint", None) is not None or planning.is_overwritten(v) for v in variables)
        self._skips_alone = can_skip and not special
        # Of an algorithm of the user's nobody knows whether it looks at a weight as a whole.
        self._cuts_weights = self.elementwise and not self._uses_update_step and is_own(type(self)._algorithm)

    def _tk_replace_variables(
        self, replaced: Mapping[int, torch.Tensor], layouts: Mapping[int, Callable[[torch.Tensor], torch.Tensor]] = {}
    ) -> None:
        """Take other tensors for variables, such as their parts on several ranks; the state follows.

        Args:
            replaced: the new tensors by the `id` of the old ones.
            layouts: by the `id` of the old tensor, the view (such as a transposition) that makes the new tensor's
                layout of its layout, where it is another one. Default: none.
        """
        if not self.built:
            return
        planning.change_layouts(self, layouts)
        variables = [replaced.get(id(v), v) for v in self._trainable_variables]
        self._undecayed = {id(replaced[i]) if i in replaced else i for i in self._undecayed}
        planning.move_state(self, variables)
        self._bind(variables)

    def _get_variable_index(self, variable: torch.Tensor) -> int:
        return self._index[id(variable)]

    # -- the step

    def apply_gradients(self, grads_and_vars: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Any:
        """Update variables by pairs of gradients and variables.

        Args:
            grads_and_vars: pairs `(gradient, variable)`.

        Returns:
            The number of calls so far.

        Raises:
            ValueError: as for `apply`.
        """
        grads, variables = zip(*grads_and_vars)
        self.apply(list(grads), list(variables))
        return self._iterations

    def apply(self, grads: Sequence[Any], trainable_variables: Iterable[torch.Tensor] | None = None) -> None:
        """Update the variables by their gradients.

        Args:
            grads: a tensor for each variable; a variable whose gradient is `None` is left as it is.
            trainable_variables: the variables; `None` means those that the optimizer was built with. The first call
                builds it. Default: `None`.

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

    def _tk_apply_if(self, wanted: torch.Tensor, grads: Sequence[Any], variables: list[Any]) -> None:
        """Call `apply` if a flag on the device is true, without waiting for it.

        Args:
            wanted: boolean tensor without dimensions, on the device of `_tk_count_on`.
            grads: a tensor for each variable.
            variables: the variables.
        """
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

    def _tk_can_skip(self, group: ParameterGroup, lr: Number) -> bool:
        """Return whether the update itself leaves everything unchanged where the flag `_wanted` is false.

        Args:
            group, lr: as for `update_many`.
        """
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

    def _clip_gradients(self, grads: list) -> list:
        grads = [torch.as_tensor(grad) for grad in grads]
        return clipping.clip(grads, self.clipvalue, self.clipnorm, self.global_clipnorm)

    @property
    def _model_variables_moving_average(self) -> list:
        """The averages of the variables, with `use_ema` (Keras's name, which callbacks of users read)."""
        return self._slots.get("average", [])

    @property
    def _accumulated_gradients(self) -> list:
        return self._slots.get("gradient_accumulator", [])

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """End training: apply accumulated gradients; with `use_ema`, set the variables to their averages.

        Args:
            var_list: the variables, in the order in which the optimizer was built with them.

        Raises:
            ValueError: these are not as many variables as the optimizer was built with.
        """
        self._tk_apply_accumulated_gradients()
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

    def scale_loss(self, loss: torch.Tensor) -> Any:
        """Multiply a loss by `loss_scale_factor`, if there is one.

        Args:
            loss: the loss, a tensor.

        Returns:
            The loss to compute gradients of.
        """
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def stateless_apply(self, optimizer_variables: Sequence, grads: Sequence, trainable_variables: Sequence) -> tuple:
        """Compute the values that `apply` would give, on copies.

        Args:
            optimizer_variables: values in the place of `self.variables`.
            grads: the gradients.
            trainable_variables: values in the place of the variables that the optimizer was built with.

        Returns:
            The new values of the trainable variables, and those of the optimizer's variables.

        Raises:
            ValueError: the optimizer is not built, or the lists have other lengths.
        """
        if not self.built:
            raise ValueError(
                f"stateless_apply() needs the variables of {self.name!r}; call optimizer.build(variables) first."
            )
        return stateless.apply(self, optimizer_variables, grads, trainable_variables)

    # -- files

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON-ready values."""
        config = config_of(self)
        if self.low_precision_update is not None:
            config["low_precision_update"] = self.low_precision_update
        rate = self._learning_rate
        config["learning_rate"] = float(rate) if isinstance(rate, Variable) else serialize_keras_object(rate)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Make an optimizer from its config.

        Args:
            config: result of `get_config`.
            custom_objects: classes and functions by name, beside the registered ones. Default: `None`.

        Returns:
            The optimizer.
        """
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = deserialize_keras_object(config["learning_rate"], custom_objects=custom_objects)
        return cls(**config)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_plan": None, "_plans": {}, "_index": {}, "_sites": []}

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the values of the optimizer's variables.

        Args:
            weights: arrays or tensors, in the order of `variables`.

        Raises:
            ValueError: the optimizer is not built.
        """
        super().set_weights(weights)
        self._forget_accumulated_weight()

    def load_own_variables(self, store: Store) -> None:
        """Read the state from a store of arrays.

        Args:
            store: mapping from "0", "1", ... to arrays.
        """
        super().load_own_variables(store)
        self._forget_accumulated_weight()

    def _forget_accumulated_weight(self) -> None:
        """Give the accumulated gradients, which were replaced, the weight of the next ones."""
        if self._counts_on_device:
            self._accumulated_weight.fill_(accumulation.UNKNOWN)  # type: ignore[union-attr]
        else:
            self._accumulated_weight = None
        self._pending = ()

    def __setstate__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)
        self._bind(self._trainable_variables)
