"""Reading at an offset, from several threads at once where the file has a descriptor."""

from __future__ import annotations

import os
from typing import Any


class Positional:
    """A file that is read at offsets; no two reads disturb each other.

    Args:
        file: open for reading. It must not be written to meanwhile.
        start: the offset in `file` that counts as 0.
    """

    _file: Any
    _start: int

    def __init__(self, file: Any, start: int = 0) -> None:
        if isinstance(getattr(file, "positional", None), Positional):
            inner: Positional = file.positional
            file, start = inner._file, start + inner._start
        self._file, self._start = file, start
        self._descriptor = _descriptor_of(file) if hasattr(os, "preadv") else None

    @property
    def parallel(self) -> bool:
        """Whether threads may read at the same time."""
        return self._descriptor is not None

    def readinto(self, offset: int, buffer: Any) -> int:
        """Fill a buffer with the bytes from an offset on; returns their number, which is less at the file's end."""
        view = memoryview(buffer).cast("B")
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


def _descriptor_of(file: Any) -> int | None:
    try:
        return file.fileno()
    except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
        return None
