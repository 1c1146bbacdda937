"""Bad input gets one clear error and changes nothing."""

import re
import traceback
import warnings

import numpy as np
import pytest
import torch

import torchkeras as keras

ROWS = 12


@pytest.fixture
def data(rng):
    return rng.normal(size=(ROWS, 4)).astype("float32"), rng.normal(size=(ROWS, 3)).astype("float32")


def make(**compiled):
    model = keras.Sequential([keras.Input((4,), name="features"), keras.layers.Dense(3, name="scores")])
    if compiled:
        model.compile(**compiled)
    return model


def two_outputs():
    x = keras.Input((4,))
    return keras.Model(x, [keras.layers.Dense(3, name="a")(x), keras.layers.Dense(1, name="b")(x)])


def state(model):
    compiled = model.optimizer
    return [*model.get_weights(), *([np.array(v) for v in compiled.variables] if compiled is not None else [])]


def unchanged(before, model):
    for left, right in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_an_uncompiled_model(method, data):
    model = make()
    with pytest.raises(ValueError, match=rf"You must call `compile\(\)` before.*compile\(.*{method}"):
        getattr(model, method)(*data)
    assert model.predict(data[0], verbose=0).shape == (ROWS, 3)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "categorical_focal_crossentropy"])
def test_targets_of_the_other_kind_of_crossentropy(loss, rng):
    """The error names the loss that takes such targets, and that loss works."""
    x, numbers = rng.normal(size=(6, 4)).astype("float32"), rng.integers(0, 3, 6)
    one_hot = np.eye(3, dtype="float32")[numbers]
    kinds = {loss: one_hot, f"sparse_{loss}": numbers}
    for name, other in zip(kinds, reversed(kinds), strict=True):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        model.compile("sgd", name)
        with pytest.raises(ValueError, match=f"use '{other}'"):
            model.fit(x, kinds[other], verbose=0)
        model.compile("sgd", other)
        model.fit(x, kinds[other], verbose=0)


def own_mean(y_true, y_pred):
    return y_true.mean() + y_pred.mean()


