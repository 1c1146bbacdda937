"""Weights of legacy files into a model: layer by layer in their order, or by the layers' names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch

from torchkeras.core.user_warnings import warn_user
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.values import assign
from torchkeras.saving.formats.legacy_h5 import LegacySource, SavedLayer
from torchkeras.saving.legacy.values import Value, values_of
from torchkeras.saving.legacy.weight_layouts import Origin, converted, count_in_file
from torchkeras.saving.legacy.weight_order import (
    OwnedWeight,
    agreement,
    legacy_weights,
    orders,
    own_legacy_weights,
)
from torchkeras.saving.safety.casts import Casts


def load_layers(
    model: Layer,
    source: LegacySource,
    skip_mismatch: bool = False,
    by_name: bool = False,
    skip: Sequence[Layer] = (),
    fresh: bool = False,
) -> None:
    """Give the layers of a model the weights of a legacy file; on an error no weight has been changed.

    Args:
        model: the model.
        source: the file.
        skip_mismatch: leave out, with a warning, what does not fit.
        by_name: match layers by their names, not by their order; layers without a match keep their weights.
        skip: layers that keep their weights.
        fresh: nobody has the model yet: it was made of this file's own config.

    Raises:
        ValueError: numbers or shapes of weights differ.
    """
    load = _Load(source, skip_mismatch, fresh)
    saved = source.layers()
    for number, layer, entry in _pairs(model, saved, by_name, fresh, source.name):
        if all(layer is not one for one in skip):
            load.add(
                f"layer #{number} (named {layer.name} in the current model, {entry.name} in the save file)",
                layer,
                entry,
            )
    top = source.top_level()
    if top is not None and (top.weight_names or own_legacy_weights(model)):
        load.add_own(model, top)
    load.finish()


Pair = tuple[int, Layer, SavedLayer]


def _pairs(model: Layer, saved: list[SavedLayer], by_name: bool, fresh: bool, file_name: str) -> list[Pair]:
    """Pairs of a layer and its entry of the file."""
    layers: list[Layer] = model.layers  # type: ignore[assignment]
    if by_name:
        named: dict[str, list[Layer]] = {}
        for layer in layers:
            named.setdefault(layer.name, []).append(layer)
        return [(i, layer, entry) for i, entry in enumerate(saved) for layer in named.get(entry.name, [])]
    weighted = [layer for layer in layers if legacy_weights(layer)]
    if len(saved) != len(weighted):
        raise ValueError(
            f"Layer count mismatch when loading weights from file {file_name}. Model expected {len(weighted)} layers, "
            f"found {len(saved)} saved layers. The model has {_some([layer.name for layer in weighted])}; the file has "
            f"{_some([entry.name for entry in saved])}. Nothing was loaded. by_name=True loads the layers whose names "
            f"are in the file."
        )
    if fresh and {entry.name for entry in saved} == {layer.name for layer in weighted}:
        entries = {entry.name: entry for entry in saved}
        return [(i, layer, entries[layer.name]) for i, layer in enumerate(weighted)]
    return [(i, layer, entry) for i, (layer, entry) in enumerate(zip(weighted, saved, strict=True))]


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:6])) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


class _Load:
    """One load: everything is compared, then read, then put in place."""

    def __init__(self, source: LegacySource, skip_mismatch: bool, fresh: bool) -> None:
        version = source.keras_version() or "1"
        number = int(version[0]) if version[:1].isdigit() else 1
        self.origin = Origin(max(number, 1), (source.backend() or "").lower() or None)
        self.source, self.skip_mismatch, self.fresh = source, skip_mismatch, fresh
        self.problems: list[str] = []
        self.casts = Casts(source.name)
        self.assignments: list[tuple[torch.Tensor, Callable[[], Any]]] = []

    def add(self, title: str, layer: Layer, entry: SavedLayer) -> None:
        """Match the weights of a layer with those of the file."""
        self._match(title, orders(layer), entry)

    def add_own(self, model: Layer, entry: SavedLayer) -> None:
        """Match the model's own weights."""
        self._match("top-level model", [own_legacy_weights(model)], entry)

    def _match(self, title: str, candidates: list[list[OwnedWeight]], entry: SavedLayer) -> None:
        values = values_of(entry)
        fits = [(weights, self._arranged(weights, values)) for weights in candidates]
        whole = [
            (weights, found) for weights, found in fits if found is not None and _shapes(weights) == _shapes_of(found)
        ]
        # Where several orders fit, that with the file's names; the model's own where none has more of them.
        best = max(whole, key=lambda fit: agreement(fit[0], entry.weight_names), default=None)
        if best is not None:
            self._take(*best)
            return
        weights, found = fits[0]
        if found is None:
            self.problems.append(
                f"Weight count mismatch for {title}. Layer expects {len(weights)} weight(s). Received "
                f"{len(values)} saved weight(s)"
            )
            return
        for weight, value in zip(weights, found, strict=True):
            if tuple(weight.tensor.shape) == value.shape:
                self._take([weight], [value])
                continue
            self.problems.append(
                f"Shape mismatch in {title} for weight {getattr(weight.tensor, 'path', weight.name)}. Weight expects "
                f"shape {tuple(weight.tensor.shape)}. Received saved weight with shape {value.shape}"
            )

    def _arranged(self, weights: list[OwnedWeight], values: list[Value]) -> list[Value] | None:
        """The values in the layouts of Keras 3, one for each weight; `None` if their number does not fit."""
        found: list[Value] = []
        place = 0
        for _, group in groupby(weights, key=lambda weight: id(weight.owner)):
            own = list(group)
            count = len(own) if len(values) == len(weights) else count_in_file(own[0].owner, len(own), self.origin)
            found += converted(own[0].owner, _shapes(own), values[place : place + count], self.origin)
            place += count
        return found if place == len(values) and len(found) == len(weights) else None

    def _take(self, weights: Sequence[OwnedWeight], values: Sequence[Value]) -> None:
        self.assignments += [(weight.tensor, value.read) for weight, value in zip(weights, values, strict=True)]

    def finish(self) -> None:
        """Put the values in place.

        Raises:
            ValueError: something does not fit.
        """
        if self.problems and not self.skip_mismatch:
            more = len(self.problems) - 1
            others = f" ({more} more of {self.source.name} do not fit.)" if more else ""
            raise ValueError(f"{self.problems[0]}. Nothing was loaded.{others}")
        assignments = self.assignments
        if not self.fresh:
            read = [(tensor, self._checked(tensor, value())) for tensor, value in assignments]
            assignments = [(tensor, lambda value=value: value) for tensor, value in read]  # type: ignore[misc]
        for tensor, value in assignments:
            assign(tensor, self._checked(tensor, value()) if self.fresh else value())
        for problem in self.problems:
            warn_user(f"Skipping loading weights: {problem}.")
        if self.origin.guessed_flip:
            warn_user(
                f"{self.source.name} does not say which backend wrote it. Its convolutions keep the channels first, as "
                f"those of Theano do, so their kernels were turned by 180 degrees, as Theano's must be."
            )
        self.casts.warn()

    def _checked(self, tensor: torch.Tensor, value: np.ndarray) -> np.ndarray:
        problem = self.casts.problem(getattr(tensor, "path", ""), value, tensor)
        if problem is not None:
            raise ValueError(f"{self.source.name}: {problem}. Nothing was loaded.")
        return value


def _shapes(weights: Sequence[OwnedWeight]) -> list[tuple[int, ...]]:
    return [tuple(weight.tensor.shape) for weight in weights]


def _shapes_of(values: Sequence[Value]) -> list[tuple[int, ...]]:
    return [value.shape for value in values]
