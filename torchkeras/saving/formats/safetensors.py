"""`.safetensors`: weights under the names that `state_dict()` gives them, each where the header says.

Other programs find the tensors by these names: `model.load_state_dict(safetensors.torch.load_file(path))` works. The
metadata also notes which object of the model each tensor belongs to, so that a model whose layers have other names
(Keras numbers them) reads the file as it reads any of Keras's. A file without such notes is read by its names.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from torchkeras.core.tensors.sharded import is_sharded, whole_of
from torchkeras.saving.formats.base import Format, Place, SavedValues, StoredTensor, opened
from torchkeras.saving.formats.keras_zip import KERAS_VERSION
from torchkeras.saving.formats.safetensors_header import NAMES, TensorInfo, composed, parsed
from torchkeras.saving.safety import checksum
from torchkeras.saving.safety.atomic import OutputFile, replacing
from torchkeras.saving.safety.budget import MIB, BadFileError, parse_json
from torchkeras.version import __version__

CHECKSUM, OBJECTS = "torchkeras_checksum", "torchkeras_objects"
# A tensor of the model, or where an array that a layer made for the file lies in the scratch file.
_Waiting = torch.Tensor | TensorInfo


class SafetensorsTarget:
    """Collects what is to be written, by reference: the header comes first and names all tensors.

    Args:
        scratch_folder: where arrays wait that layers make only for the file.
    """

    def __init__(self, scratch_folder: Path | None = None) -> None:
        self.tensor_names: dict[int, str] = {}
        self.tensors: dict[str, _Waiting] = {}
        self.objects: dict[str, tuple[str | None, dict[str, str]]] = {}
        self._scratch: IO[bytes] = tempfile.TemporaryFile(dir=scratch_folder)

    def entry(self, path: str, name: str | None) -> WriteEntry:
        """Where the weights of the object at `path` go: a dict of arrays."""
        return WriteEntry(self, path, name)

    def add(self, path: str, key: str, value: Any) -> str:
        """Take a value; returns the name that it has in the file."""
        wanted = self.tensor_names.get(id(value)) or f"{path}.{key}".replace("/", ".").lstrip(".")
        name, number = wanted, 1
        while name in self.tensors or name == "__metadata__":
            name, number = f"{wanted}_{number}", number + 1
        is_live = isinstance(value, torch.Tensor) and not is_sharded(value)
        tensor = value if is_live else self._put_aside(value)
        if tensor.dtype not in NAMES:
            raise TypeError(f"Only numbers can be saved as weights; {path}/{key} is of the type {tensor.dtype}.")
        self.tensors[name] = tensor
        return name

    def _put_aside(self, value: object) -> TensorInfo:
        if isinstance(value, torch.Tensor):
            value = whole_of(value)
        elif isinstance(value, np.ndarray) and value.dtype.name == "bfloat16":
            value = torch.from_numpy(value.view(np.int16)).view(torch.bfloat16)
        else:
            value = torch.from_numpy(np.array(value, order="C"))
        start = self._scratch.seek(0, os.SEEK_END)
        self._scratch.write(_bytes_of(value))
        return TensorInfo(value.dtype, tuple(value.shape), start, self._scratch.tell())

    def drop(self, name: str) -> None:
        del self.tensors[name]

    def value(self, name: str) -> torch.Tensor:
        """The value that will be written."""
        waiting = self.tensors[name]
        if isinstance(waiting, torch.Tensor):
            return waiting
        self._scratch.seek(waiting.start)
        data = bytearray(self._scratch.read(waiting.end - waiting.start))
        return torch.frombuffer(data, dtype=waiting.dtype).reshape(waiting.shape) if data else _empty(waiting)

    def size(self, name: str) -> int:
        """The bytes that a tensor takes."""
        waiting = self.tensors[name]
        return waiting.numel() * waiting.itemsize if isinstance(waiting, torch.Tensor) else waiting.end - waiting.start

    def write(self, file: OutputFile, names: Iterable[str]) -> None:
        """Write some of the tensors as a file of their own, with the notes about all objects that have any of them."""
        infos: dict[str, TensorInfo] = {}
        place = 0
        # Larger types first, so that each tensor starts at a multiple of its own size.
        for name in sorted(names, key=lambda name: -self.tensors[name].dtype.itemsize):
            tensor, size = self.tensors[name], self.size(name)
            infos[name] = TensorInfo(tensor.dtype, tuple(tensor.shape), place, place + size)
            place += size
        file.write(composed(infos, self._metadata(infos)))
        for name in infos:
            waiting = self.tensors[name]
            if isinstance(waiting, torch.Tensor):
                file.write(_bytes_of(waiting))
            else:
                self._scratch.seek(waiting.start)
                left = waiting.end - waiting.start
                while left > 0:
                    left -= file.write(self._scratch.read(min(left, MIB)))
        file.check()
        checksum.seal(file)

    def _metadata(self, infos: Mapping[str, TensorInfo]) -> dict[str, str]:
        notes = []
        for path, (name, keys) in self.objects.items():
            inside = {key: tensor for key, tensor in keys.items() if tensor in infos}
            if inside:
                notes.append([path, name, inside])
        return {
            CHECKSUM: checksum.PLACEHOLDER.decode(),
            "format": "pt",
            "keras_version": KERAS_VERSION,
            "torchkeras_version": __version__,
            OBJECTS: json.dumps(notes, separators=(",", ":")),
        }

    def close(self) -> None:
        self._scratch.close()


def _empty(info: TensorInfo) -> torch.Tensor:
    return torch.empty(info.shape, dtype=info.dtype)


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    """A tensor's bytes: those that it has in memory, where it is contiguous and on the CPU."""
    plain = tensor.detach().as_subclass(torch.Tensor).cpu().contiguous()
    return memoryview(plain.reshape(-1).view(torch.uint8).numpy()) if plain.numel() else memoryview(b"")  # type: ignore[arg-type]


