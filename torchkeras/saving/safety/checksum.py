"""A checksum that lies inside the file it covers, where other readers of the format pass over it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import Any

from torchkeras.saving.safety.budget import BadFileError

_CHUNK = 1 << 20


class _ChunkSums:
    """The SHA-256 of the CRC-32s of a file's chunks: notices faults as a CRC does, at several times SHA-256's speed."""

    def __init__(self) -> None:
        self._sums = hashlib.sha256()

    def update(self, data: bytes) -> None:
        self._sums.update(zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little"))

    def hexdigest(self) -> str:
        return self._sums.hexdigest()


_MARK = b"torchkeras-sha256:"
PLACEHOLDER = _MARK + b"0" * 64
_FAST_MARK = b"torchkeras-crc32s:"
FAST_PLACEHOLDER = _FAST_MARK + b"0" * 64  # for files whose only enemy is chance
_HASHES: dict[bytes, Callable[[], Any]] = {_MARK: hashlib.sha256, _FAST_MARK: _ChunkSums}
# In HDF5 the mark is a root attribute, made first; in a zip archive it is the comment, which comes last.
_EDGE = 1 << 16


def seal(file: Any, at_end: bool = False) -> None:
    """Put the checksum of the whole file in the place of the placeholder that was written into it.

    Args:
        at_end: the placeholder is the file's last bytes; else it is near the start.
    """
    place = find(file, at_end)
    if place is None:
        raise RuntimeError("The file to seal holds no placeholder near its start or end.")
    digest = _digest(file, place)
    file.seek(place + len(_MARK))
    file.write(digest)


def check(file: Any, name: str, at_end: bool = False) -> bool:
    """Whether the file carries a checksum; one that is wrong raises `BadFileError`."""
    place = find(file, at_end)
    if place is None:
        return False
    file.seek(place + len(_MARK))
    if file.read(64) != _digest(file, place):
        raise BadFileError(
            f"{name} is corrupt: it does not match the checksum that was saved in it. Its bytes were changed since, by "
            f"a fault or by another program."
        )
    return True


def value(file: Any) -> str | None:
    """The checksum that a file carries near its start, unchecked; `None` if it carries none."""
    place = find(file, at_end=False)
    if place is None:
        return None
    file.seek(place + len(_MARK))
    return file.read(64).decode("latin-1")


def find(file: Any, at_end: bool) -> int | None:
    """Where the mark is, if there is one."""
    size = file.seek(0, 2)
    start = max(0, size - len(PLACEHOLDER)) if at_end else 0
    file.seek(start)
    head = file.read(_EDGE)
    found = max(head.find(mark) for mark in _HASHES)
    return start + found if found >= 0 and start + found + len(PLACEHOLDER) <= size else None


def _digest(file: Any, place: int) -> bytes:
    """The hash in hex, computed as if the placeholder still stood there."""
    end = place + len(PLACEHOLDER)
    file.seek(place)
    mark = file.read(len(_MARK))
    total = _HASHES[mark]()
    file.seek(0)
    _feed(total, file, place)
    total.update(mark + b"0" * 64)
    file.seek(end)
    _feed(total, file, None)
    return total.hexdigest().encode()


def _feed(total: Any, file: Any, size: int | None) -> None:
    while size is None or size > 0:
        data = file.read(_CHUNK if size is None else min(_CHUNK, size))
        if not data:
            return
        total.update(data)
        if size is not None:
            size -= len(data)
