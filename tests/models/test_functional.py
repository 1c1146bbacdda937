"""Functional models: graphs, inputs in all forms, errors, clones, saved weights' order; Sequential's life."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers


def two():
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    return keras.Model([a, b], layers.Concatenate()([a, b]), name="two")


def by_dict():
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    return keras.Model({"a": a, "b": b}, layers.Concatenate()([a, b]), name="two")


A, B = np.ones((4, 3), "float32"), np.zeros((4, 2), "float32")


@pytest.mark.parametrize("make", [two, by_dict])
@pytest.mark.parametrize("data", [[A, B], (A, B), {"a": A, "b": B}, {"b": B, "a": A}, [torch.tensor(A), B]])
@pytest.mark.filterwarnings("ignore:The structure of")
def test_inputs_in_all_forms(make, data):
    assert make()(data).shape == (4, 5)


WRONG = {
    "one": (A, ["two", "2", "1"]),
    "three": ([A, B, B], ["two", "2", "3"]),
    "name": ({"a": A, "c": B}, ["two", "'b'", "'c'"]),
    "size": ([A, A], ["two", "'b'", "(None, 2)", "(4, 3)"]),
    "rank": ([A, np.ones((4, 2, 2), "float32")], ["two", "'b'", "(None, 2)", "(4, 2, 2)"]),
    "none": ([A, None], ["two", "'b'", "None"]),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_inputs_are_told(kind):
    data, words = WRONG[kind]
    with pytest.raises(ValueError) as error:
        two()(data)
    assert all(word in str(error.value) for word in words), error.value


def test_types_follow_the_inputs():
    x = keras.Input((2,), dtype="int32")
    y = keras.Input((2,))
    model = keras.Model([x, y], [x, y])
    got = model([np.ones((1, 2)), np.ones((1, 2))])
    assert [t.dtype for t in got] == [torch.int32, torch.float32]


def test_a_last_axis_of_one_may_lack_or_be_there():
    x = keras.Input((1,))
    assert keras.Model(x, layers.Dense(2)(x))(np.ones(3)).shape == (3, 2)
    x = keras.Input((4,))
    assert keras.Model(x, layers.Dense(2)(x))(np.ones((3, 4, 1))).shape == (3, 2)


def test_optional_inputs():
    class Maybe(layers.Layer):
        def call(self, x, y=None):
            return x if y is None else x + y

    x, y = keras.Input((2,), name="x"), keras.Input((2,), name="y", optional=True)
    model = keras.Model({"x": x, "y": y}, Maybe()(x, y))
    ones = np.ones((1, 2), "float32")
    assert model({"x": ones, "y": None}).tolist() == [[1, 1]]
    assert model({"x": ones, "y": ones}).tolist() == [[2, 2]]


# ------------------------------------------------------------------ making


def test_what_is_no_model():
    x, y = keras.Input((2,), name="x"), keras.Input((2,), name="y")
    with pytest.raises(ValueError, match="'y'"):
        keras.Model(x, layers.Add()([x, y]))
    with pytest.raises(ValueError, match="KerasTensor"):
        keras.Model(np.ones(2), x)
    with pytest.raises(ValueError, match="KerasTensor"):
        keras.Model(x, np.ones(2))
    with pytest.raises(ValueError, match="empty"):
        keras.Model(x, [])
    with pytest.raises(ValueError, match='The name "same" is used 2 times'):
        keras.Model(x, layers.Dense(2, name="same")(layers.Dense(2, name="same")(x)))
    with pytest.raises(ValueError, match="no layer"):
        keras.Model(keras.KerasTensor((None, 2)), x)


def test_a_model_without_call_says_so():
    with pytest.raises(NotImplementedError, match="call"):
        keras.Model()(torch.ones(1))


@pytest.mark.parametrize("what", ["input", "output", "inputs", "outputs", "input_shape", "output_shape"])
def test_a_subclassed_model_has_no_symbolic_parts(what):
    class Own(keras.Model):
        def call(self, x):
            return x

    assert not hasattr(Own(), what)
    with pytest.raises(AttributeError, match="subclass"):
        getattr(Own(), what)


def test_a_layer_tells_its_ends_or_why_not():
    layer = layers.Dense(2)
    with pytest.raises(AttributeError, match="symbolic"):
        getattr(layer, "output")  # noqa: B009
    x = keras.Input((3,))
    y = layer(x)
    layer(keras.Input((3,)))
    assert layer.output is y and layer.input is x


def test_parts_of_a_model_share_its_layers(rng):
    x = keras.Input((3,))
    middle = layers.Dense(4)(x)
    whole = keras.Model(x, layers.Dense(2)(layers.ReLU()(middle)))
    front, back = keras.Model(x, middle), keras.Model(middle, whole.output)
    data = rng.normal(size=(5, 3)).astype("float32")
    torch.testing.assert_close(back(front(data)), whole(data))
    assert {id(w) for w in front.weights + back.weights} == {id(w) for w in whole.weights}
    assert len(whole.layers) == 4


def test_layers_are_found_by_name_and_index():
    model = two()
    assert model.get_layer("a") is model.get_layer(index=0)
    assert model.get_layer(index=-1) is model.layers[-1]
    for wrong in ({}, {"name": "a", "index": 0}, {"name": "z"}, {"index": 9}):
        with pytest.raises(ValueError):
            model.get_layer(**wrong)
    with pytest.raises(AttributeError, match="layers"):
        model.layers = []


def test_layers_added_as_attributes_belong_to_the_model():
    x = keras.Input((3,))
    model = keras.Model(x, layers.Dense(2)(x))
    model.extra = layers.Dense(5)
    model.extra.build((None, 2))
    assert len(model.weights) == 4
    assert "extra.kernel" in model.state_dict()


def test_a_subclass_of_a_functional_model(rng):
    class Own(keras.Model):
        def __init__(self, units):
            x = keras.Input((3,))
            self.inner = layers.Dense(units)
            super().__init__(x, self.inner(x))

        def call(self, x, training=None):
            return 2 * super().call(x, training=training)

    model = Own(2)
    data = torch.from_numpy(rng.normal(size=(2, 3)).astype("float32"))
    torch.testing.assert_close(model(data), 2 * model.inner(data))
    assert len(model.weights) == 2


# ------------------------------------------------------------------ clones


def test_clone_function_and_call_function():
    x = keras.Input((3,))
    model = keras.Model(x, layers.Dense(2, name="d")(layers.ReLU()(x)))

    def wider(layer):
        return layers.Dense(5, name="wide") if layer.name == "d" else layer.from_config(layer.get_config())

    def with_dropout(layer, *args, **kwargs):
        y = layer(*args, **kwargs)
        return layers.Dropout(0.5)(y) if isinstance(layer, layers.Dense) else y

    copy = keras.models.clone_model(model, clone_function=wider, call_function=with_dropout)
    assert copy.output_shape == (None, 5)
    assert [type(layer).__name__ for layer in copy.layers] == ["InputLayer", "ReLU", "Dense", "Dropout"]


def test_clone_on_new_inputs_and_with_shared_layers():
    model = two()
    a, b = keras.Input((3,), batch_size=7), keras.Input((2,), batch_size=7)
    copy = keras.models.clone_model(model, input_tensors=[a, b])
    assert copy.output_shape == (7, 5)
    same = keras.models.clone_model(keras.Model(a, layers.Dense(2, name="d")(a)), clone_function=lambda layer: layer)
    assert same.layers[1].name == "d"
    with pytest.raises(ValueError, match="structure"):
        keras.models.clone_model(model, input_tensors=a)


def test_recursive_clones_reach_nested_layers():
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(3)])
    x = keras.Input((3,))
    model = keras.Model(x, inner(x))
    seen = []

    def note(layer):
        seen.append(type(layer).__name__)
        return layer.from_config(layer.get_config())

    keras.models.clone_model(model, clone_function=note, recursive=True)
    assert "Dense" in seen and "Sequential" not in seen
    seen.clear()
    keras.models.clone_model(model, clone_function=note)
    assert "Sequential" in seen and "Dense" not in seen


# ------------------------------------------------------------------ Sequential


def test_sequential_refuses():
    with pytest.raises(ValueError, match="Only instances"):
        keras.Sequential([{}])
    with pytest.raises(ValueError, match="should have unique names"):
        keras.Sequential([layers.Dense(1, name="a"), layers.Dense(1, name="a")])
    with pytest.raises(ValueError, match="first"):
        keras.Sequential([keras.Input((2,)), keras.Input((2,))])
    with pytest.raises(ValueError, match="no layers"):
        keras.Sequential().build((None, 2))
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    with pytest.raises(ValueError, match="already been configured"):
        model.build((None, 3))
    with pytest.raises(AttributeError, match=r"Use `add\(\)` and `pop\(\)`"):
        model.layers = []


def test_sequential_grows_and_shrinks():
    model = keras.Sequential()
    model.add(layers.Dense(3))
    assert not model.built and model.weights == []
    model.add(layers.Dense(2))
    model.build((None, 4))
    assert [w.shape for w in model.weights] == [(4, 3), (3,), (3, 2), (2,)]
    popped = model.pop()
    assert popped.units == 2 and model.output_shape == (None, 3)
    model.add(layers.Dense(5))
    assert model.output_shape == (None, 5) and len(model.weights) == 4


@pytest.mark.parametrize("kwargs, shape", [
    ({"input_shape": (3,)}, (None, 3)),
    ({"input_dim": 3}, (None, 3)),
    ({"input_shape": (3,), "batch_size": 2}, (2, 3)),
    ({"batch_input_shape": (2, 3)}, (2, 3)),
])  # fmt: skip
def test_keras_2_first_layers(kwargs, shape):
    model = keras.Sequential([layers.Dense(4, **kwargs)])
    assert model.input_shape == shape and len(model.layers) == 1 and len(model.weights) == 2


def test_torch_modules_in_a_row():
    model = keras.Sequential([keras.Input((3,)), torch.nn.Linear(3, 4), layers.Dense(2)])
    assert model.output_shape == (None, 2)
    assert len(model.trainable_weights) == 4
    model(torch.ones(2, 3)).sum().backward()
    assert all(w.grad is not None for w in model.trainable_weights)


def test_a_layer_of_unknown_shape_waits_for_data():
    class Dynamic(layers.Layer):
        def call(self, x):
            return x[: max(1, int(x.sum().item()))]

    model = keras.Sequential([keras.Input((3,)), Dynamic(), layers.Dense(2)])
    assert model(torch.ones(2, 3)).shape == (2, 2)


def test_sequential_state_dict_bears_layer_names():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, name="one"), layers.Dense(2, name="two")])
    assert list(model.state_dict()) == ["one.kernel", "one.bias", "two.kernel", "two.bias"]


# ------------------------------------------------------------------ summary


def test_summary_options():
    x = keras.Input((3,), name="x")
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(4, name="deep")], name="inner")
    model = keras.Model(x, layers.Dense(2, name="end", trainable=False)(inner(x)), name="shown")

    def text(**options):
        lines = []
        model.summary(print_fn=lambda line, **_: lines.append(line), **options)
        return "\n".join(lines)

    assert all(word in text() for word in ("shown", "inner", "end", "(None, 2)", "Total params: 26"))
    assert "deep" not in text() and "deep" in text(expand_nested=True)
    assert "Trainable " in text(show_trainable=True)
    assert "end" not in text(layer_range=("x", "inner"))
    with pytest.raises(ValueError, match="zebra"):
        text(layer_range=("zebra", "end"))
    with pytest.raises(ValueError):
        text(layer_range=("x",))
    assert "unbuilt" in _summary_of(keras.Sequential([layers.Dense(2)]))


def _summary_of(model):
    lines = []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    return "\n".join(lines)


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(2)

    def call(self, x):
        return self.dense(x)


class WithShapeRule(Subclassed):
    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2)


@pytest.mark.parametrize("cls", [Subclassed, WithShapeRule])
@pytest.mark.parametrize("built", [False, True])
def test_subclassed_model_on_a_symbolic_input(cls, built):
    inner, x = cls(), torch.rand(4, 3)
    if built:
        inner(x)
    inputs = keras.Input((3,))
    outer = keras.Model(inputs, inner(inputs))
    assert outer.output_shape == (None, 2)
    torch.testing.assert_close(outer(x), inner(x))
