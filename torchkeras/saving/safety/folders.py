"""Folders that are replaced as a whole, and private temporary folders that outlive no process."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from torchkeras.saving.safety.atomic import being_written, hold_lock, only_writer, sync_folder

_NEW, _OLD = ".saving", ".old"
_TEMPORARY = "torchkeras-files-"
_NEW_SECONDS = 60.0  # in which a process has surely locked the folder that it made


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A new folder, which takes the place of `path` at the end of the block.

    When the block raises, `path` stays as it was and nothing is left over. Leftovers of writers that were killed are
    removed first.

    Raises:
        OSError: the folder cannot be made; names the path.
    """
    with only_writer(path.parent):
        recover(path)
        _sweep(path)
        fresh = path.with_name(f"{_stem(path)}{secrets.token_hex(6)}{_NEW}")
        try:
            fresh.mkdir()
        except OSError as error:
            raise type(error)(error.errno, f"Can't save here: {error.strerror}", str(path)) from error
        release = hold_lock(fresh)
    try:
        if path.exists():
            fresh.chmod(path.stat().st_mode & 0o777)
        yield fresh
        _sync_tree(fresh)
        with only_writer(path.parent):
            _exchange(fresh, path)
    finally:
        release()
        shutil.rmtree(fresh, ignore_errors=True)
    sync_folder(path.parent)


def recover(path: Path) -> None:
    """Put a folder back whose writer was killed after it had moved the old folder away."""
    if path.exists():
        return
    found = [old for old in _leftovers(path, _OLD) if not being_written(old)]
    if found:
        newest = max(found, key=lambda old: old.stat().st_mtime)
        with suppress(OSError):
            newest.rename(path)


def _exchange(fresh: Path, path: Path) -> None:
    if not path.exists():
        fresh.rename(path)
        return
    if _exchanged(fresh, path):  # now `fresh` is the old folder
        return
    # The file system cannot exchange two names at once: `recover` mends what a kill between these lines leaves.
    old = fresh.with_suffix(_OLD)
    path.rename(old)
    try:
        fresh.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the kernel exchanged the two names in one step."""
    function = _renameat2()
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return function is not None and function(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


@lru_cache(None)
def _renameat2() -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    with suppress(OSError, AttributeError):
        function = ctypes.CDLL(None, use_errno=True).renameat2
        function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
        return function
    return None


def _sweep(path: Path) -> None:
    """Remove what killed writers of `path` left beside it."""
    for leftover in (*_leftovers(path, _NEW), *_leftovers(path, _OLD)):
        if not being_written(leftover):
            shutil.rmtree(leftover, ignore_errors=True)


def _stem(path: Path) -> str:
    name = path.name.encode()[:200].decode(errors="ignore")
    return f".{name}."


def _leftovers(path: Path, suffix: str) -> list[Path]:
    stem = _stem(path)
    found = []
    with suppress(OSError):
        for one in path.parent.iterdir():
            middle = one.name.removeprefix(stem).removesuffix(suffix)
            if one.name == f"{stem}{middle}{suffix}" and len(middle) == 12 and one.is_dir():
                found.append(one)
    return found


def _sync_tree(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for name in names:
            descriptor = os.open(os.path.join(place, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(place))


def refuse_other_content(path: Path, mark: str) -> None:
    """Refuse to replace what is no saved model: a file, or a folder with something else in it.

    Args:
        mark: the name of a file that every saved model has.
    """
    if path.is_file() or (path.is_dir() and any(path.iterdir()) and not (path / mark).exists()):
        raise FileExistsError(errno.EEXIST, "The place to save to is taken, and not by a saved model", str(path))


# ---------------------------------------------------------------------------- temporary folders


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A private folder for files, gone at the end of the block; those of killed processes are removed first."""
    _sweep_temporary()
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY) as name:
        release = hold_lock(Path(name))
        try:
            yield Path(name)
        finally:
            release()


def _sweep_temporary() -> None:
    with suppress(OSError):
        for one in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
            with suppress(OSError):
                if _is_dead(one):
                    shutil.rmtree(one, ignore_errors=True)


def _is_dead(folder: Path) -> bool:
    """Whether it is a folder that a killed process of this user left: its lock is free, and it is not brand new."""
    about = folder.lstat()
    own = not hasattr(os, "getuid") or about.st_uid == os.getuid()
    old = time.time() - about.st_mtime > _NEW_SECONDS
    return own and old and folder.is_dir() and not folder.is_symlink() and not being_written(folder)
