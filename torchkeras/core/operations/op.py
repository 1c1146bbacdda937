"""`@op`: one typed function, from which the symbolic form, the class in files and its config follow.

A decorated function gets arguments that are ready for torch: its `Tensor` parameters are tensors of the promoted dtype.
The dispatcher that replaces it is made for its signature, so that a call on tensors that already fit costs a type check
above the function itself; everything else goes through `OpDef.general`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, overload

from torchkeras.core import registry
from torchkeras.core.operations.dispatch import dispatcher
from torchkeras.core.operations.function_operation import FunctionOperation
from torchkeras.core.operations.op_def import OpDef, Rule

OPS: dict[str, OpDef] = {}
F = TypeVar("F", bound=Callable[..., Any])


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
    spec: Callable[..., Any] | None = ...,
    check: Callable[..., Any] | None = ...,
    later: tuple[str, ...] = ...,
) -> Callable[[F], F]: ...
def op(
    function: Callable[..., Any] | None = None,
    *,
    dtype: Rule = "keep",
    elementwise: bool = False,
    scalar: bool = False,
    call: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
    name: str | None = None,
    module: str = "keras.ops",
    file_module: str = "keras.src.ops.numpy",
    spec: Callable[..., Any] | None = None,
    check: Callable[..., Any] | None = None,
    later: tuple[str, ...] = (),
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
        later: names of config that Keras has from a later version on: files hold it only where it is not the default.
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
            later=later,
        )
    class_name = name or "".join(part.capitalize() for part in function.__name__.split("_"))
    definition = OpDef(function, spec, dtype, elementwise, scalar, call, keep, check, later)
    operation = type(class_name, (FunctionOperation,), {"definition": definition, "keras_module": None})
    definition.operation_class = registry.register_public(operation, file_module)
    if module.startswith("keras.ops"):
        OPS[f"{module}.{function.__name__}".removeprefix("keras.ops.")] = definition
    definition.dispatcher = dispatcher(definition)
    return registry.register_public(definition.dispatcher, module, function.__name__)
