"""A step that is captured once for each kind of batch, and replayed from then on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch.autograd.graph import increment_version

from torchkeras.core import tree
from torchkeras.core.tensors.masks import get_mask
from torchkeras.core.torch_internals import count_dispatch_modes, version_of
from torchkeras.core.variables.weight_casts import without_kept_casts
from torchkeras.distributed.rank_share import RankBatch
from torchkeras.optimizers.replaying import ReplayedUpdates, Weight
from torchkeras.training.replay import threads
from torchkeras.training.replay.graphs import Graph, Graphs
from torchkeras.training.replay.settings import Settings

logger = logging.getLogger("torchkeras")

WARM_STEPS = 2
"""Steps of a kind that run in eager mode before the one that is audited."""
MAX_KINDS = 64
"""Kinds of batches that are counted; beyond them shapes change too much for a kind to come back."""
MAX_GRAPHS = 8
"""Graphs of one step; further kinds run in eager mode."""
MAX_RESTARTS = 8
"""How often settings or weights may be replaced before the step stays in eager mode."""


class Parts(NamedTuple):
    """The parts of a step that a replay must know.

    Args:
        tensors: a function that gives all tensors that the step reads or changes from step to step.
        parameters: the parameters that get gradients.
        settings: a function that reads the settings of everything that the step runs.
        obstacle: a function that says why a step with such settings can't be replayed; `None`: it can.
        updates: the host's part of the optimizer's updates, for a training step.
    """

    tensors: Callable[[], list[torch.Tensor]]
    parameters: Sequence[torch.Tensor]
    settings: Callable[[], Settings]
    obstacle: Callable[[Settings], str | None]
    updates: ReplayedUpdates | None = None


class Captured(NamedTuple):
    """A captured step.

    Args:
        graph: the kernels.
        outputs: the result of the step: the same tensors with new values after each replay.
        changed: the tensors that the step changes.
        gradients: the gradients of the parameters, in memory of the graph.
        place: where it was captured.
    """

    graph: Graph
    outputs: Any
    changed: list[torch.Tensor]
    gradients: list[torch.Tensor | None]
    place: object


class Kind:
    """Batches of the same structure, shapes and types."""

    def __init__(self) -> None:
        self.seen = 0
        self.weight: Weight = None
        """How much the gradients of such a batch count among those accumulated."""
        self.audited: dict[Hashable, int] = {}
        """The thread that ran the audit of each case: the handles of CUDA's libraries are those of a thread."""
        self.captured: dict[Hashable, Captured] = {}
        self.data: Any = None
        """A batch whose memory the graphs read; made for the first capture."""
        self._leaves: list[torch.Tensor] = []

    def keep(self, data: Any) -> None:
        """Copy a batch to where the graphs read it."""
        given = [leaf for leaf in tree.flatten(data) if isinstance(leaf, torch.Tensor)]
        if self.data is None:
            self.data = tree.map_structure(_memory_for, data)
            self._leaves = [leaf for leaf in tree.flatten(self.data) if isinstance(leaf, torch.Tensor)]
        for mine, new in zip(self._leaves, given):
            mine.copy_(new, non_blocking=True)


def _memory_for(leaf: Any) -> Any:
    return torch.empty_like(leaf) if isinstance(leaf, torch.Tensor) else leaf


