"""Limits of a file: byte budgets, JSON, and the memory that a config may ask for."""

from __future__ import annotations

import json
import math
from typing import Any

import torch

from torchkeras.core.torch_internals import UncompiledDispatchMode, argument_names

MIB = 1 << 20


class BadFileError(ValueError):
    """A file that is truncated, corrupt, no model, or not allowed; the message names the file and the member."""


class Budget:
    """The bytes that reading one file may take: what the file itself holds, some times over.

    Members that are stored as they are never reach it; what unpacks to far more than it weighs does.
    """

    def __init__(self, file_size: int, name: str) -> None:
        self.name = name
        self.total = self.left = 96 * MIB + 2 * file_size

    def spend(self, size: int, member: str) -> None:
        """Take `size` bytes for a member.

        Raises:
            BadFileError: they are more than what is left.
        """
        if size > self.left:
            raise BadFileError(
                f"{self.name}: {member} unpacks to {readable(size)}, more than the {readable(self.total)} that a file "
                f"of this size may take in memory. This looks like a decompression bomb and is not loaded."
            )
        self.left -= size


def readable(size: int) -> str:
    """A number of bytes for people."""
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    power = min(int(math.log(size, 1024)), len(units) - 1) if size > 0 else 0
    return f"{size / 1024**power:.4g} {units[power]}"


def parse_json(text: str | bytes, name: str) -> Any:
    """The value of a JSON text.

    Raises:
        BadFileError: it is no JSON, nested too deeply, or an object has a key twice.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise BadFileError(f"{name} is nested too deeply to be a model's config.") from None
    except _DuplicateKeyError as error:
        raise BadFileError(f"{name} is corrupt: {error}.") from None
    except ValueError as error:  # also UnicodeDecodeError
        raise BadFileError(f"{name} is corrupt: it is no JSON ({error}).") from error


class _DuplicateKeyError(ValueError):
    """An object of a JSON text has a key twice, so that two readers may see two different values."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise _DuplicateKeyError(f"the key {twice!r} is there twice in one object")
    return found


class AllocationLimit(UncompiledDispatchMode):
    """Inside, a tensor larger than what a file can hold values for is refused before its memory is taken.

    A file's config can ask for a layer of any size, but a saved model has the values of its weights with it.

    Args:
        file_bytes: what the file's weights take.
        name: of the file.
    """

    def __init__(self, file_bytes: int, name: str) -> None:
        super().__init__()
        self.name = name
        self.file_bytes = file_bytes
        self.largest = 16 * MIB + 2 * file_bytes
        self.left = 64 * MIB + 6 * file_bytes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        size = _bytes_asked_for(func, args, kwargs)
        self.left -= size
        if size > self.largest or self.left < 0:
            raise BadFileError(
                f"{self.name}: its config describes weights larger than those that the file has: it asks for "
                f"{readable(size)} at once, and the file holds {readable(self.file_bytes)} of values. It is not loaded."
            )
        return func(*args, **kwargs)


def _bytes_asked_for(func: Any, args: tuple, kwargs: dict) -> int:
    """The size of what a function that makes tensors would make; 0 for all others, and on `meta`."""
    names = _SIZE_ARGUMENTS.get(func.__name__.split(".")[0])
    if names is None:
        return 0
    own = args[0] if args and isinstance(args[0], torch.Tensor) else None
    device = kwargs.get("device") or (own.device if own is not None else None)
    if device is not None and torch.device(device).type == "meta":
        return 0
    given = dict(zip(argument_names(func, args), args)) | kwargs
    count = 1
    for name in names:
        value = given.get(name, 1)
        count *= math.prod(value) if isinstance(value, (list, tuple)) else int(value)
    if "repeats" in names and own is not None:
        count *= own.numel()
    dtype = kwargs.get("dtype") or (own.dtype if own is not None else torch.get_default_dtype())
    return max(0, count) * dtype.itemsize


_SIZE_ARGUMENTS = {
    "empty": ("size",),
    "empty_permuted": ("size",),
    "empty_strided": ("size",),
    "full": ("size",),
    "new_empty": ("size",),
    "new_empty_strided": ("size",),
    "new_full": ("size",),
    "new_ones": ("size",),
    "new_zeros": ("size",),
    "ones": ("size",),
    "rand": ("size",),
    "randint": ("size",),
    "randn": ("size",),
    "zeros": ("size",),
    "arange": ("end",),
    "eye": ("n", "m"),
    "linspace": ("steps",),
    "repeat": ("repeats",),
}
