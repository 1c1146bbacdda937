"""`.weights.h5`: each object's weights as datasets `<path>/vars/0`, `<path>/vars/1`, ... of an HDF5 file."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import IO, Any

import h5py
import numpy as np
import torch

from torchkeras.core.tensors.sharded import is_sharded, whole_of
from torchkeras.saving.formats.base import Format, Place, SavedValues, StoredTensor, opened
from torchkeras.saving.safety import checksum
from torchkeras.saving.safety.atomic import OutputFile, OutputWindow, replacing
from torchkeras.saving.safety.budget import BadFileError, Budget, readable
from torchkeras.saving.safety.positional import Positional

CHECKSUM_ATTRIBUTE = "torchkeras_checksum"
SIGNATURE = b"\x89HDF\r\n\x1a\n"
_OPAQUE_BFLOAT16 = np.dtype("V2")


class H5Target:
    """Writes weights into a file.

    Args:
        file: empty.
        sealed: put a checksum in.
        attributes: texts to put into the file, by name.
    """

    tensor_names = None

    def __init__(
        self, file: OutputFile | OutputWindow, sealed: bool = False, attributes: dict[str, str] | None = None
    ) -> None:
        self._file = file
        self._sealed = sealed
        self.checksum = ""
        self._h5 = h5py.File(file, "w")
        if sealed:
            self._h5.attrs[CHECKSUM_ATTRIBUTE] = np.bytes_(checksum.PLACEHOLDER)
        for name, text in (attributes or {}).items():
            self._h5.attrs[name] = text

    def entry(self, path: str, name: str | None) -> WriteEntry:
        """Where the weights of the object at `path` go: a dict of arrays."""
        return WriteEntry(self._h5, f"{path}/vars" if path else "vars", name)

    def close(self) -> None:
        self._h5.close()
        self._file.check()
        if self._sealed:
            self.checksum = checksum.seal(self._file)

    def abandon(self) -> None:
        """Close the file as it is."""
        self._h5.close()

    def __enter__(self) -> H5Target:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()


class WriteEntry(MutableMapping[str, Any]):
    """One object's weights being written; a group is made when there is something to put in it, or a name."""

    def __init__(self, h5: h5py.File, path: str, name: str | None) -> None:
        self._h5, self._path = h5, path
        self._group: h5py.Group | None = None
        if name is not None:
            self._made().attrs["name"] = name

    def _made(self) -> h5py.Group:
        if self._group is None:
            self._group = self._h5.require_group(self._path)
        return self._group

    def __setitem__(self, key: str, value: object) -> None:
        array, is_bfloat16 = to_array(value)
        if array.dtype.kind not in "fiubcV":
            raise TypeError(f"Only numbers can be saved as weights; {self._path}/{key} is {value!r} ({array.dtype}).")
        if is_bfloat16:
            dataset = self._made().create_dataset(key, data=array.view(_OPAQUE_BFLOAT16))
            dataset.attrs["dtype"] = "bfloat16"
        else:
            self._made()[key] = array

    def __getitem__(self, key: str) -> np.ndarray:
        return self._made()[key][()]

    def __delitem__(self, key: str) -> None:
        del self._made()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._group or ())

    def __len__(self) -> int:
        return len(self._group or ())


def to_array(value: object) -> tuple[np.ndarray, bool]:
    """The value as an array that HDF5 can hold, and whether its two bytes a number are bfloat16's."""
    if not isinstance(value, torch.Tensor):
        array = np.asarray(value)
        return (array, False) if array.dtype.name != "bfloat16" else (array.view("int16"), True)
    if hasattr(value, "full_tensor"):  # a DTensor, of which each process has a part
        value = whole_of(value)
    value = value.detach().as_subclass(torch.Tensor).cpu()
    if value.dtype is torch.bfloat16:
        return value.contiguous().view(torch.int16).numpy(), True
    if value.is_floating_point() and value.element_size() == 1:  # HDF5 has no float8
        value = value.to(_HOLDS_FLOAT8.get(value.dtype, torch.float32))
    return value.numpy(), False


# Types that hold all values of a float8 type exactly.
_HOLDS_FLOAT8 = {torch.float8_e4m3fn: torch.float16, torch.float8_e5m2: torch.float16}


# ---------------------------------------------------------------------------- reading


