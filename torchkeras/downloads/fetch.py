"""One file from an address to the disk: resumed where it broke off, checked, and there whole or not at all."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from torchkeras.core.variables.session import is_interactive_logging_enabled
from torchkeras.downloads.hashing import Hash, matches, new_hash
from torchkeras.reporting.progress import Progbar, announce

try:
    import fcntl
except ImportError:  # Windows: two processes may download one file twice; each result is whole
    fcntl = None  # type: ignore[assignment]

SCHEMES = ("http", "https", "ftp", "file")
_ATTEMPTS = 3
_BLOCK = 1 << 18
_TIMEOUT = 60.0  # seconds without a byte


def fetch(origin: str, target: Path, file_hash: str | None = None, algorithm: str = "auto") -> None:
    """Download `origin` to `target`.

    Bytes go to a file beside the target. A download that breaks off, in this process or an earlier one, goes on where
    it stopped if the server still has the same file. The checksum is computed as the bytes arrive. The target appears
    under its name when it is whole and right, and a wrong file is removed.

    Raises:
        ValueError: the address is of no known kind, or the checksum is wrong.
        OSError: the file could not be fetched; names the address and the place where the file can be put by hand.
    """
    scheme = urllib.parse.urlsplit(origin).scheme
    if scheme not in SCHEMES:
        raise ValueError(f"`origin` must be an address of the kind {', '.join(SCHEMES)}. Received: origin={origin!r}")
    announce(f"Downloading data from {origin}")
    with _part_of(target) as part:
        if part is None:  # another process has just brought it
            return
        found = _receive_all(origin, part, target, file_hash, algorithm)
        if file_hash is not None and found is not None and found.hexdigest() != file_hash.lower():
            part.remove()
            raise ValueError(
                f"Incomplete or corrupted file detected. The {algorithm} file hash does not match the provided value "
                f"of {file_hash}. The file at {origin} has {found.hexdigest()}; nothing was kept."
            )
        part.finish(target)


class _Part:
    """The bytes that have arrived, and a note of which version of the file they are of."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.note = path.with_name(path.name + ".json")

    @property
    def size(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    def version(self) -> str | None:
        """The `ETag` or date of the file that the bytes are of; `None` if they can't be continued."""
        if self.size:
            with suppress(OSError, ValueError):
                return json.loads(self.note.read_text())["version"]
        return None

    def begin(self, version: str | None) -> None:
        self.file.truncate(0)
        with suppress(OSError):
            self.note.unlink()
        if version:
            self.note.write_text(json.dumps({"version": version}))

    def write(self, data: bytes) -> None:
        self.file.seek(0, os.SEEK_END)
        self.file.write(data)

    def remove(self) -> None:
        for path in (self.path, self.note):
            with suppress(OSError):
                path.unlink()

    def finish(self, target: Path) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        os.replace(self.path, target)
        with suppress(OSError):
            self.note.unlink()


@contextmanager
def _part_of(target: Path) -> Iterator[_Part | None]:
    """The part file of the target, for this process alone; `None` if another one finished the target meanwhile."""
    path = target.with_name(f".{target.name}.part")
    before = _identity(target)
    with open(path, "a+b") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _identity(target) != before:
                with suppress(OSError):
                    path.unlink()
                yield None
                return
            if not os.fstat(file.fileno()).st_nlink:  # removed under us by the process that failed before
                path.touch()
        part = _Part(path, file)
        try:
            yield part
        finally:
            if not part.size and _identity(path):
                part.remove()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _receive_all(origin: str, part: _Part, target: Path, file_hash: str | None, algorithm: str) -> Hash | None:
    """Receive what is missing, trying again after a broken connection. Return the checksum of all bytes."""
    problem: Exception | None = None
    for _ in range(_ATTEMPTS):
        try:
            return _receive(origin, part, file_hash, algorithm)
        except urllib.error.HTTPError as error:
            if error.code == 416 and part.size:  # the part is longer than the file: begin again
                part.begin(None)
                continue
            raise _failure(origin, target, str(error.code), error.reason) from error
        except urllib.error.URLError as error:
            raise _failure(origin, target, "no answer", error.reason) from error
        except (ConnectionError, TimeoutError, EOFError) as error:
            problem = error
    raise _failure(origin, target, "broken off", problem) from problem


def _failure(origin: str, target: Path, code: str, reason: object) -> OSError:
    return OSError(
        f"URL fetch failure on {origin}: {code} -- {reason}. Without a network, put the file at {target} (file "
        f"{target.name!r} in the folder {str(target.parent)!r}); it is used from there."
    )


def _receive(origin: str, part: _Part, file_hash: str | None, algorithm: str) -> Hash | None:
    request = urllib.request.Request(origin, headers={"User-Agent": "torchkeras"})
    version, done = part.version(), part.size
    if version:
        request.add_header("Range", f"bytes={done}-")
        request.add_header("If-Range", version)
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        if not (version and getattr(answer, "status", None) == 206):
            part.begin(answer.headers.get("ETag") or answer.headers.get("Last-Modified"))
            done = 0
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length is not None else None
        checksum = _checksum_so_far(part, file_hash, algorithm)
        _copy(answer, part, checksum, total)
    if total is not None and part.size != total:
        raise EOFError(f"{part.size} of {total} bytes arrived")
    return checksum


def _checksum_so_far(part: _Part, file_hash: str | None, algorithm: str) -> Hash | None:
    if file_hash is None:
        return None
    checksum = new_hash(file_hash, algorithm)
    part.file.seek(0)
    while block := part.file.read(_BLOCK):
        checksum.update(block)
    return checksum


def _copy(answer: Any, part: _Part, checksum: Hash | None, total: int | None) -> None:
    bar = Progbar(total, unit_name="byte", verbose=int(is_interactive_logging_enabled()))
    try:
        while block := answer.read(_BLOCK):
            part.write(block)
            if checksum is not None:
                checksum.update(block)
            bar.update(part.size, finalize=False)
    finally:
        part.file.flush()
    bar.update(part.size, finalize=True)


def is_whole(target: Path, file_hash: str | None, algorithm: str = "auto") -> bool:
    """Whether the target is there with the right checksum; says so if only the checksum is wrong."""
    if not target.is_file():
        return False
    if file_hash is None or matches(target, file_hash, algorithm):
        return True
    announce(
        f"A local file was found, but it seems to be incomplete or outdated because the {algorithm} file hash does not "
        f"match the original value of {file_hash} so we will re-download the data."
    )
    return False
