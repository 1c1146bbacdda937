"""Trainings on a pretended CUDA device: the curve is the CPU's, and within an epoch the host waits for nothing."""

from __future__ import annotations

import logging
from collections import Counter

import h5py
import numpy as np
import pytest
import scipy.sparse
import torch

import torchkeras as keras
from tests.device_fits import FITS, SEQUENCES, Batches, X, Y, dense, recurrent
from tests.pretend_cuda import pretended_cuda
from tests.training.pretended_graphs import PretendedAudit, PretendedGraphs
from torchkeras.core.tensors import copy_stream
from torchkeras.core.tensors.convert import constant
from torchkeras.training import predict
from torchkeras.training.replay.graphs import GRAPHS


@pytest.fixture
def machine():
    """A machine with one pretended GPU, whose steps are not replayed."""
    before = keras.config.cuda_graphs()
    keras.config.set_cuda_graphs("off")
    with pretended_cuda() as made:
        yield made
    keras.config.set_cuda_graphs(before)


def histories() -> dict[str, dict]:
    found = {}
    for name, fit in FITS.items():
        keras.backend.clear_session()
        found[name] = fit.train(16, epochs=1)[1]
    return found


@pytest.fixture(scope="module")
def curves_of_the_cpu():
    return histories()


def test_trainings(curves_of_the_cpu, machine):
    broken = []
    for name, fit in FITS.items():
        try:
            waits = []
            for samples in (16, 32):
                machine.waits.clear()
                keras.backend.clear_session()
                model, history = fit.train(samples, epochs=1)
                waits.append(Counter(machine.waits))
                if samples == 16:
                    assert history.keys() == curves_of_the_cpu[name].keys()
                    for key, values in history.items():
                        np.testing.assert_allclose(values, curves_of_the_cpu[name][key], rtol=1e-4, atol=1e-5)
            assert waits[0] == waits[1], f"the host waits in each step: {waits[1] - waits[0]}"
            strange = [weight.path for weight in model.weights if not weight.is_cuda and "seed" not in weight.path]
            assert not strange, f"{strange} lie on the CPU"
        except Exception as error:
            broken.append(f"{name}: {type(error).__name__}: {error}")
    assert not broken, "\n\n".join(broken)


def test_torchs_default_device_may_be_the_gpu(machine):
    wanted = FITS["dense"].train(epochs=1)[1]
    torch.set_default_device("cuda")
    try:
        assert FITS["dense"].train(epochs=1)[1] == wanted
        model, _ = FITS["dense"].train(epochs=1)
        model.fit(X, Y, shuffle="batch", verbose=0)
        model.fit(Batches(16), verbose=0)
    finally:
        torch.set_default_device(None)


def refuse(*args):
    raise RuntimeError("CUDA error: out of memory")


def test_data_too_large_for_the_device_comes_without_waiting_through_pinned_memory(machine, monkeypatch, tmp_path):
    monkeypatch.setattr("torchkeras.training.data.array_source._fits", lambda arrays, device: False)
    monkeypatch.setattr("torchkeras.core.tensors.copy_stream._STAGED", 0)
    model = FITS["dense"].make()
    model.compile("sgd", "mse")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"], sparse = X, scipy.sparse.csr_matrix(X)
        file["start"] = X[:16]
        for whole, start in ((X, X[:16]), (file["x"], file["start"]), (sparse, sparse[:16])):
            waits = {}
            for samples in (16, 48):
                for shuffle in (True, False):
                    rows = whole if samples == 48 else start
                    model.fit(rows, X[:samples, :3], batch_size=8, shuffle=shuffle, verbose=0)
                    machine.waits.clear()
                    machine.pageable.clear()
                    model.fit(rows, X[:samples, :3], batch_size=8, shuffle=shuffle, verbose=0)
                    waits[samples, shuffle] = machine.waits[:]
                    assert not [copy for copy in machine.pageable if "data/" in copy.where]
            assert waits[16, True] == waits[48, True] and waits[16, False] == waits[48, False], waits
    monkeypatch.setattr(machine, "pin", refuse)
    for x, shuffle in ((sparse, False), (X, False), (X, True)):
        model.fit(x, X[:, :3], batch_size=8, shuffle=shuffle, verbose=0)


class Refilled(keras.utils.PyDataset):
    """Batches that lie in the same pinned memory."""

    def __init__(self, buffer):
        super().__init__()
        self.buffer = buffer

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return self.buffer.fill_(index), self.buffer[:, :3]


def test_memory_that_the_user_pinned_is_copied_before_it_is_filled_again(machine, monkeypatch):
    """The device copies from it later than the host goes on."""
    buffer, other, asked = torch.ones(4, 6).pin_memory(), torch.ones(4, 6).pin_memory(), []
    plain = copy_stream.CudaStreams.pinned

    def pinned(self, tensor, copied):
        asked.append(copied)
        found = plain(self, tensor, copied)
        assert found.is_pinned() and (found is tensor) is not copied
        return found

    monkeypatch.setattr(copy_stream.CudaStreams, "pinned", pinned)
    model = FITS["dense"].make()
    model.compile("sgd", "mse")
    batches = Refilled(buffer)
    for source in (batches, (batches[i] for i in range(3)), iter([batches[0]] * 3)):
        model.fit(source, verbose=0)
        assert len(asked) >= 6 and all(asked)
        asked.clear()
    copy_stream.pinned(other, torch.device("cuda"))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(8, 6), torch.ones(8, 3)), 4)
    model.fit(loader, verbose=0)
    assert not asked


