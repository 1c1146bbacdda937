"""A checkpoint: a folder with weights in parts, `checkpoint.json`, and for whole models the config and assets.

A folder whose subfolders are checkpoints that are called by numbers stands for the newest of them that is whole.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torchkeras.saving.formats import parts
from torchkeras.saving.formats.base import Format, Place
from torchkeras.saving.formats.keras_zip import metadata, version_in
from torchkeras.saving.formats.parts import PartsSource
from torchkeras.saving.safety.budget import MIB, BadFileError, parse_json
from torchkeras.saving.safety.regular import open_to_read

INDEX, CONFIG, ASSETS = "checkpoint.json", "config.json", "assets"
_LARGEST = 512 * MIB


def checksum_of(path: Path) -> list[int]:
    """Size and CRC-32 of a file."""
    size = total = 0
    with open_to_read(path) as file:
        while block := file.read(1 << 20):
            size += len(block)
            total = zlib.crc32(block, total)
    return [size, total]


def write_index(folder: Path, known: dict[str, list[int]] | None = None) -> None:
    """Write `checkpoint.json`, which names all files of the folder with their checksums.

    Args:
        folder: the folder.
        known: checksums that are known already.
    """
    known = known or {}
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    sums = {name: known.get(name) or checksum_of(path) for name, path in files.items()}
    about = {**metadata(), "files": sums}
    with open(folder / INDEX, "w") as file:
        json.dump({"checksum": _crc(about), **about}, file)
        file.flush()
        os.fsync(file.fileno())


def _crc(about: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(about, sort_keys=True).encode())


def is_checkpoint(path: str | os.PathLike[str]) -> bool:
    """Whether there is a checkpoint at the path, or a folder of numbered ones."""
    folder = Path(path)
    return (folder / INDEX).is_file() or bool(numbered(folder))


def numbered(folder: Path) -> list[Path]:
    """The numbered checkpoints in a folder, the newest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.name.isdigit() and (path / INDEX).is_file()]
    return sorted(found, key=lambda path: int(path.name), reverse=True)


def check(folder: Path) -> dict[str, Any]:
    """The contents of `checkpoint.json`, after all files were compared with it.

    Raises:
        BadFileError: a file is missing, is a link, or is not the one that was written.
    """
    index = folder / INDEX
    if index.is_symlink() or index.stat().st_size > _LARGEST:
        raise BadFileError(f"{index} is a link, or larger than a checkpoint's can be.")
    with open_to_read(index) as file:
        about = parse_json(file.read(), str(index))
    if not isinstance(about, dict) or not isinstance(about.get("files"), dict):
        raise BadFileError(f"{index} is corrupt: it must name the files of the checkpoint.")
    if about.pop("checksum", None) != _crc(about):
        raise BadFileError(f"{index} is corrupt: its checksum is not that of its contents.")
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() or p.is_symlink()} - {INDEX}
    if there != set(about["files"]):
        odd = sorted(there ^ set(about["files"]))[:5]
        raise BadFileError(f"{folder} is corrupt: its files and those in {INDEX} differ by {odd}.")
    for name, wanted in about["files"].items():
        if (folder / name).is_symlink() or checksum_of(folder / name) != wanted:
            raise BadFileError(f"{folder / name} is corrupt: it does not match its checksum in {INDEX}.")
    return about


class CheckpointSource:
    """A checkpoint with a whole model.

    Args:
        folder: the folder.
        name: for messages.

    Raises:
        BadFileError: it has weights alone, or is damaged.
    """

    config_name = CONFIG

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self.name = folder, name
        about = check(folder)
        self._version = version_in(about)
        if CONFIG not in about["files"]:
            raise BadFileError(f"{name} holds weights only: make the model in code, then model.load_weights({name!r}).")

    def config(self) -> Any:
        if (self._folder / CONFIG).stat().st_size > _LARGEST:
            raise BadFileError(f"{self._folder / CONFIG} is larger than a model's can be.")
        return parse_json((self._folder / CONFIG).read_bytes(), str(self._folder / CONFIG))

    def keras_version(self) -> str | None:
        return self._version

    @contextmanager
    def weights(self) -> Iterator[PartsSource]:
        with parts.read(self._folder, self.name) as source:
            yield source

    @contextmanager
    def assets(self) -> Iterator[Path | None]:
        folder = self._folder / ASSETS
        yield folder if folder.is_dir() else None


def _chosen(place: Place) -> Path:
    """The checkpoint at a path: of numbered ones the newest that is whole."""
    folder = Path(os.fspath(place))  # type: ignore[arg-type]
    if (folder / INDEX).is_file():
        return folder
    found = numbered(folder)
    for path in found:
        try:
            check(path)
        except (BadFileError, OSError):
            continue
        return path
    return found[0]  # all are damaged: the error says how


@contextmanager
def read_model(place: Place, name: str) -> Iterator[CheckpointSource]:
    """The model in the checkpoint at `place`."""
    yield CheckpointSource(_chosen(place), name)


@contextmanager
def read_weights(place: Place, name: str) -> Iterator[PartsSource]:
    """The weights in the checkpoint at `place`."""
    folder = _chosen(place)
    check(folder)
    with parts.read(folder, name) as source:
        yield source


FORMAT = Format(
    name="a checkpoint",
    suffixes=(),
    signature=b"",
    model_reader=read_model,
    weights_reader=read_weights,
)
"""The row of the table."""
