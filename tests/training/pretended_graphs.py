"""CUDA graphs of the pretended device (`tests/pretend_cuda.py`): each step is audited, none is captured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tests.pretend_cuda import CUDA, Machine
from torchkeras.core import tree
from torchkeras.training.replay.audit import Audit, _address


class PretendedAudit(Audit):
    """An audit that goes by the labels of the pretended machine.

    A tensor that is made of nothing gets its label after the operation; one of the host counts as a constant then.
    """

    def __init__(self, machine: Machine, device: torch.device, host: Sequence[torch.Tensor] = ()) -> None:
        self.machine = machine
        super().__init__(device, host)

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunction():
            result = super().__torch_dispatch__(function, types, args, kwargs)
            if not any(isinstance(leaf, torch.Tensor) for leaf in tree.flatten((args, kwargs))):
                made = [leaf for leaf in tree.flatten(result) if isinstance(leaf, torch.Tensor)]
                self._kept += made
                self._constant.update(map(_address, made))
            return result

    def _is_host(self, tensor: torch.Tensor) -> bool:
        return self.machine.labels.get(tensor) != CUDA


class PretendedGraphs:
    """`Graphs` whose audit ends each replay: with why the step can't be captured, or with `CAN_BE_CAPTURED`."""

    CAN_BE_CAPTURED = "it can be captured"

    def __init__(self, machine: Machine, device: torch.device) -> None:
        self.machine = machine
        self.device = device

    def place(self) -> object:
        return None

    def obstacle(self) -> str | None:
        return None

    def run(self, function: Callable[[], Any]) -> Any:
        return function()

    def audit(self, function: Callable[[], Any], host: Sequence[torch.Tensor]) -> tuple[Any, str]:
        audit, waits = PretendedAudit(self.machine, self.device, host), len(self.machine.waits)
        with audit:
            result = function()
        waited = [f"it waits for the device: {wait}" for wait in self.machine.waits[waits:]]
        return result, audit.obstacle or (waited or [self.CAN_BE_CAPTURED])[0]

    def capture(self, function: Callable[[], Any], leaves_gradients: bool) -> Any:
        raise AssertionError("each step has left before")
