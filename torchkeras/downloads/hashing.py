"""Checksums of files by the two algorithms that Keras names."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

ALGORITHMS = ("auto", "md5", "sha256")


class Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


def new_hash(expected: str, algorithm: str = "auto") -> Hash:
    """An empty checksum of the kind of `expected`: SHA-256 for 64 hexadecimal digits, else MD5.

    Raises:
        ValueError: the algorithm has no such name.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"`hash_algorithm` must be one of {ALGORITHMS}. Received: hash_algorithm={algorithm!r}")
    if algorithm == "sha256" or (algorithm == "auto" and len(expected) == 64):
        return hashlib.sha256()
    return hashlib.md5(usedforsecurity=False)


def matches(path: Path, expected: str, algorithm: str = "auto") -> bool:
    """Whether the file's checksum is `expected`."""
    found = new_hash(expected, algorithm)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest() == expected.lower()
