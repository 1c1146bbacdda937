"""A file into a model: its weights all of them or none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.user_warnings import warn_user
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.core.variables.unfilled import Unfilled, unfilled
from torchkeras.core.variables.variable import Variable
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.values import assign
from torchkeras.layers.base.weight_walk import own_weights
from torchkeras.optimizers.optimizer import Optimizer
from torchkeras.saving.formats.base import ModelSource, SavedValues, WeightsSource
from torchkeras.saving.formats.legacy_h5 import LegacySource
from torchkeras.saving.json import build
from torchkeras.saving.legacy.optimizer_state import load_optimizer
from torchkeras.saving.legacy.weights import load_layers
from torchkeras.saving.safety.budget import BadFileError
from torchkeras.saving.safety.casts import Casts, may_lose
from torchkeras.saving.walk import describe, names_by_object, other_paths, own_variables, saveables


def read_model(
    source: ModelSource, custom_objects: dict[str, Any] | None, compile: bool, safe_mode: bool | None
) -> Any:
    """The model that a file has, with its weights and the files that its layers keep."""
    config = source.config()
    if not compile and isinstance(config, dict):
        config["compile_config"] = config["torch_compile_config"] = None
    with source.weights() as weights, source.assets() as assets:
        name, version = f"{source.name}: {source.config_name}", source.keras_version()
        with unfilled() as waiting:
            model = build(config, custom_objects, safe_mode, name, weights.total_bytes, version)
            load_into(model, weights, fresh=True, waiting=waiting)
        if assets is not None:
            _load_assets(model, assets)
    return model


def _load_assets(model: Layer, folder: Path) -> None:
    """Hand each object that keeps files its own folder."""
    for path, obj in saveables(model):
        if hasattr(obj, "load_assets"):
            own = folder / path
            try:
                obj.load_assets(str(own) if own.exists() else None)
            except Exception as error:
                raise BadFileError(f"{describe(path, obj)} could not load its files: {error}") from error


# ---------------------------------------------------------------------------- loading


class _Load:
    """One load: first everything is compared, then read, then put in place."""

    def __init__(self, file_name: str, fresh: bool) -> None:
        self.file_name = file_name
        self.fresh = fresh
        self.problems: list[tuple[str, str]] = []
        self.objects = 0
        self.assignments: list[_Assignment] = []
        self.hooks: list[tuple[str, Any, _Watched]] = []
        self.casts = Casts(file_name)

    def add(self, path: str, obj: object, entry: SavedValues) -> None:
        """Compare what the file has for an object with what the object needs."""
        variables = own_variables(obj)
        if variables is not None:
            self._add_default(path, obj, entry, variables)
        elif hasattr(obj, "load_own_variables"):
            if not self._is_untouched(obj, entry) and not self._misfit(path, obj, entry):
                self.hooks.append((path, obj, _Watched(entry)))
        elif isinstance(obj, torch.nn.Module):
            self._add_torch_module(path, obj, entry)

    def _add_default(self, path: str, obj: object, entry: SavedValues, variables: list) -> None:
        if isinstance(obj, SeedGenerator) and not len(entry):
            return  # Keras does not save the state of seeds
        self.objects += 1
        problem = self._count_problem(obj, entry, variables) or self._shape_problem(entry, variables)
        problem = problem or self._cast_problem(entry, {str(i): pair for i, pair in enumerate(variables)})
        if problem:
            self.problems.append((describe(path, obj), problem))
            return
        for i, (_, tensor) in enumerate(variables):
            value = None if self.fresh or entry.reads_later else entry[str(i)]
            self.assignments.append(_Assignment(tensor, entry, str(i), value))

    def _count_problem(self, obj: object, entry: SavedValues, variables: list) -> str | None:
        if len(entry) == len(variables) and all(str(i) in entry for i in range(len(variables))):
            return None
        if len(variables) == 0 and not getattr(obj, "built", True):
            return (
                f"it was never built and expected 0 variables, but received {len(entry)} variables during loading: "
                f"call it on data before loading"
            )
        return (
            f"it expected {len(variables)} variables, but received {len(entry)} variables during loading (at "
            f"{entry.path!r} in the file). Expected: {[name for name, _ in variables]}"
        )

    def _shape_problem(self, entry: SavedValues, variables: list) -> str | None:
        for i, (name, tensor) in enumerate(variables):
            if entry.shape(str(i)) != tuple(tensor.shape):
                return (
                    f"shapes must match: weight {i} ({name!r}) has shape {tuple(tensor.shape)}; the file has shape "
                    f"{entry.shape(str(i))} "
                    f"at {entry.path}/{i}"
                )
        return None

    def _cast_problem(self, entry: SavedValues, wanted: dict[str, tuple[str, torch.Tensor]]) -> str | None:
        for key, (name, tensor) in wanted.items():
            if may_lose(entry.dtype(key), tensor.dtype):
                problem = self.casts.problem(getattr(tensor, "path", name), entry[key], tensor)
                if problem is not None:
                    return problem
        return None

    def _is_untouched(self, obj: object, entry: SavedValues) -> bool:
        """Whether it is an optimizer that was saved before its first step: a new one is as good."""
        alone = len(entry) <= 2 and all(entry.shape(key) == () for key in entry)
        return self.fresh and isinstance(obj, Optimizer) and alone and len(obj.variables) > len(entry)

    def _misfit(self, path: str, obj: object, entry: SavedValues) -> bool:
        """Whether an optimizer's values have other shapes; it deals itself with another number of them."""
        if not isinstance(obj, Optimizer) or type(obj).load_own_variables is not Optimizer.load_own_variables:
            return False
        variables = [(getattr(v, "path", ""), v) for v in obj.variables]
        problem = self._shape_problem(entry, variables) if len(entry) == len(variables) else None
        if problem:
            self.problems.append((describe(path, obj), problem))
        return problem is not None

    def _add_torch_module(self, path: str, module: torch.nn.Module, entry: SavedValues) -> None:
        self.objects += 1
        wanted = {key: value for key, value in module.state_dict().items() if isinstance(value, torch.Tensor)}
        names, held = sorted(wanted), set(entry)
        if set(wanted) != held:
            missing, extra = sorted(set(wanted) - held), sorted(held - set(wanted))
            problem = f"the torch module's state and the file's differ: the file lacks {missing} and adds {extra}"
            self.problems.append((describe(path, module), problem))
            return
        problem = self._shape_problem_by_name(entry, wanted)
        problem = problem or self._cast_problem(entry, {key: (key, tensor) for key, tensor in wanted.items()})
        if problem:
            self.problems.append((describe(path, module), problem))
            return
        for key in names:
            value = None if entry.reads_later else entry[key]
            self.assignments.append(_Assignment(wanted[key], entry, key, value))

    def _shape_problem_by_name(self, entry: SavedValues, wanted: dict) -> str | None:
        for key, tensor in wanted.items():
            own, found = tuple(tensor.shape), entry.shape(key)
            if own != found:
                return f"{key!r} has shape {own}; the file has shape {found} at {entry.path}/{key}"
        return None

    def finish(self, skip_mismatch: bool, waiting: Unfilled | None = None) -> None:
        """Run the hooks and put the values in place; nothing is changed where something does not fit.

        Raises:
            ValueError: something does not fit, and `skip_mismatch` is off.
        """
        if self.problems and not skip_mismatch:
            raise ValueError(self._message("Nothing was loaded."))
        if waiting is not None:
            waiting.fill(but=[one.tensor for one in self.assignments])
        undo = [] if self.fresh else [_Undo(obj) for _, obj, _ in self.hooks]
        for i, (path, obj, values) in enumerate(self.hooks):
            self.objects += 1
            try:
                obj.load_own_variables(values)
                problem = self.casts.problem_after(values.read, _variables_of(obj), values.entry.__getitem__)
                if problem is not None:
                    if undo:
                        undo[i].restore()
                    raise ValueError(problem)
            except Exception as error:
                self.problems.append((describe(path, obj), f"{type(error).__name__}: {error}"))
                if skip_mismatch and not isinstance(error, BadFileError):
                    continue
                for one in undo:
                    one.restore()
                if isinstance(error, BadFileError):
                    raise
                raise ValueError(self._message("Nothing was loaded.")) from error
        for assignment in self.assignments:
            assignment()
        if self.problems:
            warn_user(self._message("They keep their values."))
        self.casts.warn()

    def _message(self, outcome: str) -> str:
        shown = [f"  {what}: {problem}." for what, problem in self.problems[:8]]
        more = len(self.problems) - len(shown)
        if more:
            shown.append(f"  ... and {more} more.")
        return (
            f"A total of {len(self.problems)} objects could not be loaded: they do not fit what {self.file_name} "
            f"has for them. {outcome}\n" + "\n".join(shown)
        )


