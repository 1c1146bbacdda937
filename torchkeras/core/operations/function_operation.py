"""An op in a functional graph and in a file: the operation class that each op gets."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Self

from torchkeras.core import registry, settings
from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.core.operations.op_def import OpDef
from torchkeras.core.operations.operation import Operation
from torchkeras.core.symbolic.infer import infer, infer_elementwise
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import standardize_dtype

_BAD_AXIS = re.compile(r"Dimension out of range \(expected to be in range of (\[.*?\]), but got (-?\d+)\)")


class FunctionOperation(Operation):
    """An op of a graph: a function of `OPS` with its config bound."""

    keras_module = None
    _tk_config_base = True
    definition: OpDef

    def _tk_follow_remat_scope(self) -> None:
        """No scope counts: an op is mostly one kernel, which keeps no more than its inputs, as a second run would."""

    def __init__(self, *args: Any, name: str | None = None, **config: Any) -> None:
        super().__init__(name=name)
        given = dict(zip(self.definition.config, args)) | config
        unknown = sorted(set(given) - set(self.definition.config)) if self.definition.keywords is None else []
        if unknown:
            raise TypeError(f"{type(self).__name__} takes {self.definition.config}; received {unknown} as well.")
        self.config = self.definition.defaults | given
        if self.config.get("dtype") is not None:
            self.config["dtype"] = standardize_dtype(self.config["dtype"])
        if self.config.get("data_format", "") is None:  # a graph keeps the setting under which it was made
            self.config["data_format"] = settings.image_data_format()

    def call(self, *inputs: Any, **kwargs: Any) -> Any:
        definition = self.definition
        config = self.config | kwargs if kwargs else self.config
        if definition.variadic is not None:  # config that stands before the tensors, then any number of them
            before = definition.parameters[: definition.parameters.index(definition.variadic)]
            leading = [name for name in before if name in config]
            named = {name: value for name, value in config.items() if name not in leading}
            return definition.dispatcher(*(config[name] for name in leading), *inputs, **named)
        if len(inputs) <= definition.leading:
            return definition.dispatcher(*inputs, **config)
        return definition.dispatcher(**dict(zip(definition.arguments, inputs)), **config)

    def compute_output_spec(self, *inputs: Any, **kwargs: Any) -> Any:
        definition = self.definition
        describe = infer_elementwise if definition.elementwise else infer
        try:
            shaped = None if definition.spec is None else self._tk_with_shapes(inputs)
            if shaped is not None:
                return definition.spec(*shaped, **(self.config | kwargs))  # type: ignore[misc]
            return describe(self.call, inputs, kwargs)
        except (RuntimeError, IndexError) as error:  # torch's, from the run on `meta`
            shapes = [getattr(x, "shape", x) for x in inputs]
            words = _BAD_AXIS.sub(r"axis \2 is out of bounds, it must be in \1", str(error))
            raise ValueError(f"ops.{definition.name}() can't take inputs of shapes {shapes}: {words}") from error

    def _tk_with_shapes(self, inputs: tuple[Any, ...]) -> list[Any] | None:
        """The inputs with tensors for lists; `None` if a Python number, which has no shape, stands for a tensor."""
        definition = self.definition
        shaped = list(inputs)
        names = definition.arguments if definition.variadic is None else []
        for i, (name, value) in enumerate(zip(names, inputs)):
            if name not in definition.tensors or name in definition.lists:
                continue
            if isinstance(value, (list, tuple)):
                shaped[i] = convert_to_tensor(value)
            elif isinstance(value, (bool, int, float)):
                if definition.signature.parameters[name].default is inspect.Parameter.empty:
                    return None
        return shaped

    def __reduce__(self) -> tuple[Callable, tuple[str, str], dict[str, Any]]:
        # A pickle names the class by its entry on the allow list; no module has the class as an attribute.
        state = {key: value for key, value in vars(self).items() if key != "_tk_class"}
        return _without_state, registry.public_name(type(self)), state

    def get_config(self) -> dict[str, Any]:
        later, defaults = self.definition.later, self.definition.defaults
        own = {key: value for key, value in self.config.items() if key not in later or value is not defaults[key]}
        return {"name": self.name, **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**deserialize_keras_object(config))


def _without_state(module: str, class_name: str) -> FunctionOperation:
    cls = registry.lookup(module, class_name)
    return cls.__new__(cls)
