"""Generators and iterables of batches, torch DataLoaders and Datasets."""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from torchkeras.core import random_state
from torchkeras.core.tensors.devices import parse_device
from torchkeras.core.types import DeviceLike
from torchkeras.training.data.batches import place as place_on
from torchkeras.training.data.named_parts import NamedParts
from torchkeras.training.data.object_state import ObjectState, State, Stateful
from torchkeras.training.data.source import Source

# Loaders that have been iterated over in this process: their persistent workers exist.
_opened: weakref.WeakSet[torch.utils.data.DataLoader] = weakref.WeakSet()


class IterableSource(Source):
    """Batches of anything that can be iterated over. An iterator (a generator, say) goes on in the next epoch.

    Args:
        iterable: gives the batches.
        steps: batches per epoch. Default: all of a pass.
        device: where batches are wanted.
        parts: takes batches that are dicts apart. Default: they stay dicts.

    Raises:
        ValueError: a generator gives something else than tuples, or a batch has no rows.
    """

    def __init__(
        self,
        iterable: Iterable[Any],
        *,
        steps: int | None = None,
        device: DeviceLike = "cpu",
        parts: NamedParts | None = None,
    ) -> None:
        super().__init__(steps)
        self.parts = parts
        self.iterable = iterable
        self.device = parse_device(device)
        self.once = isinstance(iterable, Iterator)
        self.size = _length(iterable)
        if self.once:
            self.inexact = (
                f"a {type(iterable).__name__} can't be set back: a resumed training goes on with whatever it gives next"
            )
        else:
            self._objects = [ObjectState(iterable)]

    makes_new_batches = False
    """Whether no batch lies in the memory of an earlier one."""

    def describe(self) -> str:
        return f"{type(self.iterable).__name__}"

    def _batches(self) -> Iterator[Any]:
        device, parts = self.device, self.parts
        if isinstance(self.iterable, types.GeneratorType):
            for batch in self.iterable:
                yield place_on(_tuple(batch if parts is None else parts.split(batch)), device)
        else:
            for batch in self.iterable:
                yield place_on(batch, device, parts, self.makes_new_batches)

    def go_to(self, place: State, arrived: Callable[[], None]) -> None:
        if not self.once:
            super().go_to(place, arrived)
            return
        self._goal = place, arrived  # and keep the batch that was looked at: it can't be had again

    def _reopened(self, place: State) -> Iterator[Any]:
        return self._open() if self.once else super()._reopened(place)

    def _one_pass(self, batches: Iterator[Any] | None = None, given: int = 0) -> Iterator[Any]:
        for data in self._open() if batches is None else batches:
            given += 1
            yield data
        if not given:
            self.warn_out_of_data(given)
        elif self.size is None and not self.once:
            self.size = given


class _GeneratorOf:
    """Holds the generator that a loader was given, so that its state can be kept like that of other objects."""

    def __init__(self, generator: torch.Generator | None) -> None:
        self.generator = generator


