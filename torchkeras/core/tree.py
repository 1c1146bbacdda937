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
    """Returned by a function given to `traverse` to put `None` into the result."""

    def __repr__(self) -> str:
        return "MAP_TO_NONE"


MAP_TO_NONE = _MapToNone()


def is_nested(structure: Any) -> bool:
    """Return whether a value is a list, tuple, deque or dict.

    Args:
        structure: any value.

    Example:
        >>> keras.tree.is_nested([1]), keras.tree.is_nested(1)
        (True, False)
    """
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


def flatten(structure: Any) -> list[Any]:
    """List the leaves of a structure in order; dicts go by their sorted keys.

    Args:
        structure: lists, tuples, named tuples, deques and dicts, nested in each other; any other value is a leaf.

    Returns:
        A list; of a value that is not nested, the value alone.

    Example:
        >>> keras.tree.flatten({"b": [1, 2], "a": 3})
        [3, 1, 2]
    """
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


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """List the leaves of a structure, each with the keys and indices that lead to it.

    Args:
        structure: lists, tuples, named tuples, deques and dicts, nested in each other; any other value is a leaf.

    Returns:
        A list of pairs `(path, leaf)`, where a path is a tuple.

    Example:
        >>> keras.tree.flatten_with_path({"b": [1, 2], "a": 3})
        [(('a',), 3), (('b', 0), 1), (('b', 1), 2)]
    """
    if not is_nested(structure):
        return [((), structure)]
    return [((key, *path), leaf) for key, value in _items(structure) for path, leaf in flatten_with_path(value)]


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """Apply a function to the leaves of structures of one form.

    Args:
        func: function of as many leaves as there are structures.
        *structures: structures of one form.
        none_is_leaf: whether `func` is called where all leaves are `None`; if not, `None` stays. Default: `True`.

    Returns:
        A structure of the same form, with the results.

    Raises:
        TypeError: `func` is not callable.
        ValueError: no structure is given, or the structures differ.

    Example:
        >>> keras.tree.map_structure(lambda x, y: x + y, {"a": 1, "b": [2]}, {"a": 10, "b": [20]})
        {'a': 11, 'b': [22]}
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
    """The values of `structure`, in the order of `first`."""
    return [structure[key] for key in _keys(first)] if isinstance(first, dict) else list(structure)


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """Apply a function to the values of structures at the places of another structure's leaves.

    Args:
        shallow_structure: structure whose leaves say how deep to go.
        func: function of as many values as there are structures.
        *structures: structures that go at least as deep.

    Returns:
        A structure of the form of `shallow_structure`, with the results.

    Raises:
        ValueError: a structure does not go as deep.

    Example:
        >>> keras.tree.map_structure_up_to([0, 0], sum, [[1, 2], [3]])
        [3, 3]
    """
    if not is_nested(shallow_structure):
        return func(*structures)
    for structure in structures:
        _check_branch(shallow_structure, structure)
    keys = [key for key, _ in _items(shallow_structure)]
    values = [map_structure_up_to(shallow_structure[k], func, *(s[k] for s in structures)) for k in keys]
    return _like(shallow_structure, values)


def map_shape_structure(func: Callable[..., Any], structure: Any) -> Any:
    """Apply a function to the shapes in a structure: lists or tuples of ints and `None` count as leaves.

    Args:
        func: function of a shape.
        structure: shapes, in lists, tuples and dicts.

    Returns:
        A structure of the same form, with the results.

    Example:
        >>> keras.tree.map_shape_structure(len, {"a": (2, 3), "b": [(None, 4, 5)]})
        {'a': 2, 'b': [3]}
    """
    if is_shape_tuple(structure) or not is_nested(structure):
        return func(structure)
    return _like(structure, [map_shape_structure(func, value) for _, value in _items(structure)])


def is_shape_tuple(value: Any) -> bool:
    """Whether the value is one shape: a list or tuple of integers and `None`."""
    return isinstance(value, (list, tuple)) and all(d is None or isinstance(d, int) for d in value)


def assert_same_structure(a: Any, b: Any, check_types: bool | None = None) -> None:
    """Raise an error where two structures differ in nesting, type, length or keys.

    Plain dicts, ordered dicts and default dicts count as one type.

    Args:
        a: the first structure.
        b: the second structure.
        check_types: kept for Keras's signature: types are always compared. Default: `None`.

    Raises:
        ValueError: the structures differ.

    Example:
        >>> keras.tree.assert_same_structure([1, (2,)], [3, (4,)])
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
    """Raise an error where two structures have leaves at different paths.

    Args:
        a: the first structure.
        b: the second structure.

    Raises:
        ValueError: the paths differ.

    Example:
        >>> keras.tree.assert_same_paths([1, 2], (3, 4))
    """
    left = {path for path, _ in flatten_with_path(a)}
    right = {path for path, _ in flatten_with_path(b)}
    if left != right:
        only = [sorted(map(str, one - other)) for one, other in ((left, right), (right, left))]
        raise ValueError(f"The structures don't have the same paths: only the first {only[0]}, the second {only[1]}.")


def pack_sequence_as(structure: Any, flat_sequence: Iterable[Any]) -> Any:
    """Put leaves into a structure of a given form: the inverse of `flatten`.

    Args:
        structure: structure of the form that is wanted.
        flat_sequence: the leaves, in the order of `flatten`.

    Returns:
        A structure of the same form, with the given leaves.

    Raises:
        ValueError: there are too few or too many leaves.

    Example:
        >>> keras.tree.pack_sequence_as({"b": [0, 0], "a": 0}, [3, 1, 2])
        {'b': [1, 2], 'a': 3}
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


def traverse(func: Callable[..., Any], structure: Any, top_down: bool = True) -> Any:
    """Rebuild a structure, replacing each part for which a function returns a value.

    Args:
        func: function of a part (a branch or a leaf). `None` keeps the part; `MAP_TO_NONE` replaces it by `None`.
        structure: structure to rebuild.
        top_down: whether a branch is visited before its parts, which are then visited only if it is kept. Default:
            `True`.

    Returns:
        The new structure.

    Raises:
        TypeError: `func` is not callable.

    Example:
        >>> keras.tree.traverse(lambda x: tuple(x) if isinstance(x, list) else None, {"a": [1, 2]})
        {'a': (1, 2)}
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
    """Rebuild a structure with tuples in the place of lists.

    Args:
        structure: lists, tuples, named tuples, deques and dicts, nested in each other; any other value is a leaf.

    Returns:
        The new structure.

    Example:
        >>> keras.tree.lists_to_tuples([1, [2, 3]])
        (1, (2, 3))
    """

    def change(value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else None

    return traverse(change, structure, top_down=False)
