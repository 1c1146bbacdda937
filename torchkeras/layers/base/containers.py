"""Lists, dicts, sets and tuples as attributes of a layer: what they hold belongs to the layer.

A plain list set as an attribute becomes a `TrackedList`. Once it holds a layer or a weight it is also an `nn.Module`
(a `ModuleTrackedList`): torch then finds `blocks.0.kernel` by its own means, in `state_dict()`, `get_submodule()` and
`torch.func.functional_call()`, and the user keeps a list. Dicts, sets and tuples likewise.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import torch
from torch import nn

from torchkeras.core import tree
from torchkeras.core.state import state
from torchkeras.core.variables.variable import Variable, VariableInfo
from torchkeras.layers.base import weight_walk
from torchkeras.layers.base.mode import take_mode
from torchkeras.layers.base.values import read_weight, restore_variables
from torchkeras.layers.base.weight_walk import ModuleContainer


class Tracked:
    """Shared by tracked containers: each change is reported to the layer that owns the container."""

    _owner: nn.Module | None = None
    _name: str = ""
    _parent: Tracked | None = None

    def attach(self, owner: nn.Module, name: str, parent: Tracked | None = None) -> None:
        """Become the attribute `name` of `owner`, or an item of `parent`, which `owner` holds."""
        self.__dict__.update(_owner=owner, _name=name, _parent=parent)
        self.changed()

    def detach(self) -> None:
        """Belong to nobody: the layer no longer holds the container."""
        owner = self._owner
        self.__dict__.update(_owner=None, _name="", _parent=None)
        for _, value in _pairs(self):
            if isinstance(value, Tracked) and value._owner is owner:
                value.detach()

    def changed(self) -> None:
        """Bring what torch sees up to date with what the container holds, here and above."""
        owner = self._owner
        if owner is None:
            return
        _attach_items(self, owner)
        if isinstance(self, ModuleContainer) or any(holds_state(value) for _, value in _pairs(self)):
            if not isinstance(self, ModuleContainer):
                _become_module(self)
            _register(self, owner)
            if self._name and owner._modules.get(self._name) is not self:
                owner.__dict__.pop(self._name, None)
                owner._modules[self._name] = self  # type: ignore[assignment]
        if self._parent is not None:
            self._parent.changed()

    def __reduce__(self) -> tuple:
        if isinstance(self, tuple):
            return _remake, (type(self), tuple(_raw(self))), (self.__dict__, None)
        return _remake, (type(self),), (self.__dict__, list(_raw(self)))

    def __setstate__(self, saved: tuple[dict, list | None]) -> None:
        attributes, items = saved
        self.__dict__.update(attributes)
        if isinstance(self, list):
            list.extend(self, items or ())
        elif isinstance(self, OrderedDict):
            for key, value in items or ():
                OrderedDict.__setitem__(self, key, value)
        elif isinstance(self, dict):
            dict.update(self, items or ())
        elif isinstance(self, set):
            set.update(self, items or ())
        if isinstance(self, ModuleContainer):
            _keep_items(self)


class _TorchSide(ModuleContainer):
    """The part of a tracked container that torch sees: layers are submodules, weights parameters and buffers."""

    def forward(self, *args: object, **kwargs: object) -> object:
        raise TypeError("A list of layers can't be called; call the layers in it.")

    def _apply(self, fn: Callable, recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        restore_variables(self, self._infos)
        _write_back(self)
        return self


class _Items:
    """Reading: in Python, and a weight from where it is registered.

    So what torch puts in a weight's place (`functional_call`, FSDP) and the type to which a mixed-precision call casts
    are what the reader gets; and Dynamo, which reads no C storage of a module, can trace it.
    """

    _items: Any
    _has_weights: bool
    _infos: dict[str, VariableInfo]
    _aliases: dict[str, VariableInfo]
    _parameters: dict[str, nn.Parameter | None]
    _buffers: dict[str, torch.Tensor | None]
    _owner: nn.Module | None

    def __hash__(self) -> int:
        return id(self)

    def _read(self, key: Any, value: Any) -> Any:
        """An item as the call in progress wants it."""
        if not isinstance(value, torch.Tensor):
            return value
        name = _key(self, key)
        if name in self._aliases and self._owner is not None:
            return weight_walk.weight_of(self._owner, self._aliases[name], value)
        found = self._read_registered(name)
        return value if found is None else found

    def _read_registered(self, name: str) -> torch.Tensor | None:
        found = self._parameters.get(name)
        if found is None:
            found = self._buffers.get(name)
        return read_weight(found, self._infos.get(name)) if found is not None and state.special else found

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator:
        return iter(self._items)


class _Sequence(_Items):
    def __hash__(self) -> int:
        return id(self)

    def __iter__(self) -> Iterator:
        if self._has_weights:
            return iter([self._read(i, value) for i, value in enumerate(self._items)])
        return iter(self._items)

    def __reversed__(self) -> Iterator:
        return reversed(list(self))

    def __getitem__(self, index: Any) -> Any:
        found = self._items[index]
        if not self._has_weights:
            return found
        if isinstance(index, slice):
            return list(self)[index]
        return self._read(index if index >= 0 else index + len(self._items), found)


class _Mapping(_Items):
    def __hash__(self) -> int:
        return id(self)

    def __getitem__(self, key: Any) -> Any:
        found = self._items[key]
        return self._read(key, found) if self._has_weights else found

    def get(self, key: Any, default: Any = None) -> Any:
        return self[key] if key in self._items else default

    def keys(self) -> Any:
        return self._items.keys()

    def values(self) -> Any:
        return [self[key] for key in self._items] if self._has_weights else self._items.values()

    def items(self) -> Any:
        return [(key, self[key]) for key in self._items] if self._has_weights else self._items.items()


def _after(method: Callable) -> Callable:
    def changing(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        if self._owner is not None:
            _wrap_nested(self)
            self.changed()
        return result

    changing.__name__ = method.__name__
    changing.__doc__ = method.__doc__
    return changing


def _reporting(base: type, *methods: str) -> dict[str, Callable]:
    """The methods of `base` that change it, each followed by a report to the owner."""
    return {method: _after(getattr(base, method)) for method in methods}


_OF_LISTS = ("append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse", "__setitem__", "__delitem__",
             "__iadd__")  # fmt: skip
_OF_DICTS = ("__setitem__", "__delitem__", "update", "pop", "popitem", "setdefault", "clear", "__ior__")
_OF_SETS = ("add", "remove", "discard", "pop", "clear", "update", "difference_update", "intersection_update",
            "symmetric_difference_update", "__ior__", "__iand__", "__isub__", "__ixor__")  # fmt: skip


@tree.register_nest
class TrackedList(Tracked, list):
    """A list set as a layer's attribute."""

    locals().update(_reporting(list, *_OF_LISTS))