# (arguments of compile, what the error names)
UNKNOWN = {
    "optimizer": ({"optimizer": "adamm", "loss": "mse"}, ["optimizer identifier: adamm", "Adam", "RMSprop", "SGD"]),
    "loss": ({"loss": "mean_sqared_error"}, ["loss identifier: mean_sqared_error", "mean_squared_error", "Huber"]),
    "metric": ({"loss": "mse", "metrics": ["acuracy"]}, ["metric identifier: acuracy", "Accuracy", "AUC"]),
    "weighted metric": (
        {"loss": "mse", "weighted_metrics": ["Presision"]},
        ["metric identifier: Presision", "Precision", "AUC"],
    ),
    "metric of an output": (
        {"loss": "mse", "metrics": {"scores": ["mea"]}},
        ["metric identifier: mea", "Did you mean 'mean'"],
    ),
    "metrics in the place of loss_weights": (
        {"loss": "mse", "loss_weights": ["accuracy"]},
        ["loss_weights must hold numbers", "metrics=[...]"],
    ),
    "optimizer's kind": ({"optimizer": 3, "loss": "mse"}, ["optimizer", "3"]),
    "loss's kind": ({"loss": 3}, ["loss", "3"]),
    "metric's kind": ({"loss": "mse", "metrics": [3]}, ["metric", "3"]),
    "argument": ({"loss": "mse", "learning_rate": 0.1}, ["learning_rate"]),
    "jit_compile": ({"loss": "mse", "jit_compile": "always"}, ["jit_compile", "always"]),
    "steps_per_execution": ({"loss": "mse", "steps_per_execution": 0}, ["steps_per_execution", "0"]),
    "loss_weights": ({"loss": "mse", "loss_weights": "heavy"}, ["loss_weights", "heavy"]),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_compile_refuses_and_leaves_the_model_as_it_was(case, data):
    arguments, named = UNKNOWN[case]
    model = make(optimizer="sgd", loss="mae", metrics=["mse"])
    model.fit(*data, verbose=0)
    optimizer, before = model.optimizer, model.evaluate(*data, verbose=0, return_dict=True)
    with pytest.raises(TypeError if case == "argument" else ValueError) as caught:
        model.compile(**arguments)
    for name in named:
        assert name in str(caught.value)
    assert model.optimizer is optimizer and model.loss == "mae"
    assert model.evaluate(*data, verbose=0, return_dict=True) == before


# (arguments of compile, the error of the first batch: whether parts fit the outputs is seen there)
NO_OUTPUT = {
    "loss of an output": ({"loss": {"score": "mse"}}, "Expected keys.*'scores'.*'score'"),
    "weight of an output": (
        {"loss": "mse", "loss_weights": {"score": 1.0}},
        r"`loss_weights` names \['score'\].*'scores'",
    ),
}


@pytest.mark.parametrize("case", NO_OUTPUT)
def test_parts_of_what_is_no_output(case, data):
    arguments, message = NO_OUTPUT[case]
    model = make(optimizer="sgd", **arguments)
    with pytest.raises(ValueError, match=message):
        model.fit(*data, verbose=0)


# (compile arguments, what becomes of x and y, what the error says)
MISFITS = {
    "targets of another width": ({"loss": "mse"}, lambda x, y: (x, y[:, :2]), [r"\(12, 2\)", r"\(12, 3\)"]),
    "wider targets": ({"loss": "mae"}, lambda x, y: (x, np.tile(y, 2)), [r"\(12, 6\)", r"\(12, 3\)"]),
    "one-hot of another width": (
        {"loss": "categorical_crossentropy"}, lambda x, y: (x, y[:, :2]), [r"\(12, 2\)", r"\(12, 3\)"],
    ),
    "binary": ({"loss": "binary_crossentropy"}, lambda x, y: (x, y[:, :2]), [r"\(12, 2\)", r"\(12, 3\)"]),
    "classes as one-hot": (
        {"loss": "sparse_categorical_crossentropy"}, lambda x, y: (x, y), [r"\(12, 3\)"],
    ),
    "no targets": ({"loss": "mse"}, lambda x, y: (x,), ["pass y"]),
    "no loss": ({"optimizer": "sgd"}, lambda x, y: (x, y), ["loss", "compile"]),
    "narrow inputs": ({"loss": "mse"}, lambda x, y: (x[:, :3], y), ["features|scores", r"\b4\b", r"\(12, 3\)"]),
    "too many inputs": ({"loss": "mse"}, lambda x, y: ([x, x], y), ["features", "1 input", "2"]),
    "no samples": ({"loss": "mse"}, lambda x, y: (x[:0], y[:0]), ["at least one sample"]),
    "too many targets": ({"loss": "mse"}, lambda x, y: (x, [y, y]), ["1 output", "2"]),
}  # fmt: skip


# (what compile takes beside the optimizer, the parts that the error names)
NAMED = {
    "loss": ({"loss": "mse"}, ["loss 'mse'", "output 'scores'", "target"]),
    "metric": ({"loss": own_mean, "metrics": [keras.metrics.CosineSimilarity(name="cos")]}, ["'cos'", "'scores'"]),
    "torch loss": ({"loss": torch.nn.MSELoss()}, ["loss 'MSELoss'", "output 'scores'"]),
    "own loss": ({"loss": lambda y, p: (y - p) ** 2}, ["output 'scores'", "size"]),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMED)
@pytest.mark.parametrize("form", ["array", "dict"])
def test_shapes_that_do_not_fit_name_loss_and_output(form, case, data):
    compiled, named = NAMED[case]
    model = make(**compiled)
    x, y = data[0], data[1][:, :2]
    with pytest.raises(ValueError) as caught:
        model.fit(x, {"scores": y} if form == "dict" else y, verbose=0)
    for part in named:
        assert part in str(caught.value)
    if case != "own loss":
        assert "(12, 2)" in str(caught.value) and "(12, 3)" in str(caught.value)


def test_of_several_outputs_the_one_that_does_not_fit_is_named(data):
    model = two_outputs()
    model.compile(loss={"a": "mse", "b": "mae"})
    x, y = data
    with pytest.raises(ValueError, match=r"'mse'.*'a'.*\(12, 2\).*\(12, 3\)"):
        model.fit(x, [y[:, :2], y[:, :1]], verbose=0)


@pytest.mark.parametrize("case", MISFITS)
@pytest.mark.parametrize("method", ["fit", "train_on_batch"])
def test_data_that_do_not_fit(method, case, data):
    compiled, change, said = MISFITS[case]
    model = make(**compiled)
    before = model.get_weights()
    arguments = {"verbose": 0} if method == "fit" else {}
    with pytest.raises(ValueError) as caught:
        getattr(model, method)(*change(*data), **arguments)
    for part in said:
        assert re.search(part, str(caught.value)), str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert all(p.requires_grad for p in model.parameters())


# A batch may have targets of another length, as the nodes of a graph have: its loss decides.
@pytest.mark.parametrize(
    "method, said",
    [
        ("fit", r"same number of samples\. 'x' sizes: 12; 'y' sizes: 5"),
        ("train_on_batch", r"shapes that broadcast; received y_true of shape \(5, 3\) and y_pred of shape \(12, 3\)"),
    ],
)
def test_lengths_that_do_not_fit(method, said, data):
    x, y = data
    with pytest.raises(ValueError, match=said):
        getattr(make(loss="mse"), method)(x, y[:5])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda y: [y], "2 output"),
        (lambda y: y, "2 output"),
        (lambda y: {"a": y, "c": y}, r"\['c'\].*no outputs.*\['a', 'b'\]"),
        (lambda y: {"a": y}, "'b_loss'.*no targets"),
    ],
)
def test_targets_of_several_outputs_are_nested_as_they_are(change, said, data):
    model = two_outputs()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=said):
        model.fit(data[0], change(data[1]), verbose=0)


