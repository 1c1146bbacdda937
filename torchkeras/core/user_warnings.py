"""Warnings that point at the line of the user's that led to them."""

from __future__ import annotations

import os
import traceback
import warnings
from pathlib import Path

import torch

# Python's own files are no place to look at either: a warning may come from within a context manager or a thread.
_NOT_THE_USERS = tuple(
    str(folder) + os.sep
    for folder in (Path(__file__).parents[1], Path(torch.__file__).parent, Path(traceback.__file__).parent)
)
_SITE_PACKAGES = f"{os.sep}site-packages{os.sep}"


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, with the innermost line that belongs neither to this package nor to torch as the place.

    Args:
        message: the text.
        category: the class of the warning.
    """
    if torch.compiler.is_compiling():  # a stack can't be traced
        warnings.warn(message, category)
        return
    level = 1
    for level, frame in enumerate(reversed(traceback.extract_stack()[:-1]), start=2):  # noqa: B007
        if not is_library_file(frame.filename):
            break
    warnings.warn(message, category, stacklevel=level)


def is_library_file(file: str) -> bool:
    """Whether a file belongs to this package, to torch or to Python itself."""
    package, of_torch, of_python = _NOT_THE_USERS
    return file.startswith((package, of_torch, "<op")) or (file.startswith(of_python) and _SITE_PACKAGES not in file)