@tree.register_nest
class TrackedDict(Tracked, dict):
    """A dict set as a layer's attribute."""

    locals().update(_reporting(dict, *_OF_DICTS))


@tree.register_nest
class TrackedOrderedDict(Tracked, OrderedDict):
    """An ordered dict set as a layer's attribute."""

    locals().update(_reporting(OrderedDict, *_OF_DICTS, "move_to_end"))


@tree.register_nest
class TrackedSet(Tracked, set):
    """A set set as a layer's attribute."""

    locals().update(_reporting(set, *_OF_SETS))


@tree.register_nest
class ModuleTrackedList(_Sequence, TrackedList, _TorchSide):  # type: ignore[misc]
    """A list that holds layers or weights."""


@tree.register_nest
class ModuleTrackedDict(_Mapping, TrackedDict, _TorchSide):  # type: ignore[misc]
    """A dict that holds layers or weights."""


@tree.register_nest
class ModuleTrackedOrderedDict(_Mapping, TrackedOrderedDict, _TorchSide):  # type: ignore[misc]
    """An ordered dict that holds layers or weights."""


@tree.register_nest
class ModuleTrackedSet(_Items, TrackedSet, _TorchSide):  # type: ignore[misc]
    """A set that holds layers."""


@tree.register_nest
class ModuleTrackedTuple(_Sequence, Tracked, tuple, _TorchSide):  # type: ignore[misc]
    """A tuple that holds layers or weights."""


_AS_MODULES: dict[type, type] = {
    TrackedList: ModuleTrackedList,
    TrackedDict: ModuleTrackedDict,
    TrackedOrderedDict: ModuleTrackedOrderedDict,
    TrackedSet: ModuleTrackedSet,
}


