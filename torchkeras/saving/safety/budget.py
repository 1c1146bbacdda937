"""Limits of a file: byte budgets and JSON. The memory that a config may ask for: see `core/config/limits.py`."""

from __future__ import annotations

import json
from typing import Any

from torchkeras.core.config.limits import MIB as MIB
from torchkeras.core.config.limits import BadFileError as BadFileError
from torchkeras.core.config.limits import readable as readable


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