class Replayer:
    """A step as a function of a batch: in eager mode at first, then by replaying what was captured.

    It gives what the step gives and leaves everything as the step leaves it: weights, metrics, the optimizer's count,
    the state of torch's generators, the gradients of the parameters.

    Args:
        step: the step.
        graphs: the way to capture.
        parts: the parts of the step that a replay must know.
        label: the step's name for the log.
        level: the level of its line in the log.
    """

    is_own = False

    def __init__(
        self,
        step: Callable[[RankBatch], Any],
        graphs: Graphs,
        parts: Parts,
        label: str = "step",
        level: int = logging.INFO,
    ) -> None:
        self.step = step
        self.graphs = graphs
        self.parts = parts
        self.label = label
        self.level = level
        self.replays = 0
        """How many steps were replayed so far."""
        self.has_left = False
        """Whether it gave up: all further steps run in eager mode."""
        self._kinds: dict[Hashable, Kind] = {}
        self._restarts = 0
        self._last: Captured | None = None
        self._settings: Settings | None = None
        self._tensors: list[torch.Tensor] = []
        self._addresses: list[int] = []
        self._look = True
        self._always_look = self._is_watched = False

    def begin(self, watched: bool = False, looks: bool = False) -> None:
        """Start a pass over batches: other code ran since the last one, and may have changed anything.

        Args:
            watched: whether code of the user's that sees the model runs between the steps, too.
            looks: whether any code of the user's does, which may change something: a callback's, a generator's.
        """
        self._look, self._always_look, self._is_watched = True, watched or looks, watched

    def __call__(self, batch: RankBatch) -> Any:
        """Do the step for a batch."""
        if self.has_left:
            return self.step(batch)
        key = signature(batch.data)
        kind = self._kinds.get(key)
        if kind is None:
            if key is None or len(self._kinds) >= MAX_KINDS:
                return self._eager(batch)
            kind = self._kinds[key] = Kind()
        if self._look:
            kind = self._look_for_changes(key, kind)
            if self.has_left:
                return self.step(batch)
        updates = self.parts.updates
        case: Hashable = () if updates is None else updates.case(kind.weight)
        captured = kind.captured.get(case) if case is not None else None
        if captured is not None:
            if count_dispatch_modes():  # somebody counts operations or looks at them: a replay has none
                return self._eager(batch)
            if captured.place == self.graphs.place():
                return self._replay(kind, captured, batch)
            self._restart("the stream or the generator of the device was changed")
            return self._eager(batch)
        return self._prepare(kind, case, batch)

    # -- before a kind is replayed

    def _prepare(self, kind: Kind, case: Hashable, batch: RankBatch) -> Any:
        """A step in eager mode, or an audit, or a capture."""
        kind.seen += 1
        if case is not None and kind.seen > WARM_STEPS and self._count() < MAX_GRAPHS:
            with threads.LOCK:
                if threads.is_alone():
                    is_prepared = kind.audited.get(case) == threading.get_ident()
                    return (self._capture if is_prepared else self._audit)(kind, case, batch)
        result = self.graphs.run(lambda: self._eager(batch))
        if self.parts.updates is not None:
            kind.weight = self.parts.updates.weight
        return result

    def _audit(self, kind: Kind, case: Hashable, batch: RankBatch) -> Any:
        """A step in eager mode, with the kernels of a capture, that finds out whether it can be captured."""
        updates = self.parts.updates
        kind.audited[case] = threading.get_ident()
        if updates is not None:
            updates.fill()
        with nullcontext() if updates is None else updates.reading_the_device(), without_kept_casts():
            host = [] if updates is None else updates.host_tensors
            result, obstacle = self.graphs.audit(lambda: self._eager(batch), host)
        if obstacle is not None:
            self.leave(obstacle)
        if updates is not None:
            kind.weight = updates.weight
        return result

    def _count(self) -> int:
        return sum(len(kind.captured) for kind in self._kinds.values())

    def _eager(self, batch: RankBatch) -> Any:
        self._last = None
        return self.step(batch)

    def _capture(self, kind: Kind, case: Hashable, batch: RankBatch) -> Any:
        """Capture the step, then replay it for this batch."""
        updates = self.parts.updates
        if self._settings is None:
            settings = self.parts.settings()
            reason = self.parts.obstacle(settings)
            if reason is not None:
                self.leave(reason)
                return self.step(batch)
            self._settings = settings
        self._tensors = self.parts.tensors()
        versions = [version_of(tensor) for tensor in self._tensors]
        kind.keep(batch.data)
        place = self.graphs.place()
        still = RankBatch(kind.data, batch.share)
        for parameter in self.parts.parameters:
            parameter.grad = None
        failure = None
        try:
            if updates is not None:
                updates.fill()
            with nullcontext() if updates is None else updates.reading_the_device(), without_kept_casts():
                graph, outputs = self.graphs.capture(lambda: self.step(still), bool(self.parts.parameters))
        except Exception as error:
            text = " ".join(str(error).split())[:300].rstrip(".")
            failure = f"the capture failed with {type(error).__name__}: {text}"
        if failure is not None:  # the error is gone, and with it the memory of the step that failed
            for parameter in self.parts.parameters:
                parameter.grad = None
            self.leave(failure)
            return self.step(batch)
        changed = [tensor for tensor, before in zip(self._tensors, versions) if version_of(tensor) != before]
        # Each graph has its own gradients. Those of further graphs are kept only where somebody may look at them.
        kept = self._is_watched or not self._count()
        gradients = [parameter.grad for parameter in self.parts.parameters] if kept else []
        captured = Captured(graph, outputs, changed, gradients, place)
        kind.captured[case] = self._last = captured
        self._addresses = self._addresses_now()
        if not gradients:
            self._show_gradients(captured)
        graph.replay()
        result = self._result(captured)
        reason = self.graphs.obstacle()
        if reason is not None:
            self.leave(reason)
        return result

    # -- replays

    def _replay(self, kind: Kind, captured: Captured, batch: RankBatch) -> Any:
        with threads.LOCK:  # graphs share the memory of batches and results
            return self._replayed(kind, captured, batch)

    def _replayed(self, kind: Kind, captured: Captured, batch: RankBatch) -> Any:
        updates = self.parts.updates
        if self._last is not captured:
            self._show_gradients(captured)
            self._last = captured
        kind.keep(batch.data)
        if updates is not None:
            updates.fill()
        captured.graph.replay()
        self.replays += 1
        if updates is not None:
            updates.count(kind.weight)
        increment_version(captured.changed)
        return self._result(captured)

    def _result(self, captured: Captured) -> Any:
        """The outputs, as tensors of their own: the next replay writes over those of the graph."""
        if captured.outputs is None:
            return None
        return tree.map_structure(lambda x: x.clone() if isinstance(x, torch.Tensor) else x, captured.outputs)

    def _show_gradients(self, captured: Captured) -> None:
        """Let the parameters have the gradients that this graph computes, if it keeps them."""
        gradients = captured.gradients or [None] * len(self.parts.parameters)
        for parameter, gradient in zip(self.parts.parameters, gradients):
            parameter.grad = gradient

    # -- changes

    def _look_for_changes(self, key: Hashable, kind: Kind) -> Kind:
        """Compare settings and tensors with those of the first capture; after a change begin again, with a new kind."""
        self._look = self._always_look
        if self._settings is None:
            return kind
        if self._addresses_now() != self._addresses:
            self._restart("weights or other tensors were replaced")
        elif not self._settings.are_unchanged():
            settings = self.parts.settings()
            if settings == self._settings:
                self._settings = settings
                return kind
            self._restart("settings were changed")
        else:
            return kind
        kind = self._kinds[key] = Kind()
        return kind

    def _addresses_now(self) -> list[int]:
        return [tensor.data_ptr() for tensor in self._tensors]

    def _restart(self, reason: str) -> None:
        """Forget all graphs."""
        self._kinds.clear()
        self._last = self._settings = None
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            self.leave(f"{reason} {self._restarts} times")

    def leave(self, reason: str) -> None:
        """Stay in eager mode from now on, and log why."""
        self._kinds.clear()
        self._last = self._settings = None
        self.has_left = True
        logger.log(self.level, "%s runs without CUDA graphs: %s.", self.label, reason)


def signature(data: Any) -> Hashable | None:
    """The structure, shapes, types and places of a batch; `None` where it holds more than tensors and constants."""
    leaves = tree.flatten(data)
    found: list[Hashable] = [torch.is_inference_mode_enabled(), torch.is_grad_enabled()]
    for leaf in leaves:
        if isinstance(leaf, torch.Tensor):
            if leaf.layout is not torch.strided or get_mask(leaf) is not None or leaf.requires_grad:
                return None
            found.append((leaf.shape, leaf.dtype, leaf.device))
        elif isinstance(leaf, (int, float, str, type(None))):
            found.append(leaf)
        else:
            return None
    if len(leaves) != (len(data) if isinstance(data, (tuple, list)) else 1):
        found.append(str(tree.map_structure(lambda leaf: 0, data)))
    return tuple(found)
