"""Torch state dicts in files: read without running anything, and written."""

from __future__ import annotations

import io
import os
import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import torch
from torch import Tensor

from torchkeras.saving.formats import registry
from torchkeras.saving.formats.safetensors import SafetensorsSource, SafetensorsTarget
from torchkeras.saving.safety.atomic import replacing
from torchkeras.saving.safety.budget import MIB, BadFileError
from torchkeras.saving.safety.regular import open_to_read

PICKLES = (".pth", ".pt", ".bin", ".ckpt")
SAFE = (".safetensors", ".safetensors.index.json")
_INSIDE = ("state_dict", "model_state_dict", "model")


class LazyState(Mapping[str, Tensor]):
    """The tensors of `.safetensors` files: each is read when it is asked for."""

    def __init__(self, source: SafetensorsSource) -> None:
        self._source = source

    def __getitem__(self, key: str) -> Tensor:
        return self._source.tensors[key].read(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._source.tensors)

    def __len__(self) -> int:
        return len(self._source.tensors)

    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of a tensor; nothing is read."""
        return self._source.tensors[key].tensors[key].shape


def shapes_of(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors."""
    if isinstance(state, LazyState):
        return {key: state.shape(key) for key in state}
    return {key: tuple(value.shape) for key, value in state.items()}


@contextmanager
def opened_state(source: Any) -> Iterator[Mapping[str, Tensor]]:
    """The tensors of a state dict, a module, or a file, under their names without wrappers' beginnings.

    Raises:
        ValueError: it is none of these; `BadFileError`: the file is damaged, or holds more than tensors.
    """
    if isinstance(source, torch.nn.Module):
        source = source.state_dict()
    if isinstance(source, Mapping):
        yield _tensors(source, "The state dict")
        return
    path = os.fspath(source)
    if path.endswith(SAFE):
        row = registry.by_suffix(path)
        with row.weights_reader(path, path) as weights:  # type: ignore[union-attr,misc]
            yield LazyState(weights)  # type: ignore[arg-type]
    elif path.endswith(PICKLES):
        yield _tensors(_unpickled(path), path)
    else:
        raise ValueError(
            f"Weights of torch are read from files that end in {', '.join((*SAFE, *PICKLES))}; received {path!r}."
        )


def _unpickled(path: str) -> Any:
    with open_to_read(path) as file:
        is_zip = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        _check_before(file, path, is_zip)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except Exception as error:  # of the unpickler, the archive, and of whatever damaged bytes lead to
        raise BadFileError(
            f"{path} is damaged, or holds more than tensors: torch.load(weights_only=True) refuses it. Save a module's "
            f"state_dict(), not the module. ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        ) from error


def _check_before(file: IO[bytes], path: str, is_zip: bool) -> None:
    """Refuse what would take memory before `torch.load` can: packed members, and objects of any size in the pickle."""
    try:
        if not is_zip:
            for _ in range(_PICKLES_OF_OLD):
                _check_pickle(file, path)
            return
        size = file.seek(0, 2)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            packed = [one.filename for one in members if one.compress_type != zipfile.ZIP_STORED]
            if packed or sum(one.file_size for one in members) > size:
                raise BadFileError(
                    f"{path}: its members are packed, or claim more than the file has; torch packs none."
                )
            for one in members:
                if one.filename.endswith(".pkl"):
                    if one.file_size > 8 * MIB + size // 8:
                        raise BadFileError(f"{path}: {one.filename} is larger than the names of {size} bytes can be.")
                    _check_pickle(io.BytesIO(archive.read(one)), path)
    except BadFileError:
        raise
    except Exception as error:
        raise BadFileError(f"{path} is damaged, or no file of torch's: {error}") from error


def _check_pickle(file: IO[bytes], path: str) -> None:
    """Look through a pickle's instructions, without following them."""
    for opcode, argument, _ in pickletools.genops(file):
        words = str(argument)
        if opcode.name in ("GLOBAL", "STACK_GLOBAL", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE") and (
            words.split(" ")[-1] in _OF_ANY_SIZE
        ):
            raise BadFileError(f"{path}: its pickle makes a {words!r}, which can take any memory. It is not loaded.")


# Functions that a pickle may call with `weights_only=True`, and that then make tensors of any size without any bytes.
_OF_ANY_SIZE = ("bytearray", "_rebuild_device_tensor_from_numpy", "_rebuild_wrapper_subclass")
_PICKLES_OF_OLD = 4  # torch below 1.6 wrote a number, a version, the machine, then the names, and the numbers behind


def _tensors(found: object, name: str) -> dict[str, Tensor]:
    for key in _INSIDE:  # a checkpoint with more than the weights
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping):
        raise BadFileError(f"{name} holds no state dict but {type(found).__name__}.")
    tensors = {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if not tensors:
        raise BadFileError(f"{name} holds no tensors by name; it has {sorted(map(str, found))[:8]}.")
    for wrapper in ("module.", "_orig_mod."):  # DataParallel's, torch.compile's
        if all(key.startswith(wrapper) for key in tensors):
            tensors = {key.removeprefix(wrapper): value for key, value in tensors.items()}
    return tensors


def write_state(state: Mapping[str, Tensor], path: str) -> None:
    """Write a state dict to a `.safetensors` or `.pth` file, which is replaced as a whole.

    Raises:
        ValueError: the name has another ending.
    """
    if path.endswith(".safetensors"):
        with replacing(path) as file:
            target = SafetensorsTarget()
            target.tensors.update({key: value.contiguous() for key, value in state.items()})
            target.write(file, target.tensors)
            target.close()
    elif path.endswith(PICKLES):
        with replacing(path) as file:
            torch.save({key: value.contiguous() for key, value in state.items()}, file)  # type: ignore[arg-type]
    else:
        raise ValueError(f"Weights of torch are written to .safetensors or .pth; received {path!r}.")
