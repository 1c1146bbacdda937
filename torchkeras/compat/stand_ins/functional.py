"""`Functional`: Keras's class of the models that are made of symbolic inputs and outputs."""

from __future__ import annotations

from typing import Any

from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.models import Model, Sequential


class _FunctionalType(type(Model)):  # type: ignore[misc]
    def __instancecheck__(cls, value: object) -> bool:
        if cls is not Functional:
            return super().__instancecheck__(value)
        return isinstance(value, Model) and not isinstance(value, Sequential) and value._tk_graph is not None


class Functional(Model, metaclass=_FunctionalType):
    """A model of symbolic inputs and outputs. `isinstance(model, Functional)` holds for each such `Model`, too."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return Model(*args, **kwargs) if cls is Functional else super().__new__(cls, *args, **kwargs)


def is_input_keras_tensor(x: KerasTensor) -> bool:
    """Whether a symbolic tensor is an input, made by `keras.Input`.

    Raises:
        ValueError: `x` is not symbolic.
    """
    history = getattr(x, "_keras_history", None)
    if history is None:
        raise ValueError(f"is_input_keras_tensor() takes a KerasTensor with a history; received {x!r}.")
    return history.operation._inbound_nodes[history.node_index].is_input
