"""Nested structures behave as Keras's do."""

import copy
from collections import OrderedDict, defaultdict, deque, namedtuple

import keras
import pytest

import torchkeras
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


LEAF, POINT = 1, Point(1, 2)
OTHER = namedtuple("OtherPoint", ["x", "y"])(1, 2)
PAIRS = [
    (LEAF, LEAF), (LEAF, [1]), ([], LEAF), ([1, 2], [1]), ((1, 2), (1,)), ([1], (1,)), ((1, 2), POINT), (POINT, OTHER),
    (POINT, Point(3, 4)), ((1, [2]), (1, 2)), (deque([1]), [1]), (deque([1]), deque([2])), ({"a": 1}, {"b": 1}),
    ({"a": 1, "b": 2}, {"b": 1, "a": 2}), ({"a": 1}, OrderedDict(a=2)), ({"a": 1}, defaultdict(int, a=2)),
    ({"a": 1, "b": 2}, {"a": 1}), (None, 1), (None, []), ([None], [[1]]),
]  # fmt: skip


@pytest.mark.parametrize("first", [dict, OrderedDict, lambda pairs: defaultdict(int, pairs)])
@pytest.mark.parametrize("second", [dict, OrderedDict, lambda pairs: defaultdict(int, pairs)])
def test_dicts_meet_by_keys(first, second):
    a, b = first([("b", 1), ("a", [2])]), second([("a", [20]), ("b", 10)])
    ours, theirs = (t.map_structure(lambda x, y: x + y, a, b) for t in (tree, keras.tree))
    assert ours == theirs == {"b": 11, "a": [22]}
    assert type(ours) is type(theirs)
    tree.assert_same_structure(a, b)


@pytest.mark.parametrize("name", ["assert_same_structure", "assert_same_paths", "map_structure"])
@pytest.mark.parametrize("a, b", PAIRS, ids=repr)
def test_what_is_alike_is_so_in_keras(name, a, b):
    first = [lambda x, y: x] if name == "map_structure" else []
    outcomes = []
    for package in (tree, keras.tree):
        try:
            outcomes.append(getattr(package, name)(*first, a, b))
        except ValueError:
            outcomes.append(ValueError)
    assert outcomes[0] == outcomes[1]


def test_attributes_of_layers_stay_what_they_are():
    layer = torchkeras.layers.Layer()
    layer.list, layer.dict, layer.set, layer.ordered = (
        [1, 2],
        {"b": 1, "a": 2},
        {1, 2},
        OrderedDict([("b", 1), ("a", 2)]),
    )
    for value in (layer.list, layer.dict, layer.set, layer.ordered):
        assert tree.is_nested(value)
        assert type(tree.map_structure(lambda x: x, value)) is type(value)
        assert type(copy.deepcopy(value)) is type(value)
        assert tree.pack_sequence_as(value, tree.flatten(value)) == value
    assert tree.flatten(layer.dict) == tree.flatten(dict(layer.dict))
    assert tree.flatten(layer.ordered) == [1, 2]


def test_a_set_of_layers_is_part_of_the_layer():
    layer = torchkeras.layers.Layer()
    layer.parts = {torchkeras.layers.Dense(2, name=name) for name in ("c", "a", "b")}
    for part in layer.parts:
        part.build((None, 3))
    assert [name for name, _ in layer.named_parameters()] == [
        f"parts.{i}.{weight}" for i in range(3) for weight in ("kernel", "bias")
    ]
    layer.parts.add(torchkeras.layers.Dense(2, name="d"))
    assert len(list(layer.modules())) == 1 + 1 + 4  # itself, the set, its layers


def test_shapes_in_structures():
    given = {"a": (1, None), "b": [[2, 3], (4,)], "c": "no shape"}
    assert tree.map_shape_structure(lambda s: s, given) == keras.tree.map_shape_structure(lambda s: s, given)


def test_wrong_arguments():
    with pytest.raises(TypeError, match="callable"):
        tree.map_structure(3, [1])
    with pytest.raises(TypeError, match="callable"):
        tree.traverse(3, [1])
    with pytest.raises(ValueError, match="at least one"):
        tree.map_structure(lambda: 1)
    for leaves in ([1], [1, 2, 3]):
        with pytest.raises(ValueError, match="leaves where the structure holds 2"):
            tree.pack_sequence_as([1, 2], leaves)
    with pytest.raises(TypeError, match="iterable"):
        tree.pack_sequence_as([1, 2], 5)
