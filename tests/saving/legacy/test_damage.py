"""Damaged files of other programs, which have no checksum: an error or a model, in no time, and never anything else."""

from __future__ import annotations

import time
import warnings

import numpy as np

import torchkeras
from tests.saving.legacy.old_files import layer, sequential, write
from tests.saving.stress import stress_count


def test_changed_bytes(tmp_path, rng):
    rows = [layer("Dense", "d", units=4, batch_input_shape=[None, 3]), layer("Dense", "e", units=2)]
    weights = {
        "d": [("d/kernel:0", np.ones((3, 4), "f4")), ("d/bias:0", np.ones(4, "f4"))],
        "e": [("e/kernel:0", np.ones((4, 2), "f4")), ("e/bias:0", np.ones(2, "f4"))],
    }
    training = {"optimizer_config": {"class_name": "Adam", "config": {"lr": 0.1}}, "loss": "mse", "metrics": ["mae"]}
    path = write(tmp_path / "m.h5", sequential(rows, "s"), weights, training=training)
    good = path.read_bytes()
    torchkeras.saving.load_model(path)
    refused = 0
    for _ in range(stress_count(200, 5000)):
        data = bytearray(good)
        place = int(rng.integers(len(data)))
        for i in range(place, min(place + int(rng.integers(1, 9)), len(data))):
            data[i] = int(rng.choice([0, 255, rng.integers(256)]))
        path.write_bytes(data)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                torchkeras.saving.load_model(path)
            except (TypeError, ValueError):
                refused += 1
        assert time.perf_counter() - start < 60
    assert refused


def test_a_heap_that_runs_in_circles(tmp_path):
    """HDF5 itself never comes back from an object of such a size."""
    path = write(tmp_path / "m.h5", sequential([layer("Dense", "d", units=1, batch_input_shape=[None, 1])]), {})
    data = bytearray(path.read_bytes())
    heap = data.find(b"GCOL")
    assert heap > 0
    data[heap + 16 + 8 : heap + 16 + 16] = ((1 << 64) - 16).to_bytes(8, "little")
    path.write_bytes(data)
    start = time.perf_counter()
    try:
        torchkeras.saving.load_model(path)
    except ValueError as error:
        assert "corrupt" in str(error)
    assert time.perf_counter() - start < 60
