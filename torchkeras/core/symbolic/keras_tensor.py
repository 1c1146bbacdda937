"""The symbolic tensor: a shape and a type, and where it came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from torchkeras.core import naming, registry
from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.core.types import Axes, DTypeLike, Shape


class History(NamedTuple):
    """The operation, the number of its call, and the number of the output that made a tensor."""

    operation: Any
    node_index: int
    tensor_index: int


# Called with True when a call is recorded, and with False when a model is made of the recorded calls.
_building_listeners: list[Callable[[bool], None]] = []


def when_building(listener: Callable[[bool], None]) -> None:
    """Have `listener` called with whether a graph of symbolic calls is being built, each time that this may change."""
    _building_listeners.append(listener)


def set_building(building: bool) -> None:
    """Note that a graph is being built, or that it is finished."""
    for listener in _building_listeners:
        listener(building)


def canonical(value: Any) -> Any:
    """A symbolic tensor as its operation made it; all else as it is."""
    history = getattr(value, "_keras_history", None) if isinstance(value, KerasTensor) else None
    if history is None:
        return value
    return history.operation._inbound_nodes[history.node_index].output_tensors[history.tensor_index]


def _fixed(name: str, doc: str) -> Any:
    def refuse(self: KerasTensor, value: object) -> None:
        raise AttributeError(f"The `{name}` attribute of KerasTensor is immutable. Make another one instead.")

    return property(lambda self: getattr(self, f"_{name}"), refuse, doc=doc)


class KerasTensor:
    """Symbolic tensor of a functional model: it has a shape and a dtype, but no values.

    Layers and functions of `keras.ops` that are called on it record the call and return other symbolic tensors.

    Args:
        shape: sizes of the axes; `None` for a size that is not known.
        dtype: name of the dtype, or a dtype of torch. Default: `"float32"`.
        sparse: whether the values may be a sparse tensor. Default: `False`.
        ragged: not supported, as with Keras's torch backend. Default: `False`.
        record_history: kept for Keras's signature. Default: `True`.
        name: a string; `None` numbers it. Default: `None`.

    Raises:
        ValueError: there is no shape, or both `sparse` and `ragged` are set.

    Example:
        >>> x = keras.KerasTensor((None, 3))
        >>> (x + 1).shape, keras.ops.matmul(x, np.ones((3, 5))).shape
        ((None, 3), (None, 5))
    """

    _keras_history: History
    # NumPy leaves `array + symbol` to the symbol.
    __array_ufunc__ = None

    def __init__(
        self,
        shape: Shape,
        dtype: DTypeLike | np.dtype = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
        **_: object,
    ) -> None:
        if sparse and ragged:
            raise ValueError("A KerasTensor cannot have `sparse=True` and `ragged=True`: say one of them.")
        self._shape = standardize_shape(shape)
        self._dtype = standardize_dtype(dtype)
        self._sparse = bool(sparse)
        self._ragged = bool(ragged)
        self.name = name or naming.auto_name("KerasTensor")
        self.record_history = record_history

    shape: tuple[int | None, ...] = _fixed("shape", "The sizes of the axes; `None` for a size that is not known.")
    dtype: str = _fixed("dtype", "The name of the dtype.")
    sparse: bool = _fixed("sparse", "Whether the values may be a sparse tensor.")
    ragged: bool = _fixed("ragged", "Whether the values are ragged: never, with torch.")

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def dim(self) -> int:
        """Return the number of axes."""
        return len(self.shape)

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or the size of one axis.

        Args:
            dim: number of the axis. Default: `None`, all axes.
        """
        return self.shape if dim is None else self.shape[dim]

    def get_config(self) -> dict[str, Any]:
        """Return shape, dtype and the call that made the tensor, as JSON-ready values."""
        return {"shape": list(self.shape), "dtype": self.dtype, "keras_history": _history_config(self)}

    def __repr__(self) -> str:
        kind = f"sparse={self.sparse}, ragged={self.ragged}"
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, {kind}, name={self.name}>"

    # -- what has no meaning before there are values

    def _no_values(self, what: str) -> str:
        return (
            f"A KerasTensor is symbolic: it has a shape and a dtype, but doesn't have any actual numerical value. It "
            f"cannot be {what}. It can be passed to layers and to functions of torchkeras.ops; put other code into "
            f"the call() of a layer of your own."
        )

    def __array__(self, *_: object, **__: object) -> Any:
        raise ValueError(self._no_values("converted to a NumPy array"))

    def __bool__(self) -> bool:
        raise TypeError(self._no_values("used as a boolean"))

    def __int__(self) -> int:
        raise ValueError(self._no_values("converted to an int"))

    def __float__(self) -> float:
        raise ValueError(self._no_values("converted to a float"))

    def __iter__(self) -> Any:
        raise NotImplementedError(self._no_values("iterated over"))

    @classmethod
    def __torch_function__(
        cls, func: Callable, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        name = getattr(func, "__name__", str(func))
        raise TypeError(
            f"torch's {name!r} got a KerasTensor, which has a shape but no values. In a functional model wrap an "
            f"nn.Module as torchkeras.layers.TorchModuleWrapper(module)(x), use torchkeras.ops for functions, or "
            f"put torch code into the call() of a layer of your own."
        )

    # -- operators: defined once, by the ops that bear their names, at the end of this file

    def __round__(self, ndigits: int | None = None) -> Any:
        return _op("round")(self, ndigits or 0)

    def __getitem__(self, key: Any) -> Any:
        return _op("get_item")(self, np.asarray(key) if isinstance(key, list) else key)

    def reshape(self, *newshape: int | Sequence[int]) -> Any:
        """Return the tensor reshaped, as `keras.ops.reshape` does.

        Args:
            *newshape: the new sizes, or one tuple of them.
        """
        sizes = newshape[0] if len(newshape) == 1 and isinstance(newshape[0], (list, tuple)) else newshape
        return _op("reshape")(self, sizes)

    def squeeze(self, axis: Axes | None = None) -> Any:
        """Return the tensor without axes of size 1, as `keras.ops.squeeze` does.

        Args:
            axis: axis or axes; `None` stands for all of size 1. Default: `None`.
        """
        return _op("squeeze")(self, axis)

    @property
    def T(self) -> Any:
        """The transposed tensor, as `keras.ops.transpose` makes it."""
        return _op("transpose")(self)


def _history_config(tensor: KerasTensor) -> list | None:
    history = getattr(tensor, "_keras_history", None)
    return None if history is None else [history.operation.name, history.node_index, history.tensor_index]


def _op(name: str) -> Any:
    """The op of that name: found in the registry, for ops stand above this file."""
    function = registry.lookup("keras.ops", name)
    if function is None:
        raise NotImplementedError(f"keras.ops.{name} is not there to compute this; import torchkeras.ops first.")
    return function


_BINARY = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "matmul": "matmul",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "mod",
    "pow": "power",
    "and": "logical_and",
    "or": "logical_or",
    "xor": "logical_xor",
}
_COMPARE = {  # `==` stays identity, as in Keras: symbols are looked for in lists and dicts
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
_UNARY = {"neg": "negative", "abs": "absolute", "invert": "logical_not"}


def _method(function_name: str, swapped: bool = False) -> Any:
    def method(self: KerasTensor, *others: object) -> Any:
        function = _op(function_name)
        return function(*others, self) if swapped else function(self, *others)

    return method


for _name, _function in (_BINARY | _COMPARE | _UNARY).items():
    setattr(KerasTensor, f"__{_name}__", _method(_function))
for _name, _function in _BINARY.items():
    setattr(KerasTensor, f"__r{_name}__", _method(_function, swapped=True))
KerasTensor.__hash__ = object.__hash__  # type: ignore[method-assign]


def standardize_shape(shape: Shape | None) -> tuple[Any, ...]:
    """A shape as a tuple of non-negative ints and `None`.

    Raises:
        ValueError: it is something else.
    """
    if shape is None:
        raise ValueError("Undefined shapes are not supported: a shape must be given; received None.")
    if isinstance(shape, str) or not hasattr(shape, "__iter__"):
        raise ValueError(f"Cannot convert {shape!r} to a shape. It must be a tuple or list of integers and None.")
    sizes = []
    for size in shape:
        if size is not None:
            try:
                size = size.__index__()
            except AttributeError:
                raise ValueError(
                    f"Cannot convert {shape!r} to a shape. Found invalid dimension {size!r} of type {type(size)}; "
                    f"dimensions are integers and None."
                ) from None
            if size < 0:
                raise ValueError(f"Cannot convert {shape!r} to a shape. Negative dimensions are not allowed.")
        sizes.append(size)
    return tuple(sizes)


def is_keras_tensor(x: object) -> bool:
    """Return whether a value is a symbolic tensor.

    Args:
        x: any value.

    Example:
        >>> keras.utils.is_keras_tensor(keras.Input((3,))), keras.utils.is_keras_tensor(torch.ones(3))
        (True, False)
    """
    return isinstance(x, KerasTensor)


def any_symbolic(args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> bool:
    """Whether a KerasTensor is among the arguments, however deep."""
    for value in args:
        if isinstance(value, KerasTensor):
            return True
        if isinstance(value, (list, tuple)) and any_symbolic(tuple(value)):
            return True
        if isinstance(value, dict) and any_symbolic(tuple(value.values())):
            return True
    if kwargs:  # a branch, for dynamo (torch 2.9) can't trace bool() of a dict
        return any_symbolic(tuple(kwargs.values()))
    return False
