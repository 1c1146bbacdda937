"""Lists, dicts and sets that know their layers: set as attributes, what they hold is part of the module."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from torchkeras.core import tree
from torchkeras.core.variables.variable import Variable
from torchkeras.layers.base import losses
from torchkeras.layers.base.mode import take_mode


class Container(nn.Module):
    """The module-side shadow of a list or dict attribute: torch sees `blocks.0.kernel`, the user keeps the list."""

    _tk_follows_mode = True

    def __init__(self, source: Any) -> None:
        super().__init__()
        self.training = False
        object.__setattr__(self, "source", source)

    def sync(self) -> None:
        """Take over what the list or dict now holds."""
        self._modules.clear()
        self._parameters.clear()
        self._buffers.clear()
        for key, value in _pairs(self.source):
            self._take(str(key).replace(".", "_"), value)

    _changed = sync

    def _take(self, key: str, value: Any) -> None:
        if isinstance(value, _Tracked):
            if value._container is not None:
                self._modules[key] = value._container
        elif type(value) is tuple:
            if _holds_state(value):
                self._modules[key] = inner = Container(value)
                inner.sync()
        elif isinstance(value, nn.Module):
            take_mode(self, key, value)
            self._modules[key] = value
            losses.note_attachment()
        elif isinstance(value, nn.Parameter):
            self._parameters[key] = value
        elif isinstance(value, Variable):
            self._buffers[key] = value

    def forward(self, *args: Any) -> Any:
        raise TypeError("A list of layers can't be called.")


def _pairs(source: Any) -> Any:
    if isinstance(source, set):  # in an order that another run has, too
        return enumerate(sorted(source, key=lambda value: str(getattr(value, "name", value))))
    return source.items() if isinstance(source, dict) else enumerate(source)


def _owned_elsewhere(owner: nn.Module, value: Any) -> bool:
    return any(value is own for own in (*owner._parameters.values(), *owner._buffers.values()))


class _Tracked:
    """What tracked lists, dicts and sets share: after each change the shadow is brought up to date."""

    _container: Container | None = None
    _owner: Any = None
    _name: str = ""
    _parent: Any = None

    def _attach(self, owner: nn.Module, name: str, parent: Any = None) -> None:
        self._owner, self._name, self._parent = owner, name, parent
        self._changed()

    def _values(self) -> list:
        return list(self.values()) if isinstance(self, dict) else list(self)  # type: ignore[call-overload]

    def _changed(self) -> None:
        if self._owner is None:
            return
        attach_all(self._values(), self._owner, self)
        self._show()
        if self._parent is not None:
            self._parent._changed()

    def _show(self) -> None:
        """Bring the shadow up to date, and put it into the owner once there is something to show."""
        if not any(_holds_state(value) for value in self._values()):
            if self._container is not None:
                self._container.sync()
            return
        if self._container is None:
            self._container = Container(self)
        self._container.sync()
        if self._name and self._name not in self._owner._modules:
            self._owner._modules[self._name] = self._container
        if isinstance(self._owner, nn.Module):
            _hand_over(self._owner, self._container)


def attach_all(values: Any, owner: nn.Module, parent: Any) -> None:
    """Make lists and dicts among the values, and in tuples among them, report to `parent`."""
    for value in values:
        if isinstance(value, _Tracked):
            if value._owner is None:
                value._attach(owner, "", parent)
        elif type(value) is tuple:
            attach_all(value, owner, parent)


def _hand_over(owner: nn.Module, container: Container) -> None:
    """A weight of `add_weight` that ends up in a list goes by its place there, not by its name."""
    for held in (*container._parameters.values(), *container._buffers.values()):
        for registered in (owner._parameters, owner._buffers):
            for name in [name for name, tensor in registered.items() if tensor is held]:
                del registered[name]


def _holds_state(value: Any) -> bool:
    if isinstance(value, _Tracked):
        return value._container is not None
    if type(value) is tuple:
        return any(_holds_state(item) for item in value)
    return isinstance(value, (nn.Module, nn.Parameter, Variable))


def _after(method: Callable) -> Callable:
    def changing(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        if self._owner is not None and _is_whole(self._owner) and _is_whole(self._container):
            _wrap_nested(self)
            self._changed()
        return result

    changing.__name__ = method.__name__
    changing.__doc__ = method.__doc__
    return changing


@tree.register_nest
class TrackedList(_Tracked, list):
    """A list set as a layer's attribute."""

    for _method in ("append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse", "__setitem__",
                    "__delitem__", "__iadd__"):  # fmt: skip
        locals()[_method] = _after(getattr(list, _method))
    del _method

    def __reduce__(self) -> Any:
        return _remake, (TrackedList,), self.__dict__ or None, iter(self)


