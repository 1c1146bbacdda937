"""A stand-in for CUDA graphs on the CPU: it records the operations of a step and repeats them.

As a CUDA graph it repeats them on the same tensors with the Python numbers of their first call, runs no Python code,
leaves all tensors alone while it captures, and refuses a step that reads a value of the device. Tensors that were named
as the host's play the part of tensors on the CPU: what happens to them is not recorded.

Its memory is the worst that CUDA's may be. Tensors made in a capture hold no values before the first replay. A graph
that was captured earlier in the same pool computes where later ones have theirs, so its replay leaves nothing of those.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from torchkeras.core import tree
from torchkeras.training.replay.audit import Audit

CAPTURED: list[RecordedGraph] = []


def _tensors(nest: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree.flatten(nest) if isinstance(leaf, torch.Tensor)]


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class RecordedGraph(TorchDispatchMode):
    def __init__(self, host: set[int], pool: object = None) -> None:
        super().__init__()
        self.host = host
        self.pool = pool
        self.calls: list[tuple] = []
        self.before: dict[int, tuple] = {}
        self.made: set[int] = set()
        self.read: dict[int, tuple[str, StorageWeakRef]] = {}
        self.replays = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = _tensors((args, kwargs))
        if given and all(_address(tensor) in self.host for tensor in given):
            result = function(*args, **kwargs)
            self.host.update(map(_address, _tensors(result)))
            return result
        if "_local_scalar_dense" in str(function):
            raise RuntimeError("operation not permitted when stream is capturing")
        for tensor in given:
            place = _address(tensor)
            if place not in self.made and place not in self.before:
                self.before[place] = tensor.untyped_storage(), tensor.untyped_storage().clone()
                if "lift_fresh" not in str(function):  # a constant, which a kernel would fill in on a GPU
                    self.read[place] = f"{function} of {tuple(tensor.shape)}", StorageWeakRef(tensor.untyped_storage())
        result = function(*args, **kwargs)
        old = set(map(_address, given))
        fresh = [tensor for tensor in _tensors(result) if _address(tensor) not in old]
        self.made.update(map(_address, fresh))
        self.calls.append((function, args, kwargs, result, [_address(t) not in old for t in _tensors(result)]))
        return result

    def put_back(self) -> None:
        for storage, value in self.before.values():
            storage.copy_(value)

    def dangling(self) -> list[str]:
        """The first reads of memory that nobody else keeps. A graph of CUDA would read it all the same.

        It can't be replayed any more after this question.
        """
        self.calls.clear()
        self.before.clear()
        gc.collect()
        return [text for text, storage in self.read.values() if storage.expired()]

    def spoil(self) -> None:
        """Overwrite all that the graph makes. A byte of 255 makes NaN of every type of floats."""
        for *_, result, fresh in self.calls:
            for tensor, is_fresh in zip(_tensors(result), fresh, strict=True):
                if is_fresh and _address(tensor) in self.made:
                    tensor.untyped_storage().fill_(255)

    def replay(self) -> None:
        self.replays += 1
        for later in CAPTURED[CAPTURED.index(self) + 1 :] if self in CAPTURED else ():
            if later.pool == self.pool:
                later.spoil()
        with torch.no_grad():
            for function, args, kwargs, result, fresh in self.calls:
                for old, new, is_fresh in zip(
                    _tensors(result), _tensors(function(*args, **kwargs)), fresh, strict=True
                ):
                    if is_fresh:
                        old.detach().copy_(new)


class RecordedGraphs:
    """`Graphs` for the CPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.host: Sequence[torch.Tensor] = ()

    def place(self):
        return None

    def obstacle(self):
        return None

    def run(self, function):
        return function()

    def audit(self, function, host):
        self.host = list(host)
        audit = Audit(self.device, host)
        with audit:
            result = function()
        return result, audit.obstacle

    def capture(self, function, leaves_gradients):
        graph = RecordedGraph(set(map(_address, self.host)), leaves_gradients)
        random = torch.get_rng_state()
        try:
            with graph:
                result = function()
        finally:
            graph.put_back()
            torch.set_rng_state(random)
        graph.spoil()
        CAPTURED.append(graph)
        return graph, result
