"""Nested structures behave as Keras's do."""

from collections import OrderedDict, deque, namedtuple

import keras
import pytest

from torchkeras import tree

Point = namedtuple("Point", ["x", "y"])
STRUCTURES = [
    1,
    None,
    [],
    {},
    (1, [2, {"b": 3, "a": None}]),
    {"b": [1, 2], "a": (3,)},
    OrderedDict([("b", 1), ("a", 2)]),
    deque([1, [2, None]], maxlen=3),
    Point(1, [2, 3]),
    [[1, None], {"k": Point(None, 2)}],
]


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
def test_flatten_and_pack(structure):
    leaves = tree.flatten(structure)
    assert leaves == keras.tree.flatten(structure)
    assert tree.pack_sequence_as(structure, leaves) == keras.tree.pack_sequence_as(structure, leaves) == structure
    assert tree.is_nested(structure) == keras.tree.is_nested(structure)
    assert tree.flatten_with_path(structure) == keras.tree.flatten_with_path(structure)


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
def test_map_structure(structure):
    def change(leaf):
        return str(leaf)

    ours, theirs = tree.map_structure(change, structure), keras.tree.map_structure(change, structure)
    assert ours == theirs
    assert type(ours) is type(theirs)


@pytest.mark.parametrize("top_down", [True, False])
def test_traverse(top_down):
    def change(value):
        if isinstance(value, list):
            return tuple(value)
        return tree.MAP_TO_NONE if value == 2 else None

    def change_keras(value):
        return keras.tree.MAP_TO_NONE if change(value) is tree.MAP_TO_NONE else change(value)

    for structure in STRUCTURES:
        assert tree.traverse(change, structure, top_down) == keras.tree.traverse(change_keras, structure, top_down)


def test_lists_to_tuples():
    assert tree.lists_to_tuples([1, [2, {"a": [3]}]]) == keras.tree.lists_to_tuples([1, [2, {"a": [3]}]])


@pytest.mark.parametrize("a, b", [([1, 2], [1]), ({"a": 1}, {"b": 1}), ([1], (1,)), (1, [1]), ((1, [2]), (1, 2))])
def test_different_structures_are_refused(a, b):
    with pytest.raises(ValueError, match="structures differ"):
        tree.assert_same_structure(a, b)
    with pytest.raises(ValueError, match="structures differ"):
        tree.map_structure(lambda x, y: x, a, b)


def test_wrong_arguments():
    with pytest.raises(TypeError, match="callable"):
        tree.map_structure(3, [1])
    with pytest.raises(ValueError, match="at least one"):
        tree.map_structure(lambda: 1)
    with pytest.raises(ValueError, match="2 leaves"):
        tree.pack_sequence_as([1, 2], [1])
