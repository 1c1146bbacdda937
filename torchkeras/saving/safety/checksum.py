"""A checksum that lies inside the file it covers, where other readers of the format pass over it."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from torchkeras.saving.safety.budget import BadFileError
from torchkeras.saving.safety.positional import Positional

# The digest is the SHA-256 of the CRC-32 of each block: several threads compute it, at several times SHA-256's speed.
_MARK = b"torchkeras-blocks:"
_OLD_MARK = b"torchkeras-sha256:"  # of 0.1: SHA-256 of the whole file
PLACEHOLDER = _MARK + b"0" * 64
BLOCK = 1 << 20
_TASK = 32 * BLOCK
_THREADS = 2
# In HDF5 the mark is a root attribute, made first; in a zip archive it is the comment, which comes last.
_EDGE = 1 << 16


def seal(file: Any, at_end: bool = False) -> str:
    """Put the checksum of the whole file in the place of the `PLACEHOLDER` that was written into it.

    Args:
        at_end: the placeholder is the file's last bytes; else it is near the start.

    Returns:
        The checksum, in hex.
    """
    place = find(file, at_end)
    if place is None:
        raise RuntimeError("The file to seal holds no placeholder near its start or end.")
    digest = _digest_of_blocks(file, place)
    file.seek(place + len(_MARK))
    file.write(digest)
    return digest.decode()


def check(file: Any, name: str, at_end: bool = False) -> str | None:
    """The file's checksum; `None` if it carries none.

    Raises:
        BadFileError: the file does not match its checksum.
    """
    place = find(file, at_end)
    if place is None:
        return None
    file.seek(place)
    mark, held = file.read(len(_MARK)), file.read(64)
    if held != (_digest_of_blocks if mark == _MARK else _sha256)(file, place):
        raise BadFileError(
            f"{name} is corrupt: it does not match the checksum that was saved in it. Its bytes were changed since, by "
            f"a fault or by another program."
        )
    return held.decode()


def value(file: Any) -> str | None:
    """The checksum that a file carries near its start, unchecked; `None` if it carries none."""
    place = find(file, at_end=False)
    if place is None:
        return None
    file.seek(place + len(_MARK))
    return file.read(64).decode("latin-1")


def find(file: Any, at_end: bool) -> int | None:
    """The offset of the mark, if there is one."""
    size = file.seek(0, 2)
    start = max(0, size - len(PLACEHOLDER)) if at_end else 0
    file.seek(start)
    edge = file.read(_EDGE)
    found = max(edge.find(_MARK), edge.find(_OLD_MARK))
    return start + found if found >= 0 and start + found + len(PLACEHOLDER) <= size else None


def crc32s(file: Positional, start: int, end: int) -> Iterator[int]:
    """The CRC-32 of each block of a part of a file, in order, computed by several threads where the file allows it."""

    def crcs(offset: int) -> list[int]:
        buffer = memoryview(bytearray(min(BLOCK, end - offset)))
        found = []
        for place in range(offset, min(offset + _TASK, end), BLOCK):
            size = file.readinto(place, buffer[: min(BLOCK, end - place)])
            found.append(zlib.crc32(buffer[:size]))
        return found

    tasks = range(start, end, _TASK)
    if len(tasks) <= 1 or not file.parallel:
        for offset in tasks:
            yield from crcs(offset)
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        for found in pool.map(crcs, tasks):
            yield from found


def _digest_of_blocks(file: Any, place: int) -> bytes:
    """The checksum in hex, computed as if the placeholder still stood there."""
    size = file.seek(0, 2)
    source = Positional(file)
    first, last = place // BLOCK, (place + len(PLACEHOLDER) - 1) // BLOCK
    sha = hashlib.sha256(struct.pack("<Q", size))

    def add(crc: int) -> None:
        sha.update(struct.pack("<I", crc))

    for crc in crc32s(source, 0, first * BLOCK):
        add(crc)
    patched = source.read(first * BLOCK, (last + 1 - first) * BLOCK)
    inside = place - first * BLOCK
    patched[inside : inside + len(PLACEHOLDER)] = PLACEHOLDER
    for start in range(0, len(patched), BLOCK):
        add(zlib.crc32(patched[start : start + BLOCK]))
    for crc in crc32s(source, (last + 1) * BLOCK, size):
        add(crc)
    return sha.hexdigest().encode()


def _sha256(file: Any, place: int) -> bytes:
    """The checksum of 0.1."""
    source = Positional(file)
    sha = hashlib.sha256()
    _feed(sha, source, 0, place)
    sha.update(_OLD_MARK + b"0" * 64)
    _feed(sha, source, place + len(PLACEHOLDER), file.seek(0, 2))
    return sha.hexdigest().encode()


def _feed(sha: Any, file: Positional, start: int, end: int) -> None:
    for offset in range(start, end, BLOCK):
        sha.update(file.read(offset, min(BLOCK, end - offset)))
