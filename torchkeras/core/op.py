"""`@op`: one typed function, from which the symbolic form, the class in files and its config follow."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core import naming, registry
from torchkeras.core.infer import infer
from torchkeras.core.keras_tensor import KerasTensor, any_symbolic
from torchkeras.core.operation import Operation

OPS: dict[str, OpDef] = {}


class OpDef:
    """What is known of an op: its function, the class name that files use, which parameters are tensors."""

    def __init__(self, function: Callable, class_name: str, module: str, spec: Callable | None) -> None:
        self.function = function
        self.class_name = class_name
        self.module = module
        self.spec = spec
        self.signature = inspect.signature(function)
        self.parameters = list(self.signature.parameters)
        self.tensors = [n for n, p in self.signature.parameters.items() if "Tensor" in str(p.annotation)]
        self.config = [name for name in self.parameters if name not in self.tensors]

    def symbolic(self, args: tuple, kwargs: dict) -> Any:
        """Record the call: the tensors become the node's arguments, the rest the operation's config."""
        bound = self.signature.bind(*args, **kwargs)
        config = {name: bound.arguments[name] for name in self.config if name in bound.arguments}
        inputs = tuple(bound.arguments[name] for name in self.tensors if name in bound.arguments)
        return self.operation_class(**config)(*inputs)

    @functools.cached_property
    def operation_class(self) -> type[FunctionOperation]:
        base = type(self.class_name, (FunctionOperation,), {"definition": self, "keras_module": None})
        registry.register_public(base, self.module)
        return base


class FunctionOperation(Operation):
    """An op of a graph: a function of `OPS` with its config bound."""

    keras_module = None
    _config_base = True
    definition: OpDef

    def __init__(self, *args: Any, name: str | None = None, **config: Any) -> None:
        super().__init__(name=name or naming.auto_name(self.definition.class_name))
        self.config = dict(zip(self.definition.config, args)) | config

    def call(self, *inputs: Any, **kwargs: Any) -> Any:
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
    spec: Callable | None = None,
) -> Any:
    """Make a function of tensors an op: eager on tensors, recorded on KerasTensors.

    Parameters annotated `Tensor` are inputs, the others are config. `name` is the class name in Keras's files
    (default: CamelCase of the function's), `spec` infers the output where running on `meta` can't.
    """
    if function is None:
        return functools.partial(op, name=name, module=module, spec=spec)
    class_name = name or "".join(part.capitalize() for part in function.__name__.split("_"))
    definition = OpDef(function, class_name, module, spec)
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

    registry.register_public(call, module, function.__name__)
    return call