class LoaderSource(IterableSource):
    """Batches of a torch DataLoader, in the order in which it was made to give them."""

    def __init__(
        self,
        loader: torch.utils.data.DataLoader,
        *,
        steps: int | None = None,
        device: DeviceLike = "cpu",
        parts: NamedParts | None = None,
    ) -> None:
        super().__init__(loader, steps=steps, device=device, parts=parts)
        self.loader = loader
        self.makes_new_batches = bool(getattr(loader, "pin_memory", False))  # by the thread that pins each batch
        self.batch_size = loader.batch_size
        self.num_samples = None if loader.drop_last else _length(loader.sampler)
        parts = [loader.sampler, loader.batch_sampler, getattr(loader.batch_sampler, "sampler", None), loader.dataset]
        parts = list({id(part): part for part in parts}.values())
        self._objects = [ObjectState(loader, generators_only=True), *map(ObjectState, parts)]
        if isinstance(loader, Stateful):
            self._objects = []  # the loader says itself where it is, but for a generator that it was given
            self._generator = ObjectState(_GeneratorOf(loader.generator))
        elif loader.persistent_workers:
            self.inexact = (
                "the random numbers of a DataLoader's persistent workers can't be restored (the order of samples is); "
                "persistent_workers=False makes them repeatable"
            )

    def describe(self) -> str:
        return "torch DataLoader"

    def faster(self, device: torch.device) -> str:
        workers = self.loader.num_workers
        how = (
            f"num_workers={workers} is few: try more"
            if workers
            else "num_workers=0 makes batches in this process: try 4"
        )
        advice = f"The DataLoader's {how} (with persistent_workers=True)"
        if device.type == "cuda" and not self.loader.pin_memory:
            advice += ", and pin_memory=True, with which a thread prepares the copies to the GPU"
        return f"{advice}; or a cheaper __getitem__ of the dataset."

    def _batches(self) -> Iterator[Any]:
        _opened.add(self.loader)
        return super()._batches()

    def _state_now(self) -> State:
        return {**super()._state_now(), "opened": self.loader in _opened}

    def place(self, step: int) -> State:
        place = super().place(step)
        if not isinstance(self.loader, Stateful):
            return place
        return {**place, "loader": self.loader.state_dict(), "generator": self._generator.get()}

    def _resumed(self, place: State, arrived: Callable[[], None], step: int) -> Iterator[Any]:
        if not place["given"] and isinstance(self.loader, Stateful):
            self.loader.load_state_dict(place["loader"])
            self._generator.set(place["generator"])
        return super()._resumed(place, arrived, step)

    def _continued(self, place: State) -> Iterator[Any]:
        """The rest of the pass, from where a loader with `state_dict()` says that it was."""
        if self.size is not None and place["given"] >= self.size:
            return iter(())
        device, parts = self.device, self.parts
        rest = iter(self.loader)  # now: it draws random numbers, and those of the training are restored after this
        self._generator.set(place["generator"])
        return (place_on(batch, device, parts, self.makes_new_batches) for batch in rest)

    def _reopened(self, place: State) -> Iterator[Any]:
        if isinstance(self.loader, Stateful):
            random_state.restore(place["random"])
            self.loader.load_state_dict(place["loader"])
            self._start = {name: value for name, value in place.items() if name not in ("given", "loader", "generator")}
            return self._continued(place)
        if self.loader.persistent_workers and place["opened"] and self.loader not in _opened:
            iter(self.loader)  # a seed for the workers is drawn when they are started, not when they are used again
        return super()._reopened(place)

    def _before_reopening(self, place: State) -> None:
        if self.loader.persistent_workers and not place["opened"] and self.loader in _opened:
            torch.empty((), dtype=torch.int64).random_(
                generator=self.loader.generator
            )  # the seed they were started with


def loader_of(dataset: Any, batch_size: int | None, shuffle: bool | str) -> torch.utils.data.DataLoader:
    """A DataLoader over a torch Dataset of single samples; only what can be indexed can be shuffled."""
    indexed = not isinstance(dataset, torch.utils.data.IterableDataset)
    return torch.utils.data.DataLoader(
        dataset, batch_size=batch_size or 32, shuffle=bool(shuffle) and indexed, collate_fn=_batch_of
    )


def _batch_of(samples: list[Any]) -> Any:
    """A batch of samples, as torch's loaders make it, but that a list of numbers in a dict is one array.

    Data sets of Hugging Face give lists, of which torch makes a list of as many tensors.

    Raises:
        ValueError: samples differ in their shapes.
    """
    lists = [name for name, value in samples[0].items() if _is_list(value)] if isinstance(samples[0], Mapping) else []
    if lists:
        samples = [{**sample, **{name: np.asarray(sample[name]) for name in lists}} for sample in samples]
    try:
        return torch.utils.data.default_collate(samples)
    except RuntimeError as error:
        raise ValueError(
            f"The samples of a data set must have the same shapes: {error}. If it gives batches and not samples, pass "
            "torch.utils.data.DataLoader(dataset, batch_size=None)."
        ) from error


def _is_list(value: Any) -> bool:
    """Whether a value is a list (of lists) of numbers."""
    while isinstance(value, list) and value:
        value = value[0]
        if isinstance(value, (bool, int, float)):
            return True
    return False


def _length(iterable: Any) -> int | None:
    try:
        return len(iterable)
    except (TypeError, NotImplementedError):
        return None


def _tuple(batch: Any) -> tuple:
    if not isinstance(batch, tuple):
        raise ValueError(
            "A generator must yield tuples: (inputs,), (inputs, targets) or (inputs, targets, sample_weights); "
            f"received {str(batch)[:100]} (of type {type(batch).__name__}). Name the targets of dicts in fit(), as in "
            "fit(data, y='labels')."
        )
    return batch
