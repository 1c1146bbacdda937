"""A method that `torch.compile` makes one graph of, and a short way to the code that it made."""

from __future__ import annotations

import itertools
import threading
import types
from collections.abc import Callable, Hashable
from typing import Any

import torch

from torchkeras.core.torch_internals import CompiledCode, newest_compiled_code

_numbers = itertools.count(1)
# While torch compiles in one thread, it changes what other threads see: the stance, and the calls of modules.
_compiling = threading.RLock()
_VARARGS, _KEYWORDS = 0x04, 0x08  # flags of code objects


class RecompiledError(Exception):
    """`torch.compile` would compile a method again for a call that its code is expected to serve. Nothing has run."""


class CompiledMethod:
    """A method compiled as one graph.

    A call through `torch.compile` first evaluates the guards: whether all that the code depends on is as it was when
    the code was made. With the rest of the way in this takes as long as a step of a small network. Hence `again` looks
    up the code by the kind of the arguments, has the guards evaluated alone, and calls the code directly. Where
    `check_guards` says that only this library's code runs between the calls, it evaluates the guards of each kind once.

    Args:
        method: the method.
        **options: as for `torch.compile`.
    """

    def __init__(self, method: Callable[..., Any], **options: Any) -> None:
        self.method = with_code_of_its_own(method)
        self._compiled = torch.compile(self.method, fullgraph=True, **options)
        self._code: dict[Hashable, CompiledCode] = {}
        self.unguarded: dict[Hashable, Callable[..., Any]] = {}
        """The code for each kind of arguments whose guards need no evaluation before the next call, as a function."""
        self._each = True

    def check_guards(self, each: bool = True) -> None:
        """Evaluate the guards before the next call.

        Args:
            each: whether to evaluate them before each later call, too, since code of the user's may run between two
                calls. Default: `True`.
        """
        self._each = each
        self.unguarded.clear()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The result of the method, which `torch.compile` compiles where it has not yet."""
        with _compiling:
            return self._compiled(*args, **kwargs)

    def again(self, kind: Hashable, *args: Any, **kwargs: Any) -> Any:
        """The result of the method, for which there should be code.

        Args:
            kind: two calls with equal values are expected to run the same code.
            *args, **kwargs: the arguments of the method.

        Raises:
            RecompiledError: there is no code whose guards hold.
        """
        run = self.unguarded.get(kind)
        if run is not None:
            return run(*args, **kwargs)
        code = self._code.get(kind)
        if code is not None and code.guards_hold(self._locals(args, kwargs)):
            if not self._each:
                self.unguarded[kind] = code.run
            return code.run(*args, **kwargs)
        with _compiling:
            try:
                with torch.compiler.set_stance("fail_on_recompile"):
                    result = self._compiled(*args, **kwargs)
            except RuntimeError as error:
                if "fail_on_recompile" not in str(error):
                    raise
                raise RecompiledError(str(error)) from error
            code = newest_compiled_code(self.method)
        if code is not None:
            self._code[kind] = code
        return result

    def _locals(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The local variables with which a call of the method begins."""
        code = self.method.__func__.__code__
        count = code.co_argcount
        found = dict(zip(code.co_varnames[:count], (self.method.__self__, *args)))
        if code.co_flags & _VARARGS:
            found[code.co_varnames[count]] = args[count - 1 :]
            count += 1
        if code.co_flags & _KEYWORDS:
            found[code.co_varnames[count]] = kwargs
        return found


def with_code_of_its_own(method: Any) -> types.MethodType:
    """The method with a copy of its code under another name.

    `torch.compile` counts by code object how often it compiled, and gives up after eight times; it remembers by name
    which sizes have changed. Both must count for one model, not for all models trained in a process.
    """
    function = method.__func__
    code = function.__code__.replace(co_name=f"{function.__name__}_{next(_numbers)}")
    copied = types.FunctionType(code, function.__globals__, code.co_name, function.__defaults__, function.__closure__)
    return types.MethodType(copied, method.__self__)
