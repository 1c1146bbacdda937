"""`.weights.json`: an index that says which of several `.weights.h5` files (shards) has which weights."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from torchkeras.saving.formats.base import Format, Place, SavedValues, StoredTensor
from torchkeras.saving.formats.weights_h5 import H5Source, H5Target, WriteEntry
from torchkeras.saving.safety import checksum
from torchkeras.saving.safety.atomic import (
    Identity,
    OutputFile,
    being_written,
    check_target,
    identity,
    link_over,
    new_file,
    only_writer,
    replacing,
    sweep,
    sync_folder,
)
from torchkeras.saving.safety.budget import MIB, BadFileError, parse_json, readable
from torchkeras.saving.safety.regular import open_to_read

SUFFIX = ".weights.json"
_SHARD = ".weights.h5"
_LARGEST_INDEX = 64 * MIB
_MOST_SHARDS = 500  # each of them is open while weights are read
_SHARD_ATTRIBUTE = "torchkeras_shard_of"
_ATTEMPTS = 3


# ---------------------------------------------------------------------------- writing


class ShardedTarget:
    """Writes weights into shards under temporary names; `commit` gives them their places.

    A shard is called `<stem>_00000.weights.h5`, as Keras calls it. Because several files cannot be replaced at once,
    `commit` first gives the new shards names of their own, then replaces the index, and only then the old shards.

    Args:
        index: the path of the index.
        max_bytes: the size in bytes at which another shard begins.
    """

    tensor_names = None

    def __init__(self, index: Path, max_bytes: float) -> None:
        self.index, self.max_bytes = index, max_bytes
        self._stem = index.name.removesuffix(SUFFIX)
        self._token = secrets.token_hex(6)
        self._shards: list[tuple[str, str]] = []  # the name that a shard gets in the end, and its checksum
        self._files = ExitStack()
        self._target: H5Target | None = None
        self._output: OutputFile | None = None
        self._in_shard = 0
        self.total = 0
        self.weight_map: dict[str, list[str]] = {}
        self._begin_shard()

    def entry(self, path: str, name: str | None) -> _ShardedEntry:
        """Where the weights of the object at `path` go."""
        return _ShardedEntry(self, path, name)

    def _begin_shard(self) -> None:
        self._end_shard()
        number = len(self._shards)
        if number >= _MOST_SHARDS:
            raise ValueError(
                f"The weights would need more than {_MOST_SHARDS} files; increase `max_shard_size` (received "
                f"{self.max_bytes / 1024**3:g} GB)."
            )
        name = f"{self._stem}_{number:05}{_SHARD}"
        self._output = self._files.enter_context(new_file(self._temporary(name), self.index))
        self._target = H5Target(self._output, sealed=True, attributes={_SHARD_ATTRIBUTE: self.index.name})
        self._shards.append((name, ""))
        self._in_shard = 0

    def _end_shard(self) -> None:
        if self._target is None or self._output is None:
            return
        self._target.close()
        self._output.finish()
        self._shards[-1] = (self._shards[-1][0], self._target.checksum)
        self._target = None

    def _temporary(self, name: str) -> Path:
        return self.index.with_name(f"{name.removesuffix(_SHARD)}-{self._token}{_SHARD}")

    def place_for(self, path: str, name: str | None, key: str, size: int) -> WriteEntry:
        """The entry of the shard that takes the next value."""
        if size > self.max_bytes:
            raise ValueError(
                f"The size of {path}/{key} is {readable(size)} which exceeds the maximum shard size "
                f"{readable(self.max_bytes)}. You can increase the `max_shard_size` parameter to accommodate "  # type: ignore[arg-type]
                f"the size."
            )
        if self._in_shard + size > self.max_bytes:
            self._begin_shard()
        self._in_shard += size
        self.total += size
        files = self.weight_map.setdefault(f"/{path}/vars" if path else "/vars", [])
        if self._shards[-1][0] not in files:
            files.append(self._shards[-1][0])
        return self.current(path, name)

    def current(self, path: str, name: str | None) -> WriteEntry:
        """The object's entry in the shard that is being written."""
        assert self._target is not None
        return self._target.entry(path, name)

    def commit(self) -> None:
        """Let the new shards and the new index take the place of the old ones."""
        self._end_shard()
        folder = self.index.parent
        names = [name for name, _ in self._shards]
        with only_writer(folder):
            before = _names_in(self.index)
            self._write_index({name: self._temporary(name).name for name in names})
            for name in names:  # now nothing refers to the old shards
                link_over(self._temporary(name), folder / name)
            self._write_index({name: name for name in names})
            for name in {*before, *(self._temporary(name).name for name in names)} - set(names):
                with suppress(OSError):
                    os.unlink(folder / name)
            self._sweep(set(names))
        sync_folder(folder)

    def _write_index(self, called: dict[str, str]) -> None:
        shards = {called[name]: digest for name, digest in self._shards}
        text = {
            "metadata": {
                "total_size": self.total,
                "torchkeras_checksum": checksum.PLACEHOLDER.decode(),
                "torchkeras_shards": shards,
            },
            "weight_map": {path: [called[name] for name in names] for path, names in self.weight_map.items()},
        }
        with replacing(self.index) as file:
            file.write(json.dumps(text, indent=4).encode())
            checksum.seal(file)

    def _sweep(self, kept: set[str]) -> None:
        """Remove the shards of writers of this index that were killed."""
        for path in self.index.parent.glob(f"{_escaped(self._stem)}_[0-9][0-9][0-9][0-9][0-9]*{_SHARD}"):
            if path.name not in kept and not being_written(path) and _is_shard_of(path, self.index.name):
                with suppress(OSError):
                    path.unlink()
        for name in kept:
            sweep(self.index.with_name(name))

    def abandon(self) -> None:
        """Remove what was written so far."""
        if self._target is not None:
            with suppress(Exception):
                self._target.abandon()
        for name, _ in self._shards:
            with suppress(OSError):
                os.unlink(self._temporary(name))

    def release(self) -> None:
        """Close the files of the shards."""
        self._files.close()


