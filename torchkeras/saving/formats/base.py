"""The parts of a file format: where a model's config, weights and assets go, and a row that describes a format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

import numpy as np
import torch

from torchkeras.saving.safety.regular import open_to_read

# A path, or a binary file that is open.
Place = str | os.PathLike[str] | IO[bytes]


def opened(place: Place) -> AbstractContextManager[IO[bytes]]:
    """The file at a path, open for reading; a file object stays its owner's to close."""
    if isinstance(place, (str, os.PathLike)):
        return open_to_read(place)
    return nullcontext(place)


class SavedValues(Mapping[str, np.ndarray]):
    """The saved values of one object by key; each is read from the file when it is asked for."""

    path: str
    reads_later: bool = False
    """Whether reading a value can't fail for what the file holds: then none need be read before the first is used."""

    def read_into(self, key: str, tensor: torch.Tensor) -> bool:
        """Read a value straight into a tensor; `False`, and nothing done, where the format or the tensor can't."""
        return False

    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of a value, found without reading the value."""
        raise NotImplementedError

    def dtype(self, key: str) -> str:
        """The name of a value's type, likewise."""
        raise NotImplementedError


class StoredTensor(NamedTuple):
    """A tensor in a file, as its own name there, not read yet.

    Attributes:
        name: the file's name for it.
        shape: its sizes.
        dtype: the name of its type.
        size: its bytes in memory.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    size: int


class WeightsTarget(Protocol):
    """A file that takes weights, object by object."""

    tensor_names: dict[int, str] | None
    """Filled with the names of tensors (by `id`) in `state_dict()`, where the format uses them."""

    def entry(self, path: str, name: str | None) -> MutableMapping[str, Any]:
        """The dict to put the values of the object at `path` in; `name` is the object's own."""


class WeightsSource(Protocol):
    """A file that has weights, object by object."""

    name: str
    """The file's name, for messages."""
    total_bytes: int
    """The size of all values."""
    needs_names: bool
    """Whether the file knows values by names in `state_dict()` alone; see `give_names`."""

    def give_names(self, objects: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Take the names in `state_dict()` of each object's values by path and key; returns names that none has."""

    def entry(self, path: str) -> SavedValues:
        """The values of the object at `path`; empty if the file has none."""

    def has(self, path: str) -> bool:
        """Whether the file has anything at or below `path`."""

    def names(self) -> Iterator[tuple[str, str]]:
        """The path of each object and its name when it was saved."""

    def stored(self) -> Iterator[StoredTensor]:
        """All tensors of the file, whatever they belong to; nothing is read."""

    def read_stored(self, name: str) -> np.ndarray:
        """The values of one of them."""


class ModelTarget(Protocol):
    """A file that takes a whole model. The parts are written in the order of the methods."""

    def config(self, text: bytes) -> None:
        """Write the architecture, as JSON."""

    def weights(self) -> AbstractContextManager[WeightsTarget]:
        """The place of the weights."""

    def assets(self) -> AbstractContextManager[Path]:
        """A folder to fill: what is in it at the end of the block is saved. Optional."""


class ModelSource(Protocol):
    """A file that has a whole model."""

    name: str
    """The file's name, for messages."""

    config_name: str
    """The file's word for the architecture, for messages."""

    def config(self) -> Any:
        """The architecture: the parsed JSON."""

    def keras_version(self) -> str | None:
        """The version of the Keras that wrote the file, such as `"3.15.1"`; `None` if the file does not say."""

    def weights(self) -> AbstractContextManager[WeightsSource]:
        """The weights."""

    def assets(self) -> AbstractContextManager[Path | None]:
        """A folder with the assets; `None` if the file has none."""


@dataclass(frozen=True)
class Format:
    """One row of the table of formats.

    Args:
        name: for messages.
        suffixes: endings of the names of files in this format.
        signature: the first bytes of such a file; empty for a folder.
        model_writer: opens a place to write a whole model to; `None` if the format cannot hold one.
        model_reader: opens a file of that name with a whole model.
        new_model_reader: likewise, for a model that nobody has before the block ends without an error.
        weights_writer: opens a place to write weights alone to; `None` if the format is not for weights alone.
        weights_reader: opens a file of that name with weights.
        sharded_writer: opens a place to write weights to in several files; that place is the index of them.
        recognise: whether a file may start with some bytes, for formats without a signature.
    """

    name: str
    suffixes: tuple[str, ...]
    signature: bytes
    model_writer: ModelWriter | None = None
    model_reader: ModelReader | None = None
    new_model_reader: ModelReader | None = None
    weights_writer: WeightsWriter | None = None
    weights_reader: WeightsReader | None = None
    sharded_writer: ShardedWriter | None = None
    recognise: Callable[[bytes], bool] | None = None

    def may_start_with(self, head: bytes) -> bool:
        """Whether the first bytes of a file are those of this format."""
        return head.startswith(self.signature) if self.recognise is None else self.recognise(head)


class ModelWriter(Protocol):
    """Opens a place to write to; the place is changed only when the block ends without an error."""

    def __call__(self, place: Place) -> AbstractContextManager[ModelTarget]: ...


class ModelReader(Protocol):
    """Opens a file that has a whole model; `name` is for messages."""

    def __call__(self, place: Place, name: str) -> AbstractContextManager[ModelSource]: ...


class WeightsWriter(Protocol):
    """Opens a place to write to; the place is changed only when the block ends without an error."""

    def __call__(self, place: Place) -> AbstractContextManager[WeightsTarget]: ...


class ShardedWriter(Protocol):
    """Opens a place to write several files to, of at most `max_bytes` each; all are replaced at the end, or none."""

    def __call__(self, place: Place, max_bytes: int) -> AbstractContextManager[WeightsTarget]: ...


class WeightsReader(Protocol):
    """Opens a file that has weights; `name` is for messages."""

    def __call__(self, place: Place, name: str) -> AbstractContextManager[WeightsSource]: ...
