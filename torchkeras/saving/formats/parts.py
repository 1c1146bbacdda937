"""Weights in parts: each rank writes what lies on it as a `.safetensors` file, and any number of ranks reads them.

The files are those of `torch.distributed.checkpoint` with safetensors as its storage: each notes where its parts begin
in the whole tensors (`DCP_SHARDING_INFO`), so that `dcp.load(..., HuggingFaceStorageReader(folder))` reads them. No
file holds a pickle.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.saving.formats.base import Place, StoredTensor
from torchkeras.saving.formats.safetensors import (
    OBJECTS,
    ReadEntry,
    SafetensorsSource,
    SafetensorsTarget,
    TensorFile,
    WriteEntry,
    as_array,
)
from torchkeras.saving.formats.safetensors_header import TensorInfo
from torchkeras.saving.safety.budget import BadFileError, parse_json
from torchkeras.saving.safety.regular import open_to_read

SUFFIX = ".safetensors"
OFFSETS, SHAPES = "DCP_SHARDING_INFO", "torchkeras_shapes"


class Part(NamedTuple):
    """A block of a tensor.

    Attributes:
        offsets: where it begins in the whole tensor.
        shape: the sizes of the whole tensor.
        tensor: the block.
    """

    offsets: tuple[int, ...]
    shape: tuple[int, ...]
    tensor: torch.Tensor


def local_part(tensor: Any) -> Part | None:
    """The part of a distributed tensor that lies on this rank; `None` if another rank has the same, or it is empty."""
    mesh, shape = tensor.device_mesh, list(tensor.shape)
    offsets = [0] * len(shape)
    for axis, placement in enumerate(tensor.placements):
        here, ranks = mesh.get_local_rank(axis), mesh.size(axis)
        if not placement.is_shard():
            if here:
                return None
            continue
        dim = placement.dim % len(shape)
        size = math.ceil(shape[dim] / ranks)  # as torch.chunk divides
        begin = min(here * size, shape[dim])
        offsets[dim], shape[dim] = offsets[dim] + begin, min(size, shape[dim] - begin)
    local = tensor.to_local()
    if tuple(local.shape) != tuple(shape):
        raise ValueError(f"A tensor of shape {tuple(tensor.shape)} is divided unevenly as {tensor.placements}.")
    return Part(tuple(offsets), tuple(tensor.shape), local) if local.numel() else None


class _PartEntry(WriteEntry):
    """One object's weights on their way into the files of all ranks; weights in parts are taken as they are."""

    takes_parts = True


