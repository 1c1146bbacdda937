"""torch's own optimizers and learning rate schedulers with the interface of an `Optimizer`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch.compiler import is_dynamo_compiling
from torch.optim.lr_scheduler import LRScheduler

from torchkeras.core import naming
from torchkeras.core.config.keywords import ChecksKeywords
from torchkeras.core.registry import register_public
from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.core.types import Number, Store
from torchkeras.core.variables.variable import Variable
from torchkeras.optimizers import torch_config
from torchkeras.optimizers.fused_torch_step import fused_where_possible
from torchkeras.optimizers.in_graph import AppliesInGraph
from torchkeras.optimizers.slots import assign, place_like, whole


class TorchOptimizer(AppliesInGraph, ChecksKeywords):
    """Use a `torch.optim.Optimizer` in the place of one of Keras's.

    Args:
        optimizer: an instance, a class, or a function from a list of parameters to an instance. The parameters of a
            model have a `path` such as `"dense/kernel"`, by which the function may put them into groups.
        scheduler: object with `step()`, or function from the torch optimizer to one. Default: `None`.
        interval: when the scheduler steps: after each `"batch"`, or after each `"epoch"` of `fit`. Default: `"batch"`.
        monitor: name of the metric that a scheduler such as `ReduceLROnPlateau` gets after an epoch. Default:
            `"val_loss"`.
        name: name of the optimizer; `None` derives it from the name of the class. Default: `None`.

    Raises:
        ValueError: an argument is none of these.

    Example:
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile(torch.optim.Adam(model.parameters(), lr=0.1), loss="mse")
        >>> model.optimizer.learning_rate
        0.1
    """

    built = False
    use_ema = False
    loss_scale_factor = None
    gradient_accumulation_steps = None
    _tk_accumulates = False
    _tk_batch_weight: float | torch.Tensor | None = None

    def __init__(
        self,
        optimizer: torch.optim.Optimizer | Callable[[list[Any]], torch.optim.Optimizer],
        scheduler: LRScheduler | Callable[[torch.optim.Optimizer], LRScheduler] | None = None,
        interval: str = "batch",
        monitor: str = "val_loss",
        name: str | None = None,
    ) -> None:
        if interval not in ("batch", "epoch"):
            raise ValueError(f"interval must be 'batch' or 'epoch'; received {interval!r}.")
        self.interval = interval
        self.monitor = monitor
        self.optimizer: torch.optim.Optimizer | None = None
        self._make: Callable[[list], torch.optim.Optimizer] | None = None
        self.scheduler: Any = scheduler
        kind = optimizer
        if isinstance(optimizer, torch.optim.Optimizer):
            self.optimizer, kind = optimizer, type(optimizer)
        elif callable(optimizer):
            self._make = optimizer
        else:
            raise ValueError(
                f"optimizer must be a torch optimizer or a function that makes one; received {optimizer!r}."
            )
        self.name = name or naming.auto_name(getattr(kind, "__name__", "TorchOptimizer").strip("<>"))
        count = torch.zeros((), dtype=torch.int32, device="cpu")
        with naming.name_scope(self.name):
            self._iterations = Variable(count, trainable=False, name="iteration")
        self._trainable_variables: list[Any] = []
        self._wanted_rate: float | None = None

    # -- variables

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        """Make the torch optimizer, if a function for it was given, and check that it holds the variables.

        Args:
            variables: the model's trainable variables.

        Raises:
            ValueError: it was made with other parameters.
        """
        if self.built:
            return
        self._trainable_variables = list(variables)
        if self.optimizer is None:
            self.optimizer = self._make(self._trainable_variables)
        known = {id(p) for p in self._parameters()}
        strange = [v for v in self._trainable_variables if id(v) not in known]
        if strange:
            raise ValueError(
                f"The torch optimizer must hold the model's parameters; {len(strange)} of "
                f"{len(self._trainable_variables)} are unknown to it, such as {_describe(strange[0])}. "
                "Make it of model.parameters() after the model is built, or give its class or a function."
            )
        if callable(self.scheduler) and not hasattr(self.scheduler, "step"):
            self.scheduler = self.scheduler(self.optimizer)
        self.built = True
        if self._wanted_rate is not None:
            self.learning_rate = self._wanted_rate

    def _parameters(self) -> list[Any]:
        groups = self.optimizer.param_groups if self.optimizer is not None else []
        return [p for group in groups for p in group["params"]]

    def _known(self) -> list[Any]:
        """The parameters in the order in which they are known by number."""
        return self._trainable_variables if self.built else self._parameters()

    def _state(self) -> list[tuple[str, torch.Tensor]]:
        """The tensors of torch's state with their names, in the order of the parameters."""
        found = []
        for i, parameter in enumerate(self._known()):
            state = self.optimizer.state.get(parameter, {})
            found += [(f"{i}/{key}", value) for key, value in sorted(state.items()) if isinstance(value, torch.Tensor)]
        return found

    @property
    def variables(self) -> list[Any]:
        """The step count and the tensors of torch's state."""
        return [self._iterations, *(value for _, value in self._state())]

    @property
    def iterations(self) -> Any:
        """The number of updates so far."""
        return self._iterations

    @property
    def learning_rate(self) -> Any:
        """The rate of the first parameter group. Setting it sets that of all groups."""
        return self.optimizer.param_groups[0]["lr"] if self.optimizer is not None else self._wanted_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Number) -> None:
        self._wanted_rate = float(learning_rate)
        for group in self.optimizer.param_groups if self.optimizer is not None else []:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(self._wanted_rate)
            else:
                group["lr"] = self._wanted_rate

    # -- the step

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> Any:
        """Update variables by pairs of gradients and variables.

        Args:
            grads_and_vars: pairs `(gradient, variable)`.

        Returns:
            The number of updates so far.
        """
        grads, variables = zip(*grads_and_vars)
        self.apply(list(grads), list(variables))
        return self._iterations

    def apply(self, grads: Sequence[Any], trainable_variables: Iterable[torch.Tensor] | None = None) -> None:
        """Let torch update the parameters by these gradients, then step the scheduler.

        Args:
            grads: a tensor for each variable, or `None`.
            trainable_variables: the variables; `None` means those that the optimizer was built with. Default: `None`.

        Raises:
            ValueError: every gradient is `None`, or their number is wrong.
        """
        if trainable_variables is not None and not self.built:
            self.build(trainable_variables)
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        if len(grads) != len(variables) or not self.built:
            raise ValueError(
                f"There must be a gradient for each variable; received {len(grads)} gradients for {len(variables)} "
                f"variables{'' if self.built else '; call build(variables) first'}."
            )
        if any(v is not known for v, known in zip(variables, self._trainable_variables)):
            self._rebind(variables)
        if all(g is None for g in grads):
            raise ValueError("No gradients provided for any variable: each of the gradients is None.")
        for variable, grad in zip(variables, grads):
            if variable.grad is not grad:
                variable.grad = grad
        with self._hiding_others(variables), fused_where_possible(self.optimizer):
            self.optimizer.step()
        if self.scheduler is not None and self.interval == "batch":
            self.scheduler.step()
        with torch.no_grad():
            self._iterations.add_(1)

    def _tk_apply_accumulated_gradients(self) -> bool:
        """Return `False`: a torch optimizer accumulates no gradients."""
        return False

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the parameters, as torch's `zero_grad` does.

        Args:
            set_to_none: whether to set them to `None` rather than to zeros.
        """
        if is_dynamo_compiling() and set_to_none:  # torch's own function is not traced
            for parameter in self._trainable_variables:
                parameter.grad = None
        elif self.optimizer is not None:
            self.optimizer.zero_grad(set_to_none)

    def step(self) -> None:
        """`apply` with the gradients that the parameters have: torch's `step()`, then the scheduler's.

        Raises:
            ValueError: the optimizer is not built, or no parameter has a gradient.
        """
        self.apply([variable.grad for variable in self._trainable_variables])

    def end_epoch(self, logs: dict[str, Any]) -> None:
        """Step a scheduler that goes by epochs; `fit` calls this with the epoch's metrics.

        Args:
            logs: the values of the epoch by name.

        Raises:
            ValueError: the scheduler needs a metric that is not in `logs`.
        """
        if self.scheduler is None or self.interval != "epoch":
            return
        if not isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step()
        elif self.monitor in logs:
            self.scheduler.step(float(logs[self.monitor]))
        else:
            raise ValueError(
                f"{type(self.scheduler).__name__} goes by {self.monitor!r}, which this epoch did not give; there are "
                f"{sorted(logs)}. Set TorchOptimizer(monitor=...)."
            )

    def _hiding_others(self, variables: list) -> Any:
        """torch updates every parameter that has a gradient: those of this step alone may have one meanwhile."""
        parameters = self._parameters()
        if len(parameters) == len(variables):
            return nullcontext()
        mine = {id(v) for v in variables}
        return _without_gradients([p for p in parameters if id(p) not in mine])

    def _rebind(self, variables: list) -> None:
        """Take other variables: any that the torch optimizer holds; before the first step a function makes a new one.

        Raises:
            ValueError: the torch optimizer would update none of them.
        """
        known = {id(p) for p in self._parameters()}
        if all(id(v) in known for v in variables):
            return
        if self._make is None or int(self._iterations) > 0 or len(variables) != len(self._trainable_variables):
            raise ValueError(
                f"Unknown variables: the torch optimizer {self.name!r} holds other parameters than those of this step "
                "(sharding a model replaces its parameters). Give a function that makes it, and shard before training."
            )
        self.optimizer, self.built = None, False
        self.build(variables)

    def _tk_replace_variables(self, replaced: Mapping[int, torch.Tensor]) -> None:
        """Take other tensors for variables, such as their parts on several ranks; torch's state follows.

        Args:
            replaced: the new tensors by the `id` of the old ones.
        """
        self._trainable_variables = [replaced.get(id(v), v) for v in self._trainable_variables]
        if self.optimizer is None:
            return
        for group in self.optimizer.param_groups:
            for i, old in enumerate(group["params"]):
                new = replaced.get(id(old))
                if new is None:
                    continue
                group["params"][i] = new
                state = self.optimizer.state.pop(old, None)
                if state is not None:
                    self.optimizer.state[new] = {key: _beside(value, old, new) for key, value in state.items()}

    def _tk_forget_variables(self, gone: Collection[int]) -> None:
        """Drop variables that the model no longer has, and torch's state for them.

        Args:
            gone: the `id` of each of these variables; ids of other variables have no effect.
        """
        self._trainable_variables = [v for v in self._trainable_variables if id(v) not in gone]
        for group in [] if self.optimizer is None else self.optimizer.param_groups:
            for parameter in group["params"]:
                if id(parameter) in gone:
                    self.optimizer.state.pop(parameter, None)
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in gone]

    def scale_loss(self, loss: torch.Tensor) -> Any:
        """Return the loss as it is.

        Args:
            loss: the loss, a tensor.
        """
        return loss

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """Do nothing: at the end of training a torch optimizer needs no last step.

        Args:
            var_list: the variables.
        """

    # -- files

    def save_own_variables(self, store: Store) -> None:
        """Write the step count, the rates, and torch's state tensors into a store as arrays.

        Args:
            store: mapping that takes them under "iteration", "learning_rate", and "state.<index of the parameter>.<name
                in torch>".
        """
        store["iteration"] = np.array(convert_to_numpy(self._iterations))
        if self.optimizer is None:
            return
        rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        store["learning_rate"] = convert_to_numpy(torch.tensor(rates, dtype=torch.float64))
        for name, value in self._state():
            as_it_is = getattr(store, "takes_parts", False)
            store[f"state/{name}".replace("/", ".")] = value if as_it_is else np.array(convert_to_numpy(whole(value)))

    def load_own_variables(self, store: Store) -> None:
        """Read the state from a store of arrays.

        Args:
            store: mapping such as `save_own_variables` fills.

        Raises:
            ValueError: a tensor has another shape than its parameter, or a parameter does not exist.
        """
        if self.optimizer is None:
            raise ValueError(f"The optimizer {self.name!r} must be built before its state can be loaded.")
        parameters = self._known()
        found: dict[int, dict[str, torch.Tensor]] = {}
        for key in store.keys():
            if key.startswith("state."):
                _, index, name = key.split(".", 2)
                position = int(index)
                if position >= len(parameters):
                    raise ValueError(f"{key!r} belongs to no parameter: the optimizer has {len(parameters)}.")
                shape, parameter = tuple(store[key].shape), parameters[position]
                if not _fits(shape, tuple(parameter.shape)):
                    raise ValueError(
                        f"{key!r} must have the shape {tuple(parameter.shape)}, or 1 in place of sizes, or (); it has "
                        f"{shape}."
                    )
                found.setdefault(position, {})[name] = self._placed(store[key], parameter, shape)
        for position, state in found.items():
            self.optimizer.state[parameters[position]].update(state)
        for group, rate in zip(
            self.optimizer.param_groups, store["learning_rate"][()] if "learning_rate" in store else ()
        ):
            group["lr"] = float(rate)
        assign(self._iterations, store["iteration"][()])

    def _placed(self, value: np.ndarray, parameter: torch.Tensor, shape: tuple) -> torch.Tensor:
        """A state tensor beside its parameter; a step count where torch keeps it."""
        tensor = torch.tensor(value[()])
        if shape == () and parameter.dim() > 0:
            group = self.optimizer.param_groups[0]
            on_device = group.get("fused") or group.get("capturable")
            return tensor.to(parameter.device) if on_device else tensor
        return place_like(tensor.to(dtype=parameter.dtype), parameter)

    def get_config(self) -> dict[str, Any]:
        """Return torch's class, hyperparameters by group, and the scheduler's state, as JSON-ready values.

        Raises:
            ValueError: a function is to make the optimizer and was not called yet, or something in it is no plain
                value.
        """
        try:
            return {"name": self.name, "interval": self.interval, "monitor": self.monitor, **self._described()}
        except ValueError as error:
            raise ValueError(f"The torch optimizer {self.name!r} can't be described: {error}.") from error

    def _described(self) -> dict[str, Any]:
        scheduler = self.scheduler
        if isinstance(scheduler, _LateScheduler):
            scheduler = scheduler.config
        elif scheduler is not None:
            scheduler = torch_config.describe_scheduler(scheduler)
        if self.optimizer is not None:
            return {**torch_config.describe(self.optimizer, self._known()), "scheduler": scheduler}
        if isinstance(self._make, torch_config.DescribedOptimizer):
            return {**self._make.config, "scheduler": scheduler}
        if isinstance(self._make, type):
            return {"torch_class": self._make.__name__, "defaults": {}, "groups": None, "scheduler": scheduler}
        raise ValueError("a function makes it when it is built")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TorchOptimizer:
        """Make an optimizer from its config.

        Args:
            config: result of `get_config`.

        Returns:
            The optimizer; torch's own is made when the model's parameters are known.
        """
        config = dict(config)
        name, defaults, groups = (config.pop(key) for key in ("torch_class", "defaults", "groups"))
        scheduler = config.pop("scheduler")
        make = (
            torch_config.optimizer_class(name)
            if groups is None
            else torch_config.DescribedOptimizer(name, defaults, groups)
        )
        return cls(make, scheduler=None if scheduler is None else _LateScheduler(scheduler), **config)


class _LateScheduler:
    """Makes a scheduler as it was described."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def __call__(self, optimizer: torch.optim.Optimizer) -> Any:
        return torch_config.make_scheduler(self.config, optimizer)


register_public(TorchOptimizer, "torchkeras.optimizers")


def _beside(value: Any, old: torch.Tensor, new: torch.Tensor) -> Any:
    """A state tensor of the shape of its parameter, laid out like the new parameter."""
    is_alike = isinstance(value, torch.Tensor) and value.shape == old.shape and value.dim()
    return place_like(value, new) if is_alike else value


@contextmanager
def _without_gradients(parameters: list) -> Iterator[None]:
    kept = [p.grad for p in parameters]
    for parameter in parameters:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, grad in zip(parameters, kept):
            parameter.grad = grad


def _fits(shape: tuple, whole: tuple) -> bool:
    """Whether state of the shape can belong to a parameter: some optimizers keep rows or columns alone."""
    return shape == () or (len(shape) == len(whole) and all(a in (1, b) for a, b in zip(shape, whole)))


def _describe(tensor: torch.Tensor) -> str:
    return f"{getattr(tensor, 'path', None) or 'one'} of shape {tuple(tensor.shape)}"