class H5Source:
    """Reads weights from a binary file object, and nothing else than that file.

    The whole file is looked through at first: links out of it, storage or virtual data elsewhere, types that are no
    numbers, and datasets that claim more than they store are refused, before any memory is taken for values.

    Args:
        file: open for reading.
        name: for messages.
        budget: bytes that unpacking may take.
        verify: check the checksum, where the file has one.

    Raises:
        BadFileError: the file is no HDF5 file, truncated, corrupt or not allowed.
    """

    needs_names = False

    def give_names(self, objects: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Not needed: the file has a group for each object."""
        return []

    def __init__(self, file: Any, name: str, budget: Budget | None = None, verify: bool = True) -> None:
        self.name = name
        size = file.seek(0, 2)
        self._budget = budget or Budget(size, name)
        self.positional = Positional(file)
        _check_whole(file, size, name)
        self.checksum = checksum.check(file, name) if verify else None
        file.seek(0)
        try:
            self._h5 = h5py.File(file, "r")
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise BadFileError(f"{name} is corrupt: HDF5 can't read it ({error}).") from error
        self.total_bytes = 0
        try:
            self._look_through(size)
            self.attributes = frozenset(self._h5.attrs)
            if verify and not self.checksum and CHECKSUM_ATTRIBUTE in self.attributes:
                raise BadFileError(f"{name} is corrupt: its checksum is unreadable.")
        except BadFileError:
            self.close()
            raise
        except Exception as error:  # whatever HDF5 and h5py make of damaged structures
            self.close()
            raise BadFileError(f"{name} is corrupt: {error}") from error

    @property
    def root(self) -> h5py.File:
        """The file, which has been looked through: it has hard links only."""
        return self._h5

    @property
    def budget(self) -> Budget:
        """The bytes that reading may still take."""
        return self._budget

    def _look_through(self, file_size: int) -> None:
        stored = 0
        for path, dataset in self._datasets():
            self._check_dataset(path, dataset)
            size = _declared_bytes(dataset)
            self.total_bytes += size
            if dataset.chunks is None:
                stored += size
            else:
                self._budget.spend(max(size, math.prod(dataset.chunks) * dataset.dtype.itemsize), path)
        if stored > file_size:
            raise BadFileError(
                f"{self.name} is corrupt: its datasets claim {readable(stored)}, the file has {readable(file_size)}."
            )

    def _datasets(self) -> Iterator[tuple[str, h5py.Dataset]]:
        """All datasets, without ever following a link that is not a hard one."""
        links: list[tuple[str, int]] = []

        def note(name: bytes, info: Any) -> bool | None:
            links.append((name.decode(), info.type))
            return True if name.count(b"/") > _DEEPEST else None  # `True` ends the visit

        if self._h5.id.links.visit(note, info=True):
            raise BadFileError(f"{self.name} has groups that are nested more than {_DEEPEST} deep.")
        for path, kind in links:
            if kind != h5py.h5l.TYPE_HARD:
                what = "an external link (ExternalLink)" if kind == h5py.h5l.TYPE_EXTERNAL else "a soft link (SoftLink)"
                raise BadFileError(f"{self.name}: {path!r} is {what}; weights must lie in the file itself.")
        for path, _ in links:
            found = self._h5[path]
            if isinstance(found, h5py.Dataset):
                yield path, found
            elif not isinstance(found, h5py.Group):
                raise BadFileError(f"{self.name}: {path!r} is neither a group nor a dataset.")

    def _check_dataset(self, path: str, dataset: h5py.Dataset) -> None:
        plist = dataset.id.get_create_plist()
        head = f"{self.name}: dataset {path!r}"
        if plist.get_external_count():
            raise BadFileError(f"{head} keeps its data in another file; weights must lie in the file itself.")
        if plist.get_layout() == h5py.h5d.VIRTUAL:
            raise BadFileError(f"{head} is put together from other datasets; weights must lie in the file itself.")
        if plist.get_nfilters():
            filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
            if not filters <= _SAFE_FILTERS:
                raise BadFileError(
                    f"{head} is packed by the filters {sorted(filters)}; only gzip and shuffle are read."
                )
        if dataset.shape is None or not _is_numeric(dataset):
            raise BadFileError(f"{head} holds no numbers but {dataset.dtype}.")
        if dataset.chunks is not None:
            count = math.prod(-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks))
            if count > _MOST_SMALL_CHUNKS and math.prod(dataset.chunks) * dataset.dtype.itemsize < _SMALL_CHUNK:
                raise BadFileError(
                    f"{head} is cut into {count:,} chunks of shape {dataset.chunks}: reading them would take far "
                    f"longer than its size justifies. Write it again with larger chunks."
                )
        declared, stored = _declared_bytes(dataset), dataset.id.get_storage_size()
        if dataset.chunks is None and stored < declared:
            raise BadFileError(
                f"{head} claims {readable(declared)} (shape {dataset.shape}) and stores {readable(stored)}."
            )

    def entry(self, path: str) -> ReadEntry:
        """The weights of the object at `path`; empty where the file has none."""
        for candidate in (path, path.replace("layers", "_layer_checkpoint_dependencies")):
            group = self._group(f"{candidate}/vars" if candidate else "vars")
            if group is not None:
                return ReadEntry(self, group, f"{candidate}/vars" if candidate else "vars")
        return ReadEntry(self, None, f"{path}/vars" if path else "vars")

    def has(self, path: str) -> bool:
        return self._group(path) is not None

    def _group(self, path: str) -> h5py.Group | None:
        found = self._h5.get(path)  # safe: there are hard links only
        return found if isinstance(found, h5py.Group) else None

    def names(self) -> Iterator[tuple[str, str]]:
        """Each object's path and the name that it had when it was saved."""
        found: list[str] = []
        self._h5.visit(found.append)
        for path in found:
            if path.endswith("/vars") and isinstance(self._h5[path], h5py.Group) and "name" in self._h5[path].attrs:
                name = self._h5[path].attrs["name"]
                yield path.removesuffix("/vars"), name.decode() if isinstance(name, bytes) else str(name)

    def objects(self) -> list[str]:
        """The paths of all objects that have a group of values."""
        found: list[str] = []
        self._h5.visit(found.append)
        groups = [path for path in found if path.split("/")[-1] == "vars" and isinstance(self._h5[path], h5py.Group)]
        return [path.removesuffix("vars").removesuffix("/") for path in groups]

    def stored(self) -> Iterator[StoredTensor]:
        """All datasets of the file; nothing is read."""
        for path, dataset in self._datasets():
            name = "bfloat16" if dataset.dtype == _OPAQUE_BFLOAT16 else dataset.dtype.name
            yield StoredTensor(path, tuple(dataset.shape), name, _declared_bytes(dataset))

    def read_stored(self, name: str) -> np.ndarray:
        """The values of a dataset."""
        path, _, key = name.rpartition("/")
        return ReadEntry(self, self._group(path) if path else self._h5, path)[key]

    def close(self) -> None:
        self._h5.close()

    def __enter__(self) -> H5Source:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class ReadEntry(SavedValues):
    """The weights of one object in a file: each array is read when it is asked for."""

    def __init__(self, reader: H5Source, group: h5py.Group | None, path: str) -> None:
        self._reader, self._group, self.path = reader, group, path

    def _dataset(self, key: str) -> h5py.Dataset:
        found = None if self._group is None else self._group.get(key)
        if not isinstance(found, h5py.Dataset):
            raise KeyError(f"{self._reader.name} has no dataset {self.path}/{key}")
        return found

    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of a value; nothing is read."""
        return tuple(self._dataset(key).shape)

    def dtype(self, key: str) -> str:
        """The name of a value's type; nothing is read."""
        found = self._dataset(key).dtype
        return "bfloat16" if found == _OPAQUE_BFLOAT16 else found.name

    @property
    def reads_later(self) -> bool:  # type: ignore[override]
        """Whether all values lie in the file as they are, so that reading cannot meet anything unexpected."""
        return all(self._dataset(key).chunks is None for key in self)

    def read_into(self, key: str, tensor: torch.Tensor) -> bool:
        """Fill a tensor without any memory between; `False`, and nothing done, where type or place do not allow it."""
        dataset = self._dataset(key)
        offset = dataset.id.get_offset() if dataset.chunks is None else None
        view = None if offset is None else _bytes_of(tensor, dataset)
        if view is None:
            return False
        if self._reader.positional.readinto(offset, view) < len(view):
            raise BadFileError(f"{self._reader.name} was cut off while it was being read.")
        return True

    def __getitem__(self, key: str) -> np.ndarray:
        dataset = self._dataset(key)
        try:
            array = dataset[()] if dataset.chunks is None else _read_chunks(dataset, self._reader.positional)
        except BadFileError:
            raise
        except Exception as error:  # as above: damaged structures
            raise BadFileError(f"{self._reader.name} is corrupt: {self.path}/{key} can't be read ({error}).") from error
        array = np.asarray(array)
        if array.dtype == _OPAQUE_BFLOAT16:  # NumPy has no bfloat16; as float32 the values are the same
            return (array.view("<u2").astype("u4") << 16).view("f4")
        return array

    def __contains__(self, key: object) -> bool:
        return self._group is not None and key in self._group  # without reading the value

    def __iter__(self) -> Iterator[str]:
        return iter(self._group or ())

    def __len__(self) -> int:
        return 0 if self._group is None else len(self._group)


def _bytes_of(tensor: torch.Tensor, dataset: h5py.Dataset) -> memoryview | None:
    """The memory of a tensor that holds numbers just as a dataset does; `None` of all others."""
    if is_sharded(tensor) or tensor.device.type != "cpu" or not tensor.is_contiguous() or not tensor.numel():
        return None
    dtype = dataset.dtype
    if dtype == _OPAQUE_BFLOAT16:
        same = tensor.dtype is torch.bfloat16
    else:
        same = dtype.kind in "fiuc" and dtype.isnative and _TORCH_TYPES.get(dtype.name) is tensor.dtype
    if not same or tuple(tensor.shape) != tuple(dataset.shape):
        return None
    return memoryview(tensor.detach().as_subclass(torch.Tensor).view(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]


_TORCH_TYPES = {
    name: getattr(torch, name)
    for name in "float16 float32 float64 int8 int16 int32 int64 uint8 complex64 complex128".split()
}


def _check_whole(file: IO[bytes], size: int, name: str) -> None:
    """Refuse what is no HDF5 file, and one that is shorter than its own header says."""
    file.seek(0)
    head = file.read(64)
    if not head.startswith(SIGNATURE):
        if size < len(SIGNATURE) and SIGNATURE.startswith(head):
            raise BadFileError(f"{name} is truncated: only {size} bytes of it are left.")
        raise BadFileError(f"{name} is no HDF5 file: it starts with {head[:8]!r}.")
    if len(head) < 64:
        raise BadFileError(f"{name} is truncated: only {size} bytes of it are left.")
    place = {0: 40, 1: 44, 2: 28, 3: 28}.get(head[8])
    if place is None:
        raise BadFileError(f"{name} is corrupt: it has a superblock of version {head[8]}.")
    end = struct.unpack_from("<Q", head, place)[0]
    if end > size:
        raise BadFileError(f"{name} is truncated: it has {size} bytes of {end}.")


def _is_numeric(dataset: h5py.Dataset) -> bool:
    dtype = dataset.dtype
    if dtype == _OPAQUE_BFLOAT16:
        return True
    largest = 16 if dtype.kind == "c" else 8  # torch has no longer floats
    return dtype.kind in "fiubc" and dtype.itemsize <= largest and dtype.subdtype is None and dtype.names is None


def _declared_bytes(dataset: h5py.Dataset) -> int:
    return math.prod(dataset.shape) * dataset.dtype.itemsize


_DEEPEST = 200
# Chunks that others write have kilobytes; each costs some microseconds, whatever its size.
_MOST_SMALL_CHUNKS, _SMALL_CHUNK = 20_000, 256
_SAFE_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE}


def _read_chunks(dataset: h5py.Dataset, file: Positional) -> np.ndarray:
    """A dataset in chunks, unpacked here: HDF5 unpacks a chunk to whatever size its bytes blow up to."""
    fill = np.zeros((), dataset.dtype) if dataset.fillvalue is None else dataset.fillvalue
    array = np.full(dataset.shape, fill, dataset.dtype)
    chunk_bytes = math.prod(dataset.chunks) * dataset.dtype.itemsize
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    places: list[Any] = []
    dataset.id.chunk_iter(places.append)  # one walk: looking chunks up one by one takes time that grows with the square
    for place in places:
        data: Any = file.read(place.byte_offset, place.size)
        for position in reversed(range(len(filters))):
            if place.filter_mask & (1 << position):
                continue
            if filters[position] == h5py.h5z.FILTER_DEFLATE:
                data = zlib.decompressobj().decompress(data, chunk_bytes + 1)
            else:
                data = np.frombuffer(data, "u1").reshape(dataset.dtype.itemsize, -1).T.tobytes()
        if len(data) != chunk_bytes:
            raise BadFileError(f"{dataset.file.filename}: a chunk of {dataset.name} has a wrong size.")
        block = np.frombuffer(data, dataset.dtype).reshape(dataset.chunks)
        held = array[tuple(slice(o, o + c) for o, c in zip(place.chunk_offset, dataset.chunks))]
        held[...] = block[tuple(slice(0, n) for n in held.shape)]
    return array


# ---------------------------------------------------------------------------- the format


@contextmanager
def write(place: Place) -> Iterator[H5Target]:
    """A target for weights; the file at `place` is replaced when the block ends without an error."""
    with replacing(place) as file, H5Target(file, sealed=True) as target:
        yield target


@contextmanager
def read(place: Place, name: str) -> Iterator[H5Source]:
    """The weights in the file at `place`."""
    with opened(place) as file, H5Source(file, name) as source:
        yield source


FORMAT = Format(
    name="weights in HDF5",
    suffixes=(".weights.h5",),
    signature=SIGNATURE,
    weights_writer=write,  # type: ignore[arg-type]
    weights_reader=read,
)
