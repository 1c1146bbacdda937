"""A checksum that lies inside the file it covers, where other readers of the format pass over it."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import groupby
from typing import IO, Any

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


class KnownBlocks:
    """CRC-32s of blocks of a file that were computed while their bytes were read for another purpose."""

    def __init__(self) -> None:
        self.crcs: dict[int, int] = {}
        self._pool: ThreadPoolExecutor | None = None

    def readinto(self, file: Positional, offset: int, view: memoryview) -> int:
        """Fill a buffer with the bytes from an offset on, and note the CRC-32 of each whole block on the way."""
        end = offset + len(view)
        first, last = -(-offset // BLOCK), end // BLOCK
        if last <= first:
            return file.readinto(offset, view)
        size = file.readinto(offset, view[: first * BLOCK - offset])
        if size < first * BLOCK - offset:
            return size

        def read(start: int) -> int:
            done = 0
            for block in range(start, min(start + _TASK // BLOCK, last)):
                part = view[block * BLOCK - offset : (block + 1) * BLOCK - offset]
                count = file.readinto(block * BLOCK, part)
                done += count
                if count < BLOCK:
                    break
                self.crcs[block] = zlib.crc32(part)
            return done

        starts = range(first, last, _TASK // BLOCK)
        if len(starts) > 1:
            self._pool = self._pool or ThreadPoolExecutor(_THREADS)
            size += sum(self._pool.map(read, starts))
        else:
            size += sum(map(read, starts))
        return size + file.readinto(last * BLOCK, view[last * BLOCK - offset :])

    def read(self, file: Positional, start: int, end: int) -> None:
        """Compute the CRC-32s of the whole blocks of a part of a file."""
        first, last = -(-start // BLOCK), end // BLOCK
        self.crcs.update(enumerate(crc32s(file, first * BLOCK, last * BLOCK), first) if last > first else ())

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def crc32_of(file: Positional, start: int, end: int, known: KnownBlocks) -> int:
    """The CRC-32 of a part of a file, joined from those of its whole blocks, which must be known."""
    first, last = -(-start // BLOCK), end // BLOCK
    if last <= first:
        return zlib.crc32(file.read(start, end - start))
    crc = zlib.crc32(file.read(start, first * BLOCK - start))
    low, second, third, high = _tables()
    for block in range(first, last):
        crc = low[crc & 255] ^ second[crc >> 8 & 255] ^ third[crc >> 16 & 255] ^ high[crc >> 24] ^ known.crcs[block]
    return zlib.crc32(file.read(last * BLOCK, end - last * BLOCK), crc)


@lru_cache(1)
def _tables() -> list[list[int]]:
    """Tables of the CRC-32 after a block of zeros, for each value of each of its four bytes.

    `crc32(a + b)` is `crc32(b)` XOR a linear function of `crc32(a)`, which depends on the length of `b` alone.
    """
    zeros = bytes(BLOCK)
    constant = zlib.crc32(zeros, 0)
    bits = [zlib.crc32(zeros, 1 << bit) ^ constant for bit in range(32)]
    tables = []
    for byte in range(4):
        table = [0]
        for bit in bits[8 * byte : 8 * byte + 8]:
            table += [value ^ bit for value in table]
        tables.append(table)
    return tables


def seal(file: Any, at_end: bool = False, known: KnownBlocks | None = None) -> str:
    """Put the checksum of the whole file in the place of the `PLACEHOLDER` that was written into it.

    Args:
        file: open for reading and writing.
        known: blocks whose CRC-32s need not be computed again.
        at_end: the placeholder is the file's last bytes; else it is near the start.

    Returns:
        The checksum, in hex.
    """
    place = find(file, at_end)
    if place is None:
        raise RuntimeError("The file to seal holds no placeholder near its start or end.")
    digest = _digest_of_blocks(file, place, known)
    file.seek(place + len(_MARK))
    file.write(digest)
    return digest.decode()


def check(file: IO[bytes], name: str, at_end: bool = False, known: KnownBlocks | None = None) -> str | None:
    """The file's checksum; `None` if it carries none.

    Args:
        file: open for reading.
        name: for messages.
        at_end: whether the checksum is at the end of the file; else it is near the start.
        known: blocks whose CRC-32s need not be computed again.

    Raises:
        BadFileError: the file does not match its checksum.
    """
    place = find(file, at_end)
    if place is None:
        return None
    file.seek(place)
    mark, held = file.read(len(_MARK)), file.read(64)
    if held != (_digest_of_blocks(file, place, known) if mark == _MARK else _sha256(file, place)):
        raise BadFileError(
            f"{name} is corrupt: it does not match the checksum that was saved in it. Its bytes were changed since, by "
            f"a fault or by another program."
        )
    return held.decode()


def value(file: IO[bytes]) -> str | None:
    """The checksum that a file carries near its start, unchecked; `None` if it carries none."""
    place = find(file, at_end=False)
    if place is None:
        return None
    file.seek(place + len(_MARK))
    return file.read(64).decode("latin-1")


def find(file: IO[bytes], at_end: bool) -> int | None:
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


def _all_crc32s(file: Positional, start: int, end: int, known: KnownBlocks | None) -> Iterator[int]:
    """The CRC-32 of each block of a part of a file that begins with a block."""
    if known is None or not known.crcs:
        yield from crc32s(file, start, end)
        return
    for is_known, run in groupby(range(start // BLOCK, -(-end // BLOCK)), known.crcs.__contains__):
        blocks = list(run)
        if is_known:
            yield from (known.crcs[block] for block in blocks)
        else:
            yield from crc32s(file, blocks[0] * BLOCK, min((blocks[-1] + 1) * BLOCK, end))


def _digest_of_blocks(file: IO[bytes], place: int, known: KnownBlocks | None = None) -> bytes:
    """The checksum in hex, computed as if the placeholder still stood there."""
    size = file.seek(0, 2)
    source = Positional(file)
    first, last = place // BLOCK, (place + len(PLACEHOLDER) - 1) // BLOCK
    sha = hashlib.sha256(struct.pack("<Q", size))

    def add(crc: int) -> None:
        sha.update(struct.pack("<I", crc))

    for crc in _all_crc32s(source, 0, first * BLOCK, known):
        add(crc)
    patched = source.read(first * BLOCK, (last + 1 - first) * BLOCK)
    inside = place - first * BLOCK
    patched[inside : inside + len(PLACEHOLDER)] = PLACEHOLDER
    for start in range(0, len(patched), BLOCK):
        add(zlib.crc32(patched[start : start + BLOCK]))
    for crc in _all_crc32s(source, (last + 1) * BLOCK, size, known):
        add(crc)
    return sha.hexdigest().encode()


def _sha256(file: IO[bytes], place: int) -> bytes:
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
