"""Conditionally revert a step from a device-side flag, without synchronising."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from torchkeras.core.torch_internals import foreach_copy_
from torchkeras.optimizers.parameter_group import local


class SavedValues:
    """Copies of the values that tensors have now, to be restored later.

    Tensors of one device and type share a buffer, so that copying and restoring take a few kernels for all of them.

    Args:
        tensors: the tensors that a step may change, any number of them.
    """

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        groups: dict[Any, list[torch.Tensor]] = {}
        for tensor in map(local, tensors):
            groups.setdefault((tensor.device, tensor.dtype), []).append(tensor)
        self._groups = list(groups.values())
        self._before = [_flat(group) for group in self._groups]

    def restore_unless(self, done: torch.Tensor) -> None:
        """Restore the values if `done`, a boolean tensor without dimensions, is false."""
        for group, before in zip(self._groups, self._before):
            values = torch.where(done.to(before.device), _flat(group), before)
            parts = values.split([tensor.numel() for tensor in group])
            foreach_copy_(group, [part.view(tensor.shape) for part, tensor in zip(parts, group)])


def _flat(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
