"""A file with a model or with weights, opened without making anything of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from torchkeras.saving.api import MissingFileError, load_model
from torchkeras.saving.formats import registry
from torchkeras.saving.formats.base import ModelSource, StoredTensor, WeightsSource
from torchkeras.saving.formats.keras_zip import Archive
from torchkeras.saving.formats.legacy_h5 import LegacySource
from torchkeras.saving.formats.safetensors import as_array
from torchkeras.saving.plain_torch.state_files import PICKLES, opened_state
from torchkeras.saving.safety.budget import BadFileError


@dataclass
class OpenedFile:
    """The contents of a file.

    Attributes:
        path: of the file.
        format: for people.
        config: the model's config; `None` in a file of weights.
        about: versions and the like.
        tensors: all tensors by name.
        weight_bytes: the bytes of all of them.
    """

    path: str
    format: str
    config: Any = None
    about: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, StoredTensor] = field(default_factory=dict)
    _source: WeightsSource | Mapping[str, Tensor] | None = None

    @property
    def weight_bytes(self) -> int:
        return sum(tensor.size for tensor in self.tensors.values())

    @property
    def keras_version(self) -> str | None:
        return self.about.get("keras_version")

    def read(self, name: str) -> np.ndarray:
        """The values of a tensor."""
        if isinstance(self._source, Mapping):
            return as_array(self._source[name])
        assert self._source is not None
        return self._source.read_stored(name)

    def loaded(self) -> OpenedFile:
        """The file's model, with its tensors under the names of `state_dict()`."""
        return _of_state(self.path, self.format, load_model(self.path, compile=False).state_dict())

    def without_optimizer(self) -> OpenedFile:
        """The file without the tensors of an optimizer."""
        kept = {name: tensor for name, tensor in self.tensors.items() if not name.startswith("optimizer")}
        return replace(self, tensors=kept)


def _natural(tensor: StoredTensor) -> list[Any]:
    """A key that sorts `vars/2` before `vars/10`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", tensor.name)]


def _of_state(path: str, name: str, state: Mapping[str, Tensor]) -> OpenedFile:
    rows = {
        key: StoredTensor(key, tuple(t.shape), str(t.dtype).removeprefix("torch."), t.numel() * t.itemsize)
        for key, t in state.items()
    }
    return OpenedFile(path, name, tensors=rows, _source=state)


@contextmanager
def opened_file(path: str) -> Iterator[OpenedFile]:
    """Open a model, weights, or a torch state dict.

    Raises:
        ValueError: it is none of these, missing, damaged, or not allowed.
    """
    if not os.path.exists(path):
        raise MissingFileError(2, "File not found: there is no such file", path)
    if path.endswith(PICKLES):
        with opened_state(path) as state:
            yield _of_state(path, "a torch state dict", state)
        return
    row = registry.by_content(path)
    if row is None:
        raise BadFileError(f"{path} is neither a model nor weights of a format that is known.")
    with ExitStack() as stack:
        found = OpenedFile(path, row.name)
        if row.weights_reader is not None:
            weights: Any = stack.enter_context(row.weights_reader(path, path))
            if isinstance(weights, LegacySource):  # which may hold a whole model
                found.config = _config_of(weights)
                found.about = _about(weights)
                weights.check_lists()
            else:
                found.about = _metadata(weights)
        elif row.model_reader is not None:
            source: ModelSource = stack.enter_context(row.model_reader(path, path))
            found.config = source.config()
            found.about = _about(source)
            weights = stack.enter_context(source.weights())
        found._source = weights
        found.tensors = {tensor.name: tensor for tensor in sorted(weights.stored(), key=_natural)}
        yield found


def _config_of(source: LegacySource) -> Any:
    """The config; `None` if the file holds weights alone."""
    return source.config() if source.has_config() else None


def _about(source: ModelSource | LegacySource) -> dict[str, str]:
    """The versions, and the date where the file has one."""
    said = source.metadata() if isinstance(source, Archive) else {}
    found = {"keras_version": source.keras_version()}
    found.update((key, said[key]) for key in ("torchkeras_version", "date_saved") if key in said)
    return {key: str(value) for key, value in found.items() if value is not None}


def _metadata(weights: Any) -> dict[str, str]:
    files = {id(file): file for file in getattr(weights, "tensors", {}).values()}
    first = next(iter(files.values()), None)
    metadata = {} if first is None else first.metadata
    return {key: value for key, value in metadata.items() if key in ("keras_version", "torchkeras_version")}