class _ShardedEntry(MutableMapping[str, Any]):
    """One object's weights being written, into as many shards as they need."""

    def __init__(self, target: ShardedTarget, path: str, name: str | None) -> None:
        self._target, self._path, self._name = target, path, name
        self._parts: dict[str, WriteEntry] = {}
        target.current(path, name)

    def __setitem__(self, key: str, value: object) -> None:
        place = self._target.place_for(self._path, self._name, key, _byte_count(value))
        place[key] = value
        self._parts[key] = place

    def __getitem__(self, key: str) -> np.ndarray:
        return self._parts[key][key]

    def __delitem__(self, key: str) -> None:
        del self._parts.pop(key)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


def _byte_count(value: object) -> int:
    return value.numel() * value.element_size() if isinstance(value, torch.Tensor) else np.asarray(value).nbytes


def _names_in(index: Path) -> set[str]:
    """The names of the shards of an index that is about to be replaced; none if it is damaged."""
    with suppress(OSError, BadFileError), open_to_read(index) as file:
        return _Index(file, str(index)).names
    return set()


def _escaped(stem: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in stem)


def _is_shard_of(path: Path, index: str) -> bool:
    """Whether a file was written as a shard of the index: by its temporary name, or by the mark inside it."""
    if re.search(r"_\d{5}-[0-9a-f]{12}\.weights\.h5$", path.name):
        return True
    with suppress(OSError, BadFileError), open_to_read(path) as file:
        head = file.read(1 << 16)
        return _SHARD_ATTRIBUTE.encode() in head and index.encode() in head
    return False


@contextmanager
def write(place: Place, max_bytes: int) -> Iterator[ShardedTarget]:
    """A target for weights; index and shards are replaced when the block ends without an error.

    Args:
        place: the path of the index.
        max_bytes: in bytes.
    """
    index = Path(os.path.realpath(place))  # type: ignore[arg-type]
    check_target(index)
    target = ShardedTarget(index, max_bytes)
    try:
        yield target
        target.commit()
    except BaseException:
        target.abandon()
        raise
    finally:
        target.release()


# ---------------------------------------------------------------------------- reading


