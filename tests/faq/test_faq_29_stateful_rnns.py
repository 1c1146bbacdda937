"""FAQ: how to use stateful RNNs."""

import numpy as np
import pytest

import torchkeras as keras
from torchkeras import layers

KINDS = ["LSTM", "GRU", "SimpleRNN"]


@pytest.fixture
def x(rng):
    return rng.normal(size=(32, 21, 16)).astype("float32")


def keras_2(kind):
    model = keras.Sequential()
    model.add(getattr(layers, kind)(32, input_shape=(10, 16), batch_size=32, stateful=True))
    model.add(layers.Dense(16, activation="softmax"))
    return model


def keras_3(kind):
    inputs = keras.Input(batch_shape=(32, 10, 16))
    x = getattr(layers, kind)(32, stateful=True)(inputs)
    return keras.Model(inputs, layers.Dense(16, activation="softmax")(x))


def one_call(model, x):
    """The output for the whole sequence from a start at zero."""
    recurrent = next(layer for layer in model.layers if hasattr(layer, "stateful"))
    recurrent.reset_state()
    output = model.layers[-1](recurrent(x)).detach().numpy()
    recurrent.reset_state()
    return output


@pytest.mark.parametrize("make", [keras_2, keras_3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_faqs_example(kind, make, x):
    model = make(kind)
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy")
    model.train_on_batch(x[:, :10, :], np.reshape(x[:, 10, :], (32, 16)))
    model.train_on_batch(x[:, 10:20, :], np.reshape(x[:, 20, :], (32, 16)))
    model.reset_states()
    model.layers[-2].reset_states()


@pytest.mark.parametrize("kind", KINDS)
def test_predict_carries_the_state_on(kind, x):
    model = keras_3(kind)
    whole = one_call(model, x[:, :20])
    first = model.predict(x[:, :10], batch_size=32, verbose=0)
    second = model.predict(x[:, 10:20], batch_size=32, verbose=0)
    np.testing.assert_allclose(second, whole, rtol=1e-4, atol=1e-5)
    model.reset_state()
    np.testing.assert_allclose(model.predict(x[:, :10], batch_size=32, verbose=0), first, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", ["fit", "train_on_batch"])
@pytest.mark.parametrize("kind", KINDS)
def test_training_carries_the_state_on(kind, how, x):
    model = keras_3(kind)
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    whole = one_call(model, x[:, :20])
    y = np.zeros((32, 16), "float32")
    for part in (x[:, :10], x[:, 10:20]):
        if how == "fit":
            loss = model.fit(part, y, batch_size=32, shuffle=False, verbose=0).history["loss"][0]
        else:
            loss = model.train_on_batch(part, y)
    assert loss == pytest.approx((whole.astype("float64") ** 2).mean(), rel=1e-4)


def test_batches_of_one_fit_follow_each_other(x):
    """With shuffle=False sample i of each batch goes on where sample i of the batch before stopped."""
    model = keras_3("LSTM")
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    whole = one_call(model, x[:, :20])
    parts = np.concatenate([x[:, :10], x[:, 10:20]])
    first = model.predict(x[:, :10], batch_size=32, verbose=0)
    model.reset_states()
    found = model.fit(parts, np.zeros((64, 16), "float32"), batch_size=32, shuffle=False, verbose=0).history["loss"][0]
    wanted = (np.concatenate([first, whole]).astype("float64") ** 2).mean()
    assert found == pytest.approx(wanted, rel=1e-4)


def test_without_a_batch_size_the_error_says_how_to_give_it():
    with pytest.raises(ValueError, match="batch"):
        keras.Sequential([keras.Input((10, 16)), layers.LSTM(4, stateful=True)])
