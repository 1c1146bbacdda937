"""Files and folders of this machine, under the names of Keras's private functions for them."""

from __future__ import annotations

import os
import shutil
from typing import IO, Any

exists = os.path.exists
isdir = os.path.isdir
join = os.path.join
listdir = os.listdir
remove = os.remove
rmtree = shutil.rmtree


def path_to_string(path: Any) -> Any:
    """A path as a string, any other value as it is."""
    return os.fspath(path) if isinstance(path, os.PathLike) else path


def is_remote_path(filepath: str | os.PathLike[str]) -> bool:
    """Whether a path names a store in a network, such as `gs://bucket/file`."""
    return any(str(filepath).startswith(prefix) for prefix in ("/gcs", "/gs", "/hf", "/cns", "/cfs", "gs://", "hf://"))


def File(path: str | os.PathLike[str], mode: str = "r") -> IO:
    """Open a file of this machine.

    Raises:
        ValueError: the path names a store in a network.
    """
    if is_remote_path(path):
        raise ValueError(f"Only files of this machine can be opened; received {path!r}.")
    return open(path, mode)


def makedirs(path: str | os.PathLike[str]) -> None:
    """Make a folder and those above it; it may be there."""
    os.makedirs(path, exist_ok=True)


def copy(src: str | os.PathLike[str], dst: str | os.PathLike[str]) -> None:
    """Copy a file."""
    shutil.copy(src, dst)