@pytest.mark.parametrize("make, x", [(dense(keras.layers.BatchNormalization), X), (recurrent, SEQUENCES)])
def test_a_model_of_the_cpu_moves(make, x, machine):
    with keras.device("cpu"):
        keras.utils.set_random_seed(1)
        model = make()
        model.compile("adam", "mse", metrics=["mae"])
        model.fit(x, x.reshape(48, -1)[:, :3], verbose=0)
    outputs = model.predict(x, verbose=0)
    model.to("cuda")
    np.testing.assert_allclose(model.predict(x, verbose=0), outputs, rtol=1e-5, atol=1e-6)
    model.fit(x, x.reshape(48, -1)[:, :3], verbose=0)
    assert all(variable.is_cuda for variable in model.weights)


def test_tensors_of_the_cpu_come_to_the_weights(machine):
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    layer, model = keras.layers.Dense(3), FITS["torch module"].make()
    two = keras.layers.Add()
    for one in (layer, model):
        for _ in range(2):  # the first call builds
            outputs = one(x)
        assert outputs.is_cuda
        loss = FITS["dense"].loss()(y, outputs)
        loss.backward()
        metric = keras.metrics.SparseCategoricalAccuracy()
        metric.update_state(y, outputs)
        assert loss.is_cuda and float(metric.result()) <= 1
    assert not two([x, x]).is_cuda  # nothing of it lies on the device
    masked = keras.layers.LSTM(3)
    x = keras.layers.Masking()(torch.from_numpy(SEQUENCES))
    assert masked(x).is_cuda and masked(x, mask=torch.ones(48, 5, dtype=torch.bool)).is_cuda


def test_metrics_of_thresholds_have_deterministic_kernels(machine):
    wanted = FITS["many metrics"].train(16, epochs=1)[1]
    keras.config.enable_op_determinism()
    try:
        found = FITS["many metrics"].train(16, epochs=1)[1]
    finally:
        keras.config.disable_op_determinism()
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6)


def test_outputs_that_fill_the_device_are_joined_on_the_host(machine, monkeypatch):
    model = FITS["dense"].make()
    joined = model.predict(X, batch_size=8, verbose=0)
    machine.waits.clear()
    monkeypatch.setattr(predict, "_SMALL", 0)
    monkeypatch.setattr(predict, "free_memory", lambda device: X.shape[0] * 3 * 4)
    np.testing.assert_array_equal(model.predict(X, batch_size=8, verbose=0), joined)
    assert sum("predict.py" in wait.where for wait in machine.waits) == len(X) // 8


# Why the trainings of `FITS` stay in eager mode; all others are captured as CUDA graphs.
NOT_CAPTURED = {
    "augmented": "changes a tensor of the host",  # the state of a seed
    "torch module": "code of yours",
    "mixed_bfloat16, torch module": "code of yours",
    "master weights": "looks on the host",
}


def test_which_steps_can_be_captured(machine, monkeypatch, caplog):
    monkeypatch.setitem(GRAPHS, "cuda", lambda device: PretendedGraphs(machine, device))
    keras.config.set_cuda_graphs("auto")
    wrong = []
    for name in FITS.keys() - {"own step"}:
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="torchkeras"):
            FITS[name].train(40, epochs=1)
        wanted = NOT_CAPTURED.get(name, PretendedGraphs.CAN_BE_CAPTURED)
        if not any(wanted in record.getMessage() for record in caplog.records):
            wrong.append(f"{name}: {[record.getMessage() for record in caplog.records]}")
    assert not wrong, "\n".join(wrong)


def test_layers_that_draw_by_the_portable_generator_are_not_captured(machine):
    """A replay would repeat the numbers of the captured step."""
    keras.config.enable_portable_random()
    try:
        for layer in (keras.layers.Dropout(0.5), keras.layers.GaussianNoise(0.5), keras.layers.RandomFlip(seed=1)):
            x = torch.ones(2, 4, 4, 3, device="cuda")
            layer(x, training=True)
            with PretendedAudit(machine, x.device) as audit:
                layer(x, training=True)
            assert audit.obstacle is not None, layer
    finally:
        keras.config.disable_portable_random()


def test_a_copy_of_constants_can_not_be_captured(machine):
    """A graph would read the host's memory again, where other values lie by then."""
    device = torch.device("cuda", 0)
    for values, obstacle in (([0.5] * 20, "it copies values from the host (_to_copy)"), ([0.5] * 3, None), (0.5, None)):
        with PretendedAudit(machine, device) as audit:
            assert constant(values, torch.float32, device).is_cuda
        assert audit.obstacle == obstacle
