"""Keys of `state_dict()`: a model's keys depend on the model alone."""

import copy
import pickle

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers


def stack():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(4),
            layers.BatchNormalization(),
            layers.Dense(4, name="scores"),
            layers.Dense(4),
        ]
    )


def two_branches():
    x = keras.Input((6,))
    left, right = layers.Dense(4)(x), layers.Dense(4)(x)
    shared = layers.Dense(4, name="a.shared")
    return keras.Model(x, layers.Add()([shared(left), shared(right), layers.Dense(4)(left)]))


def nested():
    x = keras.Input((6,))
    return keras.Model(x, two_branches()(x) + stack()(x))


class InAttributes(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = layers.Dense(4)
        self.blocks = [stack(), two_branches()]
        self.named = {"one": layers.Dense(4)}
        self.some = {layers.Dense(4), layers.Dense(4)}

    def call(self, x):
        for dense in self.some:
            x = x + dense(self.first(x)).sum()
        return self.named["one"](self.blocks[0](x) + self.blocks[1](x))


def in_attributes():
    model = InAttributes()
    model(torch.zeros(1, 6))
    return model


class Unnamed(layers.Layer):
    """Two weights that have neither a name nor an attribute."""

    def build(self, input_shape):
        self.add_weight((2,))
        self.add_weight((3,), trainable=False)

    def call(self, x):
        return x


def unnamed():
    layer = Unnamed()
    layer.build((None, 2))
    return layer


MAKERS = {f.__name__: f for f in (stack, two_branches, nested, in_attributes, unnamed)}
KEYS = {
    "stack": ["dense", "batch_normalization", "scores", "dense_1"],
    "two_branches": ["dense", "dense_1", "a_shared", "dense_2"],
    "nested": ["functional", "sequential"],
    "in_attributes": ["first", "blocks", "named", "some"],
    "unnamed": ["variable", "variable_1"],
}


def first_parts(model):
    return list(dict.fromkeys(key.split(".")[0] for key in model.state_dict()))


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("before", [0, 1, 8])
def test_equal_models_have_equal_keys(name, before):
    for _ in range(before):  # with 8 the two models have names on both sides of "dense_9" and "dense_10"
        layers.Dense(1)
    one, other = MAKERS[name](), MAKERS[name]()
    assert sorted(first_parts(one)) == sorted(KEYS[name])
    assert list(one.state_dict()) == list(other.state_dict())
    other.load_state_dict(one.state_dict())
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["stack", "two_branches", "nested"])
def test_copies_and_files_keep_the_keys(name, tmp_path):
    layers.Dense(1)
    model = MAKERS[name]()
    model.save(tmp_path / "model.keras")
    copies = [
        keras.models.clone_model(model),
        type(model).from_config(model.get_config()),
        keras.models.load_model(tmp_path / "model.keras"),
        keras.models.model_from_json(model.to_json()),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
    ]
    for other in copies:
        assert list(other.state_dict()) == list(model.state_dict())
        other.load_state_dict(model.state_dict())


def test_given_names_come_first():
    def model(add):
        made = keras.Sequential()
        for layer in (layers.Dense(1), layers.Dense(1), layers.Dense(1, name="dense"), layers.Dense(1, name="dense_2")):
            layer.name = layer.name if layer.__dict__["_tk_name_given"] else f"{layer.name}0"
            add(made, layer)
        return made

    layers.Dense(1)
    one_by_one = model(lambda made, layer: made.add(layer))
    at_once = keras.Sequential(one_by_one.layers)
    for made in (one_by_one, at_once):
        assert [key for key, _ in made.named_children()] == ["dense_1", "dense_3", "dense", "dense_2"]
        assert [layer.name for layer in made.children()] == [layer.name for layer in one_by_one.layers]
    assert one_by_one.pop().name == "dense_2" and one_by_one.pop().name == "dense"
    assert list(one_by_one._modules) == ["dense", "dense_1"]
    one_by_one.add(layers.Dense(1, name="other"))
    one_by_one.add(layers.Dense(1))
    assert list(one_by_one._modules) == ["dense", "dense_1", "other", "dense_2"]


