"""`summary()`: columns of memory and operations, and the table of notebooks."""

from __future__ import annotations

import re

import torchkeras as ours

L = ours.layers


def model():
    inputs = ours.Input((5, 5, 2), name="in")
    shared = L.Conv2D(2, 3, padding="same", name="twice")
    flat = L.Flatten(name="flat")(shared(shared(inputs)))
    inner = ours.Sequential([ours.Input((50,)), L.Dense(4, name="within")], name="nested")
    return ours.Model(inputs, L.Dense(3, name="last<b>", trainable=False)(inner(flat)), name="whole")


def columns(text):
    rows = [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in text.splitlines() if line[0] in "│┃"]
    return {row[0].split(" (")[0].removeprefix("└ "): dict(zip(rows[0], row, strict=True)) for row in rows[1:]}


def test_memory_and_operations_by_their_formulas():
    shown = []
    whole = model()
    whole.summary(200, print_fn=shown.append, expand_nested=True, show_memory=True, show_flops=True)
    rows = columns(shown[0])
    convolution = 2 * (2 * 25 * 2 * 2 * 9)  # called twice; an addition and a multiplication
    wanted = {"twice": convolution, "within": 2 * 50 * 4, "nested": 2 * 50 * 4, "last<b>": 2 * 4 * 3, "flat": 0}
    assert {name: rows[name]["FLOPs"] for name in wanted} == {name: f"{count:,}" for name, count in wanted.items()}
    assert rows["in"]["FLOPs"] == "-"
    assert rows["within"]["Memory"] == f"{4 * 51 * 4:.2f} B"
    assert f"forward: {convolution + 400 + 24:,}" in shown[0]
    assert not any(module._forward_hooks for module in whole.modules())


def test_a_model_without_known_inputs_has_no_counts():
    class Own(ours.Model):
        def __init__(self):
            super().__init__()
            self.first = L.Dense(2)

        def call(self, inputs):
            return self.first(inputs)

    shown, own = [], Own()
    own.build((None, 3))
    own.summary(print_fn=shown.append, show_flops=True)
    assert "not known" in shown[0]


def test_notebooks_show_a_table():
    html = model()._repr_html_()
    assert html.count("<tr>") == 7 and "last&lt;b&gt;" in html and "└ within" in html and "Total params: 257" in html
