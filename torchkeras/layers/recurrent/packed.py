"""Masked sequences for kernels that know no masks: the steps that count come first, in their order."""

from __future__ import annotations

import torch
from torch import Tensor


class Packed:
    """A sequence `(batch, time, features)` whose unmasked steps were moved to the front of each row.

    Any mask will do, on any device, with no look at its values: the steps are moved by a stable sort, and after the
    kernel each output goes back to its place. What stands behind the last step that counts is zero.
    """

    def __init__(self, sequences: Tensor, mask: Tensor) -> None:
        self.mask = mask
        self.lengths = mask.sum(1)
        order = torch.argsort(mask.logical_not().to(torch.uint8), dim=1, stable=True)
        self.padding = torch.arange(mask.shape[1], device=mask.device) >= self.lengths[:, None]
        moved = _take(sequences, order)
        self.sequences = moved.masked_fill(self.padding[:, :, None], 0)

    def unpack(self, outputs: Tensor, zero_masked: bool) -> Tensor:
        """The outputs in their places; a masked step repeats the one before (zeros before the first), or is zero."""
        last = self.mask.cumsum(1) - 1  # the step that counted last, for each time
        placed = _take(outputs, last.clamp(min=0))
        empty = self.mask.logical_not() if zero_masked else last < 0
        return placed.masked_fill(empty[:, :, None], 0)

    def unpack_last(self, outputs: Tensor, zero_masked: bool) -> Tensor:
        """`unpack(...)[:, -1]`."""
        last = self.final(outputs, torch.zeros_like(outputs[:, 0]))
        return last.masked_fill(self.mask[:, -1:].logical_not(), 0) if zero_masked else last

    def final(self, outputs: Tensor, initial: Tensor) -> Tensor:
        """The output of the last step that counts, `initial` where none does."""
        last = _take(outputs, (self.lengths - 1).clamp(min=0)[:, None])[:, 0]
        return torch.where(self.lengths[:, None] > 0, last, initial)


def _take(sequences: Tensor, steps: Tensor) -> Tensor:
    """The given steps of each row."""
    return sequences.gather(1, steps[:, :, None].expand(-1, -1, sequences.shape[2]))
