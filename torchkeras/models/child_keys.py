"""The names of a model's layers as its submodules: the first part of their weights' keys in `state_dict()`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from torchkeras.core import naming
from torchkeras.layers.base.unbuilt import lacks_weights
from torchkeras.layers.base.weight_walk import add_sublayer


class ChildKeys:
    """Registers layers as submodules of a model, under keys that depend on nothing outside the model.

    A layer whose name was given has its name as the key. Others are numbered by class within the model, in the order
    in which they come: `dense`, `dense_1`; a number whose key is a given name is left out.

    Args:
        model: the model that holds the layers.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._keys: list[str] = []
        self._layers: list[nn.Module] = []
        self._numbers: dict[str, int] = {}

    def extend(self, layers: Iterable[nn.Module]) -> None:
        """Register several layers, all of them known before the first gets its key."""
        self._layers += layers
        self._register_all()

    def add(self, layer: nn.Module) -> None:
        """Register one more layer. Where its given name is the key of another, all layers get their keys again."""
        self._layers.append(layer)
        modules = self._model._modules
        key = given_key(layer) or _next_key(layer, modules, self._numbers)
        if key in modules:
            self._register_all()
            return
        self._keys.append(key)
        add_sublayer(self._model, key, layer)

    def pop(self) -> None:
        """Unregister the layer that came last."""
        layer = self._layers.pop()
        del self._model._modules[self._keys.pop()]
        self._numbers.clear()
        if given_key(layer) is not None:  # an automatic key may be free again
            self._register_all()

    def _register_all(self) -> None:
        modules = self._model._modules
        for key in self._keys:
            del modules[key]
        self._numbers.clear()
        self._keys = keys_of(self._layers, modules, self._numbers)
        for key, layer in zip(self._keys, self._layers, strict=True):
            add_sublayer(self._model, key, layer)

    def translated(self, state_dict: Mapping[str, Any], prefix: str) -> dict[str, str] | None:
        """How the keys of a state must be renamed, if they are of another kind than the model's.

        Two other kinds are known: layers under their names, as before keys were numbered within the model; and all
        layers with automatic names numbered, as a model from a file has them, which can't say that such a name was
        given.

        Args:
            state_dict: a state, by dotted name.
            prefix: the beginning of this model's keys in it.

        Returns:
            `{first part: the model's key}`, or `None` if the keys are the model's or of no known kind.
        """
        pairs = [
            (key, layer)
            for key, layer in zip(self._keys, self._layers, strict=True)
            if not lacks_weights(layer) and layer.state_dict()
        ]
        own = [key for key, _ in pairs]
        stateful = {id(layer) for _, layer in pairs}
        names = [as_key(layer.name) for _, layer in pairs]  # type: ignore[arg-type]
        all_numbered = keys_of(self._layers, (), {}, names_count=False)
        numbered = [key for key, layer in zip(all_numbered, self._layers, strict=True) if id(layer) in stateful]
        kinds = [own, names, numbered]
        known = set().union(*kinds)
        start = len(prefix)
        first = (key[start:].split(".", 1)[0] for key in state_dict if key.startswith(prefix))
        found = [part for part in dict.fromkeys(first) if part in known]
        # By the order of the keys, where it is that of a model: two layers may have each other's names.
        for form in (list, set):
            for kind in kinds:
                if form(kind) == form(found):
                    return None if kind == own else dict(zip(kind, own, strict=True))
        return None


def as_key(name: str) -> str:
    """A layer's name without dots, which separate the parts of a key."""
    return name.replace(".", "_")


def given_key(layer: Any) -> str | None:
    """The layer's name as a key; `None` of a layer that was named automatically."""
    if layer.__dict__.get("_tk_name_given") or not naming.is_automatic(layer.name, _class_of(layer)):
        return as_key(layer.name)
    return None


def keys_of(
    layers: Sequence[nn.Module], taken: Iterable[str], numbers: dict[str, int], names_count: bool = True
) -> list[str]:
    """The keys of layers in a model.

    Args:
        layers: in the model's order.
        taken: keys that other submodules have.
        numbers: filled with the next number of each class.
        names_count: `False`: number all layers whose name could be automatic, also where it was given.

    Returns:
        A key for each layer, all different.
    """
    used = set(taken)
    keys: dict[int, str] = {}
    for i, layer in enumerate(layers):
        if names_count or not naming.is_automatic(layer.name, _class_of(layer)):  # type: ignore[arg-type]
            key = given_key(layer)
            if key is not None:
                while key in used:
                    key += "_"
                keys[i] = key
                used.add(key)
    for i, layer in enumerate(layers):
        if i not in keys:
            keys[i] = _next_key(layer, used, numbers)
            used.add(keys[i])
    return [keys[i] for i in range(len(layers))]


def _next_key(layer: nn.Module, used: Any, numbers: dict[str, int]) -> str:
    prefix = naming.snake_case(_class_of(layer))
    number = numbers.get(prefix, 0)
    while (key := f"{prefix}_{number}" if number else prefix) in used:
        number += 1
    numbers[prefix] = number + 1
    return key


def _class_of(layer: Any) -> str:
    """The name of the class that the layer was made as; FSDP2 gives it another one."""
    return getattr(layer, "_tk_class", type(layer)).__name__
