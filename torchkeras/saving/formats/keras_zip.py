"""`.keras`: a zip archive of the config, the weights, and what layers keep in files of their own."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import stat
import struct
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from torchkeras.saving.formats.base import Format, Place, opened
from torchkeras.saving.formats.weights_h5 import H5Source, H5Target
from torchkeras.saving.safety import checksum
from torchkeras.saving.safety.atomic import OutputFile, OutputWindow, replacing
from torchkeras.saving.safety.budget import MIB, BadFileError, Budget, parse_json
from torchkeras.saving.safety.folders import temporary_folder
from torchkeras.saving.safety.positional import LargeReader, Positional
from torchkeras.version import __version__

KERAS_VERSION = "3.15.1"  # whose format this is
CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets"


# ---------------------------------------------------------------------------- writing


class ZipTarget:
    """Writes the parts of a model into an archive.

    Args:
        file: empty.
    """

    def __init__(self, file: OutputFile) -> None:
        self._file = file
        self._known = checksum.KnownBlocks()
        self._zip = zipfile.ZipFile(file, "w")  # type: ignore[call-overload]
        self._zip.writestr(METADATA, json.dumps(metadata() | {"checksum": "the archive's comment"}))

    def config(self, text: bytes) -> None:
        self._zip.writestr(CONFIG, text)

    @contextmanager
    def weights(self) -> Iterator[H5Target]:
        # HDF5 writes here and there, so its file is written in the member's place, and the member's size and CRC after.
        info = zipfile.ZipInfo(WEIGHTS, time.localtime()[:6])
        info.external_attr = 0o600 << 16
        info.CRC = 0  # known in the end
        info.header_offset = self._zip.start_dir
        self._file.seek(info.header_offset)
        self._file.write(info.FileHeader(zip64=True))
        start = self._file.tell()
        with H5Target(OutputWindow(self._file, start)) as target:
            yield target
        self._file.check()
        end = self._file.seek(0, os.SEEK_END)
        info.file_size = info.compress_size = end - start
        source = Positional(self._file)
        self._known.read(source, start, end)
        info.CRC = checksum.crc32_of(source, start, end, self._known)
        self._file.seek(info.header_offset)
        self._file.write(info.FileHeader(zip64=True))
        self._file.seek(end)
        self._zip.filelist.append(info)
        self._zip.NameToInfo[WEIGHTS] = info
        self._zip.start_dir = end

    @contextmanager
    def assets(self) -> Iterator[Path]:
        with temporary_folder() as folder:
            yield folder
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    self._zip.write(path, f"{ASSETS}/{path.relative_to(folder).as_posix()}")

    def finish(self) -> None:
        """Write the archive's directory and the checksum."""
        self._zip.comment = checksum.PLACEHOLDER
        self._zip.close()
        self._file.check()
        checksum.seal(self._file, at_end=True, known=self._known)

    def abandon(self) -> None:
        """Close the archive as it is."""
        self._zip.close()


def metadata() -> dict[str, str]:
    """The versions and the date that go into a saved model."""
    now = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    return {"keras_version": KERAS_VERSION, "date_saved": now, "torchkeras_version": __version__}


def version_in(about: object) -> str | None:
    """The version of Keras that a model's metadata state."""
    version = about.get("keras_version") if isinstance(about, dict) else None
    return version if isinstance(version, str) else None


@contextmanager
def write(place: Place) -> Iterator[ZipTarget]:
    """A target for a model; the file at `place` is replaced when the block ends without an error."""
    if isinstance(place, (str, os.PathLike)):
        with replacing(place) as file, _filling(file) as target:
            yield target
        return
    with tempfile.TemporaryFile(buffering=0) as raw:
        file = OutputFile(raw, "a temporary file")
        with _filling(file) as target:
            yield target
        file.check()
        raw.seek(0)
        shutil.copyfileobj(raw, place)


