"""Old configs through the other doors: JSON, `.keras` files of Keras 2.12 to 2.15, and the names that modules had."""

from __future__ import annotations

import io
import json
import zipfile

import h5py
import keras as real_keras
import numpy as np
import pytest

import torchkeras as keras
from tests.saving.legacy.old_files import functional, input_layer, layer, placed, sequential, write
from torchkeras.cli.main import main
from torchkeras.cli.opened_file import opened_file


def keras_archive(path, config, weights, version="2.13.1"):
    """A `.keras` file as Keras 2.12 to 2.15 wrote it."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for place, values in weights.items():
            for i, value in enumerate(values):
                file[f"{place}/vars/{i}"] = value
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version, "date_saved": "2023-08-01@12:00:00"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", buffer.getvalue())
    return path


def modern(row, module="keras.layers"):
    return {**row, "module": module, "registered_name": None, "build_config": {"input_shape": [None, 3]}}


@pytest.mark.parametrize("places", ["_layer_checkpoint_dependencies", "layers"])
@pytest.mark.parametrize("module", ["keras.src.engine.functional", "keras.engine.functional"])
def test_keras_files_of_keras_2(tmp_path, places, module, rng):
    kernel, bias = rng.normal(size=(3, 2)).astype("float32"), rng.normal(size=2).astype("float32")
    dense = layer("Dense", "d", units=2, activation="hard_sigmoid", dtype="float32")
    rows = [
        modern(input_layer("x", (3,))),
        modern(placed(dense, [["x", 0, 0, {}]])),
        modern(placed(layer("LeakyReLU", "l", alpha=0.1), [["d", 0, 0, {}]])),
    ]
    config = functional(rows, [["x", 0, 0]], [["l", 0, 0]], kind="Functional")
    loss = {
        "module": "builtins",
        "class_name": "function",
        "config": "mean_squared_error",
        "registered_name": "function",
    }
    adam = {"name": "Adam", "learning_rate": 0.25, "jit_compile": True, "is_legacy_optimizer": False, "beta_1": 0.8}
    optimizer = {"module": "keras.optimizers", "class_name": "Adam", "config": adam, "registered_name": None}
    compiled = {"optimizer": optimizer, "loss": loss, "metrics": ["mae"], "loss_weights": None, "jit_compile": None}
    config |= {"module": module, "registered_name": "Functional", "compile_config": compiled}
    path = keras_archive(tmp_path / "m.keras", config, {f"{places}/dense": [kernel, bias]})
    model = keras.saving.load_model(path)
    x = rng.normal(size=(4, 3)).astype("float32")
    want = np.clip(0.2 * (x @ kernel + bias) + 0.5, 0, 1)
    np.testing.assert_allclose(model.predict(x, verbose=0), want, rtol=1e-5, atol=1e-6)
    assert (float(model.optimizer.learning_rate), model.optimizer.beta_1) == (0.25, 0.8)
    assert set(model.fit(x, want, verbose=0).history) == {"loss", "mae"}


MODULES = ["tensorflow.keras.layers", "tensorflow.python.keras.layers.core", "keras.layers.core.dense"]


@pytest.mark.parametrize("module", [*MODULES, "tf_keras.src.layers.core.dense"])
def test_modules_of_other_times(tmp_path, module, rng):
    kernel = rng.normal(size=(3, 2)).astype("float32")
    dense = {**layer("Dense", "d", units=2, use_bias=False, batch_input_shape=[None, 3]), "module": module}
    path = write(tmp_path / "m.h5", sequential([dense], "s"), {"d": [("d/kernel:0", kernel)]})
    x = rng.normal(size=(4, 3)).astype("float32")
    np.testing.assert_allclose(keras.saving.load_model(path).predict(x, verbose=0), x @ kernel, rtol=1e-5, atol=1e-6)


def test_json_of_keras_1_and_2():
    one = sequential([layer("Dense", "d", output_dim=4, init="uniform", batch_input_shape=[None, 3])])
    two = sequential([layer("Dense", "d", units=4, batch_input_shape=[None, 3])], "s")
    for config, version in ((one, "1.2.2"), (two, "2.3.1"), (one, None), (two, None)):
        stated = {} if version is None else {"keras_version": version, "backend": "tensorflow"}
        model = keras.models.model_from_json(json.dumps({**config, **stated}))
        assert [w.shape for w in model.weights] == [(3, 4), (4,)]


def test_configs_of_keras_3_stay_as_they_are():
    """The GRU and the hard sigmoid of Keras 3 are not those of Keras 2."""
    made = real_keras.Sequential(
        [real_keras.Input((5, 3)), real_keras.layers.GRU(2, recurrent_activation="hard_sigmoid")]
    )
    model = keras.models.model_from_json(made.to_json())
    assert model.layers[0].reset_after
    assert model.layers[0].recurrent_activation is keras.activations.hard_sigmoid
    text = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [layer("GRU", "g", units=2)]}})
    assert keras.models.model_from_json(text).layers[0].reset_after


def test_weights_of_an_application(tmp_path, rng):
    """A file whose layers have the names of another time, and other layers without weights between them."""
    L = keras.layers
    x = keras.Input((8, 8, 3))
    y = L.Conv2D(4, 3, name="conv1_conv")(L.ZeroPadding2D(name="conv1_pad")(x))
    y = L.ReLU(name="relu")(L.BatchNormalization(name="conv1_bn")(y))
    y = L.SeparableConv2D(5, 3, use_bias=False, name="block_sep")(y)
    model = keras.Model(x, L.Dense(2, name="predictions")(L.GlobalAveragePooling2D(name="pool")(y)))
    shapes = {
        "input_1": [],
        "convolution2d_1": [("convolution2d_1_W:0", (3, 3, 3, 4)), ("convolution2d_1_b:0", (4,))],
        "batchnormalization_1": [
            (f"batchnormalization_1_{name}:0", (4,)) for name in ("gamma", "beta", "running_mean", "running_std")
        ],
        "activation_1": [],
        "separable_1": [
            ("separable_1/depthwise_kernel:0", (3, 3, 4, 1)),
            ("separable_1/pointwise_kernel:0", (1, 1, 4, 5)),
        ],
        "fc1000": [("fc1000_W:0", (5, 2)), ("fc1000_b:0", (2,))],
    }
    weights = {name: [(key, rng.random(shape).astype("float32")) for key, shape in row] for name, row in shapes.items()}
    path = write(tmp_path / "resnet_weights.h5", None, weights, version=None, backend=None)
    model.load_weights(path)
    for mine, (_, theirs) in zip(model.get_weights(), [w for row in weights.values() for w in row], strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("whole", [False, True])
def test_inspect_and_diff(tmp_path, whole, capsys):
    """The command line lists the datasets of legacy files by their paths."""
    dense = sequential([layer("Dense", "d", units=2, use_bias=False, batch_input_shape=[None, 3])], "s")
    weights = {"d": [("d/kernel:0", np.ones((3, 2), "float32"))]}
    path = write(tmp_path / "m.h5", dense if whole else None, weights)
    with opened_file(str(path)) as file:
        assert (file.config is not None) == whole
        (name,) = file.tensors
        assert name == ("model_weights/d/d/kernel:0" if whole else "d/d/kernel:0")
        assert file.tensors[name].shape == (3, 2)
    assert main(["diff", str(path), str(path)]) == 0