@tree.register_nest
class TrackedDict(_Tracked, dict):
    """A dict set as a layer's attribute."""

    for _method in ("__setitem__", "__delitem__", "update", "pop", "popitem", "setdefault", "clear", "__ior__"):
        locals()[_method] = _after(getattr(dict, _method))
    del _method

    def __reduce__(self) -> Any:
        return _remake, (TrackedDict,), self.__dict__ or None, None, iter(self.items())


@tree.register_nest
class TrackedOrderedDict(_Tracked, OrderedDict):
    """An ordered dict set as a layer's attribute."""

    for _method in ("__setitem__", "__delitem__", "update", "pop", "popitem", "setdefault", "clear", "__ior__",
                    "move_to_end"):  # fmt: skip
        locals()[_method] = _after(getattr(OrderedDict, _method))
    del _method

    def __reduce__(self) -> Any:
        return _remake, (TrackedOrderedDict,), self.__dict__ or None, None, iter(self.items())


@tree.register_nest
class TrackedSet(_Tracked, set):
    """A set set as a layer's attribute."""

    for _method in ("add", "remove", "discard", "pop", "clear", "update", "difference_update", "intersection_update",
                    "symmetric_difference_update", "__ior__", "__iand__", "__isub__", "__ixor__"):  # fmt: skip
        locals()[_method] = _after(getattr(set, _method))
    del _method

    def __reduce__(self) -> Any:
        return _remake, (TrackedSet, list(self)), self.__dict__ or None


def _is_whole(module: Any) -> bool:
    """Whether a module has its state: one that is being copied or unpickled gets it last."""
    return module is None or "_modules" in module.__dict__


def _remake(cls: type, *args: Any) -> Any:
    return cls(*args)


def _wrap_nested(tracked: Any) -> None:
    if isinstance(tracked, set):
        return
    pairs = dict.items(tracked) if isinstance(tracked, dict) else enumerate(tracked)
    for key, value in list(pairs):
        if type(value) in _PLAIN:
            base = dict if isinstance(tracked, dict) else list
            base.__setitem__(tracked, key, wrap(value))


_PLAIN = (list, dict, tuple, set, OrderedDict)


def wrap(value: Any) -> Any:
    """A tracked copy of a plain list, dict or set, also of those in a tuple; all else as it is."""
    if type(value) is list:
        return TrackedList(wrap(item) for item in value)
    if type(value) in (dict, OrderedDict):
        tracked = TrackedDict if type(value) is dict else TrackedOrderedDict
        return tracked((key, wrap(item)) for key, item in value.items())
    if type(value) is set:
        return TrackedSet(value)
    if type(value) is tuple and any(type(item) in _PLAIN for item in value):
        return tuple(wrap(item) for item in value)
    return value


def holds_layers(value: Any) -> bool:
    """Whether a tuple (or anything nested) holds modules or weights."""
    if isinstance(value, (list, tuple)):
        return any(holds_layers(item) for item in value)
    if isinstance(value, dict):
        return any(holds_layers(item) for item in value.values())
    return isinstance(value, (nn.Module, nn.Parameter)) or (
        isinstance(value, Variable) and isinstance(value, torch.Tensor)
    )
