"""The same training on the CPU and on a device of torch_xla: the curves, and what the device was asked to do."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

import torchkeras as keras

if "PJRT_DEVICE" not in os.environ:
    pytest.skip("`make xla` builds an environment with torch_xla and runs these tests in it", allow_module_level=True)
xla = pytest.importorskip("torch_xla", reason="`make xla` builds an environment with torch_xla")
counters = importlib.import_module("torch_xla.debug.metrics")


class Asked(NamedTuple):
    """Counts of the device's executions and compilations.

    Attributes:
        compiles: graphs that were compiled.
        executions: graphs that ran.
        reads: tensors that the host read.
    """

    compiles: int
    executions: int
    reads: int

    def __sub__(self, other: Asked) -> Asked:
        return Asked(*[a - b for a, b in zip(self, other, strict=True)])


def asked() -> Asked:
    """The counts since the process began."""
    names = "CompileTime", "ExecuteTime", "TransferFromDeviceTime"
    return Asked(*[int((counters.metric_data(name) or (0,))[0]) for name in names])


def taken_to_the_cpu() -> set[str]:
    """The operations that torch_xla could not do on the device; reading a number is not counted among them."""
    return {name for name in counters.counter_names() if name.startswith("aten::")} - {"aten::_local_scalar_dense"}


class Counts(keras.callbacks.Callback):
    """The counts of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[Asked] = []
        self._before = asked()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        now = asked()
        self.epochs.append(now - self._before)
        self._before = now


class Trial(NamedTuple):
    """A training, and what followed.

    Attributes:
        history: the logs of the epochs.
        evaluated: the logs of an evaluation.
        predicted: the outputs.
        weights: the weights afterwards.
        epochs: what the device was asked in each epoch.
        model: the model.
    """

    history: dict[str, list[float]]
    evaluated: dict[str, float]
    predicted: np.ndarray
    weights: list[np.ndarray]
    epochs: list[Asked]
    model: Any


def train(
    device: str,
    make: Callable[[], Any],
    data: Sequence[np.ndarray],
    compile: dict[str, Any],
    epochs: int = 4,
    batch_size: int = 16,
    **fit: Any,
) -> Trial:
    """Train on a device: layers, losses, metrics and optimizer are made there, in the same way each time."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(5)
    counts = Counts()
    with keras.device(device):
        model = make()
        model.compile(
            **{name: value() if name != "jit_compile" and callable(value) else value for name, value in compile.items()}
        )
        run = {"batch_size": batch_size, "verbose": 0}
        history = model.fit(*data, epochs=epochs, shuffle=False, callbacks=[counts], **run, **fit).history
        evaluated = model.evaluate(*data, return_dict=True, **run)
        predicted = model.predict(data[0], **run)
    return Trial(history, evaluated, predicted, model.get_weights(), counts.epochs, model)


def check_alike(one: Trial, other: Trial, tolerance: float = 1e-5) -> None:
    """Compare curves, evaluations, outputs and weights."""
    assert one.history.keys() == other.history.keys() and one.evaluated.keys() == other.evaluated.keys()
    for name, values in one.history.items():
        np.testing.assert_allclose(other.history[name], values, tolerance, tolerance, err_msg=name)
    for name, value in one.evaluated.items():
        np.testing.assert_allclose(other.evaluated[name], value, tolerance, tolerance, err_msg=name)
    np.testing.assert_allclose(other.predicted, one.predicted, 10 * tolerance, 10 * tolerance)
    for mine, theirs in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(theirs, mine, 10 * tolerance, 10 * tolerance)