def test_an_attribute_keeps_its_key_in_a_functional_subclass():
    class Classifier(keras.Model):
        def __init__(self):
            self.first = layers.Dense(4)
            x = keras.Input((6,))
            super().__init__(x, layers.Dense(2)(layers.Dense(3, name="first")(self.first(x))))

    for _ in range(2):
        assert first_parts(Classifier()) == ["first", "first_", "dense"]


@pytest.mark.parametrize("sort", [False, True])
def test_keys_of_names_are_read(sort, rng):
    """As they were when a layer's name was its key."""
    layers.Dense(1)
    model = stack()
    names = [layer.name for layer in model.layers if layer.weights]
    values = {
        f"{layer.name}.{key}": torch.from_numpy(rng.normal(size=tuple(value.shape)).astype("float32"))
        for layer in model.layers
        for key, value in layer.state_dict().items()
    }
    assert names != KEYS["stack"]
    model.load_state_dict(dict(sorted(values.items())) if sort else values)
    for layer in model.layers:
        for key, value in layer.state_dict().items():
            np.testing.assert_array_equal(value, values[f"{layer.name}.{key}"])


def test_layers_with_each_others_names(rng):
    one, other = layers.Dense(6), layers.Dense(6)
    model = keras.Sequential([keras.Input((6,)), other, one])
    assert [layer.name for layer in model.layers] == ["dense_1", "dense"]
    by_name = {f"{layer.name}.{key}": value + 1 for layer in (other, one) for key, value in layer.state_dict().items()}
    expected = [value + 1 for value in model.state_dict().values()]
    model.load_state_dict(by_name)
    for value, right in zip(model.state_dict().values(), expected, strict=True):
        assert torch.equal(value, right)


def test_a_name_that_could_be_automatic_and_was_given(tmp_path):
    """A file can't say that it was given; weights go both ways all the same."""
    model = keras.Sequential([keras.Input((6,)), layers.Dense(6, name="dense_1"), layers.Dense(6, name="dense_2")])
    assert first_parts(model) == ["dense_1", "dense_2"]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert first_parts(loaded) == ["dense", "dense_1"]
    assert first_parts(keras.models.clone_model(model)) == ["dense_1", "dense_2"]
    for target, source in ((loaded, model), (model, loaded)):
        fresh = {key: value + 1 for key, value in source.state_dict().items()}
        target.load_state_dict(fresh)
        for value, right in zip(target.state_dict().values(), fresh.values(), strict=True):
            assert torch.equal(value, right)


def test_wrong_keys_are_named_as_ever():
    model = stack()
    state = {key.replace("scores", "wrong"): value for key, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match=r"Missing key.*scores\.kernel(?s:.*)Unexpected key.*wrong\.kernel"):
        model.load_state_dict(state)


def test_nested_models_with_names_as_keys():
    layers.Dense(1)
    model = nested()
    inner = model.layers[1]
    state = {}
    for layer in model.layers:
        for key, value in layer.state_dict().items():
            part, _, rest = key.partition(".")
            names = {k: m.name.replace(".", "_") for k, m in layer._modules.items()}
            state[f"{layer.name}.{names[part]}.{rest}"] = value + 1
    assert any(key.startswith(f"{inner.name}.dense_1.") for key in state)
    expected = [value + 1 for value in model.state_dict().values()]
    model.load_state_dict(state)
    for value, right in zip(model.state_dict().values(), expected, strict=True):
        assert torch.equal(value, right)


def test_names_are_compared_once_per_layer():
    """So that a long stack is made in linear time."""

    class Counted(layers.Layer):
        reads = 0

        @property
        def name(self):
            Counted.reads += 1
            return self.__dict__["own_name"]

        @name.setter
        def name(self, value):
            self.__dict__["own_name"] = value

        def call(self, x):
            return x

    def reads(count):
        stack = [Counted() for _ in range(count)]
        Counted.reads = 0
        keras.Sequential([keras.Input((3,)), *stack])
        return Counted.reads / count

    assert reads(80) < 2 * reads(20)
