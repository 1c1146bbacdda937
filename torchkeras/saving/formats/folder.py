"""A model as a folder: the members of a `.keras` archive as files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torchkeras.saving.formats.base import Format, Place
from torchkeras.saving.formats.keras_zip import ASSETS, CONFIG, METADATA, WEIGHTS, metadata
from torchkeras.saving.formats.weights_h5 import H5Source, H5Target
from torchkeras.saving.safety.atomic import replacing
from torchkeras.saving.safety.budget import MIB, BadFileError, parse_json


@contextmanager
def write(place: Place) -> Iterator[FolderTarget]:
    """A target for a model: a new folder, which takes the place of the old one when the block ends without an error."""
    path = Path(os.path.realpath(place))  # type: ignore[arg-type]
    if path.exists() and not (path.is_dir() and (not any(path.iterdir()) or (path / CONFIG).exists())):
        raise FileExistsError(errno.EEXIST, "The place to save to is taken, and not by a saved model", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.parent / f".{path.name}.{secrets.token_hex(6)}.saving"
    try:
        fresh.mkdir()
        target = FolderTarget(fresh)
        yield target
        target.finish()
        _exchange(fresh, path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _exchange(fresh: Path, path: Path) -> None:
    if not path.exists():
        fresh.rename(path)
        return
    old = fresh.with_suffix(".old")
    path.rename(old)
    try:
        fresh.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


class FolderTarget:
    """Writes the parts of a model as files of an empty folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._about = metadata()

    def config(self, text: bytes) -> None:
        self._about["config_sha256"] = hashlib.sha256(text).hexdigest()
        with replacing(self._folder / CONFIG) as file:
            file.write(text)

    @contextmanager
    def weights(self) -> Iterator[H5Target]:
        with replacing(self._folder / WEIGHTS) as file, H5Target(file, sealed=True) as target:
            yield target

    @contextmanager
    def assets(self) -> Iterator[Path]:
        folder = self._folder / ASSETS
        folder.mkdir()
        yield folder

    def finish(self) -> None:
        """Write the metadata, with the config's checksum."""
        with replacing(self._folder / METADATA) as file:
            file.write(json.dumps(self._about).encode())


class FolderSource:
    """A folder with the files of a model.

    Args:
        path: of the folder.
        name: for messages.

    Raises:
        BadFileError: a file is missing, is a link, or is damaged.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self.name = path, name
        for file in (CONFIG, WEIGHTS):
            if not (path / file).is_file():
                raise BadFileError(f"{name} is no saved model: the folder has no {file!r}.")

    def config(self) -> Any:
        text = _read(self._path / CONFIG, 512 * MIB)
        _check_config(self._path, text)
        return parse_json(text, str(self._path / CONFIG))

    @contextmanager
    def weights(self) -> Iterator[H5Source]:
        place = _inside(self._path, WEIGHTS)
        with open(place, "rb") as file, H5Source(file, str(place)) as source:
            yield source

    @contextmanager
    def assets(self) -> Iterator[Path | None]:
        folder = self._path / ASSETS
        if not folder.is_dir():
            yield None
            return
        for entry in (folder, *folder.rglob("*")):
            if entry.is_symlink():
                raise BadFileError(
                    f"{self.name}: {entry.relative_to(self._path)} is a link; a model's files must lie in its folder."
                )
        yield folder


@contextmanager
def read(place: Place, name: str) -> Iterator[FolderSource]:
    """The model in the folder at `place`."""
    yield FolderSource(Path(place), name)  # type: ignore[arg-type]


def _inside(folder: Path, name: str) -> Path:
    if (folder / name).is_symlink():
        raise BadFileError(f"{folder}: {name} is a link; a model's files must lie in its folder.")
    return folder / name


def _read(path: Path, limit: int) -> bytes:
    _inside(path.parent, path.name)
    if path.stat().st_size > limit:
        raise BadFileError(f"{path} is larger than a model's can be.")
    return path.read_bytes()


def _check_config(path: Path, text: bytes) -> None:
    if not (path / METADATA).is_file():
        return
    about = parse_json(_read(path / METADATA, MIB), str(path / METADATA))
    wanted = about.get("config_sha256") if isinstance(about, dict) else None
    if wanted is not None and wanted != hashlib.sha256(text).hexdigest():
        raise BadFileError(f"{path / CONFIG} is corrupt: it does not match the checksum in {METADATA}.")


FORMAT = Format(name="a folder", suffixes=(), signature=b"", model_writer=write, model_reader=read)
