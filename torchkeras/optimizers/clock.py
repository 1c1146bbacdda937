"""The rate and the number of an update as tensors on a device, for training steps that are captured and replayed."""

from __future__ import annotations

import torch


class Clock:
    """Two numbers on a device that the host fills before each replay: the learning rate and the number of the update.

    A captured step repeats its kernels with the arguments of their first launch. Numbers that change from update to
    update must therefore be read from memory.

    Args:
        device: the device of the weights.
    """

    def __init__(self, device: torch.device) -> None:
        self._tensors = [torch.zeros((), dtype=torch.float64, device=device) for _ in range(2)]
        self._shown: list[float | None] = [None, None]

    def fill(self, rate: float | None, step: float | None) -> None:
        """Write the numbers of the next update; `None` for one that the device computes by itself."""
        for place, value in enumerate((rate, step)):
            if value != self._shown[place]:
                if value is not None:
                    self._tensors[place].fill_(value)
                self._shown[place] = value

    @property
    def rate(self) -> torch.Tensor | None:
        """The learning rate; `None` if the device computes it from its count of updates."""
        return self._tensors[0] if self._shown[0] is not None else None

    @property
    def step(self) -> torch.Tensor | None:
        """The number of the update, from 1; `None` if the device counts."""
        return self._tensors[1] if self._shown[1] is not None else None