class PartsTarget(SafetensorsTarget):
    """Copies of what of a model lies on this rank: the weights in parts, and on rank 0 those that are whole.

    Args:
        rank: the number of this rank.
        buffers: the copies of the last time, which are written over: new memory costs more than the copying.
    """

    def __init__(self, rank: int, buffers: dict[str, torch.Tensor] | None = None) -> None:
        super().__init__()
        self.rank = rank
        self.buffers = {} if buffers is None else buffers
        self.parts: dict[str, Part] = {}

    def entry(self, path: str, name: str | None) -> WriteEntry:
        return _PartEntry(self, path, name)

    def add(self, path: str, key: str, value: object) -> str:
        name = f"{path}.{key}".replace("/", ".").lstrip(".")
        if is_sharded(value):
            part = local_part(value)
            if part is None:
                return name
            copy = self._copied(name, part.tensor.detach())
            self.parts[name] = part._replace(tensor=copy)
            self.tensors[name] = copy
        elif self.rank == 0:
            tensor = torch.as_tensor(value).detach() if not _is_narrow(value) else value
            if not isinstance(tensor, torch.Tensor):
                return super().add(path, key, value)
            copy = self._copied(name, tensor.as_subclass(torch.Tensor))
            self.parts[name] = Part((0,) * copy.dim(), tuple(copy.shape), copy)
            self.tensors[name] = copy
        return name

    def _copied(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        known = self.buffers.get(name)
        if known is None or known.shape != tensor.shape or known.dtype != tensor.dtype:
            known = self.buffers[name] = torch.empty(tensor.shape, dtype=tensor.dtype)
        return known.copy_(tensor)

    def drop(self, name: str) -> None:
        self.tensors.pop(name, None)
        self.parts.pop(name, None)

    def _metadata(self, infos: Any) -> dict[str, str]:
        offsets = {name: {"saved_offsets": list(self.parts[name].offsets)} for name in infos}
        shapes = {name: list(self.parts[name].shape) for name in infos}
        return {**super()._metadata(infos), OFFSETS: json.dumps(offsets), SHAPES: json.dumps(shapes)}


def _is_narrow(value: object) -> bool:
    """Whether it is an array of a type that torch does not take from NumPy."""
    return isinstance(value, np.ndarray) and value.dtype.name == "bfloat16"


# ---------------------------------------------------------------------------- reading


class JoinedFiles:
    """The files of all ranks as one: each tensor is put together from its parts when it is read.

    Args:
        files: the files.
        name: for messages.

    Raises:
        BadFileError: a part is missing, or lies outside its tensor.
    """

    def __init__(self, files: Iterable[TensorFile], name: str) -> None:
        self.name = name
        self.tensors: dict[str, TensorInfo] = {}
        self._parts: dict[str, list[tuple[TensorFile, tuple[int, ...]]]] = {}
        for file in files:
            self._add(file)
        for key, parts in self._parts.items():
            have = sum(math.prod(file.tensors[key].shape) for file, _ in parts)
            if have != math.prod(self.tensors[key].shape):
                raise BadFileError(f"{name} is corrupt: {key!r} lacks parts, or has some twice.")

    def _add(self, file: TensorFile) -> None:
        known = [parse_json(file.metadata.get(note, "{}"), f"{file.name}: {note}") for note in (OFFSETS, SHAPES)]
        for key, info in file.tensors.items():
            try:
                offsets = tuple(known[0][key]["saved_offsets"])
                shape = tuple(known[1][key])
            except (KeyError, TypeError):
                raise BadFileError(f"{file.name} is corrupt: it does not say where {key!r} begins.") from None
            inside = len(offsets) == len(info.shape) == len(shape) and all(
                type(o) is int and type(whole) is int and 0 <= o <= o + own <= whole
                for o, own, whole in zip(offsets, info.shape, shape)
            )
            before = self.tensors.setdefault(key, info._replace(shape=shape))
            if not inside or before.shape != shape or before.dtype != info.dtype:
                raise BadFileError(f"{file.name} is corrupt: the part of {key!r} does not fit the others.")
            self._parts.setdefault(key, []).append((file, offsets))

    def read(self, key: str) -> torch.Tensor:
        """A whole tensor."""
        info = self.tensors[key]
        whole = torch.empty(info.shape, dtype=info.dtype)
        for file, offsets in self._parts[key]:
            block = tuple(slice(o, o + size) for o, size in zip(offsets, file.tensors[key].shape))
            whole[block] = file.read(key)
        return whole

    def read_into(self, key: str, tensor: torch.Tensor) -> bool:
        """Fill a tensor, of a distributed one the part that lies here; `False`, and nothing done, for another type."""
        info = self.tensors[key]
        if tensor.dtype != info.dtype or tuple(tensor.shape) != info.shape:
            return False
        if not is_sharded(tensor):
            with torch.no_grad():
                tensor.detach().as_subclass(torch.Tensor).copy_(self.read(key))
            return True
        if any(placement.is_partial() for placement in tensor.placements):
            return False
        self._fill_local(key, tensor)
        return True

    def _fill_local(self, key: str, tensor: Any) -> None:
        local = tensor.detach().to_local()
        begins, sizes = _place_of(tensor)
        for file, offsets in self._parts[key]:
            lows = [max(a, b) for a, b in zip(begins, offsets)]
            ends = [min(a + n, b + m) for a, n, b, m in zip(begins, sizes, offsets, file.tensors[key].shape)]
            if any(low >= end for low, end in zip(lows, ends)):
                continue
            here = tuple(slice(low - a, end - a) for low, end, a in zip(lows, ends, begins))
            there = tuple(slice(low - b, end - b) for low, end, b in zip(lows, ends, offsets))
            local[here] = file.read(key)[there].to(local.device)


def _place_of(tensor: Any) -> tuple[list[int], list[int]]:
    """Where the part of a distributed tensor on this rank begins, and its sizes."""
    mesh, sizes = tensor.device_mesh, list(tensor.shape)
    begins = [0] * len(sizes)
    for axis, placement in enumerate(tensor.placements):
        if placement.is_shard():
            dim = placement.dim % len(sizes)
            size = math.ceil(sizes[dim] / mesh.size(axis))
            begin = min(mesh.get_local_rank(axis) * size, sizes[dim])
            begins[dim], sizes[dim] = begins[dim] + begin, min(size, sizes[dim] - begin)
    return begins, sizes


class PartsSource(SafetensorsSource):
    """The weights of a folder of files, object by object.

    Args:
        files: one per rank that wrote.
        name: for messages.
    """

    def __init__(self, files: list[TensorFile], name: str) -> None:
        super().__init__(files, name)
        joined = JoinedFiles(files, name)
        self.tensors = dict.fromkeys(joined.tensors, joined)  # type: ignore[arg-type]
        if self.needs_names:
            raise BadFileError(f"{name} has no {OBJECTS}: it was written by another program.")
        sizes = [math.prod(info.shape) * info.dtype.itemsize for info in joined.tensors.values()]
        self.total_bytes = sum(sizes)

    def stored(self) -> Iterator[StoredTensor]:
        for name, file in self.tensors.items():
            info = file.tensors[name]
            size = math.prod(info.shape) * info.dtype.itemsize
            yield StoredTensor(name, info.shape, str(info.dtype).removeprefix("torch."), size)

    def entry(self, path: str) -> ReadEntry:
        return ReadEntry(self, path, self._objects.get(path, {}))

    def read_stored(self, name: str) -> np.ndarray:
        return as_array(self.tensors[name].read(name))


@contextmanager
def read(place: Place, name: str) -> Iterator[PartsSource]:
    """The weights in the files of a folder."""
    folder = Path(os.fspath(place))  # type: ignore[arg-type]
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths or any(path.is_symlink() for path in paths):
        raise BadFileError(f"{name} must hold {SUFFIX} files, and no links.")
    with ExitStack() as stack:
        files = [TensorFile(stack.enter_context(open_to_read(path)), str(path)) for path in paths]
        yield PartsSource(files, name)
