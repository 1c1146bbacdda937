"""Byte strings of any lengths, end to end in one buffer, from which words are read at many places at once."""

from __future__ import annotations

import numpy as np


class PackedBytes:
    """Byte strings in one buffer.

    Args:
        data: the strings end to end.
        starts: the place of each string's first byte.
        lengths: the number of bytes of each string.
    """

    def __init__(self, data: bytes, starts: np.ndarray, lengths: np.ndarray) -> None:
        self.buffer = np.frombuffer(data + bytes(64), np.uint8)  # a word may be read beyond the last string
        self.starts = starts
        self.lengths = lengths
        size = len(self.buffer)
        # A word at each byte: numpy reads the unaligned ones, too.
        self._words64 = np.ndarray((size - 7,), np.dtype("<u8"), self.buffer.data, strides=(1,))
        self._words32 = np.ndarray((size - 3,), np.dtype("<u4"), self.buffer.data, strides=(1,))

    @classmethod
    def of_strings(cls, strings: list[bytes]) -> PackedBytes:
        """The strings of a list."""
        lengths = np.fromiter(map(len, strings), np.int64, len(strings))
        return cls(b"".join(strings), np.cumsum(lengths) - lengths, lengths)

    @classmethod
    def of_integers(cls, numbers: np.ndarray) -> PackedBytes:
        """Integers as decimal digits, with a minus sign where they are negative."""
        flat = numbers.ravel()
        if not flat.size:
            return cls.of_strings([])
        data = str(flat.tolist()).encode()  # "[12, -3, 4]"
        commas = np.flatnonzero(np.frombuffer(data, np.uint8) == ord(","))
        starts = np.concatenate([[1], commas + 2])
        ends = np.concatenate([commas, [len(data) - 1]])
        return cls(data, starts, ends - starts)

    def __len__(self) -> int:
        return len(self.lengths)

    def words(self, places: np.ndarray) -> np.ndarray:
        """The 64-bit words (little-endian) that begin at these places of the buffer."""
        return self._words64[places].astype(np.uint64)

    def half_words(self, places: np.ndarray) -> np.ndarray:
        """The 32-bit words that begin at these places, as 64-bit numbers."""
        return self._words32[places].astype(np.uint64)

    def bytes_at(self, places: np.ndarray) -> np.ndarray:
        """The bytes at these places, as 64-bit numbers."""
        return self.buffer[places].astype(np.uint64)
