"""Sequences of several lengths as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


def pad_sequences(
    sequences: Sequence[Sequence[Any]],
    maxlen: int | None = None,
    dtype: DTypeLike = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float | str = 0.0,
) -> np.ndarray:
    """Make one array of sequences of several lengths: short ones are padded, long ones are cut.

    Args:
        sequences: sequences of numbers, or of arrays of one shape.
        maxlen: length of the result. Default: `None`, the length of the longest sequence.
        dtype: NumPy dtype of the result; `object` for strings of any length. Default: `"int32"`.
        padding: where to pad: `"pre"`, before the values, or `"post"`, after them. Default: `"pre"`.
        truncating: where to cut: `"pre"`, at the beginning, or `"post"`, at the end. Default: `"pre"`.
        value: the padding. Default: `0.0`.

    Returns:
        A NumPy array `(len(sequences), maxlen, ...)`.

    Raises:
        ValueError: an element is no sequence, shapes differ, an argument is unknown, or `value` is a string that
            `dtype` can't hold.

    Example:
        >>> keras.utils.pad_sequences([[1], [2, 3], [4, 5, 6]])
        array([[0, 0, 1],
               [0, 2, 3],
               [4, 5, 6]], dtype=int32)
        >>> keras.utils.pad_sequences([[1], [4, 5, 6]], maxlen=2, padding="post", value=-1)
        array([[ 1, -1],
               [ 5,  6]], dtype=int32)
    """
    if not hasattr(sequences, "__len__"):
        raise ValueError("`sequences` must be iterable.")
    for name, side in (("Padding", padding), ("Truncating", truncating)):
        if side not in ("pre", "post"):
            raise ValueError(f'{name} type "{side}" not understood: it must be "pre" or "post".')
    lengths = [_length(sequence) for sequence in sequences]
    length = max(lengths, default=0) if maxlen is None else maxlen
    kind = np.dtype(dtype)
    if isinstance(value, str) and kind.kind not in "OUS":
        raise ValueError(
            f"`dtype` {dtype} is not compatible with `value`'s type: {type(value)}. You should set `dtype=object` for "
            "variable length strings."
        )
    shape = next((np.asarray(s).shape[1:] for s, size in zip(sequences, lengths, strict=True) if size), ())
    padded = np.full((len(lengths), length, *shape), value, dtype=kind)
    for position, sequence in enumerate(sequences):
        kept = sequence[-length:] if truncating == "pre" else sequence[:length]
        if not length or not len(kept):
            continue
        values = np.asarray(kept, dtype=kind)
        if values.shape[1:] != shape:
            raise ValueError(
                f"Shape of sample {values.shape[1:]} of sequence at position {position} is different from expected "
                f"shape {shape}"
            )
        padded[position, slice(-len(values), None) if padding == "pre" else slice(len(values))] = values
    return padded


def _length(sequence: object) -> int:
    if not hasattr(sequence, "__len__"):
        raise ValueError(f"`sequences` must be a list of iterables. Found non-iterable: {sequence}")
    return len(sequence)
