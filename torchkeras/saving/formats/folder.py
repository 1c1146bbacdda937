"""A model as a folder: the members of a `.keras` archive as files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from torchkeras.saving.formats.base import Format, Place
from torchkeras.saving.formats.keras_zip import ASSETS, CONFIG, METADATA, WEIGHTS, metadata, version_in
from torchkeras.saving.formats.weights_h5 import CHECKSUM_ATTRIBUTE, H5Source, H5Target
from torchkeras.saving.safety import checksum
from torchkeras.saving.safety.atomic import OutputFile, identity, new_file
from torchkeras.saving.safety.budget import MIB, BadFileError, parse_json
from torchkeras.saving.safety.folders import refuse_other_content, replacing_folder

_CHECKSUMS = "torchkeras_checksums"


@contextmanager
def write(place: Place) -> Iterator[FolderTarget]:
    """A target for a model: a new folder, which takes the place of the old one when the block ends without an error."""
    path = Path(os.path.realpath(place))  # type: ignore[arg-type]
    refuse_other_content(path, CONFIG)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_folder(path) as fresh:
        target = FolderTarget(fresh, path)
        yield target
        target.finish()


class FolderTarget:
    """Writes the parts of a model as files of an empty folder.

    Args:
        folder: the folder.
        place: where it goes in the end, for messages.
    """

    def __init__(self, folder: Path, place: Path) -> None:
        self._folder, self._place = folder, place
        self._checksums: dict[str, str] = {}

    def config(self, text: bytes) -> None:
        with self._file(CONFIG) as file:
            file.write(text)
        self._checksums[CONFIG] = hashlib.sha256(text).hexdigest()

    @contextmanager
    def weights(self) -> Iterator[H5Target]:
        with self._file(WEIGHTS) as file, H5Target(file, sealed=True) as target:
            yield target
        self._checksums[WEIGHTS] = target.checksum

    @contextmanager
    def assets(self) -> Iterator[Path]:
        folder = self._folder / ASSETS
        folder.mkdir()
        yield folder
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self._checksums[path.relative_to(self._folder).as_posix()] = _sha256_of(path)

    def finish(self) -> None:
        """Write the metadata, with the checksums of the other files and its own."""
        about = {"torchkeras_checksum": checksum.PLACEHOLDER.decode(), **metadata(), _CHECKSUMS: self._checksums}
        with self._file(METADATA) as file:
            file.write(json.dumps(about).encode())
            file.check()
            checksum.seal(file)

    @contextmanager
    def _file(self, name: str) -> Iterator[OutputFile]:
        with new_file(self._folder / name, self._place / name) as file:
            yield file
            file.check()


def _sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        self._version: str | None = None
        self._checksums = self._read_metadata()
        self._config = _read(path / CONFIG, _LARGEST_CONFIG)
        self._weights = open(_inside(path, WEIGHTS), "rb")

    config_name = CONFIG

    def keras_version(self) -> str | None:
        """The version of Keras in the metadata, if there is one."""
        return self._version

    def close(self) -> None:
        """Close the file of the weights."""
        self._weights.close()

    def _read_metadata(self) -> dict[str, str] | None:
        """The checksums of the files; `None` in a folder of another program's."""
        place = _inside(self._path, METADATA)
        if not place.is_file():
            return None
        if place.stat().st_size > _LARGEST_METADATA:
            raise BadFileError(f"{place} is larger than a model's can be.")
        with open(place, "rb") as file:
            sealed = checksum.check(file, str(place))
            file.seek(0)
            about = parse_json(file.read(), str(place))
        found = about.get(_CHECKSUMS) if isinstance(about, dict) else None
        if not isinstance(about, dict) or (found is not None and (sealed is None or not isinstance(found, dict))):
            raise BadFileError(f"{place} is corrupt: its checksum is unreadable.")
        self._version = version_in(about)
        if sealed is None and isinstance(about.get("config_sha256"), str):  # as 0.1 wrote it
            return {CONFIG: about["config_sha256"]}
        return found

    def _check(self, name: str, found: str | None) -> None:
        """Compare a file's checksum with the one in the metadata."""
        if self._checksums is not None and name in self._checksums and self._checksums[name] != found:
            raise BadFileError(f"{self._path / name} is corrupt: it does not match its checksum in {METADATA}.")

    def config(self) -> Any:
        self._check(CONFIG, hashlib.sha256(self._config).hexdigest())
        return parse_json(self._config, str(self._path / CONFIG))

    @contextmanager
    def weights(self) -> Iterator[H5Source]:
        with H5Source(self._weights, str(self._path / WEIGHTS)) as source:
            if self._checksums is None and CHECKSUM_ATTRIBUTE in source.attributes:
                raise BadFileError(f"{self.name} is corrupt: the checksums in its {METADATA} are missing.")
            self._check(WEIGHTS, source.checksum)
            yield source

    @contextmanager
    def assets(self) -> Iterator[Path | None]:
        folder = self._path / ASSETS
        if not folder.is_dir():
            yield None
            return
        for entry in (folder, *folder.rglob("*")):
            name = entry.relative_to(self._path).as_posix()
            if entry.is_symlink():
                raise BadFileError(f"{self.name}: {name} is a link; a model's files must lie in its folder.")
            if entry.is_file():
                self._check(name, _sha256_of(entry))
        yield folder


@contextmanager
def read(place: Place, name: str) -> Iterator[FolderSource]:
    """The model in the folder at `place`."""
    path = Path(place)  # type: ignore[arg-type]
    source = _opened(path, name)
    try:
        yield source
    finally:
        source.close()


def _opened(path: Path, name: str) -> FolderSource:
    """The files of one version of the folder, also while another process replaces it."""
    for _ in range(_ATTEMPTS):
        before = identity(path.stat())
        with suppress(FileNotFoundError):
            source = FolderSource(path, name)
            if identity(path.stat()) == before:
                return source
            source.close()
    return FolderSource(path, name)


def _inside(folder: Path, name: str) -> Path:
    if (folder / name).is_symlink():
        raise BadFileError(f"{folder}: {name} is a link; a model's files must lie in its folder.")
    return folder / name


def _read(path: Path, limit: int) -> bytes:
    _inside(path.parent, path.name)
    if path.stat().st_size > limit:
        raise BadFileError(f"{path} is larger than a model's can be.")
    return path.read_bytes()


_LARGEST_METADATA = 16 * MIB
_LARGEST_CONFIG = 512 * MIB
_ATTEMPTS = 20
FORMAT = Format(name="a folder", suffixes=(), signature=b"", model_writer=write, model_reader=read)  # type: ignore[arg-type]
