"""The loop of `fit`: epochs, steps, sources, callbacks, validation."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import torchkeras as keras

ROWS, BATCH = 20, 8  # the last batch is ragged


@pytest.fixture
def data(rng):
    x = rng.normal(size=(ROWS, 4)).astype("float32")
    return x, (x @ rng.normal(size=(4, 1))).astype("float32")


def make(*, steps=1, metrics=("mae",), rate=0.05):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, activation="tanh"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse", metrics=list(metrics), steps_per_execution=steps)
    return model


def twins(count, **options):
    models = [make(**options) for _ in range(count)]
    for model in models[1:]:
        model.set_weights(models[0].get_weights())
    return models


def same(left, right):
    for a, b in zip(left.get_weights(), right.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


class Events(keras.callbacks.Callback):
    """Notes what is called; keeps the logs of batches unread."""

    def __init__(self):
        super().__init__()
        self.begun, self.ended, self.logs, self.epochs, self.tests = [], [], [], [], 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)

    def on_train_batch_begin(self, batch, logs=None):
        self.begun.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.ended.append(batch)
        self.logs.append(logs)

    def on_test_begin(self, logs=None):
        self.tests += 1


class EventsOfOthers(Events):
    """Notes the batches of `evaluate` and `predict`."""

    def __init__(self):
        super().__init__()
        self.outputs = []

    def on_test_batch_begin(self, batch, logs=None):
        self.begun.append(batch)

    def on_test_batch_end(self, batch, logs=None):
        self.ended.append(batch)

    def on_predict_batch_begin(self, batch, logs=None):
        self.begun.append(batch)

    def on_predict_batch_end(self, batch, logs=None):
        self.ended.append(batch)
        self.outputs.append(logs["outputs"])


def batches(x, y):
    for start in range(0, ROWS, BATCH):
        yield x[start : start + BATCH], y[start : start + BATCH]


def endless(x, y):
    while True:
        yield from batches(x, y)


SOURCES = {
    "arrays": lambda x, y: {"x": x, "y": y, "batch_size": BATCH},
    "tensors": lambda x, y: {"x": torch.as_tensor(x), "y": torch.as_tensor(y), "batch_size": BATCH},
    "loader": lambda x, y: {"x": DataLoader(TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), batch_size=BATCH)},
    "loader of lists": lambda x, y: {"x": DataLoader(list(zip(x, y, strict=True)), batch_size=BATCH)},
    "generator": lambda x, y: {"x": endless(x, y), "steps_per_epoch": 3},
    "list of batches": lambda x, y: {"x": Batches(x, y)},
    "dataset": lambda x, y: {"x": Sequence(x, y)},
}


class Batches:
    """Any iterable will do."""

    def __init__(self, x, y):
        self.arrays = x, y

    def __iter__(self):
        return batches(*self.arrays)


class Sequence(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.pairs = list(batches(x, y))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same_training(kind, data):
    model, reference = twins(2)
    wanted = reference.fit(*data, batch_size=BATCH, epochs=3, shuffle=False, verbose=0).history
    found = model.fit(**SOURCES[kind](*data), epochs=3, shuffle=False, verbose=0).history
    same(model, reference)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5)


@pytest.mark.parametrize("form", ["dict", "list", "tuple"])
def test_several_inputs(form, data):
    x, y = data
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    output = keras.layers.Dense(1)(keras.layers.Concatenate()([left, right]))
    structure = {"dict": {"right": right, "left": left}, "list": [left, right], "tuple": (left, right)}[form]
    model = keras.Model(structure, output)
    model.compile("sgd", "mse")
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    plain.compile("sgd", "mse")
    plain.set_weights(model.get_weights())
    parts = x[:, :2], x[:, 2:]
    inputs = {"left": parts[0], "right": parts[1]} if form == "dict" else list(parts) if form == "list" else parts
    options = {"batch_size": BATCH, "epochs": 2, "shuffle": False, "verbose": 0}
    found = model.fit(inputs, y, validation_split=0.25, **options).history
    wanted = plain.fit(x, y, validation_split=0.25, **options).history
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), plain.predict(x, verbose=0), rtol=1e-5)


def test_targets_by_name_go_to_their_outputs(data):
    """Also where the outputs are a list that is not in the order of the alphabet."""
    x, y = data
    inputs = keras.Input((4,))
    last, first = keras.layers.Dense(1, name="z")(inputs), keras.layers.Dense(1, name="a")(inputs)
    model = keras.Model(inputs, [last, first])
    model.compile("sgd", {"a": "mse", "z": "mae"}, loss_weights={"a": 2.0})
    found = model.evaluate(
        x,
        {"a": y, "z": y + 5},
        sample_weight={"a": np.full(ROWS, 0.5), "z": np.ones(ROWS)},
        verbose=0,
        return_dict=True,
    )
    z, a = (part.astype("float64") for part in model.predict(x, verbose=0))
    np.testing.assert_allclose(found["z_loss"], np.abs(z - y - 5).mean(), rtol=1e-5)
    np.testing.assert_allclose(found["a_loss"], ((a - y) ** 2).mean() / 2, rtol=1e-5)
    np.testing.assert_allclose(found["loss"], found["z_loss"] + 2 * found["a_loss"], rtol=1e-5)


@pytest.mark.parametrize(
    ("steps", "begun", "ended"),
    [(1, [0, 1, 2], [0, 1, 2]), (2, [0, 2], [1, 2]), (3, [0], [2]), (5, [0], [2])],
)
def test_steps_per_execution_changes_what_callbacks_see_and_nothing_else(steps, begun, ended, data):
    plain, grouped = twins(1)[0], make(steps=steps)
    grouped.set_weights(plain.get_weights())
    options = {"batch_size": BATCH, "epochs": 2, "shuffle": False, "verbose": 0}
    events = Events()
    wanted, found = plain.fit(*data, **options), grouped.fit(*data, callbacks=[events], **options)
    assert (events.begun, events.ended) == (begun * 2, ended * 2)
    for name in wanted.history:
        np.testing.assert_allclose(found.history[name], wanted.history[name], rtol=1e-5)
    same(plain, grouped)
    assert int(grouped.optimizer.iterations) == 6
    watching = EventsOfOthers()
    for method, arrays in (("evaluate", data), ("predict", data[:1])):
        watched = getattr(grouped, method)(*arrays, batch_size=BATCH, verbose=0, callbacks=[watching])
        np.testing.assert_array_equal(watched, getattr(plain, method)(*arrays, batch_size=BATCH, verbose=0))
        assert (watching.begun, watching.ended) == (begun, ended)
        watching.begun, watching.ended = [], []
    np.testing.assert_array_equal(np.concatenate(watching.outputs), watched)
    assert len(watching.outputs) == len(ended)


def test_steps_per_epoch_carries_a_generator_on(data):
    seen = []

    def numbered():
        for number in range(100):
            seen.append(number)
            yield data

    model = make()
    history = model.fit(numbered(), steps_per_epoch=3, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 6 and history.params["steps"] == 3
    assert set(range(6)) <= set(seen) and len(seen) <= 8


def test_steps_per_epoch_of_arrays_goes_on_where_the_epoch_before_stopped(data):
    model, events = make(), Events()
    model.fit(*data, batch_size=5, steps_per_epoch=2, epochs=2, verbose=0, callbacks=[events])
    assert events.ended == [0, 1, 0, 1]


def test_initial_epoch(data):
    model, events = make(), Events()
    history = model.fit(*data, initial_epoch=3, epochs=5, verbose=0, callbacks=[events])
    assert events.epochs == [3, 4] and history.epoch == [3, 4] and len(history.history["loss"]) == 2


@pytest.mark.parametrize(("frequency", "count"), [(1, 5), (2, 2), (3, 1), ([1, 4], 2), ((5,), 1), (7, 0)])
def test_validation_freq(frequency, count, data):
    model, events = make(), Events()
    history = model.fit(
        *data, epochs=5, validation_data=data, validation_freq=frequency, verbose=0, callbacks=[events]
    ).history
    assert len(history.get("val_loss", [])) == count == events.tests


VALIDATION = {
    "tuple": lambda x, y: {"validation_data": (x, y)},
    "list": lambda x, y: {"validation_data": [x, y]},
    "weights": lambda x, y: {"validation_data": (x, y, np.ones(ROWS))},
    "loader": lambda x, y: {
        "validation_data": DataLoader(TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), batch_size=7)
    },
    "generator": lambda x, y: {"validation_data": endless(x, y), "validation_steps": 3},
    "dataset": lambda x, y: {"validation_data": Sequence(x, y)},
}


@pytest.mark.parametrize("kind", VALIDATION)
def test_validation_sources(kind, data):
    model = make(rate=0.0)
    history = model.fit(*data, epochs=2, verbose=0, **VALIDATION[kind](*data)).history
    for name, value in model.evaluate(*data, verbose=0, return_dict=True).items():
        np.testing.assert_allclose(history[f"val_{name}"], [value] * 2, rtol=1e-5)


@pytest.mark.parametrize("kind", ["tuple", "loader", "dataset", "generator"])
def test_validation_steps_are_the_same_batches_after_each_epoch(kind, data):
    """Of all data but a generator, which goes on where it was."""
    model = make(rate=0.0)
    arguments = {**VALIDATION[kind](*data), "validation_batch_size": 7 if kind == "tuple" else None}
    losses = model.fit(*data, epochs=3, verbose=0, **{**arguments, "validation_steps": 1}).history["val_loss"]
    assert len(losses) == 3 and (len(set(losses)) == 1) == (kind != "generator")


def test_validation_steps_and_batch_size(data):
    class Counts(keras.callbacks.Callback):
        seen = 0

        def on_test_batch_end(self, batch, logs=None):
            self.seen += 1

    counts = Counts()
    make().fit(*data, verbose=0, validation_data=data, validation_batch_size=5, callbacks=[counts])
    assert counts.seen == 4
    make().fit(*data, verbose=0, validation_data=data, validation_batch_size=5, validation_steps=2, callbacks=[counts])
    assert counts.seen == 6


@pytest.mark.parametrize("kind", ["library", "user"])
def test_logs_of_a_batch_are_that_batchs_whenever_they_are_read(kind, data):
    """Running means up to the batch, and sums that the next batch goes on with."""
    x, y = data

    class Summed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.total = keras.layers.Dense(1), keras.metrics.Sum(name="total")

        def call(self, inputs):
            return self.dense(inputs)

        def train_step(self, batch):
            logs = super().train_step(batch)
            self.total.update_state(batch[1])
            return {**logs, "total": self.total.result()} if kind == "user" else logs

    model = Summed()
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
    now, later = [], Events()
    read = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: now.append(dict(logs)))
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[read, later])
    errors = (model.predict(x, verbose=0).astype("float64") - y)[:, 0]
    for batch, end in enumerate((8, 16, 20)):
        wanted = {"loss": (errors[:end] ** 2).mean(), "mae": np.abs(errors[:end]).mean()}
        if kind == "user":
            wanted["total"] = y[:end].astype("float64").sum()
        for logs in (now[batch], dict(later.logs[batch])):
            assert {k: logs[k] for k in wanted} == pytest.approx(wanted, rel=1e-4, abs=1e-5)
            assert all(type(value) is float for value in logs.values())


def test_custom_callbacks_of_evaluate_and_predict(data):
    class Outputs(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.outputs, self.losses = [], []

        def on_predict_batch_end(self, batch, logs=None):
            self.outputs.append(logs["outputs"])

        def on_test_batch_end(self, batch, logs=None):
            self.losses.append(logs["loss"])

    model, notes = make(), Outputs()
    found = model.predict(data[0], batch_size=BATCH, verbose=0, callbacks=[notes])
    assert all(isinstance(part, np.ndarray) for part in notes.outputs)
    np.testing.assert_array_equal(np.concatenate(notes.outputs), found)
    assert model.evaluate(*data, batch_size=BATCH, verbose=0, callbacks=[notes])[0] == pytest.approx(notes.losses[-1])


def test_a_callback_stops_training_at_a_batch(data):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                self.model.stop_training = True

    model = make()
    history = model.fit(*data, batch_size=BATCH, epochs=4, verbose=0, callbacks=[Stop()])
    assert history.epoch == [0] and int(model.optimizer.iterations) == 2
    assert model.fit(*data, batch_size=BATCH, epochs=2, verbose=0).epoch == [0, 1]  # the next one begins anew


def test_history_is_also_the_models(data):
    model = make()
    history = model.fit(*data, epochs=2, verbose=0, validation_data=data)
    assert model.history is history
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert history.params == {"verbose": 0, "epochs": 2, "steps": 1}
    assert all(type(value) is float for values in history.history.values() for value in values)


@pytest.mark.parametrize("where", ["layer", "activity", "regularizer"])
def test_added_losses(where, data):
    x, y = data

    class Penalty(keras.layers.Layer):
        def call(self, inputs):
            self.add_loss(0.1 * (inputs**2).sum())
            return inputs

    inputs = keras.Input((4,))
    options = {"activity": {"activity_regularizer": "l2"}, "regularizer": {"kernel_regularizer": "l2"}}
    outputs = keras.layers.Dense(1, name="last", **options.get(where, {}))(inputs)
    model = keras.Model(inputs, Penalty()(outputs) if where == "layer" else outputs)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    found = model.fit(x, y, batch_size=ROWS, verbose=0).history["loss"][0]
    prediction = model.predict(x, verbose=0).astype("float64")
    extra = {
        "layer": 0.1 * (prediction**2).sum(),
        "activity": 0.01 * (prediction**2).sum() / ROWS,
        "regularizer": 0.01 * (model.get_layer("last").kernel.numpy().astype("float64") ** 2).sum(),
    }[where]
    np.testing.assert_allclose(found, ((prediction - y) ** 2).mean() + extra, rtol=1e-4)
    assert model.evaluate(x, y, batch_size=ROWS, verbose=0) == pytest.approx(found, rel=1e-5)


def test_a_model_may_learn_from_added_losses_alone(data):
    class Shrink(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")

        def call(self, inputs):
            self.add_loss(self.scale**2)
            return inputs * self.scale

    model = keras.Sequential([keras.Input((4,)), Shrink()])
    model.compile(keras.optimizers.SGD(0.25))
    history = model.fit(data[0], epochs=2, batch_size=ROWS, verbose=0).history["loss"]
    np.testing.assert_allclose(history, [1.0, 0.25])


def test_plain_torch_modules_are_in_the_right_mode(data):
    x, y = data
    dropout, norm = torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(4)
    model = keras.Sequential([keras.Input((4,)), norm, dropout, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    modes = []
    dropout.register_forward_hook(lambda module, inputs, outputs: modes.append(module.training))
    model.fit(x, y, batch_size=ROWS, epochs=1, verbose=0, validation_data=(x, y))
    assert modes[-2:] == [True, False]
    assert int(norm.num_batches_tracked) == 1
    np.testing.assert_array_equal(model.predict(x, verbose=0), model.predict(x, verbose=0))


class Pair(keras.Model):
    """Two outputs whose names nobody knows, and steps that only call the library's."""

    def __init__(self):
        super().__init__()
        self.left, self.right = keras.layers.Dense(1), keras.layers.Dense(1)

    def call(self, inputs):
        return self.left(inputs), self.right(inputs)

    def train_step(self, batch):
        return super().train_step(batch)

    def test_step(self, batch):
        return super().test_step(batch)


