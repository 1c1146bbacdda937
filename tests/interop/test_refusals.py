"""What Keras refuses is refused here, by the same class of error and in words that a search for Keras's finds."""

import re
import warnings

import h5py
import keras
import numpy as np
import pytest
import torch

import torchkeras

X, Y = np.ones((2, 3), "float32"), np.zeros((2, 1), "float32")


def net(k, outputs=1):
    x = k.Input((3,), name="inp")
    y = [k.layers.Dense(1, name=f"o{i}")(x) for i in range(outputs)]
    return k.Model(x, y if outputs > 1 else y[0])


def fit(k, outputs=1, **arguments):
    model = net(k, outputs)
    model.compile(**{"optimizer": "sgd", "loss": "mse", **arguments})
    return model.fit(X, [Y] * outputs if outputs > 1 else Y, verbose=0)


def without_init(cls, **methods):
    """An object whose constructor does not call that of its base class."""
    return type("Own", (cls,), {"__init__": lambda self: setattr(self, "own", 1), **methods})()


# Programs, the class of the error, and words that both messages have.
REFUSED = {
    "a metric's name alone": (lambda k: fit(k, metrics="mse"), ValueError, "Expected `metrics` argument to be a list"),
    "a metric alone": (
        lambda k: fit(k, weighted_metrics=k.metrics.MeanSquaredError()),
        ValueError, "Expected `weighted_metrics` argument to be a list, tuple, or dict",
    ),
    "an optimizer's class": (
        lambda k: fit(k, optimizer=k.optimizers.Adam), ValueError, "Could not interpret optimizer identifier: <class",
    ),
    "get of an optimizer's class": (
        lambda k: k.optimizers.get(k.optimizers.SGD), ValueError, "Could not interpret optimizer identifier: <class",
    ),
    "a dict of losses that omits an output": (
        lambda k: fit(k, 2, loss={"o0": "mse"}), ValueError, r"Expected keys \['o0', 'o1'\] in loss dict, but found",
    ),
    "a dict of losses with another key": (
        lambda k: fit(k, loss={"o": "mse"}), ValueError, r"Expected keys \['o0'\] in loss dict, but found",
    ),
    "a dict of metrics with another key, two outputs": (
        lambda k: fit(k, 2, metrics={"o": "mse"}), ValueError, "Invalid `metrics`",
    ),
    "no loss": (lambda k: fit(k, loss=None), ValueError, "No loss to compute. Provide a `loss` argument in `compile"),
    "arrays of different lengths": (
        lambda k: fit_of(k, X, Y[:1]),
        ValueError, "Data cardinality is ambiguous. Make sure all arrays contain the same number of samples",
    ),
    "a number as a shape": (lambda k: k.Input(3), ValueError, "Cannot convert '?3'? to a shape"),
    "a number as a layer's shape": (lambda k: k.layers.InputLayer(3), ValueError, "Cannot convert '?3'? to a shape"),
    "a negative size": (lambda k: k.Input((2, -1)), ValueError, "to a shape. Negative dimensions are not allowed"),
    "a broken size": (lambda k: k.Input((2.5,)), ValueError, "to a shape. Found invalid dimension '?2.5'? of type"),
    "an unknown dtype": (lambda k: k.Input((2,), dtype="nope"), ValueError, "Invalid dtype: '?nope"),
    "two layers of one name": (
        lambda k: k.Model(x := k.Input((3,)), k.layers.Dense(3, name="d")(k.layers.Dense(3, name="d")(x))),
        ValueError, 'The name "d" is used 2 times in the model. All operation names should be unique',
    ),
    "two layers of one name in a row": (
        lambda k: k.Sequential([k.layers.Dense(3, name="d"), k.layers.Dense(3, name="d")]),
        ValueError, "All layers added to a Sequential model should have unique names. Name 'd' is already the name",
    ),
    "a layer without super().__init__()": (
        lambda k: without_init(k.layers.Layer, call=lambda self, x: x)(X),
        RuntimeError, r"you forgot to call `super\(\).__init__\(\)`",
    ),
    "a Sequential without super().__init__()": (
        lambda k: without_init(k.Sequential).add(k.layers.Dense(1)) or without_init(k.Sequential)(X),
        RuntimeError, r"you forgot to call `super\(\).__init__\(\)`",
    ),
    "a metric without super().__init__()": (
        lambda k: without_init(k.metrics.Metric)(X, X), RuntimeError, r"You forgot to call `super\(\).__init__\(\)` in",
    ),
    "an optimizer without super().__init__()": (
        lambda k: fit(k, optimizer=without_init(k.optimizers.Optimizer)),
        RuntimeError, r"In optimizer 'Own', you forgot to call `super\(\).__init__\(\)` as the first statement",
    ),
}  # fmt: skip


