"""Writing a file so that whoever looks finds the old one or the new one, whole."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import RawIOBase
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: leftovers stay until somebody removes them
    fcntl = None  # type: ignore[assignment]

_SUFFIX = ".saving"


@contextmanager
def replacing(path: Any) -> Iterator[OutputFile]:
    """A file to write, which takes the place of `path` at the end of the block.

    It lies beside the target under a temporary name, is flushed to the disk, and renamed. When the block raises, or the
    disk is full, the target stays as it was and nothing is left over. A link stays a link: what it points to is
    replaced. Leftovers of writers that were killed are removed first.

    Raises:
        OSError: the folder is missing, the place can't be written, or the disk is full; names the path.
    """
    target = Path(os.path.realpath(path))
    check_target(target)
    sweep(target)
    temporary, raw = _create(target)
    try:
        with raw:
            file = OutputFile(raw, target)
            yield file
            file.finish()
            os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(target.parent)


def check_target(target: Path) -> None:
    """Raise an `OSError` if no file can be written at the target."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "The place to save to is a folder", str(target))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "The folder to save in does not exist", str(target.parent))
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "The file to replace is read-only", str(target))


def _create(target: Path) -> tuple[Path, RawIOBase]:
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666
    while True:
        # The target's name is cut: with the additions it must stay within the 255 bytes of a name.
        temporary = target.parent / f"{_stem(target)}{secrets.token_hex(6)}{_SUFFIX}"
        try:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        except FileExistsError:
            continue
        except OSError as error:
            raise type(error)(error.errno, f"Can't save here: {error.strerror}", str(target)) from error
        raw = os.fdopen(descriptor, "r+b", buffering=0)
        if target.exists() and hasattr(os, "fchmod"):
            os.fchmod(descriptor, mode)
        if fcntl is None:
            return temporary, raw
        # The lock tells a living writer's file from a leftover; a sweep may have come between.
        fcntl.flock(raw, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return temporary, raw
        raw.close()


def _stem(target: Path) -> str:
    name = target.name.encode()[:200].decode(errors="ignore")
    return f".{name}."


def sweep(target: Path) -> None:
    """Remove what killed writers of `target` left beside it."""
    if fcntl is None:
        return
    stem = _stem(target)
    for leftover in target.parent.iterdir():
        middle = leftover.name.removeprefix(stem).removesuffix(_SUFFIX)
        if leftover.name == f"{stem}{middle}{_SUFFIX}" and len(middle) == 12:
            with suppress(OSError), open(leftover, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink()


@contextmanager
def new_file(path: Path, target: object) -> Iterator[OutputFile]:
    """A new file at `path`, open for writing and locked until the end of the block; `target` is for messages."""
    with _locked_new(path, target) as raw:
        yield OutputFile(raw, target)


def _locked_new(path: Path, target: object) -> RawIOBase:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise type(error)(error.errno, f"Can't save here: {error.strerror}", str(target)) from error
        raw = os.fdopen(descriptor, "r+b", buffering=0)
        if fcntl is None:
            return raw
        fcntl.flock(raw, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:  # no other writer's sweep came between
            return raw
        raw.close()


def being_written(path: Path) -> bool:
    """Whether a living writer has the file (or folder) open; `True` where that cannot be found out."""
    if fcntl is None:
        return True
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def hold_lock(path: Path) -> Callable[[], None]:
    """Show others that a file or folder is in use (see `being_written`), until the returned function is called."""
    if fcntl is None:
        return lambda: None
    descriptor = os.open(path, os.O_RDONLY)
    with suppress(OSError):  # some file systems have no locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return lambda: os.close(descriptor)


Identity = tuple[int, int, int]


def identity(status: os.stat_result) -> Identity:
    """A file or folder as it was written: one that replaces it has another identity, whatever it holds."""
    return status.st_dev, status.st_ino, status.st_mtime_ns


def link_over(file: Path, place: Path) -> None:
    """Give a file a second name, also where another file has that name; a copy where the disk has no links."""
    link = place.parent / f"{_stem(place)}{secrets.token_hex(6)}{_SUFFIX}"
    try:
        try:
            os.link(file, link)
        except (OSError, NotImplementedError):
            shutil.copyfile(file, link)
        os.replace(link, place)
    except BaseException:
        with suppress(OSError):
            os.unlink(link)
        raise


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keep other writers that ask for the same folder waiting: for what is written as several files."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until what was renamed in a folder is on the disk."""
    with suppress(OSError):  # some file systems can't
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class OutputFile:
    """A binary file that notes the first failed write and drops what follows.

    HDF5 can't be closed cleanly once a write has failed under it; so it is not told, and `finish` raises.

    Args:
        raw: unbuffered, so that closing it has nothing left to write.
        target: for messages.
    """

    def __init__(self, raw: RawIOBase, target: Any) -> None:
        self._raw = raw
        self.target = target
        self._error: OSError | None = None
        self._place = 0
        self._end = 0

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self._end = max(self._end, self._place + size)
        if self._error is None:
            try:
                self._raw.seek(self._place)
                view = memoryview(data).cast("B")
                while view:  # a write may take a part only
                    view = view[self._raw.write(view) :]
            except OSError as error:
                self._error = error
        self._place += size
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._end}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        data = b""
        if self._error is None:
            self._raw.seek(self._place)
            data = self._raw.read(size) or b""
        self._place += len(data)
        return data

    def truncate(self, size: int | None = None) -> int:
        size = self._place if size is None else size
        self._end = size
        if self._error is None:
            try:
                self._raw.truncate(size)
            except OSError as error:
                self._error = error
        return size

    def flush(self) -> None:
        if self._error is None:
            try:
                self._raw.flush()
            except OSError as error:
                self._error = error

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def check(self) -> None:
        """Raise the first write's failure, if there was one."""
        self.flush()
        if self._error is not None:
            error = self._error
            raise OSError(error.errno, f"Saving failed: {error.strerror}", str(self.target)) from error

    def finish(self) -> None:
        """Bring everything to the disk.

        Raises:
            OSError: a write failed.
        """
        self.check()
        try:
            os.fsync(self._raw.fileno())
        except OSError as error:
            self._error = error
            self.check()


class OutputWindow:
    """The end of an `OutputFile` as a file of its own.

    Args:
        file: the file.
        start: the offset in it that counts as 0; nothing stands behind it.
    """

    def __init__(self, file: OutputFile, start: int) -> None:
        self._file, self._start = file, start
        self.target = file.target

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        offset += self._start if whence == os.SEEK_SET else 0
        return self._file.seek(offset, whence) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start

    def truncate(self, size: int | None = None) -> int:
        size = self.tell() if size is None else size
        return self._file.truncate(self._start + size) - self._start

    def check(self) -> None:
        self._file.check()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
