"""`.h5`: the HDF5 files of Keras 1 and 2, which Keras 3 still reads and writes.

Configs are JSON in attributes of the root, `model_config` and `training_config`. The group `model_weights` (in a file
of weights alone: the root) has a group for each layer. Its attribute `weight_names` lists the layer's datasets, first
those of the weights that train. The attribute `layer_names` of the whole lists the layers, in `model.layers`' order.
The group `optimizer_weights` likewise has the optimizer's variables.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from torchkeras.saving.formats.base import Format, Place, StoredTensor, opened
from torchkeras.saving.formats.weights_h5 import CHECKSUM_ATTRIBUTE, SIGNATURE, H5Source, ReadEntry, to_array
from torchkeras.saving.safety import checksum
from torchkeras.saving.safety.atomic import OutputFile, replacing
from torchkeras.saving.safety.budget import BadFileError, parse_json
from torchkeras.saving.safety.hdf5_attributes import strings

WEIGHTS, OPTIMIZER, TOP_LEVEL = "model_weights", "optimizer_weights", "top_level_model_weights"
# HDF5 has no larger attributes in a header; longer lists go in parts `name0`, `name1`, ...
_HEADER_LIMIT = 64512


# ---------------------------------------------------------------------------- writing


class LegacyTarget:
    """Writes a model's configs and weights.

    Args:
        file: empty.
    """

    def __init__(self, file: OutputFile) -> None:
        self._file = file
        self._h5 = h5py.File(file, "w")
        self._h5.attrs[CHECKSUM_ATTRIBUTE] = np.bytes_(checksum.PLACEHOLDER)

    def attribute(self, name: str, text: str) -> None:
        """Write a text that describes the file or the model."""
        self._h5.attrs[name] = text

    def layers(self, names: list[str], about: dict[str, str]) -> None:
        """Begin the weights.

        Args:
            names: of the layers, in the order of `model.layers`.
            about: further attributes of the weights.
        """
        group = self._h5.create_group(WEIGHTS)
        write_names(group, "layer_names", names)
        for name, text in about.items():
            group.attrs[name] = text

    def weights(self, path: str, weights: Iterable[tuple[str, Any]]) -> None:
        """Write the named values of a layer or of the optimizer, in their order.

        Args:
            path: of the group.
            weights: names and values.
        """
        group = self._h5.require_group(path)
        names = []
        for name, value in weights:
            names.append(name)
            array, is_bfloat16 = to_array(value)
            if is_bfloat16:  # NumPy has no such type; as float32 the values are the same
                array = (array.view("<u2").astype("u4") << 16).view("f4")
            group.create_dataset(name, data=array)
        write_names(group, "weight_names", names)

    def close(self) -> None:
        self._h5.close()
        self._file.check()
        checksum.seal(self._file)

    def abandon(self) -> None:
        """Close the file as it is."""
        self._h5.close()


def write_names(group: h5py.Group, name: str, values: list[str]) -> None:
    """Write a list of names as an attribute, or as several numbered ones if it is too long for one."""
    array = np.array([value.encode() for value in values]) if values else np.zeros(0, "S1")
    longest = max(1, _HEADER_LIMIT // max(1, array.dtype.itemsize))
    if len(array) <= longest:
        group.attrs[name] = array
        return
    for part, start in enumerate(range(0, len(array), longest)):
        group.attrs[f"{name}{part}"] = array[start : start + longest]


@contextmanager
def write(place: Place) -> Iterator[LegacyTarget]:
    """A target for a model; the file at `place` is replaced when the block ends without an error.

    Folders that are missing are made, as Keras does for these files.
    """
    Path(os.path.realpath(place)).parent.mkdir(parents=True, exist_ok=True)  # type: ignore[arg-type]
    with replacing(place) as file:
        target = LegacyTarget(file)
        try:
            yield target
        except BaseException:
            target.abandon()
            raise
        target.close()


# ---------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class SavedLayer:
    """The weights of one layer in a file.

    Args:
        name: of the layer when it was saved.
        weight_names: in the order of the layer's weights.
        values: the arrays by these names.
    """

    name: str
    weight_names: list[str]
    values: ReadEntry

    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the weights in their order; nothing is read."""
        return [self.values.shape(name) for name in self.weight_names]

    def arrays(self) -> list[np.ndarray]:
        """The weights in their order."""
        return [self.values[name] for name in self.weight_names]


