"""Kernels of convolutions that compute a short-time Fourier transform."""

from __future__ import annotations

import math

import torch

from torchkeras.core import registry
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike, DTypeLike, Shape
from torchkeras.initializers.initializer import Initializer, Place, place
from torchkeras.initializers.windows import get_window

_SCALINGS = (None, "density", "spectrum")


class STFT(Initializer):
    """Make the kernel of a convolution that computes a short-time Fourier transform. Also called `STFTInitializer`.

    The kernel has the shape `(frame length, 1, F // 2 + 1)` and holds `cos` (or `sin`) of `-2 pi t f / F` times a
    window.

    Args:
        side: `"real"` for the cosines, `"imag"` for the sines. Default: `"real"`.
        window: name as in `scipy.signal.windows`, array of the frame's length, or `None`. Default: `"hann"`.
        scaling: divide by the window's L2 norm (`"density"`), by its L1 norm (`"spectrum"`), or not at all (`None`).
            Default: `"density"`.
        periodic: whether a named window is periodic instead of symmetric. Default: `False`.

    Raises:
        ValueError: `side`, `window` or `scaling` is none of these, or the window's length is not the frame's.

    Example:
        >>> real = keras.initializers.STFT("real", window=None, scaling=None)((4, 1, 3))
        >>> real[:, 0].round().abs().int().tolist()
        [[1, 1, 1], [1, 0, 1], [1, 1, 1], [1, 0, 1]]
    """

    def __init__(
        self,
        side: str = "real",
        window: str | ArrayLike | None = "hann",
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

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> torch.Tensor:
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

    def _window(self, frame_length: int, where: Place) -> torch.Tensor:
        values = self.window
        if isinstance(values, str):
            values = get_window(values, frame_length, self.periodic)
        window = convert_to_tensor(values, where["dtype"], where["device"])
        if tuple(window.shape) != (frame_length,):
            raise ValueError(
                f"The window must have the frame's length {frame_length}; its shape is {tuple(window.shape)}."
            )
        return window

    def _scale(self, window: torch.Tensor) -> torch.Tensor | int:
        if self.scaling == "density":
            return window.square().sum().sqrt()
        return window.abs().sum() if self.scaling == "spectrum" else 1


STFTInitializer = STFT
registry.register_public(STFT, "keras.initializers", aliases=("STFTInitializer",))

# Keras's second names.
stft = STFT