def test_outputs_without_names_are_logged_by_their_losses_and_metrics(data):
    x, y = data
    model = Pair()
    model.compile(keras.optimizers.SGD(0.0), loss=["mse", "mae"], metrics=[["mae"], ["mae"]], loss_weights=[1.0, 2.0])
    found = model.fit(x, (y, y), batch_size=BATCH, epochs=1, verbose=0, validation_data=(x, (y, y))).history
    left, right = (part.astype("float64") - y for part in model.predict(x, verbose=0))
    wanted = {
        "loss": (left**2).mean() + 2 * np.abs(right).mean(),
        "mse_loss": (left**2).mean(),
        "mae_loss": np.abs(right).mean(),
        "mae": np.abs(left).mean(),
        "mae_1": np.abs(right).mean(),
    }
    assert set(found) == {*wanted, *(f"val_{name}" for name in wanted)}
    for name, value in wanted.items():
        np.testing.assert_allclose([found[name][0], found[f"val_{name}"][0]], value, rtol=1e-4, err_msg=name)


def test_evaluate_lists_the_loss_the_parts_and_the_rest_by_name(data):
    x, y = data
    inputs = keras.Input((4,))
    model = keras.Model(inputs, [keras.layers.Dense(1, name="z")(inputs), keras.layers.Dense(1, name="b")(inputs)])
    model.compile("sgd", "mse", metrics=[["mae"], ["mae"]])
    values = model.evaluate(x, [y, y], verbose=0, return_dict=True)
    order = ["loss", "z_loss", "b_loss", "b_mae", "z_mae"]
    assert model.evaluate(x, [y, y], verbose=0) == [values[name] for name in order]
