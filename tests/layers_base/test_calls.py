"""Building, checking, shapes, masks, losses, stateless calls, types, and what torch compiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras import layers
from torchkeras.core.tensors.masks import get_mask


class Scale(layers.Layer):
    """`x * w`, with a running count of calls."""

    def build(self, input_shape):
        self.w = self.add_weight(name="w", shape=(input_shape[-1],), initializer="ones", regularizer="l2")
        self.calls = self.add_weight(name="calls", shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.calls.assign(self.calls + 1)
        return x * self.w


# ------------------------------------------------------------------ errors

WRONG = {
    "rank": (layers.Dense(2), np.ones(3, "float32"), ["'layer'", "min_ndim=2", "(3,)"]),
    "axis": (None, np.ones((2, 4), "float32"), ["'layer'", "3", "(2, 4)"]),
    "ndim": (layers.Conv2D(2, 3), np.ones((2, 3, 3), "float32"), ["'layer'", "ndim=4", "(2, 3, 3)"]),
    "no tensor": (layers.Dense(2), "text", ["'layer'", "text"]),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("symbolic", [False, True])
def test_wrong_inputs_are_told(kind, symbolic):
    layer, x, words = WRONG[kind]
    if layer is None:
        layer = layers.Dense(2)
        layer.build((None, 3))
    layer = type(layer).from_config({**layer.get_config(), "name": "layer"}) if not layer.built else layer
    layer.name = "layer"
    if symbolic and kind != "no tensor":
        x = keras.KerasTensor(x.shape)
    with pytest.raises(ValueError) as error:
        layer(x)
    assert all(word in str(error.value) for word in words), error.value


def test_a_weight_needs_sizes():
    with pytest.raises(ValueError, match="fully known"):
        layers.Dense(2)(keras.KerasTensor((2, None)))


def test_unknown_arguments_are_named():
    with pytest.raises(ValueError, match="colour"):
        layers.Dense(2, colour="red")


def test_a_layer_without_a_call_says_so():
    class Empty(layers.Layer):
        pass

    with pytest.raises(NotImplementedError, match="call"):
        Empty()(torch.ones(1))


# ------------------------------------------------------------------ shapes


class Twice(layers.Layer):
    def call(self, x):
        return {"flat": x.reshape(x.shape[0], -1), "pair": (x, x.sum(-1))}


@pytest.mark.parametrize("shape", [(None, 3, 4), (2, 3, 4)])
def test_shapes_come_from_the_call(shape):
    assert Twice().compute_output_shape(shape) == {"flat": (shape[0], 12), "pair": (shape, shape[:2])}
    outputs = Twice()(keras.Input(batch_shape=shape))
    assert outputs["flat"].shape == (shape[0], 12)
    assert [t.shape for t in outputs["pair"]] == [shape, shape[:2]]


def test_unknown_sizes_stay_unknown():
    class Pool(layers.Layer):
        def call(self, x):
            return x.mean(1)

    assert Pool().compute_output_shape((None, None, 5)) == (None, 5)
    assert Pool()(keras.Input((None, 5))).shape == (None, 5)


def test_several_arguments():
    class Two(layers.Layer):
        def build(self, x_shape, y_shape):
            self.seen = (x_shape, y_shape)

        def call(self, x, y, scale=1.0):
            return x @ y * scale

    layer = Two()
    assert layer(torch.ones(2, 3), torch.ones(3, 4), scale=2.0).shape == (2, 4)
    assert layer.seen == ((2, 3), (3, 4))
    assert Two()(keras.Input((3,)), keras.Input(batch_shape=(3, 4)), scale=2.0).shape == (None, 4)


def test_inference_changes_no_state():
    layer = Scale()
    layer(keras.Input((3,)))
    assert float(layer.calls.numpy()) == 0
    layer(torch.ones(1, 3))
    assert float(layer.calls.numpy()) == 1


def test_data_that_can_not_be_inferred_says_what_to_do():
    class Dynamic(layers.Layer):
        def call(self, x):
            return torch.nonzero(x)

    with pytest.raises(NotImplementedError, match="compute_output_shape"):
        Dynamic()(keras.Input((3,)))


# ------------------------------------------------------------------ masks


@pytest.mark.parametrize("build", [
    lambda: keras.Sequential([layers.Embedding(9, 4, mask_zero=True), layers.Dropout(0.5), layers.LSTM(3)]),
    lambda: functional_masked(),
])  # fmt: skip
def test_masks_reach_recurrent_layers(build, rng):
    model = build()
    ids = rng.integers(1, 9, (2, 5))
    ids[:, 3:] = 0
    long, short = model(ids), model(ids[:, :3])
    torch.testing.assert_close(long, short)


def functional_masked():
    x = keras.Input((None,), dtype="int32")
    y = layers.Embedding(9, 4, mask_zero=True)(x)
    y = layers.Dense(4, activation="tanh")(y)
    return keras.Model(x, layers.LSTM(3)(keras.Model(*_activation())(y)))


def _activation():
    x = keras.Input((None, 4))
    return x, layers.Activation("relu")(x)


def test_an_explicit_mask_wins(rng):
    x = torch.from_numpy(rng.normal(size=(2, 4, 3)).astype("float32"))
    mask = torch.tensor([[True, True, False, False]] * 2)
    layer = layers.LSTM(2)
    torch.testing.assert_close(layer(x, mask=mask), layer(x[:, :2]))


def test_supporting_layers_hand_masks_on():
    x = layers.Masking()(torch.tensor([[[1.0], [0.0]]]))
    assert get_mask(layers.Dense(2)(x)).tolist() == [[True, False]]

    class Plain(layers.Layer):
        def call(self, x):
            return x * 2

    with pytest.warns(UserWarning, match="mask"):
        assert get_mask(Plain()(x)) is None


# ------------------------------------------------------------------ losses


def test_losses_are_those_of_the_last_call():
    class Adds(layers.Layer):
        def call(self, x):
            self.add_loss(x.sum())
            return x

    model = keras.Sequential([Adds(), layers.Dense(1, activity_regularizer="l1"), Scale()])
    for _ in range(2):
        model(torch.ones(2, 3))
    assert len(model.losses) == 3
    assert float(model.losses[0]) == 6.0


@pytest.mark.parametrize("layer", [layers.Dense(2, activity_regularizer="l2"), layers.ActivityRegularization(l1=1.0)])
def test_a_lone_layer_forgets_the_last_call(layer):
    for _ in range(3):
        layer(torch.ones(2, 3))
    assert len(layer.losses) == 1


def test_regularizers_follow_trainable():
    layer = layers.Dense(2, kernel_regularizer="l2", bias_regularizer="l1")
    layer.build((None, 3))
    assert len(layer.losses) == 2
    torch.testing.assert_close(layer.losses[0], 0.01 * layer.kernel.square().sum())
    layer.trainable = False
    assert layer.losses == []


# ------------------------------------------------------------------ stateless calls


def test_stateless_call_leaves_the_layer_alone():
    layer = Scale()
    layer.build((None, 3))
    x = torch.ones(2, 3)
    outputs, after = layer.stateless_call([torch.full((3,), 5.0)], [torch.tensor(7.0)], x)
    torch.testing.assert_close(outputs, 5 * x)
    assert [float(v) for v in after] == [8.0]
    assert float(layer.calls.numpy()) == 0
    outputs, after, losses = layer.stateless_call([torch.full((3,), 5.0)], [torch.tensor(7.0)], x, return_losses=True)
    torch.testing.assert_close(losses[0], torch.tensor(0.75))
    with pytest.raises(ValueError, match="2 values"):
        layer.stateless_call([], [], x)


def test_stateless_call_of_a_model_with_batch_norm(rng):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(3), layers.BatchNormalization()])
    x = rng.normal(size=(8, 3)).astype("float32")
    before = model.get_weights()
    trainable, other = list(model.trainable_variables), list(model.non_trainable_variables)
    outputs, after = model.stateless_call(trainable, other, x, training=True)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    torch.testing.assert_close(outputs, model(x, training=True))
    for value, variable in zip(after, model.non_trainable_variables, strict=True):
        np.testing.assert_allclose(value.detach(), variable.numpy(), rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------ types


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_computes_low_and_keeps_high(policy):
    layer = layers.Dense(4, dtype=policy)
    y = layer(torch.ones(2, 3))
    assert y.dtype == getattr(torch, policy.removeprefix("mixed_"))
    assert layer.kernel.dtype == torch.float32
    y.float().sum().backward()
    assert layer.kernel.grad.dtype == torch.float32


def test_mixed_precision_inside_float32():
    model = keras.Sequential([layers.Dense(4, dtype="mixed_bfloat16"), layers.Dense(2, dtype="float32")])
    assert model(torch.ones(2, 3)).dtype == torch.float32


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_moving_takes_the_policy_along(dtype):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.BatchNormalization()])
    torch_dtype = getattr(torch, dtype)
    assert model.to(torch_dtype) is model
    assert {w.dtype for w in model.weights} == {torch_dtype}
    assert model.layers[0].compute_dtype == dtype
    assert model.layers[0](torch.ones(2, 3)).dtype == torch_dtype
    assert all(w.path for w in model.weights)


def test_half():
    layer = layers.Dense(4)
    layer.build((None, 3))
    assert layer.half()(torch.ones(2, 3)).dtype == torch.float16


def test_integers_are_not_cast():
    class Same(layers.Layer):
        def call(self, x):
            return x

    assert Same()(np.arange(3)).dtype in (torch.int32, torch.int64)
    assert Same(dtype="float64")(np.ones(3, "float32")).dtype == torch.float64
    assert Same(dtype="float64", autocast=False)(torch.ones(3)).dtype == torch.float32


# ------------------------------------------------------------------ graphs


def chain():
    x = keras.Input((4,))
    y = layers.Dense(4, activation="relu")(x)
    y = layers.Add()([layers.BatchNormalization()(y), x])
    return keras.Model({"x": x}, [layers.Dropout(0.2)(y), layers.Dense(1)(y)])


GRAPHS = {
    "functional": (chain, {"x": torch.randn(3, 4)}),
    "sequential": (lambda: keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.ReLU()]), torch.randn(3, 4)),
    "late sequential": (lambda: built(keras.Sequential([layers.Dense(3), layers.ReLU()])), torch.randn(3, 4)),
    "nested": (lambda: keras.Sequential([keras.Input((4,)), functional_inner(), layers.Dense(2)]), torch.randn(3, 4)),
    "masked": (lambda: keras.Sequential([keras.Input((4,)), layers.Embedding(9, 3, mask_zero=True),
                                         layers.GlobalAveragePooling1D()]), torch.tensor([[1, 2, 0, 0]])),
    "mixed": (lambda: keras.Sequential([keras.Input((4,)), layers.Dense(3, dtype="mixed_bfloat16")]),
              torch.randn(3, 4)),
}  # fmt: skip


def built(model):
    model(torch.ones(1, 4))
    return model


def functional_inner():
    x = keras.Input((4,))
    return keras.Model(x, layers.Dense(3)(x))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", GRAPHS)
def test_compiles_in_one_graph(kind, training):
    torch._dynamo.reset()
    make, x = GRAPHS[kind]
    model = make()
    got = torch.compile(model, fullgraph=True, backend="eager")(x, training=training)
    wanted = model(x, training=training)
    if not training:
        for a, b in zip(keras.tree.flatten(got), keras.tree.flatten(wanted), strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", ["functional", "sequential", "nested", "late sequential"])
def test_exports(kind):
    make, x = GRAPHS[kind]
    model = make()
    with torch.no_grad():
        program = torch.export.export(model, (x,))
        got = program.module()(x)
    for a, b in zip(keras.tree.flatten(got), keras.tree.flatten(model(x)), strict=True):
        torch.testing.assert_close(a, b)