class _Index:
    """The parsed index.

    Raises:
        BadFileError: it is no index, corrupt, or names files elsewhere.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name = name
        size = file.seek(0, 2)
        if size > _LARGEST_INDEX:
            raise BadFileError(f"{name} is larger than an index of weights can be ({readable(size)}).")
        sealed = checksum.check(file, name)
        file.seek(0)
        self.text = file.read()
        if sealed is None and not self.text.rstrip().endswith(b"}"):
            raise BadFileError(f"{name} is truncated: the index of weights has no end.")
        found = parse_json(self.text, name)
        self.weight_map = self._checked_map(found)
        self.names = {one for names in self.weight_map.values() for one in names}
        about = found.get("metadata") if isinstance(found.get("metadata"), dict) else {}
        self.checksums = about.get("torchkeras_shards", {})
        if sealed is None and self.checksums or not isinstance(self.checksums, dict):
            raise BadFileError(f"{name} is corrupt: its checksum is unreadable.")
        if len(self.names) > _MOST_SHARDS:
            raise BadFileError(f"{name} names {len(self.names)} files; at most {_MOST_SHARDS} are read.")
        self.sealed = sealed is not None

    def _checked_map(self, found: object) -> dict[str, list[str]]:
        weight_map = found.get("weight_map") if isinstance(found, dict) else None
        if not isinstance(weight_map, dict):
            raise BadFileError(f"{self.name} is no index of weights: it must be an object with 'weight_map'.")
        checked: dict[str, list[str]] = {}
        for path, names in weight_map.items():
            names = [names] if isinstance(names, str) else names
            if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
                raise BadFileError(f"{self.name}: 'weight_map' has {names!r} for {path!r}, no names of files.")
            for one in names:
                if not _is_plain_name(one):
                    raise BadFileError(
                        f"{self.name}: 'weight_map' names {one!r}; the files with the weights must end in `{_SHARD}` "
                        f"and lie in the folder of the index."
                    )
            checked[path.strip("/")] = names
        return checked


def _is_plain_name(name: str) -> bool:
    return name.endswith(_SHARD) and not any(char in name for char in "/\\\0:") and len(name.encode()) < 256


class ShardedSource:
    """Reads weights from the shards of an index; all of them are open at once."""

    needs_names = False

    def give_names(self, objects: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Not needed: the files have a group for each object."""
        return []

    def __init__(self, path: Path, name: str, files: ExitStack) -> None:
        self.name = name
        with open_to_read(path) as file:
            self._written = identity(os.fstat(file.fileno()))
            self.index = _Index(file, name)
        self._shards: dict[str, H5Source] = {}
        for one in sorted(self.index.names):
            self._shards[one] = self._open_shard(path.with_name(one), one, files)
        self.total_bytes = sum(shard.total_bytes for shard in self._shards.values())

    def _open_shard(self, path: Path, name: str, files: ExitStack) -> H5Source:
        if path.is_symlink():
            raise BadFileError(f"{self.name}: {name!r} is a link; weights must lie in the folder of the index.")
        try:
            file = files.enter_context(open_to_read(path))
        except FileNotFoundError:
            text = f"{self.name} is not complete: {name!r}, which it names, is missing from its folder."
            raise _MissingShardError(text, self._written) from None
        shard = files.enter_context(H5Source(file, str(path)))
        wanted = self.index.checksums.get(name)
        if wanted is not None and wanted != shard.checksum:
            text = f"{path} is corrupt or of another save: it is not the file that {self.name} means."
            raise _MissingShardError(text, self._written)
        if self.index.sealed is False and _SHARD_ATTRIBUTE in shard.attributes:
            raise BadFileError(f"{self.name} is corrupt: its checksum is unreadable.")
        return shard

    def entry(self, path: str) -> SavedValues:
        """The weights of the object at `path`, from all shards that have some."""
        inner = f"{path}/vars" if path else "vars"
        names = self.index.weight_map.get(inner, [])
        return _Joined(inner, [self._shards[name].entry(path) for name in names])

    def has(self, path: str) -> bool:
        return any(one == path or one.startswith(f"{path}/") for one in self.index.weight_map)

    def names(self) -> Iterator[tuple[str, str]]:
        """The path of each object and its name when it was saved."""
        yield from dict(pair for shard in self._shards.values() for pair in shard.names()).items()

    def stored(self) -> Iterator[StoredTensor]:
        """All datasets of all shards; nothing is read."""
        for shard in self._shards.values():
            yield from shard.stored()

    def read_stored(self, name: str) -> np.ndarray:
        """The values of a dataset."""
        shard = next(one for one in self._shards.values() if any(name == row.name for row in one.stored()))
        return shard.read_stored(name)


class _MissingShardError(BadFileError):
    """A shard is not there, or is another one: perhaps a writer is replacing them.

    Args:
        text: the message.
        index: the identity of the index that names the shard.
    """

    def __init__(self, text: str, index: Identity) -> None:
        super().__init__(text)
        self.index = index


class _Joined(SavedValues):
    """The values of one object that several shards hold."""

    def __init__(self, path: str, parts: list[SavedValues]) -> None:
        self.path = path
        self._by_key = {key: part for part in parts for key in part}
        self.reads_later = all(part.reads_later for part in parts)

    def read_into(self, key: str, tensor: torch.Tensor) -> bool:
        return self._by_key[key].read_into(key, tensor)

    def shape(self, key: str) -> tuple[int, ...]:
        return self._by_key[key].shape(key)

    def dtype(self, key: str) -> str:
        return self._by_key[key].dtype(key)

    def __contains__(self, key: object) -> bool:
        return key in self._by_key

    def __getitem__(self, key: str) -> np.ndarray:
        return self._by_key[key][key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)


@contextmanager
def read(place: Place, name: str) -> Iterator[ShardedSource]:
    """The weights of the index at `place`."""
    path = Path(place)  # type: ignore[arg-type]
    with ExitStack() as files:
        for _ in range(_ATTEMPTS):
            source = _opened(path, name, files)
            if source is not None:
                break
        else:
            with only_writer(path.parent):
                source = _opened(path, name, files, patient=False)
        assert source is not None
        yield source


def _opened(path: Path, name: str, files: ExitStack, patient: bool = True) -> ShardedSource | None:
    """The index with all its shards; `None` if a writer replaced them meanwhile, and one may be `patient`."""
    opened = ExitStack()
    try:
        source = ShardedSource(path, name, opened)
    except _MissingShardError as error:
        opened.close()
        if patient and identity(os.stat(path)) != error.index:
            return None
        raise
    except BaseException:
        opened.close()
        raise
    files.push(opened)
    return source


FORMAT = Format(
    name="weights in several HDF5 files",
    suffixes=(SUFFIX,),
    signature=b"{",
    weights_reader=read,
    sharded_writer=write,  # type: ignore[arg-type]
)