class WriteEntry(MutableMapping):
    """One object's weights on their way into a file."""

    def __init__(self, target: SafetensorsTarget, path: str, name: str | None) -> None:
        self._target, self._path = target, path
        self._names = target.objects.setdefault(path, (name, {}))[1]

    def __setitem__(self, key: str, value: object) -> None:
        if key in self._names:
            self._target.drop(self._names.pop(key))
        self._names[key] = self._target.add(self._path, key, value)

    def __getitem__(self, key: str) -> np.ndarray:
        return as_array(self._target.value(self._names[key]))

    def __delitem__(self, key: str) -> None:
        self._target.drop(self._names.pop(key))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """The values as an array; of a type that NumPy lacks, as float32, in which they are the same."""
    tensor = tensor.detach().as_subclass(torch.Tensor).cpu()
    small = (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
    return (tensor.float() if tensor.dtype in small else tensor).numpy()


# ---------------------------------------------------------------------------- reading


class TensorFile:
    """One file of tensors, of which each is read when it is asked for.

    Args:
        file: open for reading.
        name: for messages.

    Raises:
        BadFileError: it is truncated, corrupt, or no safetensors file.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name, self.file = name, file
        size = file.seek(0, 2)
        self.tensors, self.metadata, self._start = parsed(file, size, name)
        if not checksum.check(file, name) and any(key.startswith("torchkeras") for key in self.metadata):
            raise BadFileError(f"{name} is corrupt: its checksum is unreadable.")

    def read(self, key: str) -> torch.Tensor:
        """A tensor of its own memory."""
        info = self.tensors[key]
        tensor = _empty(info)
        self._fill(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()) if tensor.numel() else None, info)  # type: ignore[arg-type]
        return tensor

    def read_into(self, key: str, tensor: torch.Tensor) -> bool:
        """Fill a tensor without any memory between; `False`, and nothing done, where type or place do not allow it."""
        info = self.tensors[key]
        if type(tensor.data) is not torch.Tensor and is_sharded(tensor):
            return False
        plain = tensor.detach().as_subclass(torch.Tensor)
        if plain.device.type != "cpu" or plain.dtype != info.dtype or tuple(plain.shape) != info.shape:
            return False
        if not plain.is_contiguous() or not plain.numel():
            return False
        self._fill(memoryview(plain.view(-1).view(torch.uint8).numpy()), info)  # type: ignore[arg-type]
        return True

    def _fill(self, view: memoryview | None, info: TensorInfo) -> None:
        if view is None:
            return
        self.file.seek(self._start + info.start)
        done = 0
        while done < len(view):
            count = self.file.readinto(view[done : done + 64 * MIB])  # type: ignore[attr-defined]
            if not count:
                raise BadFileError(f"{self.name} was cut off while it was being read.")
            done += count


class SafetensorsSource:
    """The weights of one or several files, object by object.

    Args:
        files: each with tensors of its own.
        name: for messages.

    Raises:
        BadFileError: the notes about objects do not fit the tensors.
    """

    def __init__(self, files: Iterable[TensorFile], name: str) -> None:
        self.name = name
        self.tensors: dict[str, TensorFile] = {}
        self._objects: dict[str, dict[str, str]] = {}
        self._names: dict[str, str] = {}
        files = list(files)
        for file in files:
            self.tensors.update(dict.fromkeys(file.tensors, file))
        self.needs_names = not any(OBJECTS in file.metadata for file in files)
        for file in files:
            if OBJECTS in file.metadata:
                self._read_notes(file)
        self.total_bytes = sum(info.end - info.start for file in files for info in file.tensors.values())

    def _read_notes(self, file: TensorFile) -> None:
        notes = parse_json(file.metadata[OBJECTS], f"{file.name}: {OBJECTS}")
        for row in notes if isinstance(notes, list) else [None]:
            if not (isinstance(row, list) and len(row) == 3 and isinstance(row[0], str) and isinstance(row[2], dict)):
                raise BadFileError(f"{file.name} is corrupt: its {OBJECTS} must list objects with their tensors.")
            path, name, keys = row
            if not all(isinstance(tensor, str) and tensor in file.tensors for tensor in keys.values()):
                raise BadFileError(f"{file.name} is corrupt: its {OBJECTS} names tensors that it has not.")
            self._objects.setdefault(path, {}).update(keys)
            if isinstance(name, str):
                self._names[path] = name

    def give_names(self, objects: Mapping[str, Mapping[str, str]]) -> list[str]:
        """For a file without notes: the names of each object's tensors in the model's `state_dict()`.

        Returns:
            The tensors of the file that no object has.
        """
        self._objects = {
            path: {key: name for key, name in names.items() if name in self.tensors} for path, names in objects.items()
        }
        used = {name for names in self._objects.values() for name in names.values()}
        return [name for name in self.tensors if name not in used]

    def entry(self, path: str) -> ReadEntry:
        """The weights of the object at `path`; empty where the file has none."""
        return ReadEntry(self, path, self._objects.get(path, {}))

    def has(self, path: str) -> bool:
        return any(known == path or known.startswith(f"{path}/") for known in self._objects)

    def names(self) -> Iterator[tuple[str, str]]:
        """Each object's path and the name that it had when it was saved."""
        return iter(self._names.items())

    def stored(self) -> Iterator[StoredTensor]:
        """All tensors of the files; nothing is read."""
        for name, file in self.tensors.items():
            info = file.tensors[name]
            yield StoredTensor(name, info.shape, str(info.dtype).removeprefix("torch."), info.end - info.start)

    def read_stored(self, name: str) -> np.ndarray:
        """The values of a tensor."""
        return as_array(self.tensors[name].read(name))


class ReadEntry(SavedValues):
    """The weights of one object in a file: each is read when it is asked for."""

    reads_later = True  # the whole file was checked, and any bytes are numbers

    def __init__(self, source: SafetensorsSource, path: str, names: Mapping[str, str]) -> None:
        self._source, self.path, self._tensors = source, path, names

    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of a value; nothing is read."""
        name = self._tensors[key]
        return self._source.tensors[name].tensors[name].shape

    def dtype(self, key: str) -> str:
        """The name of a value's type; nothing is read."""
        name = self._tensors[key]
        return str(self._source.tensors[name].tensors[name].dtype).removeprefix("torch.")

    def __getitem__(self, key: str) -> np.ndarray:
        name = self._tensors[key]
        return as_array(self._source.tensors[name].read(name))

    def read_into(self, key: str, tensor: torch.Tensor) -> bool:
        name = self._tensors[key]
        return self._source.tensors[name].read_into(name, tensor)

    def __contains__(self, key: object) -> bool:
        return key in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


# ---------------------------------------------------------------------------- the format


@contextmanager
def write(place: Place) -> Iterator[SafetensorsTarget]:
    """A target for weights; the file at `place` is replaced when the block ends without an error."""
    with replacing(place) as file:
        target = SafetensorsTarget(Path(os.path.realpath(place)).parent)  # type: ignore[arg-type]
        try:
            yield target
            target.write(file, target.tensors)
        finally:
            target.close()


@contextmanager
def read(place: Place, name: str) -> Iterator[SafetensorsSource]:
    """The weights in the file at `place`."""
    with opened(place) as file:
        yield SafetensorsSource([TensorFile(file, name)], name)


def recognise(head: bytes) -> bool:
    """Whether a file may start like this: a length, and JSON."""
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 40


FORMAT = Format(
    name="safetensors",
    suffixes=(".safetensors",),
    signature=b"",
    weights_writer=write,
    weights_reader=read,
    recognise=recognise,
)
