"""One walk over what of a model is saved, and its names in Keras's files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch

from torchkeras.core.config.serialization import registered_class
from torchkeras.core.naming import snake_case
from torchkeras.core.operations.operation import Operation
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.base.hooks import is_default
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.weight_walk import ModuleContainer, own_weights
from torchkeras.losses.loss import Loss
from torchkeras.metrics.metric import Metric
from torchkeras.optimizers.optimizer import Optimizer
from torchkeras.saving import attributes


def saveables(root: Any, skip: Any = ()) -> Iterator[tuple[str, Any]]:
    """All objects with state in `root`, each once, with their paths: `("layers/dense", <Dense>)`, ...

    The layers of functional and Sequential models come first; then attributes by name, private ones last. In lists,
    tuples and dicts objects go by their classes' names, numbered.

    Args:
        skip: objects to leave out, with what is in them.
    """
    seen = {id(obj) for obj in skip}
    yield from _walk("", root, seen)


def other_paths(root: object) -> dict[int, list[str]]:
    """Further paths of objects that have several, by the object's `id`: other attributes that hold the same object."""
    found: dict[int, list[str]] = {}
    for _ in _walk("", root, set(), found):
        pass
    return found


def _walk(
    path: str, obj: object, seen: set[int], again: dict[int, list[str]] | None = None
) -> Iterator[tuple[str, Any]]:
    if id(obj) in seen:
        if again is not None:
            again.setdefault(id(obj), []).append(path)
        return
    seen.add(id(obj))
    yield path, obj
    if not isinstance(obj, Layer) and isinstance(obj, torch.nn.Module):
        return  # a torch module is saved whole
    for name, value in _attributes(obj):
        inner = f"{path}/{name}" if path else name
        if is_saveable(value):
            yield from _walk(inner, value, seen, again)
        elif isinstance(value, (list, tuple, dict)):
            yield from _walk_container(inner, value, seen, set(), again)


def _walk_container(
    path: str, container: Any, seen: set[int], above: set[int], again: dict[int, list[str]] | None
) -> Iterator[tuple[str, Any]]:
    if id(container) in above:
        return
    above = above | {id(container)}
    used: dict[str, int] = {}
    for value in list(container.values()) if isinstance(container, dict) else list(container):
        if is_saveable(value):
            yield from _walk(f"{path}/{_numbered(class_name(value), used)}", value, seen, again)
        elif isinstance(value, (list, tuple, dict)):
            yield from _walk_container(f"{path}/{_numbered('container', used)}", value, seen, above, again)


def _numbered(name: str, used: dict[str, int]) -> str:
    number = used[name] = used.get(name, -1) + 1
    return f"{name}_{number}" if number else name


def class_name(obj: object) -> str:
    """The name by which objects of the class go in a container."""
    return snake_case(registered_class(obj).__name__)


def is_saveable(obj: object) -> bool:
    """Whether the object has state of its own, or may hold some that has."""
    if isinstance(obj, torch.nn.Module):
        return not isinstance(obj, ModuleContainer)
    if isinstance(obj, type):
        return False
    return isinstance(obj, (Operation, Optimizer, Loss, Metric, SeedGenerator)) or hasattr(
        type(obj), "save_own_variables"
    )


def _attributes(obj: Any) -> Iterator[tuple[str, Any]]:
    if is_graph_or_row(obj):
        yield "layers", obj.layers
    hidden = _base_attributes(_base_of(obj))
    held = attributes.held_by(obj)
    unsaved = getattr(type(obj), "_tk_unsaved", ())  # sublayers whose weights the object itself writes
    for name in sorted(held, key=lambda name: f"~{name}" if name.startswith("_") else name):
        if not (name.startswith(("__", "_tk_")) or name in hidden or name in _OWN_STRUCTURE or name in unsaved):
            yield name, held[name]


def is_graph_or_row(obj: object) -> bool:
    """Whether it is a functional or Sequential model, whose layers are known by their order."""
    own = getattr(obj, "__dict__", {})
    return "_tk_row" in own or own.get("_tk_graph") is not None


# Attributes of our models beside `layers`, where Keras has `operations` and `_functional`.
_OWN_STRUCTURE = frozenset({"operations", "_operations"})


def _base_of(obj: object) -> type:
    for base in (Layer, Optimizer, Loss, Operation, SeedGenerator):
        if isinstance(obj, base):
            return base
    return object


@lru_cache(None)
def _base_attributes(base: type) -> frozenset[str]:
    """The names that every object of the kind has: none of them holds what a subclass adds."""
    if base is object:
        return frozenset(dir(object()))
    named: dict[str, Any] = {"name": "reference"}  # so that no number of an automatic name is used up
    return frozenset(dir(base(1.0, **named) if base is Optimizer else base(**named)))


# ---------------------------------------------------------------------------- what an object saves


def own_variables(obj: object) -> list[tuple[str, torch.Tensor]] | None:
    """The names and variables that the object's default hooks save, in files' order; `None` where it has its own."""
    if isinstance(obj, Layer):
        return [(w.name, w.tensor) for w in own_weights(obj)] if _has_default_hooks(obj) else None
    if isinstance(obj, SeedGenerator):
        return None if hasattr(type(obj), "load_own_variables") else [("state", obj.state)]
    return None


def named_tensors(model: Layer) -> list[tuple[str, torch.Tensor]]:
    """The tensors of a model's `state_dict()` themselves, with their names."""
    if not isinstance(model, torch.nn.Module):
        return []
    return [(key, t) for key, t in model.state_dict(keep_vars=True).items() if isinstance(t, torch.Tensor)]


def names_by_object(model: Layer, skip: object = ()) -> dict[str, dict[str, str]]:
    """The names in `state_dict()` of what each object saves: `{"layers/dense": {"0": "dense.kernel", ...}, ...}`."""
    names: dict[int, str] = {}
    for name, tensor in named_tensors(model):
        names.setdefault(id(tensor), name)
    found: dict[str, dict[str, str]] = {}
    for path, obj in saveables(model, skip):
        variables = own_variables(obj)
        if variables is not None:
            tensors = {str(i): tensor for i, (_, tensor) in enumerate(variables)}
        else:
            tensors = dict(named_tensors(obj))
        found[path] = {key: names[id(tensor)] for key, tensor in tensors.items() if id(tensor) in names}
    return found


def _has_default_hooks(layer: Layer) -> bool:
    return all(is_default(layer, hook, Layer) for hook in ("save_own_variables", "load_own_variables"))


def describe(path: str, obj: object) -> str:
    """The class, name and place of an object, for messages."""
    name = getattr(obj, "name", None)
    return (
        f"{type(obj).__name__} {name!r} (at {path or 'the root'!r})" if name else f"{type(obj).__name__} (at {path!r})"
    )