class LegacySource:
    """A legacy file: configs, and weights layer by layer.

    Args:
        source: the file, which has been looked through.
        file: the same, for what HDF5 does not say of attributes.
    """

    config_name = "model_config"
    needs_names = False

    def __init__(self, source: H5Source, file: IO[bytes]) -> None:
        self.name, self.total_bytes = source.name, source.total_bytes
        self._source, self._file, self._budget = source, file, source.budget
        self._h5 = source.root
        with _reading(self.name):
            has_names = _has_names(self._h5, "layer_names")
        inner = None if has_names else self._member(self._h5, WEIGHTS)
        self._weights: h5py.Group = inner if isinstance(inner, h5py.Group) else self._h5

    def _member(self, group: h5py.Group, name: str) -> Any:
        with _reading(self.name):
            return group.get(name)  # safe: there are hard links only

    def _strings(self, group: h5py.Group, name: str) -> list[str] | None:
        with _reading(self.name):
            return strings(self._file, group, name, self._budget, self.name)

    # ------------------------------------------------------------------ texts

    def _text(self, group: h5py.Group, name: str) -> str | None:
        found = self._strings(group, name)
        return found[0] if found else None

    def has_config(self) -> bool:
        """Whether the file holds a whole model, not weights alone."""
        with _reading(self.name):
            return "model_config" in self._h5.attrs

    def config(self) -> dict[str, Any]:
        """The model's config, with the arguments of `compile()` as `compile_config` where the file has them.

        Raises:
            BadFileError: the file holds weights only, or no JSON.
        """
        text = self._text(self._h5, "model_config")
        if text is None:
            raise BadFileError(
                f"No model config found in the file at {self.name}: it holds weights only. Make the model in code, "
                f"then model.load_weights({self.name!r})."
            )
        config = parse_json(text, f"{self.name}: model_config")
        training = self._text(self._h5, "training_config")
        if isinstance(config, dict):
            compiled = parse_json(training, f"{self.name}: training_config") if training else None
            config = {**config, "compile_config": compiled}
        return config

    def keras_version(self) -> str | None:
        """The version of Keras that wrote the file, if it says so."""
        return self._text(self._weights, "keras_version") or self._text(self._h5, "keras_version")

    def backend(self) -> str | None:
        """The backend of the Keras that wrote the file, if it says so."""
        return self._text(self._weights, "backend") or self._text(self._h5, "backend")

    @contextmanager
    def weights(self) -> Iterator[LegacySource]:
        """The weights: the source itself."""
        yield self

    @contextmanager
    def assets(self) -> Iterator[Path | None]:
        """Files of layers: these files have none."""
        yield None

    # ------------------------------------------------------------------ weights

    def layers(self) -> list[SavedLayer]:
        """The layers that have weights, in the order of the model that was saved.

        Raises:
            BadFileError: the list of layers is missing, or a layer that it names.
        """
        names = self._names(self._weights, "layer_names")
        if names is None:
            raise BadFileError(f"{self.name} holds no layers: its weights have no attribute 'layer_names'.")
        if len(set(names)) != len(names):
            raise BadFileError(f"{self.name} is corrupt: it lists a layer twice among its 'layer_names'.")
        found = [self._saved(self._weights, name) for name in names]
        return [layer for layer in found if layer.weight_names]

    def top_level(self) -> SavedLayer | None:
        """The weights of the model itself beside its layers'; `None` if the file has none."""
        if self._member(self._weights, TOP_LEVEL) is None:
            return None
        return self._saved(self._weights, TOP_LEVEL)

    def check_lists(self) -> None:
        """Compare the lists of layers and weights with what the file holds.

        Raises:
            BadFileError: a list is missing, or names what is not there.
        """
        self.layers()
        self.top_level()
        self.optimizer()
        for name in self._names(self._weights, "layer_names") or ():
            group = self._member(self._weights, name)
            with _reading(self.name):
                holds = group.visititems(lambda _, one: True if isinstance(one, h5py.Dataset) else None)
            if holds and not self._names(group, "weight_names"):
                raise BadFileError(f"{self.name} is corrupt: it lists no weights of {name!r}, which has some.")

    def stored(self) -> Iterator[StoredTensor]:
        """All datasets of the file; nothing is read."""
        return self._source.stored()

    def read_stored(self, name: str) -> np.ndarray:
        """The values of a dataset."""
        return self._source.read_stored(name)

    def optimizer(self) -> SavedLayer | None:
        """The optimizer's variables; `None` if the file has none."""
        return None if self._member(self._h5, OPTIMIZER) is None else self._saved(self._h5, OPTIMIZER)

    def _saved(self, parent: h5py.Group, name: str) -> SavedLayer:
        group = self._member(parent, name)
        if not isinstance(group, h5py.Group):
            raise BadFileError(f"{self.name} is corrupt: it lists {name!r}, and has no such group.")
        names = self._names(group, "weight_names") or []
        for weight in names:
            if not isinstance(self._member(group, weight), h5py.Dataset):
                raise BadFileError(f"{self.name} is corrupt: it lists the weight {weight!r} of {name!r}, and has none.")
        return SavedLayer(name, names, ReadEntry(self._source, group, group.name))

    def _names(self, group: h5py.Group, name: str) -> list[str] | None:
        """A list of names, also in parts; `None` if there is none."""
        whole = self._strings(group, name)
        if whole is not None:
            return whole
        found: list[str] | None = None
        part = 0
        while (more := self._strings(group, f"{name}{part}")) is not None:
            found = (found or []) + more
            part += 1
        return found


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Say of damaged structures that the file is corrupt, whatever HDF5 and h5py make of them."""
    try:
        yield
    except BadFileError:
        raise
    except Exception as error:
        raise BadFileError(f"{name} is corrupt: HDF5 can't read it ({error}).") from error


def _has_names(group: h5py.Group, name: str) -> bool:
    return name in group.attrs or f"{name}0" in group.attrs


def has_layout(source: H5Source) -> bool:
    """Whether an HDF5 file has this layout, not that of `.weights.h5`."""
    root = source.root
    with _reading(source.name):
        if "model_config" in root.attrs or _has_names(root, "layer_names"):
            return True
        return isinstance(root.get(WEIGHTS), h5py.Group)


@contextmanager
def read_model(place: Place, name: str) -> Iterator[LegacySource]:
    """The model in the file at `place`."""
    with opened(place) as file, H5Source(file, name) as source:
        if not has_layout(source):
            raise BadFileError(f"{name} holds weights only: make the model in code, then model.load_weights({name!r}).")
        yield LegacySource(source, file)


@contextmanager
def read_weights(place: Place, name: str) -> Iterator[LegacySource | H5Source]:
    """The weights in the HDF5 file at `place`, in either layout."""
    with opened(place) as file, H5Source(file, name) as source:
        yield LegacySource(source, file) if has_layout(source) else source


FORMAT = Format(
    name="a legacy HDF5 file",
    suffixes=(".h5", ".hdf5"),
    signature=SIGNATURE,
    model_writer=write,  # type: ignore[arg-type]
    model_reader=read_model,  # type: ignore[arg-type]
    weights_reader=read_weights,  # type: ignore[arg-type]
)
