"""FAQ: how to see metrics while training: in the bar, and in TensorBoard, whose own reader reads the files here."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.util.tensor_util import make_ndarray

import torchkeras as keras


def read(folder):
    """`{run: {tag: [(step, value), ...]}}`, as TensorBoard reads a folder."""
    runs = EventMultiplexer().AddRunsFromDirectory(str(folder))
    runs.Reload()
    return {
        run: {tag: [(e.step, make_ndarray(e.tensor_proto)) for e in runs.Tensors(run, tag)] for tag in tags["tensors"]}
        for run, tags in runs.Runs().items()
    }


def trained(tmp_path, epochs=3, **kwargs):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="hidden"), keras.layers.Dense(1, name="out")]
    )
    model.compile("adam", "mse", metrics=["mae"])
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 4)), rng.normal(size=(24, 1))
    board = keras.callbacks.TensorBoard(log_dir=str(tmp_path / "logs"), **kwargs)
    options = {"epochs": epochs, "batch_size": 4, "callbacks": [board], "verbose": 0}
    return model, model.fit(x, y, validation_data=(x[:8], y[:8]), **options).history


def test_the_curves_of_an_epoch(tmp_path):
    _, history = trained(tmp_path)
    runs = read(tmp_path / "logs")
    assert set(runs) == {"train", "validation"}
    assert set(runs["train"]) >= {"epoch_loss", "epoch_mae", "epoch_learning_rate"}
    for run, prefix in (("train", ""), ("validation", "val_")):
        for name in ("loss", "mae"):
            steps, values = zip(*runs[run][f"epoch_{name}"], strict=True)
            assert steps == (0, 1, 2)
            assert list(values) == pytest.approx(history[prefix + name], rel=1e-6)
    assert [float(value) for _, value in runs["train"]["epoch_learning_rate"]] == pytest.approx([0.001] * 3)


def test_metrics_in_the_bar(capsys):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(np.ones((8, 4)), np.ones((8, 1)), verbose=2)
    assert "loss:" in (out := capsys.readouterr().out) and "mae:" in out
