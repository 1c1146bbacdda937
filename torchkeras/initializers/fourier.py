"""Kernels of convolutions that compute a short-time Fourier transform."""

from __future__ import annotations

import math
from typing import Any

import torch

from torchkeras.core import registry
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.initializers.initializer import Initializer, place
from torchkeras.initializers.windows import get_window

_SCALINGS = (None, "density", "spectrum")


class STFT(Initializer):
    """`cos` or `sin` of `-2 pi t f / F` times a window, in the shape `(frame length, 1, F // 2 + 1)`.

    Args:
        side: `"real"` or `"imag"`.
        window: a name (as in `scipy.signal.windows`), the values, or `None`.
        scaling: divide by the window's L2 (`"density"`) or L1 norm (`"spectrum"`), or don't (`None`).
        periodic: whether the named window is periodic (else symmetric).

    Raises:
        ValueError: an argument is none of these, or the window's length is not the frame's.
    """

    def __init__(
        self,
        side: str = "real",
        window: Any = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(f"side must be 'real' or 'imag'; received {side!r}.")
        if isinstance(window, str):
            get_window(window, 1)
        if scaling not in _SCALINGS:
            raise ValueError(f"scaling must be one of {_SCALINGS}; received {scaling!r}.")
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, periodic

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        where = place(dtype)
        frame_length, _, bins = shape
        time = torch.arange(frame_length, **where).reshape(-1, 1, 1)
        frequency = torch.arange(bins, **where).reshape(1, 1, -1) / ((bins - 1) * 2)
        angle = -2 * time * frequency * torch.full((), math.pi, **where)
        kernel = torch.cos(angle) if self.side == "real" else torch.sin(angle)
        if self.window is None:
            return kernel
        window = self._window(frame_length, where).reshape(-1, 1, 1)
        return kernel * window / self._scale(window)

    def _window(self, frame_length: int, where: dict[str, Any]) -> torch.Tensor:
        values = self.window
        if isinstance(values, str):
            values = get_window(values, frame_length, self.periodic)
        window = convert_to_tensor(values, where["dtype"], where["device"])
        if tuple(window.shape) != (frame_length,):
            raise ValueError(
                f"The window must have the frame's length {frame_length}; its shape is {tuple(window.shape)}."
            )
        return window

    def _scale(self, window: torch.Tensor) -> Any:
        if self.scaling == "density":
            return window.square().sum().sqrt()
        return window.abs().sum() if self.scaling == "spectrum" else 1


STFTInitializer = STFT
registry.register_public(STFT, "keras.initializers", aliases=("STFTInitializer",))
