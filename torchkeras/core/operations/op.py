"""`@op`: one typed function, from which the symbolic form, the class in files and its config follow.

What a decorated function gets is ready for torch: its `Tensor` parameters are tensors in the type that the rule of
promotion gives. The function that takes its place is made for its signature, so that a call on tensors that already
fit costs a type check above the function itself; everything else goes through `OpDef.general`.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, Literal, Self, TypeVar, overload

from torch import Tensor

from torchkeras.core import registry, settings
from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.core.operations.dispatch import dispatcher
from torchkeras.core.operations.operation import Operation
from torchkeras.core.symbolic.infer import infer, infer_elementwise
from torchkeras.core.symbolic.keras_tensor import any_symbolic
from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.core.tensors.promotion import common, device_of, float_tensor, tensor, with_scalar

OPS: dict[str, OpDef] = {}
Rule = Literal["keep", "float", "common", "common_float", "common_product", "narrow", "narrow_float", "narrow_product"]
F = TypeVar("F", bound=Callable[..., Any])
_NUMBERS = (bool, int, float)
_BAD_AXIS = re.compile(r"Dimension out of range \(expected to be in range of (\[.*?\]), but got (-?\d+)\)")


class OpDef:
    """What is known of an op: its function, the class name that files use, which parameters are tensors.

    `tensors` are the parameters annotated `Tensor`; they and those named in `call` are arguments of the recorded call,
    all others are the operation's `config`.
    """

    def __init__(
        self,
        function: Callable,
        class_name: str,
        file_module: str = "keras.src.ops.numpy",
        spec: Callable | None = None,
        dtype: Rule = "keep",
        elementwise: bool = False,
        scalar: bool = False,
        call: tuple[str, ...] = (),
        keep: tuple[str, ...] = (),
        check: Callable | None = None,
    ) -> None:
        self.function = function
        self.check = check
        self.name = function.__name__
        self.spec = spec
        self.dtype = dtype
        self.floating = dtype.endswith("float")
        self.narrow = dtype.startswith("narrow")
        self.product = dtype.endswith("product")
        self.elementwise = elementwise
        self.scalar = scalar
        self.keep = keep
        self.call = call
        self.signature = inspect.signature(function)
        parameters = self.signature.parameters
        self.parameters = list(parameters)
        self.tensors = [n for n, p in parameters.items() if "Tensor" in str(p.annotation)]
        self.variadic = next((n for n, p in parameters.items() if p.kind is p.VAR_POSITIONAL), None)
        self.keywords = next((n for n, p in parameters.items() if p.kind is p.VAR_KEYWORD), None)
        self.arguments = [n for n in parameters if n in self.tensors or n in call]
        self.config = [n for n in parameters if n not in self.arguments and n != self.keywords]
        self.defaults = {n: p.default for n, p in parameters.items() if n in self.config and p.default is not p.empty}
        self.lists = [n for n in self.tensors if "list[" in str(parameters[n].annotation)]
        # How many arguments stand before all config: so many may be given by position.
        self.leading = next((i for i, n in enumerate(parameters) if n not in self.arguments), len(self.parameters))
        self.dispatcher: Callable = function
        self.positions = [i for i, n in enumerate(parameters) if n in self.tensors]
        self.operation_class = type(class_name, (FunctionOperation,), {"definition": self, "keras_module": None})
        registry.register_public(self.operation_class, file_module)

    def general(self, values: tuple, keywords: dict[str, Any]) -> Any:
        """The call in any case: recorded if a KerasTensor is among the values, else run on converted values."""
        if any_symbolic(values, keywords):
            return self.symbolic(values, keywords)
        return self.eager(values, keywords)

    def eager(self, values: tuple, keywords: dict[str, Any]) -> Any:
        """Convert what should be tensors by the rule of promotion, and run the function."""
        try:
            if self.scalar and isinstance(values[0], Tensor) and isinstance(values[1], _NUMBERS):
                values = (with_scalar(values[0], values[1], self.floating, self.narrow), *values[1:])
            else:
                values = tuple(self._converted(values))
            return self.function(*values, **keywords)
        except Exception as error:
            self.explain(error, values, keywords)
            raise

    def _converted(self, values: tuple) -> list:
        if self.variadic in self.tensors:  # the last of the positions stands for all that follow it
            first = self.positions[-1]
            return [*values[:first], *self._promoted(values[first:])]
        result = list(values)
        places: list[tuple[int, int | None]] = []  # (position, index in a list there)
        found: list[Any] = []
        for position in self.positions:
            value = values[position]
            if value is None:
                continue
            name = self.parameters[position]
            if name in self.keep:
                result[position] = tensor(value, device_of(values))
            elif name in self.lists:
                result[position] = list(value)
                places += [(position, index) for index in range(len(value))]
                found += result[position]
            else:
                places.append((position, None))
                found.append(value)
        for (position, index), value in zip(places, self._promoted(found)):
            if index is None:
                result[position] = value
            else:
                result[position][index] = value
        return result

    def _promoted(self, values: Any) -> list[Tensor]:
        if self.dtype in ("keep", "float"):
            device = device_of(values)
            return [tensor(x, device) if self.dtype == "keep" else float_tensor(x, device) for x in values]
        return common(values, self.floating, self.narrow, self.product)

    def symbolic(self, values: tuple, keywords: dict[str, Any]) -> Any:
        """Record the call: the tensors become the node's arguments, the rest the operation's config."""
        bound = self.signature.bind(*values, **keywords)
        bound.apply_defaults()
        extra = bound.arguments.get(self.keywords, {})
        given = bound.arguments | extra
        of_call = extra if self.keywords in self.arguments else {}
        # A symbol among the config (the sizes of a reshape) is an argument of the call: it has its value then.
        calls: dict[str, Any] = {name: given[name] for name in self.config if any_symbolic((given[name],))}
        config = {name: given[name] for name in self.config if name not in calls}
        operation = self.operation_class(**config, **(extra if not of_call else {}))
        inputs: list[Any] = []
        for name in self.arguments:
            if name == self.keywords:
                calls |= of_call
            elif name == self.variadic:
                inputs += given[name]
            elif not calls and self._is_positional(name):
                inputs.append(given[name])
            elif given[name] is not self.signature.parameters[name].default:
                calls[name] = given[name]
        while inputs and inputs[-1] is None and self.arguments[len(inputs) - 1] not in self.call:
            inputs.pop()
        return operation(*inputs, **calls)

    def _is_positional(self, name: str) -> bool:
        before = self.parameters[: self.parameters.index(name)]
        required = self.signature.parameters[name].default is inspect.Parameter.empty
        return name in self.tensors or required or not any(earlier in self.config for earlier in before)

    def explain(self, error: Exception, values: tuple, keywords: dict[str, Any]) -> None:
        """Add a note of the call to the error that came from it; raise what `check` says of it."""
        if any_symbolic(values, keywords) or getattr(error, "__notes__", None):
            return
        given = ", ".join(
            [f"{name}={_described(value)}" for name, value in zip(self.parameters, values)]
            + [f"{name}={_described(value)}" for name, value in keywords.items()]
        )
        note = f"In ops.{self.name}({given})."
        if self.check is not None and isinstance(error, (RuntimeError, IndexError, TypeError)):
            try:
                self.check(*values, **keywords)
            except (TypeError, ValueError) as said:
                said.add_note(note)
                raise said from error
        error.add_note(note)


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"<{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}>"
    if isinstance(value, (list, tuple)) and any(isinstance(item, Tensor) for item in value):
        return f"[{', '.join(map(_described, value))}]"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


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
            if definition.spec is not None:
                return definition.spec(*inputs, **(self.config | kwargs))
            return describe(self.call, inputs, kwargs)
        except (RuntimeError, IndexError) as error:  # torch's, from the run on `meta`
            shapes = [getattr(x, "shape", x) for x in inputs]
            words = _BAD_AXIS.sub(r"axis \2 is out of bounds, it must be in \1", str(error))
            raise ValueError(f"ops.{definition.name}() can't take inputs of shapes {shapes}: {words}") from error

    def __reduce__(self) -> Any:
        return _without_state, registry.public_name(type(self)), self.__dict__

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, **self.config}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**deserialize_keras_object(config))


def _without_state(module: str, class_name: str) -> Any:
    cls = registry.lookup(module, class_name)
    return cls.__new__(cls)


@overload
def op(function: F) -> F: ...
@overload
def op(
    *,
    dtype: Rule = ...,
    elementwise: bool = ...,
    scalar: bool = ...,
    call: tuple[str, ...] = ...,
    keep: tuple[str, ...] = ...,
    name: str | None = ...,
    module: str = ...,
    file_module: str = ...,
    spec: Callable | None = ...,
    check: Callable | None = ...,
) -> Callable[[F], F]: ...
def op(
    function: Callable | None = None,
    *,
    dtype: Rule = "keep",
    elementwise: bool = False,
    scalar: bool = False,
    call: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
    name: str | None = None,
    module: str = "keras.ops",
    file_module: str = "keras.src.ops.numpy",
    spec: Callable | None = None,
    check: Callable | None = None,
) -> Any:
    """Make a function of tensors an op: eager on tensors, recorded on KerasTensors.

    Parameters annotated `Tensor` (or `list[Tensor]`, `*xs: Tensor`) are inputs and arrive as tensors, the others are
    config.

    Args:
        dtype: what the tensors' types become: `"keep"`, `"float"` (each one's integers become `floatx()`), `"common"`
            (Keras's lattice over all), `"common_float"` (that, and integers become floats); `"narrow"` and
            `"narrow_float"` are these two with 64 bits made 32, where Keras does that; `"common_product"` and
            `"narrow_product"` are `"common"` and `"narrow"` but for int8 alone, which becomes int32.
        elementwise: the output's shape is the inputs' broadcast shape, so that unknown sizes are exact.
        scalar: the second argument may arrive as a Python number; the first has then the type that results.
        call: names of parameters that are no tensors, yet belong to the call in Keras's files, not to the config; and
            of tensors that are said there even if they are None.
        keep: names of tensors that the rule of promotion leaves out: conditions, indices.
        name: the class name in Keras's files (default: CamelCase of the function's).
        module: Keras's module of the function.
        file_module: the module that Keras's files name for the class.
        spec: infers the output from the call's arguments and the config, where running on `meta` can't.
        check: takes the arguments of a call in which torch raised an error, and raises a clearer one if they are why.
    """
    if function is None:
        return functools.partial(
            op,
            dtype=dtype,
            elementwise=elementwise,
            scalar=scalar,
            call=call,
            keep=keep,
            name=name,
            module=module,
            file_module=file_module,
            spec=spec,
            check=check,
        )
    class_name = name or "".join(part.capitalize() for part in function.__name__.split("_"))
    definition = OpDef(function, class_name, file_module, spec, dtype, elementwise, scalar, call, keep, check)
    if module.startswith("keras.ops"):
        OPS[f"{module}.{function.__name__}".removeprefix("keras.ops.")] = definition
    definition.dispatcher = dispatcher(definition)
    return registry.register_public(definition.dispatcher, module, function.__name__)
