"""Nested structures of lists, tuples, named tuples, deques and dicts. `None` is a leaf; dicts go by sorted keys."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_NESTS: tuple[type, ...] = (list, tuple, dict, deque)
# Types of the library that are nests and stay themselves when rebuilt.
_KEPT: set[type] = set()


def register_nest(cls: type) -> type:
    """Count a subclass of list, dict or set as a nest, rebuilt as what it is."""
    global _NESTS
    _KEPT.add(cls)
    if not issubclass(cls, _NESTS):
        _NESTS += (cls,)
    return cls


class _MapToNone:
    """What a function given to `traverse` returns to put `None` into the result."""

    def __repr__(self) -> str:
        return "MAP_TO_NONE"


MAP_TO_NONE = _MapToNone()


def is_nested(structure: Any) -> bool:
    """Whether the value is a list, a tuple, a deque or a dict."""
    return isinstance(structure, _NESTS)


def _is_namedtuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _keys(mapping: Mapping) -> list:
    if isinstance(mapping, OrderedDict):
        return list(mapping)
    try:
        return sorted(mapping)
    except TypeError:
        return list(mapping)


def _items(structure: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(structure, dict):
        return [(key, structure[key]) for key in _keys(structure)]
    return list(enumerate(structure))


def _like(structure: Any, values: list) -> Any:
    """The values of `_items(structure)`, replaced by `values`, in a structure of the same type."""
    if isinstance(structure, dict):
        found = dict(zip(_keys(structure), values))
        ordered = [(key, found[key]) for key in structure]
        if type(structure) in _KEPT:
            return type(structure)(ordered)
        if isinstance(structure, defaultdict):
            return type(structure)(structure.default_factory, ordered)
        return OrderedDict(ordered) if isinstance(structure, OrderedDict) else dict(ordered)
    if _is_namedtuple(structure):
        return type(structure)(*values)
    if isinstance(structure, deque):
        return deque(values, maxlen=structure.maxlen)
    if type(structure) in _KEPT:
        return type(structure)(values)
    return tuple(values) if isinstance(structure, tuple) else list(values)


def flatten(structure: Any) -> list:
    """The leaves in order. A value that is not nested is its own only leaf."""
    if not isinstance(structure, _NESTS):
        return [structure]
    leaves: list = []
    _collect(structure, leaves)
    return leaves


def _collect(structure: Any, leaves: list) -> None:
    values = [structure[key] for key in _keys(structure)] if isinstance(structure, dict) else structure
    for value in values:
        if isinstance(value, _NESTS):
            _collect(value, leaves)
        else:
            leaves.append(value)


def flatten_with_path(structure: Any) -> list[tuple[tuple, Any]]:
    """The leaves, each with the tuple of keys and indices that leads to it."""
    if not is_nested(structure):
        return [((), structure)]
    return [((key, *path), leaf) for key, value in _items(structure) for path, leaf in flatten_with_path(value)]


def map_structure(func: Callable, *structures: Any, none_is_leaf: bool = True) -> Any:
    """Apply `func` to the leaves of the first structure and what lies at the same places of the others.

    Raises:
        TypeError: `func` is not callable.
        ValueError: no structure is given, or they differ.
    """
    if not callable(func):
        raise TypeError(f"func must be callable; received {func!r}.")
    if not structures:
        raise ValueError("map_structure needs at least one structure; received none.")
    if not none_is_leaf:
        return _map(lambda *leaves: None if all(x is None for x in leaves) else func(*leaves), structures)
    return _map(func, structures)


def _map(func: Callable, structures: tuple) -> Any:
    first = structures[0]
    if not is_nested(first):
        return func(*structures)
    if len(structures) == 1:
        return _like(first, [_map(func, (value,)) for _, value in _items(first)])
    for structure in structures[1:]:
        _check_branch(first, structure)
    return _like(first, [_map(func, row) for row in zip(*(_values(first, structure) for structure in structures))])


def _values(first: Any, structure: Any) -> list:
    """What lies in `structure`, in the order of `first`."""
    return [structure[key] for key in _keys(first)] if isinstance(first, dict) else list(structure)


def map_structure_up_to(shallow_structure: Any, func: Callable, *structures: Any) -> Any:
    """Like `map_structure`, but only as deep as `shallow_structure` goes."""
    if not is_nested(shallow_structure):
        return func(*structures)
    for structure in structures:
        _check_branch(shallow_structure, structure)
    keys = [key for key, _ in _items(shallow_structure)]
    values = [map_structure_up_to(shallow_structure[k], func, *(s[k] for s in structures)) for k in keys]
    return _like(shallow_structure, values)


def map_shape_structure(func: Callable, structure: Any) -> Any:
    """Apply `func` to the shapes (tuples or lists of ints and None) in a structure, and to what is no shape."""
    if is_shape_tuple(structure) or not is_nested(structure):
        return func(structure)
    return _like(structure, [map_shape_structure(func, value) for _, value in _items(structure)])


def is_shape_tuple(value: Any) -> bool:
    """Whether the value is one shape: a list or tuple of integers and `None`."""
    return isinstance(value, (list, tuple)) and all(d is None or isinstance(d, int) for d in value)


def assert_same_structure(a: Any, b: Any, check_types: bool | None = None) -> None:
    """Raise `ValueError` where two structures differ in nesting, type, length or keys.

    All plain dicts (ordered or not, with a default or not) are of one type.
    """
    if is_nested(b) and not is_nested(a):
        raise ValueError(f"The structures don't have the same nested form: one has the leaf {a!r} for {b!r}.")
    _check_branch(a, b)
    if is_nested(a):
        for left, right in zip(_values(a, a), _values(a, b)):
            assert_same_structure(left, right)


def _check_branch(a: Any, b: Any) -> None:
    """Raise `ValueError` where `b` is not of the form of the branch `a`, whatever lies deeper; a leaf fits all."""
    if not is_nested(a):
        return
    if _type(a) is not _type(b):
        kind = "namedtuple " if _is_namedtuple(a) else ""
        raise ValueError(f"The structures differ: expected {kind}{type(a)} ({a!r}), received {type(b)} ({b!r}).")
    if len(a) != len(b):
        raise ValueError(f"Node arity mismatch: the structures differ in length, expected {a!r}, received {b!r}.")
    ordered = type(a) in _KEPT and isinstance(a, OrderedDict)
    if isinstance(a, dict) and (list(a) != list(b) if ordered else set(a) != set(b)):
        raise ValueError(
            f"Node context mismatch: dictionary key mismatch, expected the keys {list(a)}, received {list(b)}."
        )


def _type(structure: Any) -> type:
    return dict if type(structure) in (OrderedDict, defaultdict) else type(structure)


def assert_same_paths(a: Any, b: Any) -> None:
    """Raise `ValueError` where two structures have leaves at different paths."""
    left = {path for path, _ in flatten_with_path(a)}
    right = {path for path, _ in flatten_with_path(b)}
    if left != right:
        only = [sorted(map(str, one - other)) for one, other in ((left, right), (right, left))]
        raise ValueError(f"The structures don't have the same paths: only the first {only[0]}, the second {only[1]}.")


def pack_sequence_as(structure: Any, flat_sequence: Iterable) -> Any:
    """The inverse of `flatten`: put leaves into a structure of the given form.

    Raises:
        ValueError: too few or too many leaves.
    """
    leaves = list(flat_sequence)
    wanted = len(flatten(structure))
    if len(leaves) != wanted:
        raise ValueError(f"Received {len(leaves)} leaves where the structure holds {wanted}: {structure!r}.")
    rest = iter(leaves)
    return _fill(structure, rest)


def _fill(structure: Any, leaves: Any) -> Any:
    if not is_nested(structure):
        return next(leaves)
    return _like(structure, [_fill(value, leaves) for _, value in _items(structure)])


def traverse(func: Callable, structure: Any, top_down: bool = True) -> Any:
    """Rebuild a structure: where `func` returns something else than `None`, that takes the branch's place.

    `func` returns `MAP_TO_NONE` to put `None`. With `top_down` a replaced branch is not entered.

    Raises:
        TypeError: `func` is not callable.
    """
    if not callable(func):
        raise TypeError(f"func must be callable; received {func!r}.")
    if top_down:
        result = func(structure)
        if result is not None:
            return None if result is MAP_TO_NONE else result
    if is_nested(structure):
        structure = _like(structure, [traverse(func, value, top_down) for _, value in _items(structure)])
    if top_down:
        return structure
    result = func(structure)
    if result is None:
        return structure
    return None if result is MAP_TO_NONE else result


def lists_to_tuples(structure: Any) -> Any:
    """The same structure with every list turned into a tuple."""

    def change(value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else None

    return traverse(change, structure, top_down=False)
