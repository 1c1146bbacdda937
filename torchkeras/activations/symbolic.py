"""`@activation`: a function of tensors that takes arrays and KerasTensors as well."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor

from torchkeras.core.keras_tensor import KerasTensor
from torchkeras.core.op import OpDef
from torchkeras.core.registry import register_public
from torchkeras.core.tensors import convert_to_tensor


def activation(function: Callable | None = None, *, op: str | None = None, module: str = "keras.src.ops.nn") -> Any:
    """Put a function on the list of activations; a KerasTensor records a node of a functional model.

    Args:
        op: the class under which Keras's files know the node; default: CamelCase of the function's name.
        module: where Keras keeps that class.
    """
    if function is None:
        return functools.partial(activation, op=op, module=module)
    class_name = op or "".join(part.capitalize() for part in function.__name__.split("_"))
    definition = OpDef(function, class_name, module, spec=None)
    register_public(definition.operation_class, module)  # files may name it before anything calls it

    @functools.wraps(function)
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(x, Tensor):
            return function(x, *args, **kwargs)
        if isinstance(x, KerasTensor):
            given = definition.signature.bind(x, *args, **kwargs)
            given.apply_defaults()
            return definition.symbolic(given.args, given.kwargs)
        return function(convert_to_tensor(x), *args, **kwargs)

    # A code object of its own: torch.compile counts recompilations by it, profilers show its name.
    call.__code__ = call.__code__.replace(co_name=function.__name__)  # type: ignore[attr-defined]
    return register_public(call, "keras.activations")