@contextmanager
def _filling(file: OutputFile) -> Iterator[ZipTarget]:
    target = ZipTarget(file)
    try:
        yield target
    except BaseException:
        target.abandon()
        raise
    target.finish()


# ---------------------------------------------------------------------------- reading


class Archive:
    """A `.keras` file that is looked through before anything of it is used.

    Args:
        file: open for reading.
        name: for messages.
        check_first: compare all bytes with the checksum now; else `check_bytes` does it later, and computes it from
            what was read meanwhile.

    Raises:
        BadFileError: it is no zip archive, truncated, corrupt, or its members are not what a model's can be.
    """

    def __init__(self, file: IO[bytes], name: str, check_first: bool = True) -> None:
        self.name, self._file = name, file
        self._known = checksum.KnownBlocks()
        self.size = file.seek(0, 2)
        self.budget = Budget(self.size, name)
        if check_first:
            self.check_bytes()
        self.sealed = checksum.find(file, at_end=True) is not None
        self._zip = self._open()
        self._members = self._checked_members()

    def check_bytes(self) -> None:
        """Compare the bytes with the checksum, if the archive has one.

        Raises:
            BadFileError: they were changed.
        """
        checksum.check(self._file, self.name, at_end=True, known=self._known)
        self._known.close()

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self._file, "r")
        except Exception as error:  # struct.error and others, of damaged directories
            self._file.seek(0)
            head = self._file.read(4)
            if head == b"PK\x03\x04":
                what = "is truncated or corrupt: the directory at the end of the archive is missing or damaged"
            elif len(head) < 4:
                what = f"is truncated: only {self.size} bytes of it are left"
            else:
                what = f"is no `.keras` file: it is no zip archive (it starts with {head!r})"
            raise BadFileError(f"{self.name} {what} ({error}).") from error

    def _checked_members(self) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            problem = _problem_of(info)
            if problem is None and info.filename in members:
                problem = "is there twice"
            if problem:
                raise BadFileError(f"{self.name} is corrupt or not a model: its member {info.filename!r} {problem}.")
            members[info.filename] = info
            if info.compress_type != zipfile.ZIP_STORED:
                self.budget.spend(info.file_size, f"member {info.filename!r}")
        stored = sum(info.file_size for info in members.values() if info.compress_type == zipfile.ZIP_STORED)
        if stored > self.size:
            raise BadFileError(f"{self.name} is corrupt: its members claim more bytes than it has.")
        return members

    def names(self) -> list[str]:
        return list(self._members)

    def read(self, name: str, limit: int | None = None) -> bytes:
        """A member's bytes."""
        info = self._member(name)
        if limit is not None and info.file_size > limit:
            raise BadFileError(
                f"{self.name}: member {name!r} is larger than a model's can be ({info.file_size} bytes)."
            )
        with self._reading(name), self._zip.open(info) as member:
            return member.read()

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self._members:
            raise BadFileError(
                f"{self.name} holds no model: the archive has no {name!r}. It has {sorted(self._members)[:10]}."
            )
        return self._members[name]

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except BadFileError:
            raise
        except Exception as error:  # BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, ...
            raise BadFileError(
                f"{self.name} is corrupt or truncated: member {name!r} can't be read ({error})."
            ) from error

    config_name = CONFIG

    def keras_version(self) -> str | None:
        """The version of Keras in the metadata, if there is one."""
        if METADATA not in self._members:
            return None
        return version_in(parse_json(self.read(METADATA, MIB), f"{self.name}: {METADATA}"))

    def config(self) -> Any:
        """The model's description."""
        # A text as long as the file is as it was written; more than that must be small.
        limit = 8 * MIB + self.size
        return parse_json(self.read(CONFIG, limit), f"{self.name}: {CONFIG}")

    def metadata(self) -> dict[str, Any]:
        """The versions and the date; empty if the archive has none."""
        if METADATA not in self._members:
            return {}
        found = parse_json(self.read(METADATA, MIB), f"{self.name}: {METADATA}")
        return found if isinstance(found, dict) else {}

    def check_metadata(self) -> None:
        """Refuse an archive of ours whose checksum got lost."""
        if not self.sealed and "checksum" in self.metadata():
            raise BadFileError(f"{self.name} is truncated or corrupt: the checksum at its end is unreadable.")

    @contextmanager
    def weights(self) -> Iterator[H5Source]:
        """The member with the weights."""
        name = f"{self.name}: {WEIGHTS}"
        info = self._member(WEIGHTS)
        with tempfile.TemporaryFile() as scratch:
            file: Any = scratch
            with self._reading(WEIGHTS):
                stored = info.compress_type == zipfile.ZIP_STORED
                if stored:
                    file = Window(self._file, self._data_offset(info), info.file_size, self._known.readinto)
                if not (stored and self.sealed):
                    with self._zip.open(info) as member:  # to the end, where the member's CRC is checked
                        for data in iter(lambda: member.read(MIB), b""):
                            if not stored:
                                scratch.write(data)
            with H5Source(file, name, self.budget) as reader:
                yield reader

    def _data_offset(self, info: zipfile.ZipInfo) -> int:
        self._file.seek(info.header_offset + 26)
        lengths = struct.unpack("<HH", self._file.read(4))
        return info.header_offset + 30 + sum(lengths)

    @contextmanager
    def assets(self) -> Iterator[Path | None]:
        """A private temporary folder with the members under `assets/`; `None` where there are none."""
        names = [name for name in self._members if name.startswith(f"{ASSETS}/") and not name.endswith("/")]
        if not names:
            yield None
            return
        with temporary_folder() as folder:
            for name in names:
                place = Path(folder, *PurePosixPath(name).parts[1:])
                place.parent.mkdir(parents=True, exist_ok=True)
                with self._reading(name), self._zip.open(self._members[name]) as member, open(place, "xb") as out:
                    shutil.copyfileobj(member, out, MIB)
            yield folder


