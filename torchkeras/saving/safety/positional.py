"""Reading at an offset, from several threads at once where the file has a descriptor."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO, Any


class Positional:
    """A file that is read at offsets; no two reads disturb each other.

    Args:
        file: open for reading. It must not be written to meanwhile.
        start: the offset in `file` that counts as 0.
        read_large: reads what is large in the place of the method here, given the whole file, the offset in it, and the
            buffer; it returns the number of bytes.
    """

    _file: Any
    _start: int
    _read_large: LargeReader | None

    def __init__(self, file: Any, start: int = 0, read_large: LargeReader | None = None) -> None:
        if isinstance(getattr(file, "positional", None), Positional):
            inner: Positional = file.positional
            file, start = inner._file, start + inner._start
            read_large = read_large or inner._read_large
        self._file, self._start, self._read_large = file, start, read_large
        self._descriptor = _descriptor_of(file) if hasattr(os, "preadv") else None

    @property
    def parallel(self) -> bool:
        """Whether threads may read at the same time."""
        return self._descriptor is not None

    def readinto(self, offset: int, buffer: Any) -> int:
        """Fill a buffer with the bytes from an offset on; returns their number, which is less at the file's end."""
        view = memoryview(buffer).cast("B")
        if self._read_large is not None and len(view) >= _LARGE and self.parallel:
            return self._read_large(Positional(self._file), self._start + offset, view)
        done = 0
        if self._descriptor is None:
            self._file.seek(self._start + offset)
        while done < len(view):
            if self._descriptor is not None:
                count = os.preadv(self._descriptor, [view[done:]], self._start + offset + done)
            elif hasattr(self._file, "readinto"):
                count = self._file.readinto(view[done:])
            else:
                data = self._file.read(len(view) - done)
                count = len(data)
                view[done : done + count] = data
            if not count:
                break
            done += count
        return done

    def read(self, offset: int, size: int) -> bytearray:
        """The bytes from an offset on, fewer at the file's end."""
        data = bytearray(size)
        del data[self.readinto(offset, data) :]
        return data


LargeReader = Callable[[Positional, int, memoryview], int]
_LARGE = 1 << 21


def _descriptor_of(file: IO[bytes]) -> int | None:
    try:
        return file.fileno()
    except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
        return None
