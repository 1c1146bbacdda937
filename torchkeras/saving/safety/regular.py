"""Files that are opened to be read: regular ones alone."""

from __future__ import annotations

import os
import stat
from typing import IO

from torchkeras.saving.safety.budget import BadFileError


def open_to_read(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open a regular file to read its bytes. A pipe or a device, which may wait or go on for ever, is refused.

    Args:
        path: the file's path; links are followed.

    Returns:
        A binary file object.

    Raises:
        BadFileError: the path leads to something else than a regular file.
        OSError: there is no such file, it is a folder, or it may not be read.
    """
    return open(path, "rb", opener=_regular)


def _regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe without a writer would wait for one
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind) or stat.S_ISDIR(kind):  # open() says of a folder that it is one
        return descriptor
    os.close(descriptor)
    raise BadFileError(f"{path} is no regular file but a pipe or a device. Copy what it gives into a file.")
