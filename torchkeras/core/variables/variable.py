"""A weight is a tensor: a trainable one an `nn.Parameter`, the others buffers, both with Keras's methods."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.compiler import is_dynamo_compiling

from torchkeras.core import naming, registry
from torchkeras.core.accelerators import is_lazy
from torchkeras.core.state import state
from torchkeras.core.tensors.convert import convert_to_numpy, convert_to_tensor
from torchkeras.core.tensors.devices import current_device, default_device, known_device, with_values
from torchkeras.core.tensors.dtypes import result_type, standardize_dtype, torch_dtype
from torchkeras.core.torch_internals import allow_aliasing_custom_ops, make_subclass
from torchkeras.core.tree import map_structure
from torchkeras.core.variables.described import Described
from torchkeras.core.variables.described import VariableInfo as VariableInfo

_AGGREGATIONS = (None, "none", "mean", "sum", "only_first_replica")


class Variable(Described, torch.Tensor, metaclass=type(nn.Parameter)):  # type: ignore[metaclass, misc]
    """Tensor that keeps a value between calls: a weight, or other state.

    Functions of torch take it as it is, and its `dtype` and `shape` are torch's. A trainable variable is an
    `nn.Parameter`.

    Args:
        initializer: the value, a callable `(shape, dtype)`, or the name of an initializer.
        shape: sizes of the axes, for a callable or a name. Default: `None`.
        dtype: dtype of the value; `None` means that of the given array, else `keras.config.floatx()`. Default: `None`.
        trainable: whether gradients reach it. Default: `True`.
        autocast: whether layers with a mixed dtype policy may cast it when they read it. Default: `True`.
        aggregation: how the values of several processes are combined: `"none"`, `"mean"`, `"sum"` or
            `"only_first_replica"`. Default: `"none"`.
        synchronization: kept for Keras's signature. Default: `"auto"`.
        name: a string without slashes; `None` numbers it. Default: `None`.
        layout: kept for Keras's signature. Default: `None`.
        **options: other arguments of Keras, which have no effect.

    Raises:
        ValueError: `aggregation` is unknown, a callable is given without a shape, or the value has another shape.

    Example:
        >>> step = keras.Variable(0, trainable=False, name="step")
        >>> step.assign_add(2)
        <Variable path=step, shape=(), dtype=int32, value=2>
        >>> kernel = keras.Variable("glorot_uniform", shape=(3, 2))
        >>> torch.nn.functional.linear(torch.ones(4, 3), kernel.T).shape
        torch.Size([4, 2])
    """

    __torch_function__ = nn.Parameter.__torch_function__  # torch functions give plain tensors and take no detour

    def __new__(
        cls,
        initializer: Any,
        shape: tuple | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = "none",
        synchronization: str = "auto",
        name: str | None = None,
        layout: Any = None,
        **options: Any,
    ) -> Variable:
        name = naming.name_or_automatic(name, "Variable")
        if aggregation not in _AGGREGATIONS:
            raise ValueError(f"aggregation must be one of {_AGGREGATIONS}; received {aggregation!r}.")
        value = _initial_value(initializer, shape, dtype)
        trainable = bool(trainable)
        variable = as_variable(value, trainable)
        scope = naming.current_path()
        variable._info = VariableInfo(
            name=name,
            path=f"{scope}/{name}" if scope else name,
            trainable=trainable,
            autocast=autocast,
            aggregation=aggregation or "none",
            initializer=initializer if callable(initializer) else None,
        )
        return variable

    def __init__(
        self,
        initializer: Any,
        shape: tuple[int | None, ...] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = "none",
        synchronization: str = "auto",
        name: str | None = None,
        layout: Any = None,
        **options: Any,
    ) -> None:
        """A tensor is made in `__new__`; here is nothing left to do."""

    # -- Keras's operators where they differ from torch's; arithmetic is torch's own, which costs nothing

    def __and__(self, other: Any) -> torch.Tensor:
        return torch.logical_and(self, self._convert_to_tensor(other))

    def __or__(self, other: Any) -> torch.Tensor:
        return torch.logical_or(self, self._convert_to_tensor(other))

    def __xor__(self, other: Any) -> torch.Tensor:
        return torch.logical_xor(self, self._convert_to_tensor(other))

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    # Torch multiplies no matrices of two types. Python calls a reflected method first where the right side is of a
    # subclass, so that these cost each product half a microsecond.

    def __matmul__(self, other: Any) -> torch.Tensor:
        other = self._tk_from_list(other)
        return torch.matmul(*_in_one_type(self, other)) if isinstance(other, torch.Tensor) else NotImplemented

    def __rmatmul__(self, other: Any) -> torch.Tensor:
        other = self._tk_from_list(other)
        return torch.matmul(*_in_one_type(other, self)) if isinstance(other, torch.Tensor) else NotImplemented

    def __lt__(self, other: Any) -> torch.Tensor:
        return torch.Tensor.__lt__(self, self._tk_from_list(other))

    def __le__(self, other: Any) -> torch.Tensor:
        return torch.Tensor.__le__(self, self._tk_from_list(other))

    def __gt__(self, other: Any) -> torch.Tensor:
        return torch.Tensor.__gt__(self, self._tk_from_list(other))

    def __ge__(self, other: Any) -> torch.Tensor:
        return torch.Tensor.__ge__(self, self._tk_from_list(other))

    def __ne__(self, other: Any) -> torch.Tensor:  # type: ignore[override]
        return torch.Tensor.__ne__(self, self._tk_from_list(other))

    def _tk_from_list(self, value: Any) -> Any:
        return self._convert_to_tensor(value) if isinstance(value, (list, tuple, np.ndarray)) else value

    def __round__(self, ndigits: int | None = None) -> torch.Tensor:
        return torch.round(self, decimals=ndigits or 0)

    # -- values

    @property
    def _value(self) -> Variable:
        """Keras's name for the tensor inside a variable: here the variable itself."""
        return self

    def _convert_to_tensor(self, value: Any, dtype: Any = None) -> torch.Tensor:
        """The value as a tensor on this variable's device."""
        return convert_to_tensor(value, dtype=dtype, device=self.device)

    @property
    def value(self) -> Any:
        """The value: the variable itself, or the value that an open `StatelessScope` has for it."""
        scope = state.stateless
        if scope is not None:
            return scope.current_value(self)
        return self

    def assign(self, value: Any) -> Any:
        """Set the value, in place.

        Args:
            value: array or tensor of the variable's shape.

        Returns:
            The variable; inside a `StatelessScope` the value.

        Raises:
            ValueError: the shapes differ.
        """
        if not isinstance(value, torch.Tensor) or value.dtype != self.dtype or value.device != self.device:
            value = convert_to_tensor(value, dtype=self.dtype, device=self.device)
        if value.shape != self.shape:
            raise ValueError(
                f"The value assigned must have the variable's shape; variable {self.path!r} has "
                f"{tuple(self.shape)}, received {tuple(value.shape)}."
            )
        scope = state.stateless
        if scope is not None:
            scope.add_update((self, value))
            return value
        with torch.no_grad():
            if is_dynamo_compiling():  # Dynamo takes what was changed in place for a plain tensor, without this method
                self.detach().copy_(value)
            else:
                self.copy_(value)
        return self

    def assign_add(self, value: Any) -> Any:
        """Add to the value, in place.

        Args:
            value: array or tensor that broadcasts to the variable's shape.

        Returns:
            The variable; inside a `StatelessScope` the new value.
        """
        return self.assign(torch.add(self.value, convert_to_tensor(value, dtype=self.dtype, device=self.device)))

    def assign_sub(self, value: Any) -> Any:
        """Subtract from the value, in place.

        Args:
            value: array or tensor that broadcasts to the variable's shape.

        Returns:
            The variable; inside a `StatelessScope` the new value.
        """
        return self.assign(torch.sub(self.value, convert_to_tensor(value, dtype=self.dtype, device=self.device)))

    def _tk_move(self, device: torch.device) -> None:
        """Move the value to a device, in place: the variable stays the same object."""
        if is_lazy(self.device) == is_lazy(device):
            self.data = self.data.to(device)
        elif self.device != device:  # torch sets no data of another kind of tensor
            other = as_variable(self.detach().to(device), isinstance(self, nn.Parameter))
            other.requires_grad_(self.requires_grad)
            other.__dict__.update(self.__dict__)
            torch.utils.swap_tensors(self, other)

    def numpy(self, *, force: bool = False) -> np.ndarray:  # type: ignore[override]
        """Copy the value into a NumPy array, from any device and with or without gradients.

        Args:
            force: as in torch; it makes no difference. Default: `False`.

        Returns:
            The array.
        """
        return np.array(convert_to_numpy(self.value))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype)

    def __array_function__(self, func: Callable[..., Any], types: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Run a function of NumPy, such as `np.min`, on the values as arrays; NumPy would call the tensor's method."""
        if isinstance(kwargs.get("out"), Variable):
            return NotImplemented
        args, kwargs = map_structure(_array_of, (args, kwargs))
        return func(*args, **kwargs)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        dtype = standardize_dtype(self.dtype)
        head = f"<Variable path={self.path}, shape={tuple(self.shape)}, dtype={dtype}"
        if self.device.type == "meta":
            return f"{head}, device=meta>"
        return f"{head}, value={np.array2string(convert_to_numpy(self), threshold=20)}>"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.dim() == 0 else super().__format__(spec)

    def __deepcopy__(self, memo: dict) -> Variable:
        if id(self) not in memo:
            other = as_variable(
                self.detach().clone(memory_format=torch.preserve_format), isinstance(self, nn.Parameter)
            )
            other.requires_grad_(self.requires_grad)
            other.__dict__.update(copy.deepcopy(self.__dict__, memo))
            if self.grad is not None:
                other.grad = copy.deepcopy(self.grad, memo)
            memo[id(self)] = other
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple:
        plain = self.detach().as_subclass(torch.Tensor)
        return _restore, (plain, isinstance(self, nn.Parameter), self.requires_grad, self.__dict__)


class TrainableVariable(Variable, nn.Parameter):
    """A variable that is an `nn.Parameter`."""


class BufferVariable(Variable):
    """A variable without gradients: a buffer."""


def _let_parameters_be_made_of_variables() -> None:
    """`nn.Parameter(variable)` gives a plain parameter of the variable's storage, as of another parameter.

    torch refuses subclasses whose `detach()` gives a plain tensor. `torch.nn.utils.parametrizations.weight_norm` makes
    parameters so.
    """
    make = nn.Parameter.__new__

    @functools.wraps(make)
    def new(cls: type, data: Any = None, requires_grad: bool = True) -> nn.Parameter:
        return make(cls, data.detach() if isinstance(data, Variable) else data, requires_grad)

    nn.Parameter.__new__ = staticmethod(new)  # type: ignore[method-assign,assignment]


_let_parameters_be_made_of_variables()
allow_aliasing_custom_ops()  # else no operator runs on a BufferVariable in a compiled graph's first run


def as_variable(tensor: torch.Tensor, parameter: bool, info: VariableInfo | None = None) -> Variable:
    """The same storage as a variable: a parameter or a buffer."""
    if parameter:
        grads = tensor.is_floating_point() or tensor.is_complex()
        variable = make_subclass(TrainableVariable, tensor, grads)
    else:
        variable = make_subclass(BufferVariable, tensor, False)
    if info is not None:
        variable._info = info
    return variable


def _restore(tensor: torch.Tensor, parameter: bool, requires_grad: bool, attributes: dict) -> Variable:
    variable = as_variable(tensor, parameter)
    variable.requires_grad_(requires_grad)
    variable.__dict__.update(attributes)
    return variable


def _initial_value(initializer: Any, shape: Any, dtype: Any) -> torch.Tensor:
    if state.symbolic:
        with with_values():
            return _initial_value(initializer, shape, dtype)
    if isinstance(initializer, str):
        found = registry.lookup("keras.initializers", initializer)
        if found is None:
            raise ValueError(f"initializer must name an initializer; received {initializer!r}.")
        initializer = found() if isinstance(found, type) else found
    if not callable(initializer) or isinstance(initializer, torch.Tensor):
        value = convert_to_tensor(initializer, dtype=dtype, device=_place(initializer))
        if shape is not None and tuple(value.shape) != tuple(shape):
            raise ValueError(f"The initial value must have shape {tuple(shape)}; received {tuple(value.shape)}.")
        return value.detach().clone()
    if shape is None:
        raise ValueError(
            "When creating a Variable from an initializer, the `shape` argument should be specified. Received: "
            f"initializer={initializer} and shape={shape}"
        )
    shape = tuple(int(size) for size in shape)
    if state.memory_limit is not None:
        state.memory_limit.spend_weight(math.prod(shape) * torch_dtype(dtype or standardize_dtype(None)).itemsize)
    place = current_device()
    if state.unfilled is not None:
        empty = state.unfilled.make(initializer, shape, torch_dtype(dtype or standardize_dtype(None)), place)
        if empty is not None:
            return empty
    with default_device(place), known_device(place):
        value = initializer(shape, dtype=standardize_dtype(dtype))
    value = convert_to_tensor(value, dtype=torch_dtype(dtype or standardize_dtype(None)), device=place)
    if tuple(value.shape) != shape:
        raise ValueError(f"The initializer must return shape {shape}; {initializer!r} returned {tuple(value.shape)}.")
    # An initializer may hand out a tensor that somebody else holds.
    return value.detach().clone() if isinstance(value, Variable) or not value.is_contiguous() else value


def _place(value: Any) -> torch.device:
    return value.device if isinstance(value, torch.Tensor) else current_device()


class StatelessScope:
    """Compute without side effects: inside, variables read given values, and assignments are recorded instead of made.

    Args:
        state_mapping: pairs `(variable, value)`. Default: `None`.
        collect_losses: whether losses that layers add are collected in `losses`. Default: `False`.
        initialize_variables: kept for Keras's signature. Default: `True`.

    Raises:
        ValueError: a key is no variable, or a value has another shape than its variable.

    Example:
        >>> weight = keras.Variable(1.0)
        >>> with keras.StatelessScope([(weight, torch.tensor(5.0))]) as scope:
        ...     doubled = weight.value * 2
        ...     _ = weight.assign(7.0)
        >>> float(doubled), float(weight), float(scope.get_current_value(weight))
        (10.0, 1.0, 7.0)
    """

    # Whether losses added inside were added before: set where a call is run again.
    drops_losses = False

    def __init__(
        self,
        state_mapping: Any = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ) -> None:
        self.collect_losses = collect_losses
        self.losses: list = []
        self._values: dict[int, tuple[Variable, Any]] = {}
        self._outer: Any = None
        for variable, value in state_mapping or ():
            if not isinstance(variable, Variable):
                raise ValueError(f"all keys in argument `mapping` must be Variable objects; received {variable!r}.")
            if value is not None:
                value = convert_to_tensor(value, dtype=variable.dtype)
                if value.shape != variable.shape:
                    raise ValueError(
                        f"all values in argument `mapping` must be tensors with the shape of their variable; "
                        f"{variable.path!r} has {tuple(variable.shape)}, received {tuple(value.shape)}."
                    )
            self._values[id(variable)] = (variable, value)

    def __enter__(self) -> StatelessScope:
        self._outer = state.set("stateless", self)
        return self

    def __exit__(self, *error: Any) -> None:
        state.set("stateless", self._outer)

    def add_loss(self, loss: Any) -> None:
        """Collect a loss.

        Args:
            loss: scalar tensor.
        """
        self.losses.append(loss)

    def add_update(self, update: tuple[Any, ...]) -> None:
        """Record an assignment.

        Args:
            update: pair `(variable, new value)`.
        """
        variable, value = update
        self._values[id(variable)] = (variable, value)

    def get_current_value(self, variable: Variable) -> Any:
        """Return the recorded value of a variable.

        Args:
            variable: the variable.

        Returns:
            A tensor; `None` if nothing is recorded.
        """
        return self._values.get(id(variable), (None, None))[1]

    def current_value(self, variable: Variable) -> Any:
        """Return the recorded value of a variable, or the variable itself if nothing is recorded.

        Args:
            variable: the variable.
        """
        value = self.get_current_value(variable)
        return variable if value is None else value


def in_stateless_scope() -> bool:
    """Whether a `StatelessScope` is open."""
    return state.stateless is not None


def get_stateless_scope() -> StatelessScope | None:
    """The innermost open `StatelessScope`."""
    return state.stateless


def _in_one_type(left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if left.dtype is right.dtype:
        return left, right
    common = torch_dtype(result_type(left.dtype, right.dtype))
    return left.to(common), right.to(common)


def _array_of(value: Any) -> Any:
    return value.numpy() if isinstance(value, Variable) else value
