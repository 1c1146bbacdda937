"""Memory that a step frees stays with the process, ready for the next step.

The allocator of Linux (glibc) gives freed blocks above a limit, 128 KiB at first, back to the system, and the system
clears each page before a program gets it again: for a small convolutional network that took a third of a step's
processor time. The limit rises to the size of the largest block of at most 32 MiB that was freed. So one block of
nearly that size, which nobody writes to, is taken and freed. At most 64 MiB more than before stay with the process.
Measured with torch 2.13 on one core: 233 ms instead of 390 for 20 steps of two convolutions on 64 images of 28x28.

With another allocator, or limits set by `MALLOC_TRIM_THRESHOLD_` and the like in the environment, nothing changes.
"""

from __future__ import annotations

import functools

import torch

from torchkeras.core.fast_paths.switch import fast_paths_enabled

_SIZE = 31 << 20


def keep_freed_memory() -> None:
    """Have the allocator of the CPU's memory keep blocks up to 31 MiB that are freed, from the first call on."""
    if fast_paths_enabled():
        _raise_limit()


@functools.cache
def _raise_limit() -> None:
    torch.empty(_SIZE, dtype=torch.uint8, device="cpu")