NUMBER = 3
CALLED = {
    "map": lambda ops: ops.map(NUMBER, X),
    "vectorized_map": lambda ops: ops.vectorized_map(NUMBER, torch.tensor(X)),
    "cond": lambda ops: ops.cond(True, NUMBER, NUMBER),
    "while_loop": lambda ops: ops.while_loop(NUMBER, NUMBER, [1]),
    "fori_loop": lambda ops: ops.fori_loop(0, 2, NUMBER, 1),
    "switch": lambda ops: ops.switch(0, [NUMBER], 1),
    "scan": lambda ops: ops.scan(NUMBER, 0, X),
    "associative_scan": lambda ops: ops.associative_scan(NUMBER, X),
    "custom_gradient": lambda ops: ops.custom_gradient(NUMBER)(X),
}


@pytest.mark.parametrize("name", CALLED)
def test_a_number_in_the_place_of_a_function(name):
    with pytest.raises(TypeError):
        CALLED[name](keras.ops)
    with pytest.raises(TypeError, match=rf"{name}\(\): `\w+` should be a callable. Received: \w+=3"):
        CALLED[name](torchkeras.ops)


Q = np.ones((2, 4, 8), "float32")
# Calls that torch refuses inside of Keras, and the words that say why.
MISFITS = {
    "size of the key": (lambda k: k.layers.Attention()([Q, Q[..., :6]]), r"same last size.*value \(2, 4, 6\)"),
    "batch": (lambda k: k.layers.AdditiveAttention()([Q, np.ones((3, 4, 8))]), r"same batch size.*value \(3, 4, 8\)"),
    "length of the key": (lambda k: k.layers.Attention()([Q, Q, Q[:, :3]]), r"same length.*key \(2, 3, 8\)"),
    "batch of heads": (lambda k: k.layers.MultiHeadAttention(2, 3)(Q, np.ones((3, 4, 8))), "same batch size"),
    "grouped heads": (lambda k: k.layers.GroupQueryAttention(3, 2, 1)(Q, np.ones((3, 4, 8))), "same batch size"),
    "mask of pairs": (
        lambda k: k.layers.MultiHeadAttention(2, 3)(Q, Q, attention_mask=np.ones((2, 3, 3), bool)),
        r"attention_mask must broadcast.*masks \[\(2, 3, 3\)\]",
    ),
    "another size later": (lambda k: later(k), r"kernel of shape \(8, 5\).*received inputs of shape \(2, 4, 7\)"),
}  # fmt: skip


def later(k):
    layer = k.layers.EinsumDense("abc,cd->abd", (None, 5))
    layer(Q)
    return layer(Q[..., :7])


@pytest.mark.parametrize("case", MISFITS)
def test_why_shapes_do_not_fit(case):
    program, words = MISFITS[case]
    with pytest.raises(RuntimeError):
        program(keras)
    with pytest.raises(RuntimeError, match=words):
        program(torchkeras)


def fit_of(k, x, y):
    model = net(k)
    model.compile("sgd", "mse")
    return model.fit(x, y, verbose=0)


@pytest.mark.parametrize("case", REFUSED)
def test_refused_alike(case):
    program, error, words = REFUSED[case]
    for library in (keras, torchkeras):
        with pytest.raises(error) as caught:
            program(library)
        assert re.search(words, str(caught.value)), (library.__name__, str(caught.value))