def _problem_of(info: zipfile.ZipInfo) -> str | None:
    name = info.filename
    parts = name.rstrip("/").split("/")
    if "\\" in name or "\0" in name or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
        return "would lie outside the archive's own folder"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed by a method that models do not use"
    return None


class Window:
    """A read-only file object over a part of another file."""

    def __init__(self, file: IO[bytes], start: int, size: int, read_large: LargeReader | None = None) -> None:
        self._file, self._start, self._size, self._place = file, start, size, 0
        self._read_large = read_large

    @property
    def positional(self) -> Positional:
        """The same part, to be read at offsets."""
        return Positional(self._file, self._start, self._read_large)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._place)
        self._file.seek(self._start + self._place)
        data = self._file.read(left if size < 0 else min(size, left))
        self._place += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        self._file.seek(self._start + self._place)
        count = self._file.readinto(view[: max(0, min(len(view), self._size - self._place))])  # type: ignore[attr-defined]
        self._place += count
        return count

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


# ---------------------------------------------------------------------------- the format


@contextmanager
def read(place: Place, name: str) -> Iterator[Archive]:
    """The model in the archive at `place`; its bytes have been checked."""
    with opened(place) as file:
        archive = Archive(file, name)
        archive.check_metadata()
        yield archive


@contextmanager
def read_in_one_pass(place: Place, name: str) -> Iterator[Archive]:
    """The model in the archive at `place`, whose bytes are checked as they are read; at the end all of them were.

    Raises:
        BadFileError: they were changed; likewise in the place of an error that the change led to.
    """
    with opened(place) as file:
        try:
            archive = Archive(file, name, check_first=False)
            archive.check_metadata()
            yield archive
        except Exception:
            checksum.check(file, name, at_end=True)
            raise
        archive.check_bytes()


FORMAT = Format(
    name="a `.keras` archive",
    suffixes=(".keras",),
    signature=b"PK\x03\x04",
    model_writer=write,  # type: ignore[arg-type]
    model_reader=read,
    new_model_reader=read_in_one_pass,
)
