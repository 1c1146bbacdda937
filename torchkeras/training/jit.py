"""The function of a step, compiled with `torch.compile` for one size of batches."""

from __future__ import annotations

import itertools
import logging
import types
from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core.torch_internals import count_dispatch_modes, graph_break_error

logger = logging.getLogger("torchkeras")
_numbers = itertools.count(1)


class Jit:
    """A method of a step that is compiled as one graph for batches of the size of the first one.

    Batches of another size, such as a ragged last one, run uncompiled: they would cost another compilation. If the
    method can't be one graph, or is compiled once more, the logger `torchkeras` says so once, with the line of code.

    Args:
        method: the method.
        label: its name for the log.
    """

    def __init__(self, method: Callable[..., Any], label: str) -> None:
        self.plain = method
        self.label = label
        self.compiled = torch.compile(with_code_of_its_own(method), fullgraph=True)
        self._rows: int | None = None
        self._known: set[int] = set()
        self._watches = True

    def begin(self) -> None:
        """Start a run of batches, perhaps of another size."""
        self._rows = None

    def __call__(self, rows: int, *args: Any) -> Any:
        """The result of the method for a batch of so many rows."""
        if self._rows is None:
            self._rows = rows
        if rows != self._rows or count_dispatch_modes():  # under a mode that watches operations torch compiles nothing
            return self.plain(*args)
        if not self._watches:
            return self.compiled(*args)
        if rows in self._known:
            return self._as_before(*args)
        self._known.add(rows)
        try:
            return self.compiled(*args)
        except graph_break_error() as error:  # nothing has run yet
            self._watches = False
            logger.warning(
                "jit_compile: %s can't be compiled as one graph, so parts of it run uncompiled. %s",
                self.label,
                _short(error),
            )
            self.compiled = torch.compile(with_code_of_its_own(self.plain))
            return self.compiled(*args)

    def _as_before(self, *args: Any) -> Any:
        """The compiled function, which is expected to be compiled already."""
        try:
            with torch.compiler.set_stance("fail_on_recompile"):
                return self.compiled(*args)
        except RuntimeError as error:
            if "fail_on_recompile" not in str(error):
                raise
            self._watches = False
            logger.warning("jit_compile: %s is compiled once more. %s", self.label, _short(error))
            return self.compiled(*args)


def _short(error: BaseException) -> str:
    """The first sentence of an error of the compiler, and the last line of code that it names."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    places = [i for i, line in enumerate(lines) if line.startswith("File ")]
    reason = next((line for line in lines if line.startswith("- ")), lines[0] if lines else type(error).__name__)
    return reason + (f" At {' '.join(lines[places[-1] : places[-1] + 2])}" if places else "")


def with_code_of_its_own(method: Any) -> Any:
    """The method with a copy of its code under another name.

    `torch.compile` counts by code object how often it compiled, and gives up after eight times; it remembers by name
    which sizes have changed. Both must count for one model, not for all models trained in a process.
    """
    function = method.__func__
    code = function.__code__.replace(co_name=f"{function.__name__}_{next(_numbers)}")
    copied = types.FunctionType(code, function.__globals__, code.co_name, function.__defaults__, function.__closure__)
    return types.MethodType(copied, method.__self__)
