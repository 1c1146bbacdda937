"""Checkpoints in parts, by OrbaxCheckpoint, ModelCheckpoint and BackupAndRestore, in one process."""

from __future__ import annotations

import shutil
import threading
import warnings

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras.saving.checkpoints import CheckpointWriter
from torchkeras.saving.formats import checkpoint, parts


def trained(*callbacks, epochs=3, **kwargs):
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    )
    model.compile("adam", "mse")
    x = np.random.normal(size=(12, 3)).astype("float32")
    model.fit(x, x[:, :2], batch_size=4, epochs=epochs, callbacks=list(callbacks), verbose=0, **kwargs)
    return model


def assert_same(model, loaded):
    for mine, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    for mine, theirs in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["2"]),
        ({"max_to_keep": 2}, ["1", "2"]),
        ({"max_to_keep": None}, ["0", "1", "2"]),
        ({"save_freq": 2, "max_to_keep": 3}, ["4", "6", "8"]),
        ({"save_best_only": True, "monitor": "loss", "mode": "min", "initial_value_threshold": -1.0}, []),
        ({"save_best_only": True, "monitor": "nothing"}, []),
    ],
)
def test_numbered_checkpoints(options, names, background, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error" if "monitor" not in options else "ignore")
        model = trained(keras.callbacks.OrbaxCheckpoint(tmp_path / "a", save_on_background=background, **options))
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    if names and options.get("save_freq") is None:
        assert_same(model, keras.models.load_model(tmp_path / "a"))


def test_weights_alone_and_a_file_of_one_checkpoint(tmp_path):
    both = [
        keras.callbacks.OrbaxCheckpoint(tmp_path / "numbered", save_weights_only=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.checkpoint", async_save=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.checkpoint", "loss", save_best_only=True),
    ]
    model = trained(*both)
    names = ["1.checkpoint", "2.checkpoint", "3.checkpoint", "best.checkpoint", "numbered"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert_same(model, keras.models.load_model(tmp_path / "3.checkpoint"))
    other = trained(epochs=1)
    other.load_weights(tmp_path / "numbered")
    assert_same(model, other)
    other = trained(epochs=1)
    other.load_weights(tmp_path / "3.checkpoint")
    assert_same(model, other)
    with pytest.raises(ValueError, match="holds weights only"):
        keras.models.load_model(tmp_path / "numbered")
    with pytest.raises(ValueError, match="must end in .checkpoint"):
        keras.callbacks.ModelCheckpoint(tmp_path / "a.keras", async_save=True)
    with pytest.raises(ValueError, match="max_to_keep must be"):
        keras.callbacks.OrbaxCheckpoint(tmp_path, max_to_keep=0)


def test_torch_reads_the_files(tmp_path):
    dcp = pytest.importorskip("torch.distributed.checkpoint")
    model = trained(keras.callbacks.ModelCheckpoint(tmp_path / "a.checkpoint"))
    kernel = torch.zeros(3, 4)
    state = {"layers.dense.0": kernel}
    name = next(k for k in parts_of(tmp_path / "a.checkpoint") if k.startswith("layers.dense") and k.endswith(".0"))
    state = {name: kernel}
    dcp.load(state, storage_reader=dcp.HuggingFaceStorageReader(str(tmp_path / "a.checkpoint")), no_dist=True)
    np.testing.assert_array_equal(kernel.numpy(), model.layers[0].kernel.numpy())


def parts_of(folder):
    with parts.read(folder, str(folder)) as source:
        return list(source.tensors)


def test_damage_is_noticed_and_the_one_before_is_read(rng, tmp_path):
    trained(keras.callbacks.OrbaxCheckpoint(tmp_path / "a", max_to_keep=2))
    newest, before = checkpoint.numbered(tmp_path / "a")
    whole = keras.models.load_model(before).get_weights()
    for path in sorted(newest.iterdir()):
        for _ in range(10):
            copy = tmp_path / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(tmp_path / "a", copy)
            data = bytearray(path.read_bytes())
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
            (copy / newest.name / path.name).write_bytes(data)
            np.testing.assert_equal(keras.models.load_model(copy).get_weights(), whole)
            with pytest.raises((ValueError, OSError), match="corrupt"):
                keras.models.load_model(copy / newest.name)
    (newest / "more.txt").write_text("x")
    with pytest.raises(ValueError, match="differ by"):
        keras.models.load_model(newest)


def test_an_error_in_the_background_is_raised_at_the_next_save(tmp_path):
    writer = CheckpointWriter(background=True)
    model = trained(epochs=1)
    writer.write(model, lambda: tmp_path / "missing", lambda folder: None)
    with pytest.raises(OSError, match="missing"):
        writer.wait()
    writer.wait()


def test_training_goes_on_while_files_are_written(tmp_path):
    """The background thread waits for a batch that comes after the save."""
    later = threading.Event()

    class Slow(keras.callbacks.OrbaxCheckpoint):
        def _finish(self, folder, number):
            assert later.wait(20)
            super()._finish(folder, number)

    class Later(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 1:
                later.set()

    model = trained(Slow(tmp_path / "a", save_freq=1, max_to_keep=9), Later(), epochs=1)
    assert later.is_set() and sorted(path.name for path in (tmp_path / "a").iterdir()) == ["1", "2", "3"]
    assert_same(model, keras.models.load_model(tmp_path / "a"))


def test_backups_in_the_background(tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 7:
                raise KeyboardInterrupt

    def run(folder, *more):
        keras.utils.set_random_seed(3)
        backup = keras.callbacks.BackupAndRestore(tmp_path / folder, save_freq=2, async_save=True)
        return trained(backup, *more)

    whole = run("other")
    with pytest.raises(KeyboardInterrupt):
        run("backup", Interrupt())
    assert (tmp_path / "backup").exists()
    assert_same(run("backup"), whole)
    assert not (tmp_path / "backup").exists()
