"""WAV files: PCM of 8 to 32 bits and floats, as tensors."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


def read_wav(path: str) -> tuple[torch.Tensor, int]:
    """Read a WAV file.

    Args:
        path: path of the file.

    Returns:
        Samples as float32 of shape `(steps, channels)`, integers scaled to [-1, 1), and the samples per second.

    Raises:
        ValueError: the file is broken or of another kind; names it.
    """
    data = Path(path).read_bytes()
    if len(data) < 12 or data[:4] not in (b"RIFF", b"RF64") or data[8:12] != b"WAVE":
        raise ValueError(f"{path} is no WAV file: it must begin with RIFF....WAVE, and begins with {data[:12]!r}.")
    chunks = _chunks(data)
    layout = chunks.get(b"fmt ")
    if layout is None or len(layout) < 16:
        raise ValueError(f"{path} is no WAV file that can be read: its chunk 'fmt ' is missing or too short.")
    if b"data" not in chunks:
        raise ValueError(f"{path} is no WAV file that can be read: it has no chunk 'data'.")
    kind, channels, rate, _, frame, bits = struct.unpack("<HHIIHH", layout[:16])
    if kind == _EXTENSIBLE and len(layout) >= 26:
        (kind,) = struct.unpack("<H", layout[24:26])
    if not channels or frame != channels * ((bits + 7) // 8):
        raise ValueError(
            f"{path} is no WAV file that can be read: {channels} channels of {bits} bits in {frame} bytes."
        )
    body = chunks[b"data"]
    samples = _samples(body[: len(body) // frame * frame], kind, bits)
    if samples is None:
        raise ValueError(
            f"{path} holds WAV samples of format {kind} with {bits} bits; PCM (1) with 8, 16, 24 or 32 bits and floats "
            "(3) with 32 or 64 bits can be read."
        )
    return torch.from_numpy(samples.reshape(-1, channels)), rate


def _chunks(data: bytes) -> dict[bytes, memoryview]:
    """The first chunk of each name; the sample data of a file that was cut off end where the file does."""
    found: dict[bytes, memoryview] = {}
    view, place = memoryview(data), 12
    while place + 8 <= len(data):
        name, (size,) = data[place : place + 4], struct.unpack_from("<I", data, place + 4)
        found.setdefault(name, view[place + 8 : place + 8 + size])
        place += 8 + size + size % 2
    return found


def _samples(body: memoryview, kind: int, bits: int) -> np.ndarray | None:
    if kind == _FLOAT and bits in (32, 64):
        return np.frombuffer(body, f"<f{bits // 8}").astype("float32")
    if kind != _PCM or bits not in (8, 16, 24, 32):
        return None
    if bits == 8:
        return (np.frombuffer(body, "u1").astype("float32") - 128) / 128
    if bits == 24:
        # Three bytes become the upper ones of four.
        wide = np.zeros((len(body) // 3, 4), "u1")
        wide[:, 1:] = np.frombuffer(body, "u1").reshape(-1, 3)
        return (wide.view("<i4")[:, 0] / 2**31).astype("float32")
    return (np.frombuffer(body, f"<i{bits // 8}") / 2 ** (bits - 1)).astype("float32")