def test_a_target_that_is_no_output_of_a_dict(data):
    x = keras.Input((4,))
    model = keras.Model(x, {"a": keras.layers.Dense(3)(x)})
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"y names \['c'\].*no outputs.*\['a'\]"):
        model.fit(data[0], {"a": data[1], "c": data[1]}, verbose=0)


def test_metrics_of_several_outputs_say_whose_they_are(data):
    model = two_outputs()
    with pytest.raises(ValueError, match="a dict or a list with the metrics of each output, by the names"):
        model.compile("sgd", "mse", metrics=["mae"])
        model.fit(data[0], [data[1], data[1][:, :1]], verbose=0)


@pytest.mark.parametrize(("shape", "said"), [((5, 3), r"'middle'.*size 4.*\(5, 3\)"), ((5,), r"'middle'.*\(5,\)")])
def test_a_layer_inside_names_itself_and_the_shapes(shape, said):
    class Outer(keras.Model):
        def __init__(self):
            super().__init__()
            self.middle = keras.layers.Dense(2, name="middle")
            self.middle.build((None, 4))

        def call(self, inputs):
            return self.middle(inputs)

    with pytest.raises(ValueError, match=said):
        Outer()(torch.zeros(shape))


def test_class_indices_out_of_range(data):
    model = make(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    with pytest.raises(ValueError, match="out of"):
        model.fit(data[0], np.full(ROWS, 7), verbose=0)


def test_class_weight_and_sample_weight_together(data):
    model = make(loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="class_weight"):
        model.fit(data[0], np.zeros(ROWS, int), class_weight={0: 1.0}, sample_weight=np.ones(ROWS), verbose=0)


@pytest.mark.parametrize("frequency", [0, -1, "often", 0.5])
def test_validation_freq_is_a_positive_integer_or_a_list(frequency, data):
    model = make(loss="mse")
    with pytest.raises(ValueError, match="validation_freq"):
        model.fit(*data, validation_data=data, validation_freq=frequency, verbose=0)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch"])
def test_a_loss_that_is_not_reduced(method, data):
    model = make(optimizer="sgd", loss=keras.losses.MeanSquaredError(reduction="none"))
    with pytest.raises(ValueError, match=r"one number.*\(12,\).*reduction"):
        getattr(model, method)(*data)


def test_no_loss_in_evaluate(data):
    with pytest.raises(ValueError, match=r"No loss to compute.*compile"):
        make(optimizer="sgd", metrics=["mae"]).evaluate(*data, verbose=0)


def test_no_optimizer(data):
    model = make(optimizer=None, loss="mse")
    with pytest.raises(ValueError, match="optimizer"):
        model.fit(*data, verbose=0)
    assert model.evaluate(*data, verbose=0) > 0


def test_an_error_in_a_step_leaves_the_model_usable(data):
    x, y = data
    model = make(optimizer="adam", loss="mse")
    model.fit(x, y, verbose=0)
    model.trainable = False
    before = state(model)
    with pytest.raises(ValueError):
        model.fit(x[:, :2], y, verbose=0)
    unchanged(before, model)
    assert not any(p.requires_grad for p in model.parameters())
    assert model.fit(x, y, verbose=0).history["loss"]


# ------------------------------------------------------------------------------------------------ what is in the data

OF_CLASSES = {
    "name": lambda: "sparse_categorical_crossentropy",
    "by shape": lambda: "crossentropy",
    "logits": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "torch": torch.nn.CrossEntropyLoss,
}


def scores(loss, units=3, **options):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(units, name="scores")(inputs))
    model.compile("sgd", loss, **options)
    return model


@pytest.mark.parametrize("label", [-1, 3, np.nan])
@pytest.mark.parametrize("loss", OF_CLASSES)
def test_class_numbers_out_of_range_are_named(loss, label, rng):
    labels = np.zeros(12)
    labels[5] = label
    model = scores(OF_CLASSES[loss]())
    with pytest.raises(
        ValueError, match=rf"output 'scores' needs class numbers from 0 to 2.*1 of 12 .*{label}.*bounds"
    ):
        model.fit(rng.normal(size=(12, 4)), labels, verbose=0)


