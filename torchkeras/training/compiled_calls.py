"""Layers whose calls are compiled while a step runs: for steps of the user's, and for blocks that repeat."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from torchkeras.core.state import state
from torchkeras.core.torch_internals import call_uncompiled, count_dispatch_modes, set_compiled_call
from torchkeras.distributed.rank_share import current_share
from torchkeras.layers.base.layer import Layer
from torchkeras.training.argument_kinds import kind_of
from torchkeras.training.one_graph import OneGraph, Report

_MOST_SIZES = 4  # kinds of arguments with a graph of their own; the kinds after them share one of dynamic sizes


class CompiledCalls:
    """Modules whose calls are compiled inside of `with calls.during(rows)`.

    The first batch, and batches of another size than the first one (such as a ragged last one), run uncompiled. Calls
    within a compiled call are part of its graph. The logger `torchkeras` reports a break of a graph, or another
    compilation for arguments of known shapes and types, once.

    Args:
        groups: lists of modules; those of a list share their graphs as far as they are alike.
        label: the name of the step for the log.
        outermost: whether only calls that no other layer's call makes are compiled.
    """

    def __init__(self, groups: Sequence[Sequence[nn.Module]], label: str, outermost: bool = False) -> None:
        self.report = Report(label)
        self.compiles = False
        """Whether calls are compiled at this time."""
        self._calls: list[tuple[nn.Module, Callable[..., Any]]] = []
        for group in groups:
            graphs = _Graphs(self, outermost)
            self._calls += [(module, functools.partial(graphs.call, module)) for module in group]
        self._size: Hashable = None
        self._has_run = False

    def begin(self) -> None:
        """Start a run of batches, perhaps of another size."""
        self._size = None

    @contextmanager
    def during(self, rows: int) -> Iterator[None]:
        """Compile the calls that are made inside, for a step with a batch of so many rows."""
        size = (rows, current_share().total_rows(rows))
        if self._size is None:
            self._size = size
        outer, self.compiles = self.compiles, self._has_run and size == self._size and not count_dispatch_modes()
        self._has_run = True
        # Also where nothing compiles: a graph around a call, as of super().train_step(), finds the module as it was.
        before = [set_compiled_call(module, call) for module, call in self._calls]
        try:
            yield
        finally:
            self.compiles = outer
            for (module, _), call in zip(self._calls, before, strict=True):
                set_compiled_call(module, call)


class _Graphs:
    """The graphs of some modules of one kind, by the shapes and types of the arguments."""

    def __init__(self, calls: CompiledCalls, outermost: bool) -> None:
        self._calls = calls
        self._outermost = outermost
        self._graphs: dict[Hashable, OneGraph] = {}

    def call(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """The result of a call of one of the modules."""
        if torch.compiler.is_compiling() or not self._calls.compiles or (self._outermost and state.entry is not None):
            return call_uncompiled(module, *args, **kwargs)
        kind = (tuple(kwargs), kind_of((args, kwargs)))
        graph = self._graphs.get(kind)
        if graph is None:
            dynamic = len(self._graphs) >= _MOST_SIZES
            place = "dynamic" if dynamic else kind
            graph = self._graphs.get(place)
            if graph is None:
                graph = self._graphs[place] = OneGraph(self._call, self._calls.report, dynamic)
        return graph((id(module), kind), module, *args, **kwargs)

    def _call(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return call_uncompiled(module, *args, **kwargs)


def composite_layers(model: nn.Module) -> list[list[nn.Module]]:
    """The model and every layer in it that holds other modules, each in a group of its own."""
    return [[part] for part in model.modules() if isinstance(part, Layer) and next(part.children(), None) is not None]


def repeated_blocks(model: nn.Module) -> list[list[nn.Module]]:
    """The modules that repeat: of one class, with submodules, side by side, with weights of the same shapes and types.

    The outermost ones are taken; the search does not go on inside of them.
    """
    groups: list[list[nn.Module]] = []
    seen: set[int] = set()

    def search(module: nn.Module) -> None:
        alike: dict[Hashable, list[nn.Module]] = {}
        for child in module.children():
            if id(child) not in seen:
                seen.add(id(child))
                alike.setdefault(_look(child), []).append(child)
        for group in alike.values():
            if len(group) > 1 and next(group[0].children(), None) is not None:
                groups.append(group)
            else:
                for child in group:
                    search(child)

    search(model)
    return groups


def _look(module: nn.Module) -> Hashable:
    """The class of a module with the classes of its parts and the shapes and types of its weights."""
    parts = tuple(type(part) for part in module.modules())
    weights = tuple((w.shape, w.dtype, w.requires_grad) for w in [*module.parameters(), *module.buffers()])
    return type(module), parts, weights
