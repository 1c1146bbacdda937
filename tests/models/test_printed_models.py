"""The text of `print(model)` and of `summary()`: every layer is named, and lines fit a terminal."""

import pytest
import torch

import torchkeras as keras


def branched():
    x = keras.Input((3,), name="first")
    y = keras.layers.Dense(3, name="a_layer_with_quite_a_long_name_that_needs_room")(x)
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="within")], name="nested")
    return keras.Model(x, inner(keras.layers.add([x, y], name="sum")), name="branched")


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="subclassed")
        self.dense = keras.layers.Dense(2, name="dense")
        self.linear = torch.nn.Linear(2, 3)

    def call(self, x):
        return self.linear(self.dense(x))


def test_print_shows_names_classes_shapes_and_parameters():
    lines = str(branched()).splitlines()
    assert lines[0] == "Functional(name='branched', built=True," and lines[-1] == ")"
    assert "  (first): InputLayer -> (None, 3)" in lines
    assert "  (nested): Sequential -> (None, 2), 8 parameters" in lines
    assert lines[lines.index("  (nested): Sequential -> (None, 2), 8 parameters") + 1].startswith("    (within): Dense")


def test_print_of_a_subclassed_model():
    model = Subclassed()
    assert "(dense): Dense, not built" in str(model)
    model(torch.ones(1, 4))
    assert "(dense): Dense -> (1, 2), 10 parameters" in str(model)
    assert "Linear, 9 parameters" in str(model)


def test_repr_is_one_line():
    for thing in (branched(), Subclassed(), keras.layers.Dense(2)):
        assert repr(thing).count("\n") == 0 and thing.name in repr(thing)
    assert str(keras.layers.Dense(2, name="d")) == "<Dense name=d, built=False>"


def test_print_of_a_deep_model_stays_short():
    model = keras.Sequential([keras.Input((2,)), *(keras.layers.Dense(2, name=f"d{i}") for i in range(90))])
    text = str(model)
    assert "... 50 more" in text and "(d0)" in text and "(d89)" in text and len(text.splitlines()) == 43


def test_names_wider_than_a_column_break_where_their_parts_join():
    inputs = keras.Input((4, 4, 1), name="image")
    pooled = keras.layers.GlobalAveragePooling2D(name="global_average_pooling2d")(inputs)
    flat = keras.layers.Flatten(name="flat")(inputs)
    model = keras.Model(inputs, keras.layers.Concatenate(name="join")([pooled, flat]))
    lines = []
    model.summary(line_length=80, print_fn=lines.append)
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines[0].splitlines() if line.startswith("│")]
    first, *_, connected = zip(*cells, strict=True)
    assert " ".join(first).split()[2:7] == ["global_average_", "pooling2d", "(GlobalAverage", "Pooling2D)", "flat"]
    assert not any(cell.startswith((",", " ")) for cell in connected)
    assert "flat[0][0]" in connected


@pytest.mark.parametrize("show_trainable", [False, True])
@pytest.mark.parametrize("expand_nested", [False, True])
@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_summary_is_as_wide_as_asked(width, expand_nested, show_trainable):
    shown = []
    branched().summary(width, print_fn=shown.append, expand_nested=expand_nested, show_trainable=show_trainable)
    table = [line for line in shown[0].splitlines() if line[0] in "┏┃┡│├└"]
    assert {len(line) for line in table} == {width}
    if width >= 80:
        assert ("Trainable ┃" in shown[0]) == show_trainable
