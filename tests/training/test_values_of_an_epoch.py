"""The logs of an epoch hold the values of its training alone; a name without a value is absent."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import torchkeras as keras

ROWS = 20


@pytest.fixture
def data(rng):
    return rng.normal(size=(ROWS, 3)).astype("float32"), rng.normal(size=(ROWS, 1)).astype("float32")


def model_of(cls=keras.Model, metrics=("mae",), rate=0.0):
    inputs = keras.Input((3,))
    model = cls(inputs, keras.layers.Dense(1)(inputs))
    model.compile(keras.optimizers.SGD(rate), "mse", metrics=list(metrics))
    return model


def batches(data, count, size=4):
    for i in range(count):
        yield tuple(part[i * size % ROWS :][:size] for part in data)


def mean_square(model, data):
    return float(((model.predict(data[0], verbose=0).astype("float64") - data[1]) ** 2).mean())


class Heard(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.ends = []

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append((epoch, dict(logs)))


# ------------------------------------------------------------------------------------------------ data that end


@pytest.mark.parametrize(
    ("count", "steps", "epochs_with_values"),
    [(5, 2, 3), (4, 2, 2), (3, None, 1), (6, 2, 3)],
)
def test_a_generator_that_ends_ends_the_training(data, count, steps, epochs_with_values):
    model, heard = model_of(), Heard()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = model.fit(batches(data, count), steps_per_epoch=steps, epochs=6, verbose=0, callbacks=[heard])
    assert len([w for w in caught if "ran out of data" in str(w.message)]) == 1
    assert [epoch for epoch, _ in heard.ends] == list(range(epochs_with_values))
    assert all(set(logs) == {"loss", "mae"} and min(logs.values()) > 0 for _, logs in heard.ends)
    assert len(history.history["loss"]) == epochs_with_values and model.stop_training is (
        count % (steps or 9) != 0 and steps is not None
    )


def test_the_warning_names_the_data_and_the_users_line(data):
    model = model_of()
    with pytest.warns(UserWarning, match="^Your input ran out of data; interrupting training") as training:
        model.fit(batches(data, 3), steps_per_epoch=2, epochs=2, verbose=0)
    with pytest.warns(UserWarning, match="^Your validation data ran out of data; this validation") as validation:
        model.fit(*data, validation_data=batches(data, 1), validation_steps=2, verbose=0)
    with pytest.warns(UserWarning, match="^Your input ran out of data; the result") as evaluation:
        model.evaluate(batches(data, 1), steps=2, verbose=0)
    for caught in (training, validation, evaluation):
        assert [w.filename for w in caught if "ran out" in str(w.message)] == [__file__]


def test_a_checkpoint_named_for_a_value_of_an_epoch_without_any(data, tmp_path):
    model = model_of()
    checkpoint = keras.callbacks.ModelCheckpoint(str(tmp_path / "{loss:.2f}.keras"))
    checkpoint.set_model(model)
    with pytest.raises(
        KeyError, match="Failed to format.*Reason: .*loss.*It may name epoch: the logs have no value"
    ) as raised:
        checkpoint.on_epoch_end(0, {})
    assert raised.value.__cause__ is None and raised.value.__suppress_context__


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(
    "watcher",
    [
        lambda path: keras.callbacks.EarlyStopping("val_loss", patience=9),
        lambda path: keras.callbacks.ModelCheckpoint(f"{path}/best.keras", "val_loss", save_best_only=True),
        lambda path: keras.callbacks.ReduceLROnPlateau("val_loss", patience=9),
    ],
)
@pytest.mark.filterwarnings("ignore:.*val_loss.*")
def test_validation_data_that_end_give_no_value(data, watcher, tmp_path):
    model, watching = model_of(), watcher(tmp_path)
    history = model.fit(*data, epochs=3, verbose=0, validation_data=batches(data, 2), callbacks=[watching]).history
    assert len(history["loss"]) == 3 and len(history["val_loss"]) == len(history["val_mae"]) == 1
    assert history["val_loss"][0] > 0 and watching.best == history["val_loss"][0]


def test_metrics_without_targets_have_no_value(data):
    model = model_of()
    model.fit(*data, verbose=0)

    class Penalty(keras.layers.Layer):
        def call(self, x):
            self.add_loss(x.square().mean())
            return x

    inputs = keras.Input((3,))
    model = keras.Model(inputs, Penalty()(inputs))
    model.compile("sgd", metrics=["mae"])
    assert set(model.fit(data[0], data[0], verbose=0).history) == {"loss", "mae"}
    assert set(model.fit(data[0], verbose=0).history) == {"loss"}
    assert set(model.evaluate(data[0], verbose=0, return_dict=True)) == {"loss"}


# ------------------------------------------------------------------------------------------------ steps of users


class Untracked(keras.Model):
    """Returns its loss, and updates no metric."""

    def train_step(self, batch):
        x, y = batch
        loss = ((self(x, training=True) - y) ** 2).mean()
        self.seen.append((float(loss.detach()), len(x)))
        return {"loss": loss}

    def test_step(self, batch):
        x, y = batch
        return {"loss": ((self(x) - y) ** 2).mean().item(), "rows": len(x)}


@pytest.mark.parametrize("rows", [20, 18, 3])
def test_a_returned_value_is_averaged_by_rows(data, rows):
    data = [part[:rows] for part in data]
    model = model_of(Untracked, metrics=())
    model.seen = []
    history = model.fit(*data, batch_size=8, epochs=2, verbose=0, validation_data=data).history
    expected = mean_square(model, data)
    np.testing.assert_allclose(history["loss"], [expected] * 2, rtol=1e-5)
    np.testing.assert_allclose(history["val_loss"], [expected] * 2, rtol=1e-5)
    assert history["val_rows"] == [float(rows % 8 or 8) if rows < 8 else float(rows)] * 2 or rows >= 8
    np.testing.assert_allclose(model.evaluate(*data, verbose=0), [expected, rows % 32], rtol=1e-5)
    one = model.train_on_batch(*data, return_dict=True)
    assert set(one) == {"loss"} and one["loss"] == pytest.approx(expected, rel=1e-5)


def test_a_returned_metric_that_is_updated_keeps_its_own_value(data):
    class Half(keras.Model):
        def train_step(self, batch):
            x, y = batch
            y_pred = self(x, training=True)
            loss = ((y_pred - y) ** 2).mean()
            for metric in self.metrics:
                if metric.name == "mae":
                    metric.update_state(y, y_pred)
            return {"loss": loss, "mae": self.get_metrics_result()["mae"]}

    model = model_of(Half)
    history = model.fit(*data, batch_size=6, verbose=0).history
    error = model.predict(data[0], verbose=0).astype("float64") - data[1]
    np.testing.assert_allclose(history["loss"], [(error**2).mean()], rtol=1e-5)
    np.testing.assert_allclose(history["mae"], [np.abs(error).mean()], rtol=1e-5)


@pytest.mark.parametrize("returned", [None, 0.5, [1.0]])
@pytest.mark.parametrize("step", ["train_step", "test_step"])
def test_a_step_that_returns_no_dict_is_told_what_to_return(data, step, returned):
    model = model_of(type("Mine", (keras.Model,), {step: lambda self, batch: returned}))
    with pytest.raises(TypeError, match=rf"Mine.{step}\(\) must return a dict of the values to log.*returned"):
        (model.fit if step == "train_step" else model.evaluate)(*data, verbose=0)


def test_a_step_set_on_the_model_is_used(data):
    model = model_of(metrics=())
    model.train_step = lambda batch: {"loss": torch.tensor(7.0)}
    assert model.fit(*data, verbose=0).history == {"loss": [7.0]}


# ------------------------------------------------------------------------------------------------ evaluate in an epoch


class Evaluates(keras.callbacks.Callback):
    def __init__(self, data, call):
        super().__init__()
        self.data, self.call, self.found = data, call, []

    def on_train_batch_end(self, batch, logs=None):
        self.found.append(self.call(self.model, self.data))


CALLS = {
    "evaluate": lambda model, data: model.evaluate(*data, verbose=0),
    "test_on_batch": lambda model, data: model.test_on_batch(*data),
    "train_on_batch": lambda model, data: model.train_on_batch(*data),
}


@pytest.mark.parametrize("metrics", [["mae"], [keras.metrics.MeanAbsoluteError(name="mae")]])
@pytest.mark.parametrize("call", CALLS)
def test_an_epochs_values_are_its_trainings_alone(call, metrics, data):
    other = data[0], data[1] + 100
    expected = model_of(metrics=["mae"])
    weights = expected.get_weights()
    wanted = expected.fit(*data, batch_size=6, epochs=2, shuffle=False, verbose=0).history
    model, evaluates = model_of(metrics=metrics), Evaluates(other, CALLS[call])
    model.set_weights(weights)
    history = model.fit(*data, batch_size=6, epochs=2, shuffle=False, verbose=0, callbacks=[evaluates]).history
    for name, values in wanted.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-6)
    np.testing.assert_allclose(evaluates.found, [expected.evaluate(*other, verbose=0)] * 8, rtol=1e-5)


def test_an_evaluation_leaves_torchmetrics_of_the_epoch_alone(data):
    torchmetrics = pytest.importorskip("torchmetrics")
    model = model_of(metrics=[torchmetrics.MeanAbsoluteError()])
    evaluates = Evaluates((data[0], data[1] + 100), CALLS["evaluate"])
    history = model.fit(*data, batch_size=6, verbose=0, callbacks=[evaluates]).history
    error = np.abs(model.predict(data[0], verbose=0).astype("float64") - data[1]).mean()
    np.testing.assert_allclose(history["meanabsoluteerror"], [error], rtol=1e-5)


class Order(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.heard = []

    def on_epoch_begin(self, epoch, logs=None):
        self.heard.append(("begin", epoch))

    def on_epoch_end(self, epoch, logs=None):
        self.heard.append(("end", epoch))


class GivesOncePerEpoch:
    """An iterable whose third pass is empty."""

    def __init__(self, data):
        self.data, self.passes = data, 0

    def __iter__(self):
        self.passes += 1
        return iter([self.data] if self.passes < 3 else [])


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("kind", ["generator", "generator in steps", "iterable"])
def test_each_epoch_that_begins_ends(data, kind, tmp_path):
    source = GivesOncePerEpoch(data) if kind == "iterable" else batches(data, 4 if "steps" in kind else 2)
    order = Order()
    saver = [] if kind == "iterable" else [keras.callbacks.ModelCheckpoint(f"{tmp_path}/{{epoch}}-{{loss:.2f}}.keras")]
    steps = 2 if "steps" in kind else None
    history = model_of().fit(source, epochs=5, steps_per_epoch=steps, verbose=0, callbacks=[order, *saver]).history
    begun = [epoch for what, epoch in order.heard if what == "begin"]
    assert order.heard == [(what, epoch) for epoch in begun for what in ("begin", "end")]
    assert len(history["loss"]) == (1 if kind == "generator" else 2)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("use", ["training", "validation", "evaluation"])
def test_the_warning_about_data_that_ended_says_what_follows(data, use):
    words = {
        "training": "interrupting training",
        "validation": "1 of 2 batches. Training goes on",
        "evaluation": "result is that of 1 of 2 batches",
    }
    model = model_of()
    with pytest.warns(UserWarning, match=f"ran out of data; .*{words[use]}") as caught:
        if use == "training":
            model.fit(batches(data, 1), steps_per_epoch=2, epochs=2, verbose=0)
        elif use == "validation":
            given = batches(data, 1)
            history = model.fit(*data, validation_data=given, validation_steps=2, epochs=2, verbose=0).history
            assert len(history["loss"]) == 2 and len(history["val_loss"]) == 1
        else:
            model.evaluate(batches(data, 1), steps=2, verbose=0)
    assert use == "training" or not any("interrupting training" in str(w.message) for w in caught)


def test_one_metric_of_two_outputs_has_both_names(data):
    x = keras.Input(data[0].shape[1:])
    dense = keras.layers.Dense(data[1].shape[-1])
    model = keras.Model(x, {"a": dense(x), "b": dense(x)})
    shared = keras.metrics.MeanAbsoluteError(name="mae")
    model.compile("sgd", "mse", metrics={"a": shared, "b": shared})
    history = model.fit(data[0], {"a": data[1], "b": data[1]}, verbose=0).history
    assert history["a_mae"] == history["b_mae"]