def _become_module(tracked: Tracked) -> None:
    """Give a container the class that torch takes for a module; it stays the same object."""
    if not isinstance(tracked, ModuleContainer):
        tracked.__class__ = _AS_MODULES[type(tracked)]  # type: ignore[assignment]
    # As nn.Module.__init__ would; Dynamo patches that to take a weak reference, which a tuple does not have.
    tracked.__dict__.update(nn.Module().__dict__)
    tracked.__dict__.update(training=False, _infos={}, _aliases={}, _items=(), _has_weights=False)


def _remake(cls: type, *args: Any) -> Any:
    return cls.__new__(cls, *args)


# ---------------------------------------------------------------------------- what a container holds


def _raw(container: Any) -> Any:
    """The items (of dicts the pairs) as the list, dict, set or tuple itself keeps them."""
    if torch.compiler.is_compiling():  # torch does not trace `list.__iter__` and the like
        kept = container.__dict__.get("_items")
        if kept is not None:
            return list(kept.items() if isinstance(kept, dict) else kept)
        if type(container) is TrackedList:
            return list(container)
    if isinstance(container, list):
        return list.__iter__(container)
    if isinstance(container, OrderedDict):
        return list(OrderedDict.items(container))
    if isinstance(container, dict):
        return list(dict.items(container))
    return set.__iter__(container) if isinstance(container, set) else tuple.__iter__(container)


def _pairs(container: Any) -> list[tuple[Any, Any]]:
    if isinstance(container, dict):
        return list(_raw(container))
    if isinstance(container, set):  # in an order that another run has, too
        return list(enumerate(sorted(_raw(container), key=_place_in_set)))
    return list(enumerate(_raw(container)))


def _place_in_set(value: Any) -> list:
    """Sorts a set's items by name, with numbers by value: `dense_9` precedes `dense_10`."""
    parts = re.split(r"([0-9]+)", str(getattr(value, "name", value)))
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]


def _key(container: Any, key: Any) -> str:
    """The name of an item as a submodule or a weight: one that no attribute of the container's class has."""
    name = str(key).replace(".", "_") or "_"
    return f"{name}_" if hasattr(type(container), name) else name


def holds_state(value: Any, above: tuple = ()) -> bool:
    """Whether it is a module or a weight, or a list, tuple or dict with one in it.

    Args:
        value: any value.
        above: the containers that hold it, outermost first: a container may hold itself.
    """
    if isinstance(value, (nn.Module, nn.Parameter)):
        return True
    if isinstance(value, (list, tuple, dict)):
        if any(value is one for one in above):
            return False
        above = (*above, value)
        return any(holds_state(item, above) for item in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, Variable) and isinstance(value, torch.Tensor)


def _is_within(container: Tracked, outer: Tracked) -> bool:
    """Whether a container is another one, or lies in it."""
    inner: Tracked | None = container
    while inner is not None and inner is not outer:
        inner = inner._parent
    return inner is not None


def _put(container: Any, key: Any, value: Any) -> None:
    """Replace an item without a report to the owner."""
    if isinstance(container, OrderedDict):
        OrderedDict.__setitem__(container, key, value)
    elif isinstance(container, dict):
        dict.__setitem__(container, key, value)
    elif isinstance(container, list):
        list.__setitem__(container, key, value)


def _keep_items(container: Any) -> None:
    """Keep the items in a plain container of the same kind, which Python code (and Dynamo with it) can read."""
    kind = next(k for k in (list, OrderedDict, dict, set, tuple) if isinstance(container, k))
    container.__dict__["_items"] = kind(_raw(container))


def _attach_items(container: Any, owner: nn.Module) -> None:
    for key, value in _pairs(container):
        if type(value) is tuple and isinstance(container, (list, dict)) and holds_state(value):
            value = wrap(value)
            _put(container, key, value)
        # Noted here, item by item, so that what a list within holds comes between its neighbours.
        if isinstance(value, Tracked):
            if value._owner is None:
                value.attach(owner, "", container)
        elif isinstance(value, nn.Module):
            weight_walk.note_sublayer(owner, value)
        elif isinstance(value, (nn.Parameter, Variable)):
            weight_walk.note_weight(owner, value)


