"""FAQ: how to recover from an interrupted training run."""

import numpy as np
import pytest

import torchkeras as keras


class Interrupt(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at:
            raise RuntimeError("Oh no!")


class Steps(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_train_batch_end(self, batch, logs=None):
        self.epochs[-1] += 1

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(0)


def make_model(seed=3, dropout=0.5):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    return model


@pytest.fixture
def data(rng):
    return rng.normal(size=(24, 10)), rng.normal(size=(24, 1))


@pytest.mark.parametrize("cls", [keras.callbacks.BackupAndRestore, keras.callbacks.experimental.BackupAndRestore])
def test_the_run_of_the_faq_resumes_at_the_interrupted_epoch(cls, data, tmp_path):
    x, y = data
    callback = cls(backup_dir=str(tmp_path / "backup"))
    model = make_model()
    with pytest.raises(RuntimeError, match="Oh no!"):
        model.fit(x, y, epochs=20, steps_per_epoch=5, callbacks=[callback, Interrupt(15)], verbose=0)
    assert model.history.epoch == list(range(15))

    history = model.fit(x, y, epochs=20, steps_per_epoch=5, callbacks=[callback], verbose=0)
    assert history.epoch == list(range(15, 20)) and len(history.history["loss"]) == 5
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("save_freq", ["epoch", 2, 3])
def test_the_result_is_that_of_an_uninterrupted_run(save_freq, data, tmp_path):
    x, y = data

    def run(model, folder, callbacks=(), epochs=6):
        backup = keras.callbacks.BackupAndRestore(folder, save_freq=save_freq)
        plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=1, factor=0.5, min_delta=0.5)
        everything = [backup, plateau, *callbacks]
        return model.fit(x, y, batch_size=4, epochs=epochs, callbacks=everything, validation_split=0.25, verbose=0)

    whole = make_model()
    run(whole, tmp_path / "other")

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 19:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(make_model(), tmp_path / "backup", [Stop()])
    resumed, steps = make_model(seed=99), Steps()
    history = run(resumed, tmp_path / "backup", [steps])

    assert history.epoch == [3, 4, 5]
    left = {"epoch": [5, 5, 5], 2: [2, 5, 5], 3: [2, 5, 5]}[save_freq]
    assert steps.epochs == left
    for mine, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(resumed.optimizer.variables, whole.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    for name, values in whole.history.history.items():
        assert history.history[name] == values[-3:]


@pytest.mark.parametrize("at", [0, 4])
def test_the_epoch_to_resume_at_is_that_of_keras(at, data, tmp_path):
    """An interruption at an epoch's beginning, or within it: the epochs before it are kept, it is done as a whole."""
    import keras as real_keras

    x, y = data
    epochs = []
    for library in (keras, real_keras):
        model = library.Sequential([library.Input((10,)), library.layers.Dense(1)])
        model.compile("adam", "mse")

        class Break(library.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                self.epoch = epoch

            def on_train_batch_end(self, batch, logs=None):
                if (self.epoch, batch) == (2, at):
                    raise RuntimeError("Oh no!")

        backup = library.callbacks.BackupAndRestore(str(tmp_path / library.__name__))
        with pytest.raises(RuntimeError, match="Oh no!"):
            model.fit(x, y, epochs=5, steps_per_epoch=5, callbacks=[backup, Break()], verbose=0)
        epochs.append(model.fit(x, y, epochs=5, steps_per_epoch=5, callbacks=[backup], verbose=0).epoch)
    assert epochs[0] == epochs[1] == [2, 3, 4]