@pytest.mark.parametrize("what", ["loss", "metric"])
def test_an_error_in_a_function_of_the_users_names_the_function_and_the_output(what, rng):
    def broken(y_true, y_pred):
        raise KeyError("oops")

    model = scores(broken) if what == "loss" else scores("mse", metrics=[broken])
    with pytest.raises(KeyError, match="oops") as caught:
        model.fit(rng.normal(size=(12, 4)), np.zeros((12, 3)), verbose=0)
    assert caught.value.__notes__[0] == f"This happened in the {what} 'broken' of the output 'scores'."


@pytest.mark.parametrize("call", ["fit", "evaluate", "train_on_batch"])
@pytest.mark.parametrize("metrics", [[], ["mae"]])
def test_targets_by_an_unknown_name_are_refused(call, metrics, rng):
    model, options = scores("mse", metrics=metrics), {} if call == "train_on_batch" else {"verbose": 0}
    x, y = rng.normal(size=(12, 4)), np.zeros((12, 3))
    with pytest.raises(ValueError, match=r"y names \['wrong'\].*\['scores'\]"):
        getattr(model, call)(x, {"wrong": y}, **options)
    getattr(model, call)(x, {"scores": y}, **options)


@pytest.mark.parametrize(
    ("loss", "units", "shape", "warns"),
    [
        ("mse", 1, (12, 3), True),
        ("mae", 3, (12, 1), True),
        ("huber", 3, (12, 3), False),
        ("mse", 1, (12,), False),
        ("sparse_categorical_crossentropy", 3, (12, 1), False),
        ("categorical_crossentropy", 3, (12, 3), False),
    ],
)
def test_a_loss_that_broadcasts_warns_once_with_both_shapes(loss, units, shape, warns, rng):
    model = scores(loss, units)
    x, y = rng.normal(size=(12, 4)), np.zeros(shape)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(x, y, batch_size=12, epochs=2, verbose=0)
    said = [str(w.message) for w in caught if "broadcasts" in str(w.message)]
    assert len(said) == warns
    assert not warns or (str(shape) in said[0] and str((12, units)) in said[0] and "'scores'" in said[0])


class Raises(keras.layers.Layer):
    def call(self, x):
        raise RuntimeError("boom")


class FaultyModel(keras.Model):
    def call(self, x):
        return Raises()(x)


METHODS_THAT_RUN_A_MODEL = {
    "fit": lambda model, x: model.fit(x, x, verbose=0),
    "evaluate": lambda model, x: model.evaluate(x, x, verbose=0),
    "predict": lambda model, x: model.predict(x, verbose=0),
    "train_on_batch": lambda model, x: model.train_on_batch(x, x),
    "test_on_batch": lambda model, x: model.test_on_batch(x, x),
    "predict_on_batch": lambda model, x: model.predict_on_batch(x),
    "compile": lambda model, x: model.compile(optimizer="no such optimizer"),
}


@pytest.mark.parametrize("method", METHODS_THAT_RUN_A_MODEL)
def test_frames_of_the_package_are_left_out_of_tracebacks(method):
    def frames():
        model = FaultyModel()
        model.compile("sgd", "mse")
        with pytest.raises((RuntimeError, ValueError), match="boom|no such optimizer") as caught:
            METHODS_THAT_RUN_A_MODEL[method](model, np.ones((4, 3), "float32"))
        found = traceback.extract_tb(caught.value.__traceback__)
        return [f for f in found if "/torchkeras/" in f.filename], [f.name for f in found if f.filename == __file__]

    own, of_user = frames()
    assert not own
    assert method == "compile" or of_user[-2:] == ["call", "call"]
    keras.config.disable_traceback_filtering()
    try:
        own, _ = frames()
    finally:
        keras.config.enable_traceback_filtering()
    assert len(own) > 2


@pytest.mark.parametrize("name", ["epochs", "initial_epoch"])
def test_epochs_are_whole_numbers(name, data):
    model = make(loss="mse")
    with pytest.raises(TypeError, match=f"integer as {name}; received 1.5"):
        model.fit(*data, **{name: 1.5}, verbose=0)
    model.fit(*data, **{name: np.int64(1)}, verbose=0)


def test_metrics_that_fit_no_output_are_refused_before_a_weight_moves(rng):
    model = two_outputs()
    model.compile("sgd", "mse", metrics=["mae"])
    before = model.get_weights()
    targets = [np.ones((ROWS, 3), "float32"), np.ones((ROWS, 1), "float32")]
    with pytest.raises(ValueError, match="metric"):
        model.fit(rng.normal(size=(ROWS, 4)), targets, verbose=0)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_training_a_model_without_trainable_weights_warns(data):
    model = make(loss="mse")
    model.trainable = False
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="does not have any trainable weights") as caught:
        model.fit(*data, epochs=2, batch_size=4, verbose=0)
    assert len(caught) == 1