def _register(container: Any, owner: nn.Module) -> None:
    """Show torch what the container holds now, and hand weights that left it to their other names."""
    before = {
        info: container._parameters.get(key, container._buffers.get(key)) for key, info in container._infos.items()
    }
    for place in (container._modules, container._parameters, container._buffers, container._infos, container._aliases):
        place.clear()
    _keep_items(container)
    known = weight_walk.assigned_infos(owner, container)
    for key, value in _pairs(container):
        name = _key(container, key)
        if isinstance(value, Tracked) and _is_within(container, value):
            continue  # torch's walks of modules would not end
        if isinstance(value, nn.Module):
            take_mode(container, name, value)
            container._modules[name] = value
        elif isinstance(value, Variable) and value.info in known:
            container._aliases[name] = value.info
        elif isinstance(value, (nn.Parameter, Variable)):
            place = container._parameters if isinstance(value, nn.Parameter) else container._buffers
            place[name] = value
            if isinstance(value, Variable):
                known.add(value.info)
                container._infos[name] = value.info
                weight_walk.hand_over(owner, value)
    container.__dict__["_has_weights"] = bool(container._parameters or container._buffers or container._aliases)
    for info, tensor in before.items():
        if info not in known:
            weight_walk.to_another_name(owner, info, tensor)


def _write_back(container: Any) -> None:
    """Put the registered tensors into the container: torch replaces buffers when it moves them."""
    changed = False
    for key, value in _pairs(container):
        name = _key(container, key)
        found = container._parameters.get(name)
        found = container._buffers.get(name) if found is None else found
        if found is not None and found is not value:
            changed = True
            _put(container, key, found)
    if changed and not isinstance(container, tuple):
        _keep_items(container)


# ---------------------------------------------------------------------------- making

_PLAIN = (list, dict, tuple, set, OrderedDict)
_TRACKED: dict[type, type] = {list: TrackedList, dict: TrackedDict, OrderedDict: TrackedOrderedDict}


def _wrap_nested(tracked: Any) -> None:
    if isinstance(tracked, (set, tuple)):
        return
    for key, value in _pairs(tracked):
        if type(value) in _PLAIN:
            _put(tracked, key, wrap(value))


def wrap(value: Any, above: dict[int, Tracked] | None = None) -> Any:
    """A tracked copy of a plain list, dict or set, and of a tuple that holds layers; all else as it is.

    Args:
        value: any value.
        above: the copies in the making, by the `id` of the original: a container may hold itself.
    """
    if type(value) in (list, dict, OrderedDict):
        above = above or {}
        if id(value) in above:
            return above[id(value)]
        made: Any = _TRACKED[type(value)]()
        above = {**above, id(value): made}
        if isinstance(made, list):
            list.extend(made, [wrap(item, above) for item in value])
        else:
            for key, item in value.items():
                _put(made, key, wrap(item, above))
        return made
    if type(value) is set:
        return TrackedSet(value)
    if type(value) is tuple:
        items = tuple(wrap(item, above) for item in value) if any(type(item) in _PLAIN for item in value) else value
        if not holds_state(items):
            return items
        made = tuple.__new__(ModuleTrackedTuple, items)
        _become_module(made)
        return made
    return value


def unwrapped(value: Any, above: dict[int, Any] | None = None) -> Any:
    """The plain list, dict, set or tuple with the items of a tracked one, also of those within.

    Args:
        value: any value.
        above: the copies in the making, by the `id` of the original: a container may hold itself.
    """
    if not isinstance(value, (dict, Tracked)):
        return value
    above = above or {}
    if id(value) in above:
        return above[id(value)]
    kind = next(k for k in (OrderedDict, dict, list, set, tuple) if isinstance(value, k))
    if kind in (set, tuple):
        return kind(unwrapped(item, above) for item in _raw(value))
    made: Any = kind()
    above = {**above, id(value): made}
    if kind is list:
        made.extend(unwrapped(item, above) for item in _raw(value))
    else:
        made.update((key, unwrapped(item, above)) for key, item in _raw(value))
    return made


def flat_items(value: Any, above: tuple = ()) -> Iterable[Any]:
    """All that a tracked container holds, however deep, in order.

    Args:
        value: the container.
        above: the containers that hold it, outermost first: a container may hold itself.
    """
    above = (*above, value)
    for _, item in _pairs(value):
        if isinstance(item, Tracked):
            if all(item is not one for one in above):
                yield from flat_items(item, above)
        elif type(item) in _PLAIN:
            yield from (x for x in tree.flatten(item))
        else:
            yield item