class _Watched(SavedValues):
    """The values of an object that reads them itself, with a note of what it read."""

    def __init__(self, entry: SavedValues) -> None:
        self.entry, self.path, self.reads_later = entry, entry.path, entry.reads_later
        self.read: dict[str, str] = {}

    def __getitem__(self, key: str) -> np.ndarray:
        self.read[key] = self.entry.dtype(key)
        return self.entry[key]

    def read_into(self, key: str, tensor: torch.Tensor) -> bool:
        return self.entry.read_into(key, tensor)

    def shape(self, key: str) -> tuple[int, ...]:
        return self.entry.shape(key)

    def dtype(self, key: str) -> str:
        return self.entry.dtype(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entry)

    def __len__(self) -> int:
        return len(self.entry)


def _variables_of(obj: object) -> list[tuple[str, torch.Tensor]]:
    """The names and variables that an object with a `load_own_variables` of its own may have filled."""
    if isinstance(obj, Layer):
        return [(getattr(w.tensor, "path", w.name), w.tensor) for w in own_weights(obj)]
    variables = [v for v in getattr(obj, "variables", ()) if isinstance(v, torch.Tensor) and not is_sharded(v)]
    return [(getattr(v, "path", ""), v) for v in variables]


class _Assignment:
    """A value on its way into a tensor. Without a `value` it is read when it is put in place: none is held twice."""

    def __init__(self, tensor: torch.Tensor, entry: SavedValues, key: str, value: np.ndarray | None) -> None:
        self.tensor, self._entry, self._key, self._value = tensor, entry, key, value

    def __call__(self) -> None:
        if self._value is not None:
            assign(self.tensor, self._value)
        elif not self._entry.read_into(self._key, self.tensor):
            assign(self.tensor, self._entry[self._key])


