"""FAQ: why the training loss is higher than the test loss."""

import numpy as np
import pytest

import torchkeras as keras


class Batches(keras.callbacks.Callback):
    """The loss of each batch by itself, from the running means in the logs."""

    def __init__(self, size):
        super().__init__()
        self.size, self.losses = size, []

    def on_train_batch_end(self, batch, logs=None):
        count = self.size * (batch + 1)
        self.losses.append(logs["loss"] * count - sum(self.losses) * self.size)
        self.losses[-1] /= self.size


def test_training_loss_is_the_mean_over_the_epochs_batches(rng):
    """While the weights change; the test loss is that of the weights at the end."""
    x, y = rng.normal(size=(32, 3)), rng.normal(size=(32, 1)) + 3
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    batches = Batches(8)
    history = model.fit(x, y, batch_size=8, callbacks=[batches], validation_data=(x, y), verbose=0).history
    assert history["loss"][0] == pytest.approx(np.mean(batches.losses), rel=1e-4)
    end = ((model.predict(x, verbose=0).astype("float64") - y) ** 2).mean()
    assert history["val_loss"][0] == pytest.approx(end, rel=1e-4)
    assert history["loss"][0] > history["val_loss"][0]


def test_dropout_is_on_in_training_and_off_in_testing():
    x, y = np.ones((4000, 1), "float32"), np.ones((4000, 1), "float32")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dropout(0.5)])
    model.compile(optimizer="sgd", loss="mse")
    history = model.fit(x, y, validation_data=(x, y), batch_size=500, verbose=0).history
    assert history["loss"][0] == pytest.approx(1.0)  # each output is 0 or 2
    assert history["val_loss"] == [0.0]
    assert model.evaluate(x, y, verbose=0) == 0.0
    np.testing.assert_array_equal(model.predict(x, verbose=0), x)


def test_regularization_counts_in_both(rng):
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 1))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_regularizer="l2")])
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    history = model.fit(x, y, validation_data=(x, y), verbose=0).history
    error = ((model.predict(x, verbose=0).astype("float64") - y) ** 2).mean()
    expected = error + 0.01 * (model.layers[0].get_weights()[0].astype("float64") ** 2).sum()
    np.testing.assert_allclose([history["loss"][0], history["val_loss"][0]], expected, rtol=1e-5)
