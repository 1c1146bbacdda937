"""A function that `torch.compile` makes one graph of, and the log where that fails."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from typing import Any, NoReturn

import torch

from torchkeras.core import tree
from torchkeras.core.fast_paths.compiled_images import layout_options
from torchkeras.core.fast_paths.compiled_products import product_options
from torchkeras.core.torch_internals import (
    compiler_error,
    data_dependent_error,
    default_compiler,
    graph_break_error,
    too_often_compiled_error,
    tracing_backward,
    tracing_changed_integers,
)
from torchkeras.core.user_warnings import is_library_file
from torchkeras.distributed.gradient_reduction import tracing_apply_as
from torchkeras.optimizers.in_graph import apply_as_operator
from torchkeras.training.compiled_method import CompiledMethod, RecompiledError, with_code_of_its_own

logger = logging.getLogger("torchkeras")


class Report:
    """Lines in the log of `torchkeras` about compilation: one per label, for what comes first.

    Args:
        label: the name of what is compiled, such as "the training step of 'sequential'".
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.is_open = True
        """Whether nothing was reported yet."""

    def add(self, what: str, error: BaseException) -> None:
        """Log that the labelled code `what` (a verb and more), with the compiler's reason and the line of code."""
        if self.is_open:
            self.is_open = False
            logger.warning("jit_compile: %s %s %s", self.label, what, _short(error))


class OneGraph:
    """A method compiled as one graph, or as several where it can't be one.

    Args:
        method: the method.
        report: takes note of a break of the graph, and of a second compilation for calls of one kind.
        dynamic: as for `torch.compile`. Default: `None`.
    """

    def __init__(self, method: Callable[..., Any], report: Report, dynamic: bool | None = None) -> None:
        self.plain = method
        self.report = report
        self._whole: CompiledMethod | None = CompiledMethod(method, dynamic=dynamic, backend=compile_graph)
        self._parts: Callable[..., Any] = method
        self._dynamic = dynamic
        self._known: set[Hashable] = set()

    def check_guards(self, each: bool = True) -> None:
        """Evaluate the guards before the next call; as in `CompiledMethod`."""
        if self._whole is not None:
            self._whole.check_guards(each)

    def __call__(self, kind: Hashable, *args: Any, **kwargs: Any) -> Any:
        """The result of the method.

        Args:
            kind: two calls with equal values are expected to run the same compiled code.
            *args, **kwargs: the arguments of the method.
        """
        if self._whole is None:
            return self._in_parts(*args, **kwargs)
        if kind in self._known:
            try:
                return self._whole.again(kind, *args, **kwargs)
            except RecompiledError as error:
                self.report.add("is compiled once more.", error)
        again = kind in self._known
        self._known.add(kind)
        try:
            with tracing_changed_integers() if again else nullcontext():
                return self._whole(*args, **kwargs)
        except graph_break_error() as error:  # nothing has run yet
            if is_error_of_traced_code(error):
                self._known.discard(kind)
                result = self.plain(*args, **kwargs)  # raises the error, as the user knows it, unless torch was wrong
                self._leave_for_parts(error)
                return result
            self._leave_for_parts(error)
        except data_dependent_error() as error:  # nothing has run yet either
            self._leave("can't be compiled, so it runs uncompiled.", error)
        except too_often_compiled_error() as error:
            self._leave("needs other code again and again, so it runs uncompiled.", error)
        return self._in_parts(*args, **kwargs)

    def _leave_for_parts(self, error: BaseException) -> None:
        self._leave("can't be compiled as one graph, so parts of it run uncompiled.", error)
        self._parts = torch.compile(with_code_of_its_own(self.plain), dynamic=self._dynamic, backend=compile_graph)

    def _leave(self, what: str, error: BaseException) -> None:
        self.report.add(what, error)
        self._whole = None

    def _in_parts(self, *args: Any, **kwargs: Any) -> Any:
        """The function as several graphs; uncompiled if one of them meets a choice that depends on data."""
        if self._parts is self.plain:
            return self.plain(*args, **kwargs)
        try:
            return self._parts(*args, **kwargs)
        except data_dependent_error():
            self._parts = self.plain
            return self.plain(*args, **kwargs)


class CantCompileError(Exception):
    """A method can't be compiled as one graph that serves for all calls of one kind. Nothing of the call has run."""


class TracedCodeError(CantCompileError):
    """The code of a method raised an error while the compiler traced it. Nothing of the call has run."""


