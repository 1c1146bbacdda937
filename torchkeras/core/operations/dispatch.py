"""The function that takes an op's place: made for its signature, a check of types above the op itself.

It goes straight to the function where the arguments are what the function wants, else to `OpDef.general`.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import linecache
import os
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op_def import OpDef
from torchkeras.core.tensors.promotion import FLOATS, NARROW

_SOURCE = """
def op({signature}):
    if {ready}:
        try:
            return {call}
        except Exception as error:
            result = _again(error, ({positional}), {{{named}}})
            if result is None:
                raise
            return result[0]
    return _general(({positional}), {{{named}}})
"""


def dispatcher(definition: OpDef) -> Callable[..., Any]:
    """A function of the same signature: straight to the function where the arguments fit, else `general`."""
    parameters = definition.signature.parameters
    signature, positional, named, values = [], [], [], []
    star, extra = False, ""
    for name, p in parameters.items():
        if p.kind is p.KEYWORD_ONLY and not star:
            signature.append("*")
            star = True
        star = star or p.kind is p.VAR_POSITIONAL
        stars = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
        signature.append(stars + name + ("=None" if p.default is not p.empty else ""))
        if p.kind is p.VAR_KEYWORD:
            named.append(f"**{name}")
            extra = name
        elif p.kind is p.KEYWORD_ONLY:
            named.append(f"{name!r}: {name}")
            values.append(f"{name}={name}")
        else:
            positional.append(stars + name)
            values.append(stars + name)
    call = f"_function({', '.join(values)})"
    if extra:  # passing an empty dictionary costs time
        call += f" if not {extra} else _function({', '.join(values)}, **{extra})"
    source = _SOURCE.format(
        signature=", ".join(signature),
        ready=_ready(definition),
        call=call,
        positional="".join(f"{value}, " for value in positional),
        named=", ".join(named),
    )
    floats = FLOATS & NARROW if definition.narrow else FLOATS
    fit = floats if definition.floating or definition.product else NARROW
    scope = _SCOPE | {"FLOATS": floats, "FIT": fit}
    scope |= {"_function": definition.function, "_general": definition.general, "_again": definition.again}
    # A code object of its own: torch.compile counts what it compiled by code object.
    file = f"<op {definition.name} of {os.path.basename(definition.function.__code__.co_filename)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)  # a traceback shows the line
    code = _code(source).replace(co_name=definition.name, co_filename=file)
    given = {name: p.default for name, p in parameters.items() if p.default is not p.empty}
    keywords = {
        name: given.pop(name) for name in list(given) if parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    }
    function = FunctionType(code, scope, definition.name, tuple(given.values()))
    function.__kwdefaults__ = keywords or None
    return functools.update_wrapper(function, definition.function)


@functools.lru_cache(None)
def _code(source: str) -> CodeType:
    """The code of the function that `source` defines; ops of the same form share the work."""
    return next(part for part in compile(source, "<op>", "exec").co_consts if isinstance(part, CodeType))


def _ready(definition: OpDef) -> str:
    """The condition, as source, under which the arguments need no conversion."""
    parameters = definition.signature.parameters
    floating, shared = definition.floating, definition.narrow or definition.dtype.startswith("common")
    limited = floating or definition.narrow or definition.product
    tests: list[str] = []
    required: list[str] = []
    for name in definition.tensors:
        p = parameters[name]
        optional = f"{name} is None or " if p.default is None else ""
        if name in definition.keep:
            tests.append(f"({optional}isinstance({name}, Tensor))")
        elif p.kind is p.VAR_POSITIONAL or name in definition.lists:
            tests.append(f"_alike({name}, {shared})" + (f" and {name}[0].dtype in FIT" if limited else ""))
        elif optional and (required or not shared):
            fits = f" and {name}.dtype is {required[0]}.dtype" if shared else f" and {name}.dtype in FIT" * limited
            tests.append(f"({optional}isinstance({name}, Tensor){fits})")
        else:
            required.append(name)
    if not definition.tensors:  # made of numbers: what is no KerasTensor needs no conversion
        return " and ".join(f"(type({name}) in PLAIN or _plain({name}))" for name in definition.arguments) or "False"
    checks = [f"isinstance({name}, Tensor)" for name in required]
    if definition.scalar:  # beside a Python number a tensor keeps its type, but for integers and bool beside a float
        first, second = required
        kept = f"{first}.dtype in FLOATS and type({second}) in NUMBERS"
        if not floating:
            kept += f" or type({second}) is int and {first}.dtype is not BOOL"
            kept += f" and {first}.dtype in FIT" if limited else ""
        both = f"isinstance({second}, Tensor) and {first}.dtype is {second}.dtype"
        both += f" and {first}.dtype in FIT" if limited else ""
        return f"isinstance({first}, Tensor) and ({both} or {kept})"
    if shared:
        checks += [f"{required[0]}.dtype is {name}.dtype" for name in required[1:]]
    if limited:
        checks += [f"{name}.dtype in FIT" for name in (required[:1] if shared else required)]
    return " and ".join(checks + tests) or "False"


def _alike(xs: Any, shared: bool) -> bool:
    """Whether `xs` is a list of tensors, of one type if `shared`."""
    if not isinstance(xs, (list, tuple)) or not xs:
        return False
    dtype = None
    for x in xs:
        if not isinstance(x, Tensor):
            return False
        if shared and x.dtype is not dtype:
            if dtype is not None:
                return False
            dtype = x.dtype
    return True


def _plain(xs: Any) -> bool:
    """Whether `xs` is a list of values that need no conversion."""
    if type(xs) is not list and type(xs) is not tuple:
        return False
    for x in xs:
        if type(x) not in _PLAIN:
            return False
    return True


_PLAIN = frozenset((bool, int, float, type(None), Tensor, FunctionType))

# Names that all sources use; each op adds its own.
_SCOPE: dict[str, Any] = {
    "__builtins__": builtins,
    "Tensor": Tensor,
    "BOOL": torch.bool,
    "NUMBERS": frozenset((int, float)),
    "PLAIN": _PLAIN,
    "_alike": _alike,
    "_plain": _plain,
}
