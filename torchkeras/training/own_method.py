"""A step that the user wrote, run as it is or compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from torchkeras.core.torch_internals import traces_backward
from torchkeras.distributed.rank_share import rows_of
from torchkeras.distributed.strategies.base import Strategy
from torchkeras.training.compiled_calls import CompiledCalls
from torchkeras.training.jit import WholeJit
from torchkeras.training.one_graph import CantCompileError
from torchkeras.training.replay.settings import HOOKS
from torchkeras.training.state import TrainableModel


class OwnMethod:
    """A `train_step`, `test_step` or `predict_step` of the user's.

    Args:
        model: the model.
        name: the method's name.
        calls: the layers whose calls are compiled; `None`: none. Default: `None`.
        whole: whether all of the step is to be one graph, and `calls` only where torch can't compile it so. Default:
            `False`.
        on_leaving: is called when the step turns out not to be one graph. Default: `None`.
    """

    def __init__(
        self,
        model: TrainableModel,
        name: str,
        calls: CompiledCalls | None = None,
        whole: bool = False,
        on_leaving: Callable[[], None] | None = None,
    ) -> None:
        self.model = model
        self.name = name
        self.calls = calls
        self.graph = None
        if whole and calls is not None and traces_backward():
            self.graph = WholeJit(self._run, calls.report)
        self._on_leaving = on_leaving

    def begin(self) -> None:
        """Start a run of batches, perhaps of another size."""
        for part in (self.calls, self.graph):
            if part is not None:
                part.begin()
        if self.graph is not None and has_hooks(self.model.parameters()):
            self._leave()  # a graph with the backward pass calls no hooks

    def check_guards(self) -> None:
        """Evaluate the guards of the graph before each batch: code of the user's may change what it depends on."""
        if self.graph is not None:
            self.graph.check_guards()

    def __call__(self, data: Any) -> Any:
        """The result of the step for a batch."""
        if self.calls is None:
            return self._run(data)
        rows = rows_of(data)
        if self.graph is not None:
            try:
                return self.graph(rows, data)
            except CantCompileError:
                self._leave()
        with self.calls.during(rows):
            return self._run(data)

    def _leave(self) -> None:
        self.graph = None
        if self._on_leaving is not None:
            self._on_leaving()

    def _run(self, data: Any) -> Any:
        return getattr(self.model, self.name)(data)


def hooks_of(model: torch.nn.Module, strategy: Strategy) -> tuple[int, ...]:
    """The numbers of the hooks on a model's modules, which torch's guards leave out: other hooks need another graph.

    With several ranks there are none of interest: strategies hang hooks of their own.
    """
    if strategy.is_distributed:
        return ()
    own = (vars(module) for module in model.modules())
    return tuple(number for module in own for name in HOOKS if module[name] for number in module[name])


def has_hooks(parameters: Iterable[torch.Tensor]) -> bool:
    """Whether a backward pass calls functions that somebody hung on one of the parameters."""
    return any(parameter._backward_hooks or parameter._post_accumulate_grad_hooks for parameter in parameters)
