"""Masked sequences for kernels without masks: each row's unmasked steps come first, in their order."""

from __future__ import annotations

import torch
from torch import Tensor


class LeftAligned:
    """A sequence `(batch, time, features)` whose unmasked steps are moved to the front of each row.

    The mask may have any form and lie on any device, and its values are never read on the host: counting the steps
    before says where each goes, and after the kernel each output goes back to its place. Behind the last unmasked step
    there are zeros.
    """

    def __init__(self, sequences: Tensor, mask: Tensor) -> None:
        self.mask = mask
        self.lengths = mask.sum(1)
        masked = mask.logical_not()
        places = torch.where(mask, count_steps(mask), self.lengths[:, None] + count_steps(masked)) - 1
        steps = torch.arange(mask.shape[1], device=mask.device).expand_as(places)
        order = torch.zeros_like(places).scatter(1, places, steps)  # a sort has no ONNX form
        self.padding = steps >= self.lengths[:, None]
        moved = _take(sequences, order)
        self.sequences = moved.masked_fill(self.padding[:, :, None], 0)

    def restore(self, outputs: Tensor, zero_masked: bool) -> Tensor:
        """Put outputs back in their places; a masked step is zero, or repeats the one before (zeros at the start)."""
        last = count_steps(self.mask) - 1  # for each time, the number of the last unmasked step
        placed = _take(outputs, last.clamp(min=0))
        empty = self.mask.logical_not() if zero_masked else last < 0
        return placed.masked_fill(empty[:, :, None], 0)

    def restore_last(self, outputs: Tensor, zero_masked: bool) -> Tensor:
        """`restore(...)[:, -1]`, without the other steps."""
        last = self.final(outputs, torch.zeros_like(outputs[:, 0]))
        return last.masked_fill(self.mask[:, -1:].logical_not(), 0) if zero_masked else last

    def final(self, outputs: Tensor, initial: Tensor) -> Tensor:
        """The output of the last unmasked step; `initial` for a row without one."""
        last = _take(outputs, (self.lengths - 1).clamp(min=0)[:, None])[:, 0]
        return torch.where(self.lengths[:, None] > 0, last, initial)


def _take(sequences: Tensor, steps: Tensor) -> Tensor:
    """The steps of each row that `steps` numbers."""
    return sequences.gather(1, steps[:, :, None].expand(-1, -1, sequences.shape[2]))


def count_steps(mask: Tensor) -> Tensor:
    """For each time the number of unmasked steps up to it."""
    return mask.cumsum(1, dtype=torch.int64)  # torch_xla's sum of booleans is a boolean
