"""A checksum that lies inside the file it covers, where other readers of the format pass over it."""

from __future__ import annotations

import hashlib
from typing import Any

from torchkeras.saving.safety.budget import BadFileError

_MARK = b"torchkeras-sha256:"
PLACEHOLDER = _MARK + b"0" * 64
_CHUNK = 1 << 20
# In HDF5 the mark is a root attribute, made first; in a zip archive it is the comment, which comes last.
_EDGE = 1 << 16


def seal(file: Any, at_end: bool = False) -> None:
    """Put the SHA-256 of the whole file in the place of the `PLACEHOLDER` that was written into it.

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


def find(file: Any, at_end: bool) -> int | None:
    """Where the mark is, if there is one."""
    size = file.seek(0, 2)
    start = max(0, size - len(PLACEHOLDER)) if at_end else 0
    file.seek(start)
    found = file.read(_EDGE).find(_MARK)
    return start + found if found >= 0 and start + found + len(PLACEHOLDER) <= size else None


def _digest(file: Any, place: int) -> bytes:
    """The hash in hex, computed as if the placeholder still stood there."""
    end = place + len(PLACEHOLDER)
    sha = hashlib.sha256()
    file.seek(0)
    _feed(sha, file, place)
    sha.update(PLACEHOLDER)
    file.seek(end)
    _feed(sha, file, None)
    return sha.hexdigest().encode()


def _feed(sha: Any, file: Any, size: int | None) -> None:
    while size is None or size > 0:
        data = file.read(_CHUNK if size is None else min(_CHUNK, size))
        if not data:
            return
        sha.update(data)
        if size is not None:
            size -= len(data)
