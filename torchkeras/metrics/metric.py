"""The base of all metrics: a number of a stream of batches, with state on a device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch

from torchkeras.core import naming, settings, tree
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.state import state
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.devices import parse_device
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import ArrayLike, DeviceLike, Identifier, T
from torchkeras.core.variables.variable import Variable
from torchkeras.dtype_policies import get as get_policy
from torchkeras.dtype_policies.policy import PolicyLike


class Metric(Configurable):
    """Base class of metrics: `update_state` adds a batch, `result` computes the value, `reset_state` starts over.

    The state consists of variables on a device. An update only adds to them there and never waits for the device;
    `result` is a tensor. The state follows batches to their device. The state of the metrics of this package consists
    of sums over samples (`aggregation="sum"`): the sum of the variables of several processes, given to
    `stateless_result`, is the value over all of them.

    Subclasses make variables with `add_variable` and define `update_state` and `result`.

    Args:
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.

    Example:
        >>> class Positives(keras.metrics.Metric):
        ...     def __init__(self, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.count = self.add_variable(shape=(), initializer="zeros", name="count")
        ...
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.count.assign_add((y_pred > 0).sum())
        ...
        ...     def result(self):
        ...         return self.count
        >>> metric = Positives(name="positives")
        >>> metric.update_state(None, torch.tensor([-1.0, 2.0, 3.0]))
        >>> float(metric.result())
        2.0
    """

    keras_module = "keras.metrics"

    _tk_config_keys: tuple[str, ...] = ()
    """Constructor arguments that the config holds beside `name` and `dtype`."""
    _tk_optional_config_keys: tuple[tuple[str, Any], ...] = ()
    """Arguments that Keras's configs leave out, with their defaults; ours hold them where they differ from those."""
    _direction: str | None = None
    """Whether more is better ("up") or worse ("down"), where that is known."""

    def __init__(self, dtype: PolicyLike | None = None, name: str | None = None) -> None:
        self.name = name or naming.auto_name(type(self).__name__)
        self._dtype = get_policy(dtype or settings.floatx()).compute_dtype
        self._torch_dtype = torch_dtype(self._dtype)
        self._metrics: list[Metric] = []
        self._variables: list[Variable] = []

    @property
    def dtype(self) -> str:
        """The name of the type in which the metric is computed."""
        return self._dtype

    # -- what a metric does

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch. Subclasses define it.

        Args:
            *args: usually `y_true` and `y_pred`, and `sample_weight`.
            **kwargs: the same by name.

        Raises:
            NotImplementedError: the class does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement update_state().")

    def result(self) -> Any:
        """Compute the value of all batches since the last reset. Subclasses define it.

        Returns:
            A scalar tensor, or a dict of them.

        Raises:
            NotImplementedError: the class does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement result().")

    def reset_state(self) -> None:
        """Set all variables to 0."""
        for variable in self.variables:
            if state.stateless is not None:
                variable.assign(torch.zeros_like(variable))
            else:
                with torch.no_grad():
                    variable.zero_()

    def __call__(self, *args: object, **kwargs: Any) -> Any:
        """Add a batch and return the value so far.

        Args:
            *args: positional arguments of `update_state`.
            **kwargs: arguments of `update_state` by name.

        Returns:
            The result, with this batch.
        """
        self._check_initialized()
        self.update_state(*args, **kwargs)
        return self.result()

    # -- state

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Identifier | None,
        dtype: PolicyLike | None = None,
        aggregation: str | None = "sum",
        name: str | None = None,
    ) -> Variable:
        """Make a variable of the state.

        Args:
            shape: sizes of the axes.
            initializer: name, or callable `(shape, dtype)`; `None` means zeros.
            dtype: dtype of the variable; `None` means `keras.config.floatx()`. Default: `None`.
            aggregation: how the values of several processes are combined. Default: `"sum"`.
            name: name of the variable. Default: `None`.

        Returns:
            The variable.

        Raises:
            RuntimeError: the constructor of the base class was not called yet.
        """
        self._check_initialized()
        if initializer is None or initializer in ("zeros", "Zeros"):
            initializer = zeros
        # State that is made while predicting must still take updates elsewhere.
        with torch.inference_mode(False), naming.name_scope(self.name.replace("/", ">"), caller=self):
            variable = Variable(initializer, tuple(shape), dtype, trainable=False, aggregation=aggregation, name=name)
        self._variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: tuple[int | None, ...] | list[Any] = (),
        initializer: Identifier | None = None,
        dtype: PolicyLike | None = None,
        name: str | None = None,
    ) -> Variable:
        """Make a variable of the state, whose values are summed over processes.

        Args:
            shape: sizes of the axes. Default: `()`.
            initializer: name, or callable `(shape, dtype)`; `None` means zeros. Default: `None`.
            dtype: dtype of the variable; `None` means `keras.config.floatx()`. Default: `None`.
            name: name of the variable. Default: `None`.

        Returns:
            The variable.
        """
        return self.add_variable(shape=shape, initializer=initializer, dtype=dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """The variables of the state: its own, then those of the metrics that it holds."""
        variables, metrics = list(self._variables), list(self._metrics)
        for name, value in self.__dict__.items():
            if isinstance(value, (list, tuple, dict)) and name not in ("_variables", "_metrics", "_tk_init_args"):
                for leaf in tree.flatten(value):
                    if isinstance(leaf, (Variable, Metric)):
                        (variables if isinstance(leaf, Variable) else metrics).append(leaf)  # type: ignore[arg-type]
        for metric in metrics:
            variables.extend(metric.variables)
        return list({id(variable): variable for variable in variables}.values())

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The variables of the state; gradients reach none of them."""
        return self.variables

    def to(self, device: DeviceLike) -> Self:
        """Move the state to a device, in place: the variables stay the same objects.

        Args:
            device: device or its name, such as `"cuda:0"`.

        Returns:
            The metric.
        """
        with torch.inference_mode(False):
            for variable in self.variables:
                variable._tk_move(parse_device(device))
        return self

    # -- the same as functions of given values

    def stateless_update_state(self, metric_variables: list[Any], *args: object, **kwargs: Any) -> list[torch.Tensor]:
        """Compute the variables' values after an update; the metric's own state stays.

        Args:
            metric_variables: values of the variables before the update, in the order of `variables`.
            *args: positional arguments of `update_state`.
            **kwargs: arguments of `update_state` by name.

        Returns:
            The values after the update, as tensors.

        Raises:
            ValueError: there are not as many values as variables.
        """
        with self._holding(metric_variables):
            self.update_state(*args, **kwargs)
            return self._values()

    def stateless_result(self, metric_variables: list[Any]) -> Any:
        """Compute the result from given values of the variables; the metric's own state stays.

        Args:
            metric_variables: values of the variables, in the order of `variables`.

        Returns:
            The result.

        Raises:
            ValueError: there are not as many values as variables.
        """
        with self._holding(metric_variables):
            result = self.result()
            own = {variable.untyped_storage().data_ptr() for variable in self.variables}
            return tree.map_structure(lambda x: _unshared(x, own), result)

    def stateless_reset_state(self) -> list[torch.Tensor]:
        """Compute the variables' values after a reset; the metric's own state stays.

        Returns:
            The values, as tensors.
        """
        with self._holding(self._values()):
            self.reset_state()
            return self._values()

    def _values(self) -> list[torch.Tensor]:
        return [variable.detach().clone().as_subclass(torch.Tensor) for variable in self.variables]

    @contextmanager
    def _holding(self, values: list) -> Iterator[None]:
        """Let the variables have the given values inside the block, however a subclass reads and writes them."""
        variables = self.variables
        if len(values) != len(variables):
            raise ValueError(
                f"metric_variables must hold one value for each of the {len(variables)} variables of "
                f"{type(self).__name__}; received {len(values)}."
            )
        before = self._values()
        outer = state.set("stateless", None)
        try:
            for variable, value in zip(variables, values):
                variable.assign(value)
            yield
        finally:
            for variable, value in zip(variables, before):
                variable.assign(value)
            state.set("stateless", outer)

    # -- configs

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON-ready values."""
        config = {"name": self.name, "dtype": self.dtype}
        config.update((key, getattr(self, key)) for key in self._tk_config_keys)
        for key, default in self._tk_optional_config_keys:
            if getattr(self, key) != default:
                config[key] = getattr(self, key)
        return config

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"

    # -- parts for subclasses

    def _as_batch(self, x: ArrayLike, dtype: torch.dtype | None = None) -> torch.Tensor:
        """`x` as a tensor without gradient; an array goes to the device of the state."""
        if not isinstance(x, torch.Tensor):
            return convert_to_tensor(x, dtype, self._variables[0].device if self._variables else None)
        if x.requires_grad:
            x = x.detach()
        return x if dtype is None or x.dtype == dtype else x.to(dtype)

    def _follow(self, x: torch.Tensor) -> bool:
        """Move the state to the device of `x`. `False` if `x` has no values, so that there is nothing to add."""
        if self._variables and self._variables[0].device == x.device:
            return True
        if x.device.type == "meta":
            return False
        self.to(x.device)
        return True

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, (Variable, Metric)) and "_variables" in self.__dict__:
            held = self._variables if isinstance(value, Variable) else self._metrics
            if all(value is not other for other in held):
                held.append(value)  # type: ignore[arg-type]
        super().__setattr__(name, value)

    def _check_initialized(self) -> None:
        if "_variables" not in self.__dict__:
            raise RuntimeError(
                f"You forgot to call `super().__init__()` in the `__init__()` method of metric {type(self).__name__}: "
                f"it must be the first statement there."
            )


def zeros(shape: tuple[int | None, ...], dtype: PolicyLike | None = None) -> torch.Tensor:
    """The initial value of a sum."""
    return torch.zeros(shape, dtype=torch_dtype(dtype or settings.floatx()))


def accumulate(variable: Variable, value: torch.Tensor | float, alpha: float = 1) -> None:
    """Add `alpha * value` to a variable in place: one kernel, no gradient, no waiting."""
    if state.stateless is None:
        # Without alpha where it is 1: dynamo (torch 2.9) can't multiply a symbolic size by it.
        variable.add_(value) if alpha == 1 else variable.add_(value, alpha=alpha)
    else:
        variable.assign_add(value * alpha)


def _unshared(value: T, storages: set[int]) -> T | torch.Tensor:
    """The value, copied where it is a view of one of the storages."""
    if isinstance(value, torch.Tensor) and value.untyped_storage().data_ptr() in storages:
        return value.detach().clone().as_subclass(torch.Tensor)
    return value
