"""The function of a step, compiled with `torch.compile` for one size of batches."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from torchkeras.core.torch_internals import count_dispatch_modes
from torchkeras.distributed.rank_share import current_share
from torchkeras.training.argument_kinds import kind_of
from torchkeras.training.one_graph import CantCompileError, OneGraph, Report, TracedCodeError, WholeStep


class Jit:
    """A method of a step that is compiled as one graph for batches of the size of the first one.

    Batches of another size, such as a ragged last one, run uncompiled: they would cost another compilation. If the
    method can't be one graph, or is compiled once more, the logger `torchkeras` says so once, with the line of code.

    Args:
        method: the method.
        report: takes note of a break of the graph, and of a second compilation.
    """

    def __init__(self, method: Callable[..., Any], report: Report) -> None:
        self.plain = method
        self._graph = OneGraph(method, report)
        self._size: Hashable = None

    def begin(self) -> None:
        """Start a run of batches, perhaps of another size."""
        self._size = None

    def check_guards(self, each: bool = True) -> None:
        """Evaluate the guards before the next batch; as in `CompiledMethod`."""
        self._graph.check_guards(each)

    def __call__(self, rows: int, *args: Any) -> Any:
        """The result of the method for a batch of so many rows."""
        size = (rows, current_share().total_rows(rows))  # the rows here are a constant of the graph; so are all ranks'
        if self._size is None:
            self._size = size
        if size != self._size or count_dispatch_modes():  # under a mode that watches operations torch compiles nothing
            return self.plain(*args)
        return self._graph(size, *args)


class WholeJit:
    """A whole step, with backward passes and updates, as one graph for batches of the size of the first one.

    The first batch, which makes variables, and batches of another size run uncompiled.

    Args:
        step: a function of a batch.
        report: takes note of the reason why the step can't be one graph; `None`: nothing does.
        plain: the function for batches that run uncompiled. Default: `None`, `step`.
    """

    def __init__(
        self, step: Callable[[Any], Any], report: Report | None, plain: Callable[[Any], Any] | None = None
    ) -> None:
        self.plain = step if plain is None else plain
        self._graph = WholeStep(step, report)
        self._size: Hashable = None
        self._has_run = False
        self._is_misread = False  # the compiler sees an error where there is none

    def begin(self) -> None:
        """Start a run of batches, perhaps of another size."""
        self._size = None

    def check_guards(self, each: bool = True) -> None:
        """Evaluate the guards before the next batch; as in `CompiledMethod`."""
        self._graph.check_guards(each)

    def __call__(self, rows: int, data: Any) -> Any:
        """The result of the step for a batch of so many rows.

        Raises:
            CantCompileError: the step can't be compiled as one graph; nothing of it has run.
        """
        size = (rows, current_share().total_rows(rows))
        if self._size is None:
            self._size = size
        if not self._has_run or size != self._size or count_dispatch_modes():
            self._has_run = True
            return self.plain(data)
        if self._is_misread:
            raise CantCompileError
        try:
            return self._graph((size, kind_of(data)), data)
        except TracedCodeError:
            result = self.plain(data)  # the error again, as the user knows it; the graph may serve when it is mended
            self._is_misread = True
            return result
