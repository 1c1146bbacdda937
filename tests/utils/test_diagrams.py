"""Pictures of models: what is in them, where it stands, in which files they go."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest

import torchkeras as ours
from torchkeras.utils.diagrams import plotting
from torchkeras.utils.diagrams.diagram import Style, diagram_of
from torchkeras.utils.diagrams.drawing import draw, svg
from torchkeras.utils.diagrams.placing import place

L = ours.layers
FULL = {"show_shapes": True, "show_dtype": True, "show_layer_activations": True, "show_trainable": True}


def inner(name):
    start = ours.Input((4,), name=f"{name}_in")
    middle = L.Dense(4, activation="relu", name=f"{name}_a")(start)
    return ours.Model(start, L.Add(name=f"{name}_add")([start, middle]), name=name)


def branching():
    """Two inputs, a nested functional and a nested sequential model, a shared layer, two outputs."""
    left, right = ours.Input((4,), name="left"), ours.Input((4,), name="right")
    shared = L.Dense(4, name="shared")
    tower = ours.Sequential([L.Dense(4, activation="tanh", name="t1"), L.Dropout(0.1, name="t2")], name="tower")
    a, b = shared(inner("block")(left)), shared(tower(right))
    joined = L.BatchNormalization(name="bn", trainable=False)(L.Concatenate(name="cat")([a, b, left]))
    return ours.Model([left, right], [L.Dense(2, name="one")(joined), L.Dense(1, name="two")(joined)], name="whole")


def named_edges(model, **style):
    """The edges by names, and the names of the boxes."""
    diagram = diagram_of(model, Style(**style))
    names = {}

    def collect(part):
        for each in part.parts:
            if hasattr(each, "parts"):
                collect(each)
            else:
                names[each.key] = each.name

    collect(diagram)
    return {(names[a], names[b]) for a, b in diagram.all_edges()}, set(names.values())


def test_edges_of_a_graph():
    edges, names = named_edges(branching())
    assert edges == {
        ("left", "block"), ("right", "tower"), ("block", "shared"), ("tower", "shared"), ("shared", "cat"),
        ("left", "cat"), ("cat", "bn"), ("bn", "one"), ("bn", "two"),
    }  # fmt: skip
    assert names == {"left", "right", "block", "tower", "shared", "cat", "bn", "one", "two"}


def test_nested_models_are_opened():
    edges, names = named_edges(branching(), expand_nested=True)
    assert {
        ("left", "block_in"), ("block_in", "block_a"), ("block_in", "block_add"), ("block_a", "block_add"),
        ("block_add", "shared"), ("right", "t1"), ("t1", "t2"), ("t2", "shared"),
    } <= edges  # fmt: skip
    assert not {"block", "tower"} & names
    deep = ours.Sequential([ours.Input((4,)), ours.Sequential([inner("x")], name="y"), L.Dense(1, name="z")])
    assert {("x_add", "z")} <= named_edges(deep, expand_nested=True)[0]


def test_a_chain_and_a_subclassed_model():
    chain = ours.Sequential([ours.Input((3,)), L.Dense(2, name="a"), L.Dense(2, name="b"), L.Dense(1, name="c")])
    assert named_edges(chain)[0] == {("a", "b"), ("b", "c")}

    class Own(ours.Model):
        def __init__(self):
            super().__init__(name="own")
            self.first = L.Dense(2, name="first")

        def call(self, inputs):
            return self.first(inputs)

    model = Own()
    with pytest.raises(ValueError, match="not yet been built"):
        ours.utils.model_to_dot(model)
    model.build((None, 3))
    assert named_edges(model) == (set(), {"own"})
    assert named_edges(model, expand_nested=True) == (set(), {"first"})


def test_facts_in_the_language_of_graphviz():
    model = branching()
    dot = ours.utils.model_to_dot(model, **FULL).to_string()
    for text in ("<b>shared</b> (Dense)", "(None, 12)", "float32", "Activation: <b>linear</b>", "Non-trainable"):
        assert text in dot
    assert "penwidth=2" in dot
    plain = ours.utils.model_to_dot(model, show_layer_names=False).to_string()
    assert "<b>Dense</b>" in plain and "shared" not in plain and "float32" not in plain
    nested = ours.utils.model_to_dot(model, expand_nested=True, rankdir="LR").to_string()
    assert "cluster_block" in nested and "LR" in nested
    assert "subgraph" in ours.utils.model_to_dot(model, subgraph=True).to_string()
    with pytest.raises(ValueError, match="no longer supported"):
        ours.utils.model_to_dot(model, layer_range=["a", "b"])
    with pytest.raises(ValueError, match="Unrecognized keyword"):
        ours.utils.plot_model(model, other=1)


@pytest.mark.parametrize("rankdir", ["TB", "LR", "BT", "RL"])
def test_nothing_overlaps_and_arrows_point_the_way(rankdir):
    drawing = draw(diagram_of(branching(), Style(expand_nested=True, **FULL)), rankdir)
    cells = [box for box in drawing.rectangles if not box.is_dashed]
    for i, a in enumerate(cells):
        assert 0 <= a.x and a.x + a.width <= drawing.width and 0 <= a.y and a.y + a.height <= drawing.height
        for b in cells[i + 1 :]:
            apart = (
                a.x + a.width <= b.x + 0.01
                or b.x + b.width <= a.x + 0.01
                or a.y + a.height <= b.y + 0.01
                or b.y + b.height <= a.y + 0.01
            )
            assert apart, (a, b)
    axis, sign = (0 if rankdir in ("LR", "RL") else 1), (1 if rankdir in ("TB", "LR") else -1)
    for curve in drawing.curves:
        assert sign * (curve.points[-1][axis] - curve.points[0][axis]) > 0
        for point in curve.points[1:-1]:  # no arrow goes through a box
            inside = [c for c in cells if c.x < point[0] < c.x + c.width and c.y < point[1] < c.y + c.height]
            assert not inside, (curve, inside)


def test_circles_and_empty_graphs_are_placed():
    placed = place([(10, 5), (20, 5), (10, 5)], [(0, 1), (1, 0), (1, 2)], 4, 8)
    assert [y for _, y in placed.centres] == [0, 13, 26]
    assert place([], [], 1, 1).size == (0, 0)
    with pytest.raises(ValueError, match="`rankdir` must be"):
        draw(diagram_of(branching(), Style()), "up")


def test_svg_is_well_formed():
    model = ours.Sequential([ours.Input((3,)), L.Dense(2, name="a&b<c")])
    root = ElementTree.fromstring(svg(draw(diagram_of(model, Style()))))
    assert "a&b<c" in "".join(root.itertext())


def test_files_without_graphviz(tmp_path, monkeypatch):
    monkeypatch.setattr(plotting, "has_graphviz", lambda: False)
    model = ours.Sequential([ours.Input((3,)), L.Dense(2)], name="small")
    picture = ours.utils.plot_model(model, tmp_path / "m.svg", show_shapes=True)
    assert "(None, 2)" in picture._repr_mimebundle_()["image/svg+xml"]
    assert "<svg" in ours.utils.plot_model(model, str(tmp_path / "m.html"))._repr_mimebundle_()["text/html"]
    assert ours.utils.plot_model(model, tmp_path / "m.png", dpi=50)._repr_mimebundle_()["image/png"][1:4] == b"PNG"
    assert ours.utils.plot_model(model, tmp_path / "m.pdf", dpi=50) is None
    assert (tmp_path / "m.pdf").read_bytes()[:4] == b"%PDF"
    ours.utils.plot_model(model, tmp_path / "m.dot")
    assert re.match(r'digraph "small" \{', (tmp_path / "m.dot").read_text())
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"'model\.svg' and 'model\.html' need neither"):
        ours.utils.plot_model(model, tmp_path / "n.png")
