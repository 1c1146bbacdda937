"""FAQ 6: one seed for everything, and deterministic kernels."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
import torch

import torchkeras as keras

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def trained(device: str = "cpu") -> list[np.ndarray]:
    """Weights after a run with random data, initial weights, shuffling and dropout, and Python's and NumPy's draws."""
    keras.utils.set_random_seed(1337)
    with keras.device(device):
        x, y = np.random.rand(20, 4), np.random.rand(20, 1)
        model = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(x, y, batch_size=6, epochs=2, verbose=0)
        draws = keras.random.normal((3,))
    return [*model.get_weights(), draws.cpu().numpy(), np.array(random.random())]


def assert_equal(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_set_random_seed_repeats_a_training_exactly():
    assert_equal(trained(), trained())


@pytest.fixture
def torch_settings(monkeypatch):
    """Torch's settings as they are by default, and again afterwards."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setenv(WORKSPACE, "before")
    monkeypatch.delenv(WORKSPACE)
    yield
    keras.config.disable_op_determinism()
    torch.use_deterministic_algorithms(False)


def test_the_switch_sets_what_torch_asks_for_and_restores_it(torch_settings):
    assert not keras.config.is_op_determinism_enabled()
    keras.config.enable_op_determinism()
    keras.config.enable_op_determinism()  # a second call changes nothing
    assert keras.config.is_op_determinism_enabled() and torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark and os.environ[WORKSPACE] == ":4096:8"
    keras.config.disable_op_determinism()
    assert not keras.config.is_op_determinism_enabled() and not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark and WORKSPACE not in os.environ
    keras.config.disable_op_determinism()


def test_the_users_own_settings_are_kept(torch_settings, monkeypatch):
    monkeypatch.setenv(WORKSPACE, ":16:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert not keras.config.is_op_determinism_enabled()  # a kernel that differs from run to run only warns
    keras.config.enable_op_determinism()
    assert os.environ[WORKSPACE] == ":16:8"
    keras.config.disable_op_determinism()
    assert os.environ[WORKSPACE] == ":16:8" and torch.is_deterministic_algorithms_warn_only_enabled()


def test_training_runs_under_the_switch(torch_settings):
    keras.config.enable_op_determinism()
    assert_equal(trained(), trained())


@pytest.mark.cuda
def test_a_training_on_cuda_repeats_bit_by_bit(torch_settings):
    keras.config.enable_op_determinism()
    assert_equal(trained("cuda"), trained("cuda"))
