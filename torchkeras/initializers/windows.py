"""Windows of signal processing by their SciPy names, for SciPy is not needed at run time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _cosines(*weights: float) -> Callable[[np.ndarray, int], np.ndarray]:
    return lambda t, size: np.sum([a * np.cos(k * np.pi * t) for k, a in enumerate(weights)], axis=0)


def _triangle(t: np.ndarray, size: int) -> np.ndarray:
    return 1 - np.abs(t) * (size - 1) / (size + size % 2)


def _parzen(t: np.ndarray, size: int) -> np.ndarray:
    x = np.abs(t) * (size - 1) / size
    return np.where(np.abs(t) <= 0.5, 1 - 6 * x**2 + 6 * x**3, 2 * (1 - x) ** 3)


def _bohman(t: np.ndarray, size: int) -> np.ndarray:
    x = np.abs(t)
    return np.where(x < 1, (1 - x) * np.cos(np.pi * x) + np.sin(np.pi * x) / np.pi, 0)


def _tukey(t: np.ndarray, size: int) -> np.ndarray:
    return 0.5 * (1 + np.cos(2 * np.pi * np.clip(np.abs(t) - 0.5, 0, None)))


def _taylor(t: np.ndarray, size: int, lobes: int = 4, level: float = 30.0) -> np.ndarray:
    """Taylor's window of 30 dB: https://ieeexplore.ieee.org/document/5750491"""
    a = np.arccosh(10 ** (level / 20)) / np.pi
    spread = lobes**2 / (a**2 + (lobes - 0.5) ** 2)
    m = np.arange(1, lobes)
    zeros = 1 - m[:, None] ** 2 / spread / (a**2 + (m - 0.5) ** 2)
    others = 1 - m[:, None] ** 2 / np.where(np.eye(lobes - 1) > 0, np.inf, m**2)
    weights = (-1.0) ** (m + 1) * zeros.prod(1) / (2 * others.prod(1))
    values = 1 + 2 * weights @ np.cos(np.pi * m[:, None] * t * (size - 1) / size)
    return values / (1 + 2 * weights.sum())


# Each as a function of the position in [-1, 1] and of the number of points.
_WINDOWS: dict[tuple[str, ...], Callable[[np.ndarray, int], np.ndarray]] = {
    ("barthann", "brthan", "bth"): lambda t, size: 0.62 - 0.24 * np.abs(t) + 0.38 * np.cos(np.pi * t),
    ("bartlett", "bart", "brt"): lambda t, size: 1 - np.abs(t),
    ("blackman", "black", "blk"): _cosines(0.42, 0.5, 0.08),
    ("blackmanharris", "blackharr", "bkh"): _cosines(0.35875, 0.48829, 0.14128, 0.01168),
    ("bohman", "bman", "bmn"): _bohman,
    ("boxcar", "box", "ones", "rect", "rectangular"): _cosines(1.0),
    ("cosine", "halfcosine"): lambda t, size: np.cos(np.pi * t * (size - 1) / (2 * size)),
    ("exponential", "poisson"): lambda t, size: np.exp(-np.abs(t) * (size - 1) / 2),
    ("flattop", "flat", "flt"): _cosines(0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
    ("hamming", "hamm", "ham"): _cosines(0.54, 0.46),
    ("hann", "han"): _cosines(0.5, 0.5),
    ("lanczos", "sinc"): lambda t, size: np.sinc(t),
    ("nuttall", "nutl", "nut"): _cosines(0.3635819, 0.4891775, 0.1365995, 0.0106411),
    ("parzen", "parz", "par"): _parzen,
    ("taylor", "taylorwin"): _taylor,
    ("triang", "triangle", "tri"): _triangle,
    ("tukey", "tuk"): _tukey,
}
WINDOWS = {name: window for names, window in _WINDOWS.items() for name in names}


def get_window(name: str, size: int, periodic: bool = True) -> np.ndarray:
    """The window's values in float64; a periodic one is a symmetric one of `size + 1` without its last point.

    Raises:
        ValueError: no such window.
    """
    if name not in WINDOWS:
        raise ValueError(f"window must be one of {sorted(WINDOWS)}; received {name!r}.")
    if size == 1:
        return np.ones(1)
    points = size + 1 if periodic else size
    position = np.linspace(-1.0, 1.0, points)
    return WINDOWS[name](position, points)[:size]
