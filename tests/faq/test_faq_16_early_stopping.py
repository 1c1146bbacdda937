"""FAQ: how to interrupt training when the validation loss isn't decreasing anymore."""

import numpy as np
import pytest

import torchkeras as keras


def overfitting(epochs, callbacks):
    """Targets that can only be learned by heart: the loss falls, the validation loss soon rises."""
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 20)), rng.normal(size=(40, 1))
    model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss="mse")
    history = model.fit(x, y, epochs=epochs, validation_split=0.2, callbacks=callbacks, verbose=0)
    return model, history.history["val_loss"], (x[-8:], y[-8:])


@pytest.mark.parametrize("restore", [False, True])
def test_training_stops_and_may_end_with_the_best_weights(restore):
    stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=2, restore_best_weights=restore)
    model, losses, held_out = overfitting(100, [stopping])
    best = int(np.argmin(losses))
    assert len(losses) < 100
    assert len(losses) == best + 1 + 2 == stopping.stopped_epoch + 1
    expected = losses[best] if restore else losses[-1]
    assert model.evaluate(*held_out, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_without_validation_it_warns():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.warns(UserWarning, match="val_loss"):
        model.fit(np.ones((4, 1)), np.ones(4), callbacks=[keras.callbacks.EarlyStopping()], verbose=0)