class _Undo:
    """The values of an object's variables, to put back."""

    def __init__(self, obj: Any) -> None:
        variables = obj.weights if isinstance(obj, Layer) else getattr(obj, "variables", [])
        self._held = [(v, v.detach().clone()) for v in variables if isinstance(v, torch.Tensor)]

    def restore(self) -> None:
        with torch.no_grad():
            for variable, value in self._held:
                (variable.detach() if not isinstance(variable, Variable) else variable).copy_(value)


def load_into(
    model: Layer,
    source: WeightsSource | LegacySource,
    skip_mismatch: bool = False,
    by_name: bool = False,
    skip: Iterable[Any] = (),
    fresh: bool = False,
    waiting: Unfilled | None = None,
) -> None:
    """Give the model the values of a file of any format.

    Args:
        source: the file's weights.
        skip_mismatch: leave out, with a warning, what does not fit.
        by_name: give the direct layers of the model the values of the layers with their names.
        skip: objects to leave out.
        fresh: nobody has the model yet, so a load that fails half-way harms nothing.
        waiting: weights of a fresh model that have no values yet.

    Raises:
        ValueError: something does not fit; then no weight has been changed.
    """
    if waiting is not None and (by_name or isinstance(source, LegacySource)):
        waiting.fill()
    if isinstance(source, LegacySource):
        load_layers(model, source, skip_mismatch, by_name, list(skip), fresh)
        if fresh and getattr(model, "optimizer", None) is not None:
            load_optimizer(model.optimizer, source)
    elif by_name:
        load_state_by_name(model, source, skip_mismatch)
    else:
        load_state(model, source, skip_mismatch, skip, fresh, waiting)


