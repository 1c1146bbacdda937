"""`@op`: one typed function, from which the symbolic form, the class in files and its config follow."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core import registry
from torchkeras.core.infer import infer
from torchkeras.core.keras_tensor import KerasTensor, any_symbolic
from torchkeras.core.operation import Operation

OPS: dict[str, OpDef] = {}


class OpDef:
    """What is known of an op: its function, the class name that files use, which parameters are tensors."""

    def __init__(self, function: Callable, class_name: str, file_module: str, spec: Callable | None) -> None:
        self.function = function
        self.spec = spec
        self.signature = inspect.signature(function)
        self.parameters = list(self.signature.parameters)
        self.tensors = [n for n, p in self.signature.parameters.items() if "Tensor" in str(p.annotation)]
        kinds = {n: p.kind for n, p in self.signature.parameters.items()}
        self.variadic = any(kinds[name] is inspect.Parameter.VAR_POSITIONAL for name in self.tensors)
        self.defaults = {
            n: p.default
            for n, p in self.signature.parameters.items()
            if n not in self.tensors and p.default is not p.empty
        }
        self.config = [name for name in self.parameters if name not in self.tensors]
        self.operation_class = type(class_name, (FunctionOperation,), {"definition": self, "keras_module": None})
        registry.register_public(self.operation_class, file_module)

    def symbolic(self, args: tuple, kwargs: dict) -> Any:
        """Record the call: the tensors become the node's arguments, the rest the operation's config."""
        bound = self.signature.bind(*args, **kwargs)
        given = {name: bound.arguments[name] for name in self.config if name in bound.arguments}
        config = self.defaults | given
        inputs = tuple(bound.arguments[name] for name in self.tensors if name in bound.arguments)
        if self.variadic:
            inputs = (*inputs[:-1], *inputs[-1])
        return self.operation_class(**config)(*inputs)


class FunctionOperation(Operation):
    """An op of a graph: a function of `OPS` with its config bound."""

    keras_module = None
    _config_base = True
    definition: OpDef

    def __init__(self, *args: Any, name: str | None = None, **config: Any) -> None:
        super().__init__(name=name)
        self.config = dict(zip(self.definition.config, args)) | config

    def call(self, *inputs: Any, **kwargs: Any) -> Any:
        if self.definition.variadic:  # config first, then any number of tensors: einsum
            return self.definition.function(*self.config.values(), *inputs)
        named = dict(zip(self.definition.tensors, inputs))
        return self.definition.function(**named, **self.config, **kwargs)

    def compute_output_spec(self, *inputs: Any, **kwargs: Any) -> Any:
        if self.definition.spec is not None:
            return self.definition.spec(*inputs, **self.config, **kwargs)
        return infer(self.call, inputs, kwargs)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, **self.config}


def op(
    function: Callable | None = None,
    *,
    name: str | None = None,
    module: str = "keras.ops",
    file_module: str = "keras.src.ops.numpy",
    spec: Callable | None = None,
) -> Any:
    """Make a function of tensors an op: eager on tensors, recorded on KerasTensors.

    Parameters annotated `Tensor` are inputs, the others are config. `name` is the class name in Keras's files
    (default: CamelCase of the function's) and `file_module` the module they put it in; `spec` infers the output where
    running on `meta` can't.
    """
    if function is None:
        return functools.partial(op, name=name, module=module, file_module=file_module, spec=spec)
    class_name = name or "".join(part.capitalize() for part in function.__name__.split("_"))
    definition = OpDef(function, class_name, file_module, spec)
    OPS[function.__name__] = definition

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        # The common case first, for it is the hot one: a tensor leads.
        if args and isinstance(args[0], torch.Tensor):
            if len(args) == 1 or not (any(isinstance(a, KerasTensor) for a in args[1:])):
                return function(*args, **kwargs)
        if any_symbolic(args, kwargs):
            return definition.symbolic(args, kwargs)
        return function(*args, **kwargs)

    # A code object of its own: torch.compile counts what it compiled by code object, and gives up after a few.
    call.__code__ = call.__code__.replace(co_name=function.__name__)  # type: ignore[attr-defined]
    registry.register_public(call, module, function.__name__)
    return call
