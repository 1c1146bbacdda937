"""compile() and the optimizer's state in files of Keras 1 and 2."""

from __future__ import annotations

import numpy as np
import pytest

import torchkeras as keras
from tests.saving.legacy.old_files import layer, sequential, write

SHAPES = [(3, 2), (2,)]


def model_with(tmp_path, optimizer, state=None, version="2.4.0", **training):
    dense = layer("Dense", "d", units=2, activation="softmax", batch_input_shape=[None, 3])
    config = {"optimizer_config": optimizer, "loss": "categorical_crossentropy", "metrics": ["accuracy"]}
    config |= {"sample_weight_mode": None, "loss_weights": None, **training}
    weights = {"d": [("d/kernel:0", np.ones((3, 2), "float32")), ("d/bias:0", np.ones(2, "float32"))]}
    path = write(tmp_path / "m.h5", sequential([dense]), weights, version, training=config, optimizer=state)
    return keras.saving.load_model(path)


def optimizer(name, **config):
    return {"class_name": name, "config": config}


def test_learning_rate_and_decay(tmp_path):
    model = model_with(tmp_path, optimizer("SGD", lr=0.5, decay=0.1, momentum=0.9, nesterov=True))
    assert (model.optimizer.momentum, model.optimizer.nesterov) == (0.9, True)
    rate = model.optimizer._learning_rate
    for step in (0, 1, 7):
        assert float(rate(step)) == pytest.approx(0.5 / (1 + 0.1 * step))


@pytest.mark.parametrize(
    "given, name",
    [
        (optimizer("Adam", lr=0.01, beta_1=0.8, beta_2=0.9, decay=0.0, epsilon=1e-8, amsgrad=True), "Adam"),
        (optimizer("Custom>Adam", learning_rate=0.01, jit_compile=True, is_legacy_optimizer=False), "Adam"),
        (optimizer("RMSprop", lr=0.01, rho=0.9, decay=0.0, epsilon=None), "RMSprop"),
        (optimizer("adagrad", learning_rate=0.01), "Adagrad"),
        (optimizer("Adadelta", lr=1.0, rho=0.95, epsilon=1e-7, decay=0.0), "Adadelta"),
        (optimizer("Adamax", lr=0.01), "Adamax"),
        (optimizer("Nadam", lr=0.01, schedule_decay=0.004), "Nadam"),
        (optimizer("Ftrl", learning_rate=0.01), "Ftrl"),
    ],
)
def test_optimizers(tmp_path, given, name):
    model = model_with(tmp_path, given)
    assert type(model.optimizer).__name__ == name
    assert float(model.optimizer.learning_rate) == pytest.approx(given["config"].get("lr", 0.01))
    model.fit(np.ones((4, 3)), np.eye(2)[[0, 1, 0, 1]], verbose=0)


def test_a_schedule(tmp_path):
    rate = optimizer("ExponentialDecay", initial_learning_rate=0.1, decay_steps=10, decay_rate=0.5, staircase=False)
    model = model_with(tmp_path, optimizer("SGD", learning_rate=rate))
    assert float(model.optimizer._learning_rate(10)) == pytest.approx(0.05)


@pytest.mark.parametrize(
    "training, names",
    [
        ({"loss": "mse", "metrics": ["acc"]}, {"loss", "acc"}),
        ({"loss": "cosine_proximity", "metrics": ["mae"]}, {"loss", "mae"}),
        ({"loss": "kullback_leibler_divergence", "metrics": []}, {"loss"}),
        ({"loss": "categorical_crossentropy", "metrics": ["categorical_accuracy"]}, {"loss", "categorical_accuracy"}),
        (
            {
                "loss": {
                    "class_name": "CategoricalCrossentropy",
                    "config": {"reduction": "auto", "name": "c", "from_logits": False, "label_smoothing": 0.1},
                },
                "metrics": [
                    [
                        {
                            "class_name": "MeanMetricWrapper",
                            "config": {"name": "accuracy", "dtype": "float32", "fn": "categorical_accuracy"},
                        },
                        {"class_name": "AUC", "config": {"name": "auc", "dtype": "float32", "num_thresholds": 20}},
                    ]
                ],
            },
            {"loss", "accuracy", "auc"},
        ),
    ],
)
def test_losses_and_metrics(tmp_path, training, names):
    model = model_with(tmp_path, optimizer("SGD", lr=0.1), **training)
    history = model.fit(np.ones((4, 3)), np.eye(2)[[0, 1, 0, 1]], verbose=0).history
    assert set(history) == names