def is_error_of_traced_code(error: BaseException) -> bool:
    """Whether the compiler failed because the code that it traced raised an error, such as one about shapes."""
    return str(error).startswith("Observed exception")


class WholeStep:
    """A step as one graph with the backward passes that it starts; an optimizer's update is an operator in it.

    Args:
        step: a function of a batch, such as a `train_step` of the user's.
        report: takes note of the reason why the step can't be one graph; `None`: nothing does. Default: `None`.
    """

    def __init__(self, step: Callable[[Any], Any], report: Report | None = None) -> None:
        self.step = step
        self.report = report
        self._compiled = CompiledMethod(self._without_history, backend=_compile_without_checkpoints)
        self.check_guards = self._compiled.check_guards
        self._unguarded = self._compiled.unguarded
        self._known: set[Hashable] = set()

    def __call__(self, kind: Hashable, data: Any) -> Any:
        """The result of the step for a batch.

        Args:
            kind: two batches with equal values are expected to run the same compiled code.
            data: the batch.

        Raises:
            TracedCodeError: the step raised an error while it was traced.
            CantCompileError: torch can't compile the step, or would compile it again. Nothing of it has run.
        """
        run = self._unguarded.get(kind)
        if run is not None:
            return run(data)
        with tracing_apply_as(apply_as_operator):
            if kind in self._known:
                try:
                    return self._compiled.again(kind, data)
                except RecompiledError as error:
                    self._leave("would be compiled again", error)
            self._known.add(kind)
            try:
                with tracing_backward():
                    return self._compiled(data)
            except compiler_error() as error:
                if is_error_of_traced_code(error):
                    self._known.discard(kind)
                    raise TracedCodeError from error
                self._leave("can't be compiled as one graph", error)

    def _leave(self, what: str, error: BaseException) -> NoReturn:
        if self.report is not None:
            self.report.add(f"{what}, so only the calls of its layers are.", error)
        raise CantCompileError from error

    def _without_history(self, data: Any) -> Any:
        """The result of the step without gradients: those that the step wanted are computed already."""
        return tree.map_structure(_detached, self.step(data))


def compile_graph(graph: torch.fx.GraphModule, example_inputs: Sequence[Any]) -> Callable[..., Any]:
    """Compile a graph by torch's default compiler, with this library's options."""
    # The guards, or the kind of the batch, have the sizes of all inputs checked already.
    options = {"size_asserts": False, **product_options(), **layout_options(graph)}
    return default_compiler()(graph, example_inputs, config_patches=options)


def _compile_without_checkpoints(graph: torch.fx.GraphModule, example_inputs: Sequence[Any]) -> Callable[..., Any]:
    """`compile_graph` for a graph without checkpoints."""
    refuse_checkpoints(graph)
    return compile_graph(graph, example_inputs)


_CHECKPOINTS = ("tag_activation_checkpoint", "wrap_activation_checkpoint")  # operators that hold a function's graph


def refuse_checkpoints(graph: torch.nn.Module) -> None:
    """Refuse a graph with checkpoints, whose backward pass is in it: the compiler would keep all that they free.

    Raises:
        ValueError: there are checkpoints in the graph.
    """
    for part in graph.modules():
        for node in getattr(getattr(part, "graph", None), "nodes", ()):
            if node.op == "call_function" and str(node.target) in _CHECKPOINTS:
                raise ValueError("Rematerialization needs a backward pass that is a graph of its own.")


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, torch.Tensor) else value


def _short(error: BaseException) -> str:
    """The first sentence of an error of the compiler, and the last line of the user's code that it names."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    code = [line.removeprefix("-").lstrip() for line in lines]  # a stack trace may be a list within a list
    places = [i for i, line in enumerate(code) if line.startswith('File "')]
    users = [i for i in places if not is_library_file(code[i].split('"')[1])]
    reason = next((line for line in lines if line.startswith("- ")), lines[0] if lines else type(error).__name__)
    guard = _GUARD.match(reason)
    if guard is not None:
        expression, _, where = guard[1].partition("#")
        reason = f"{_PATH_TO_MODEL.sub('model', expression).strip()} no longer holds."
        if not users:
            return f"{reason} At {where.strip()}" if where else reason
    place = (users or places)[-1:]
    return reason + "".join(f" At {' '.join(code[i : i + 2])}" for i in place)


_GUARD = re.compile(r"- \d+/\d+: (.*?)(?:\(HINT:.*)?$")  # the compiler's line on a value that has changed
_PATH_TO_MODEL = re.compile(r"\bself(?:\.\w+)*?\.model\b")  # in the names of the steps here