def test_a_loss_without_super_init():
    with pytest.raises(RuntimeError, match=r"In loss 'Own', you forgot to call `super\(\).__init__\(\)`"):
        without_init(torchkeras.losses.Loss, call=lambda self, y, p: y - p)(X, X)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: torchkeras.layers.ConvLSTM2D(0, 2), "invalid value for argument `filters`"),
        (lambda: torchkeras.layers.Reshape("nope"), "target_shape must be a tuple of ints.*'nope'"),
        (lambda: torchkeras.utils.model_to_dot(3), "A model is needed to plot one; received 3"),
    ],
)
def test_arguments_that_keras_takes_or_that_python_refuses(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def logs_of(k, **arguments):
    return fit(k, **arguments).history


def shared_layer(k):
    layer = k.layers.Dense(3)
    model = k.Sequential([k.Input((3,)), layer, k.layers.ReLU(), layer])
    clone = k.models.clone_model(model)
    sizes = [(len(each.layers), len(each.weights)) for each in (model, clone)]
    model.pop()
    return sizes, len(model.layers), len(model.weights)


# Programs that Keras runs, and what both must give.
ACCEPTED = {
    "metrics of one output under any key": lambda k: list(logs_of(k, metrics={"x": ["mse"], "y": "mae"})),
    "an empty string of metrics": lambda k: list(logs_of(k, metrics="")),
    "None for the loss of an output": lambda k: list(logs_of(k, outputs=2, loss={"o0": "mse", "o1": None})),
    "a layer twice in a row": shared_layer,
    "integers under a mixed policy": lambda k: str(
        k.layers.BatchNormalization(dtype="mixed_bfloat16")(np.ones((2, 3), "int32")).dtype
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted_alike(case):
    assert ACCEPTED[case](torchkeras) == ACCEPTED[case](keras)


def test_a_layer_twice_in_a_row_stays_one_layer_in_files(tmp_path):
    layer = torchkeras.layers.Dense(3)
    model = torchkeras.Sequential([torchkeras.Input((3,)), layer, torchkeras.layers.ReLU(), layer])
    model.save(tmp_path / "model.keras")
    copy = torchkeras.models.load_model(tmp_path / "model.keras")
    assert copy.layers[0] is copy.layers[2] and list(copy.state_dict()) == list(model.state_dict())
    np.testing.assert_array_equal(copy.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize("k", [torchkeras, keras], ids=["torchkeras", "keras"])
def test_layers_of_a_config_are_two_unless_their_name_says_one(k):
    def rows(*configs):
        return {"name": "row", "layers": [{"class_name": "Dense", "config": config} for config in configs]}

    assert len(k.Sequential.from_config(rows({"units": 3}, {"units": 3})).layers) == 2
    with pytest.raises(ValueError, match="should have unique names"):
        k.Sequential.from_config(rows({"units": 3, "name": "a"}, {"units": 4, "name": "a"}))
    with pytest.raises(TypeError if k is torchkeras else AttributeError):
        k.Sequential.from_config(rows(3))


def test_values_that_callbacks_add_are_not_logs_of_the_end():
    def logs_at_the_end(k):
        found = {}
        end = k.callbacks.LambdaCallback(on_train_end=found.update)
        model = net(k)
        model.compile("sgd", "mse")
        history = model.fit(X, Y, verbose=0, callbacks=[k.callbacks.ReduceLROnPlateau(monitor="loss"), end])
        return list(found), list(history.history)

    assert logs_at_the_end(torchkeras) == logs_at_the_end(keras) == (["loss"], ["loss", "learning_rate"])


def messages_of(program):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        program()
    return [str(one.message) for one in caught if issubclass(one.category, UserWarning)]


def with_keys(k, *keys):
    inputs = {key: k.Input((3,), name=name) for key, name in zip(keys, ("a", "b"), strict=True)}
    return k.Model(inputs, k.layers.Add()([*inputs.values()]))


@pytest.mark.parametrize("keys", [("a", "b"), ("a", "c"), ("c", "d")])
def test_keys_that_are_no_names_of_inputs(keys):
    theirs, ours = (messages_of(lambda: with_keys(k, *keys)) for k in (keras, torchkeras))
    assert ours == theirs and len(ours) == len(set(keys) - {"a", "b"})


def test_gradients_that_do_not_exist():
    words = r"Gradients do not exist for variables \['o1/kernel', 'o1/bias'\] when minimizing the loss"
    for library in (keras, torchkeras):
        with pytest.warns(UserWarning, match=words):
            fit(library, 2, loss={"o0": "mse", "o1": None})


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("writer", [keras, torchkeras])
def test_an_optimizer_before_its_first_step_in_a_legacy_file(writer, tmp_path):
    model = net(writer)
    model.compile("adam", writer.losses.MeanSquaredError())
    path = str(tmp_path / "model.h5")
    model.save(path)
    with h5py.File(path, "a") as file:
        assert "optimizer_weights" in file  # else there would be nothing to warn of
    assert messages_of(lambda: torchkeras.models.load_model(path)) == []


first, second = (lambda y, p: abs(y - p)), (lambda y, p: (y - p) ** 2)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_lambdas_in_files(tmp_path):
    for library in (keras, torchkeras):
        model = net(library, 2)
        model.compile("sgd", [first, second])
        path = str(tmp_path / f"{library.__name__}.keras")
        model.save(path)
        with pytest.raises(ValueError, match="Requested the deserialization of a Python lambda"):
            library.models.load_model(path)