def test_no_training_config(tmp_path):
    dense = layer("Dense", "d", units=2, batch_input_shape=[None, 3])
    weights = {"d": [("d/kernel:0", np.ones((3, 2), "float32")), ("d/bias:0", np.ones(2, "float32"))]}
    model = keras.saving.load_model(write(tmp_path / "m.h5", sequential([dense]), weights))
    assert not model.compiled


# ---------------------------------------------------------------------------- the state of optimizers


def slots(rng, kinds, style):
    """Each kind's values, and the file's list in the order and with the names of a version of Keras."""
    values = {kind: [rng.uniform(0.1, 1.0, shape).astype("float32") for shape in SHAPES] for kind in kinds}
    variables = ["d/kernel", "d/bias"]
    if style == "2.11":
        return values, [
            (f"Opt/{kind}/{variable}:0", values[kind][i]) for i, variable in enumerate(variables) for kind in kinds
        ]
    if style == "2.4":
        return values, [
            (f"Opt/{variable}/{kind}:0", values[kind][i]) for kind in kinds for i, variable in enumerate(variables)
        ]
    everything = [value for kind in kinds for value in values[kind]]
    return values, [(f"training/Opt/Variable_{i + 1}:0", value) for i, value in enumerate(everything)]


@pytest.mark.parametrize("style", ["2.11", "2.4", "2.2"])
@pytest.mark.parametrize(
    "given, kinds",
    [
        (optimizer("Adam", lr=0.01), {"m": "momentum", "v": "velocity"}),
        (optimizer("Adam", lr=0.01, amsgrad=True), {"m": "momentum", "v": "velocity", "vhat": "velocity_hat"}),
        (optimizer("SGD", lr=0.01, momentum=0.9), {"momentum": "momentum"}),
        (optimizer("RMSprop", lr=0.01), {"rms": "velocity"}),
        (optimizer("Adagrad", lr=0.01), {"accumulator": "accumulator"}),
        (optimizer("Adadelta", lr=0.01), {"accum_grad": "accumulated_grad", "accum_var": "accumulated_delta_var"}),
        (optimizer("Adamax", lr=0.01), {"m": "momentum", "v": "norm"}),
    ],
)
def test_state(tmp_path, given, kinds, style, rng):
    values, state = slots(rng, kinds, style)
    count = {"2.11": "iteration:0", "2.4": "Opt/iter:0", "2.2": "Opt/iterations:0"}[style]
    state = [(count, np.int64(17)), *state]
    if style == "2.11":
        state.insert(1, ("learning_rate:0", np.float32(0.25)))
    model = model_with(tmp_path, given, state)
    assert int(model.optimizer.iterations) == 17
    assert float(model.optimizer.learning_rate) == pytest.approx(0.25 if style == "2.11" else 0.01)
    for kind, slot in kinds.items():
        for mine, saved in zip(model.optimizer._slots[slot], values[kind], strict=True):
            np.testing.assert_array_equal(mine.numpy(), saved)


def test_state_that_is_not_needed_is_left_out(tmp_path, rng):
    """Keras 2.2 kept empty `vhat` without amsgrad, and moments without momentum."""
    values, state = slots(rng, ["m", "v"], "2.2")
    state += [(f"training/Opt/Variable_{i}:0", np.zeros(1, "float32")) for i in (10, 11)]
    model = model_with(tmp_path, optimizer("Adam", lr=0.01), [("Opt/iterations:0", np.int64(3)), *state])
    np.testing.assert_array_equal(model.optimizer._slots["velocity"][0].numpy(), values["v"][0])
    _, state = slots(rng, ["momentum"], "2.2")
    model = model_with(tmp_path, optimizer("SGD", lr=0.01), [("Opt/iterations:0", np.int64(3)), *state])
    assert int(model.optimizer.iterations) == 3


def test_state_that_does_not_fit(tmp_path, rng):
    state = [("Opt/iterations:0", np.int64(3)), ("training/Opt/Variable_1:0", np.zeros((7, 7), "float32"))]
    with pytest.warns(UserWarning, match="Error in loading the saved optimizer state"):
        model = model_with(tmp_path, optimizer("Adam", lr=0.01), state)
    assert int(model.optimizer.iterations) == 0