def load_state(
    model: Layer,
    reader: WeightsSource,
    skip_mismatch: bool = False,
    skip: Iterable[Any] = (),
    fresh: bool = False,
    waiting: Unfilled | None = None,
) -> None:
    """Give the model, and all that it holds, the file's values.

    Args:
        skip_mismatch: leave out, with a warning, what does not fit.
        skip: objects to leave out.
        fresh: nobody has the model yet, so a load that fails half-way harms nothing.
        waiting: weights of a fresh model that have no values yet.

    Raises:
        ValueError: something does not fit; then no weight has been changed.
        BadFileError: the file's data can't be read; likewise.
    """
    if reader.needs_names:
        skip = [*skip, *_optimizers(model)]
        _give_names(model, reader, skip_mismatch, skip)
    load = _Load(reader.name, fresh)
    nested: list[str] = []
    aliases: dict[int, list[str]] | None = None
    for path, obj in saveables(model, skip):
        entry = reader.entry(path)
        if "/container" in f"/{path}" and not len(entry) and not reader.has(_container_of(path)):
            nested += [describe(path, obj)] if own_variables(obj) else []
            continue
        if not len(entry) and own_variables(obj):
            aliases = other_paths(model) if aliases is None else aliases
            entry = next((reader.entry(other) for other in aliases.get(id(obj), ()) if reader.has(other)), entry)
        load.add(path, obj, entry)
    if nested:
        warn_user(
            f"{reader.name} has nothing for layers in lists within lists, as older Keras wrote it: {nested}. "
            f"They keep their values."
        )
    load.finish(skip_mismatch, waiting)


def _optimizers(model: Layer) -> list[Any]:
    """The optimizer of a compiled model: no `state_dict()` has its state."""
    optimizer = getattr(model, "optimizer", None)
    return [] if optimizer is None else [optimizer]


def _give_names(model: Layer, reader: WeightsSource, skip_mismatch: bool, skip: Iterable[Any]) -> None:
    """Find the values of each object in a file that has the names of `state_dict()` alone.

    Raises:
        ValueError: the file has other names, and `skip_mismatch` is off.
    """
    names = names_by_object(model, skip)
    extra = reader.give_names(names)
    wanted = {name for keys in names.values() for name in keys.values()}
    lacks = sorted(
        wanted - {name for path, keys in names.items() for key, name in keys.items() if key in reader.entry(path)}
    )
    if (lacks or extra) and not skip_mismatch:
        raise ValueError(
            f"{reader.name} has tensors by name, and the names are not those of the model's state_dict(): the file "
            f"lacks {lacks[:5]} ({len(lacks)} in all) and adds {sorted(extra)[:5]} ({len(extra)}). Nothing was loaded. "
            f"keras.saving.load_torch_weights() reads the weights of a torch model with names and layouts of its own."
        )


def _container_of(path: str) -> str:
    """The path up to the innermost nested container."""
    parts = path.split("/")
    last = max(i for i, part in enumerate(parts) if part == "container" or part.startswith("container_"))
    return "/".join(parts[: last + 1])


def load_state_by_name(model: Layer, reader: WeightsSource, skip_mismatch: bool = False) -> None:
    """Give those direct layers of the model values whose names the file has; the others are left alone.

    Raises:
        ValueError: a layer of the name has other shapes, and `skip_mismatch` is off.
    """
    if reader.needs_names:
        raise ValueError(f"{reader.name} knows tensors, not layers, by name: load it without by_name.")
    paths: dict[str, str] = {}
    for path, name in reader.names():
        if "/" not in path or path.count("/") == 1:  # the direct layers: of a row or graph, or attributes
            paths.setdefault(name, path)
    load = _Load(reader.name, fresh=False)
    for layer in model.layers:
        root = paths.get(layer.name)
        if root is None:
            continue
        for path, obj in saveables(layer):
            load.add(f"{root}/{path}" if path else root, obj, reader.entry(f"{root}/{path}" if path else root))
    load.finish(skip_mismatch)
