"""Trainings beside which CUDA graphs could go wrong, rows by name, for `scripts/gpu_check.py`.

Each row is a function of the device's name that raises an error where a replayed computation differs from the same in
eager mode, and else returns a note. A stand-in on the CPU (`tests/training/recorded_graphs.py`) tries the rows alone:
streams, libraries' workspaces, allocators and generators of the device are those of a real GPU.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import torchkeras as keras
from tests.device_features import cuda_graphs
from tests.device_fits import BATCH, FITS, X, Y, dense
from torchkeras.core import random_state
from torchkeras.training.state import state_of

L = keras.layers


@contextlib.contextmanager
def without_failed_captures() -> Iterator[None]:
    """Raise an error at the end if a capture failed inside."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("torchkeras")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    assert not any("capture failed" in line for line in lines), lines


def alike(device: str, run: Callable[[], tuple[Any, list[Any]]], purpose: str = "train", most: float = 1e-4) -> str:
    """Compare the values that a function gives in eager mode and with replays.

    Args:
        device: the device.
        run: makes and runs a model; gives the model and values of its.
        purpose: the steps that must have been replayed.
        most: the largest difference.
    """
    found = []
    for mode in ("off", "auto"):
        keras.backend.clear_session()
        keras.utils.set_random_seed(5)
        with keras.device(device), cuda_graphs(mode), without_failed_captures():
            model, values = run()
            found.append([np.asarray(value.detach().cpu() if torch.is_tensor(value) else value) for value in values])
    for plain, replayed in zip(*found, strict=True):
        np.testing.assert_allclose(replayed, plain, rtol=most, atol=most)
    replayer = state_of(model).replayers.get(purpose)
    count = 0 if replayer is None else replayer.replays
    assert count > 3, f"{count} replays"
    return f"{count} replays"


def _fit(model: Any, epochs: int = 1, **options: Any) -> list[float]:
    given = {"batch_size": BATCH, "shuffle": False, "verbose": 0, **options}
    return model.fit(X, Y, epochs=epochs, **given).history["loss"]


def random_numbers(device: str) -> str:
    """A random state that was kept between replayed epochs gives the same epoch again, and epochs differ."""

    def run() -> tuple[Any, list[Any]]:
        model = FITS["dense"]._replace(make=dense(lambda: L.Dropout(0.5))).compiled()
        _fit(model, 3)
        kept = [weight.detach().clone() for weight in (*model.weights, *model.optimizer.variables)]
        state = random_state.capture()
        losses = [_fit(model)]
        for _ in range(2):
            for weight, value in zip((*model.weights, *model.optimizer.variables), kept, strict=True):
                weight.assign(value)
            losses.append(_fit(model))
            if len(losses) == 2:
                random_state.restore(state)
        assert losses[0] == losses[2] != losses[1], losses
        return model, losses

    return alike(device, run)


def gradients_after_an_evaluation(device: str) -> str:
    """The gradients of the last step are there after a validation that was captured before the training."""

    def run() -> tuple[Any, list[Any]]:
        model = FITS["dense"].compiled()
        for _ in range(2):
            model.evaluate(X, Y, batch_size=BATCH, verbose=0)
        _fit(model, 3, validation_data=(X, Y))
        return model, [weight.grad for weight in model.trainable_weights]

    return alike(device, run)


def losses_of_layers(device: str) -> str:
    """A model that adds losses, in mixed precision, was called by itself before, in the stream of the computation."""

    def run() -> tuple[Any, list[Any]]:
        make = dense(lambda: L.Dense(4, activity_regularizer="l2"))
        model = FITS["dense"]._replace(make=make, policy="mixed_bfloat16").compiled()
        model(torch.from_numpy(X[:2]))
        return model, [_fit(model, 4)]

    return alike(device, run, most=2e-2)


def threads_in_turn(device: str) -> str:
    """A model predicts in one thread after the other, each with handles of its own of CUDA's libraries."""

    def run() -> tuple[Any, list[Any]]:
        model, found = FITS["convolutions"].compiled(), []
        images = FITS["convolutions"].x

        def predict() -> None:
            with keras.device(device):
                found.append(model.predict(images[: 3 * BATCH], batch_size=BATCH, verbose=0))

        for _ in range(4):
            worker = threading.Thread(target=predict)
            worker.start()
            worker.join(120)
        predict()
        predict()
        return model, found

    return alike(device, run, "predict")


def another_stream(device: str) -> str:
    """A training goes on in a stream of the user's, and in the first one again."""

    def run() -> tuple[Any, list[Any]]:
        model = FITS["dense"].compiled()
        losses = _fit(model, 3)
        with torch.cuda.stream(torch.cuda.Stream()) if device == "cuda" else contextlib.nullcontext():
            losses += _fit(model, 3)
            if device == "cuda":
                torch.cuda.current_stream().synchronize()
        return model, [losses + _fit(model, 3)]

    return alike(device, run)


def changes_between_passes(device: str) -> str:
    """Between calls of fit a layer is frozen, gets low-rank weights, and the model moves to the CPU and back."""

    def run() -> tuple[Any, list[Any]]:
        model = FITS["dense"].compiled()
        losses = _fit(model, 3)

        def again(optimizer: Any) -> None:
            model.compile(optimizer, FITS["dense"].loss())
            losses.extend(_fit(model, 3))

        model.layers[0].trainable = False
        again("adam")
        model.layers[0].trainable = True
        model.layers[0].enable_lora(2)
        again("sgd")
        model.to("cpu")
        model.to(device)
        losses.extend(_fit(model, 3))
        model.load_state_dict({name: value * 0.5 for name, value in model.state_dict().items()})
        model.layers[-1].kernel.data = model.layers[-1].kernel.data.clone()
        losses.extend(_fit(model, 3))
        return model, [losses, *model.get_weights()]

    return alike(device, run)


def quantized_predictions(device: str) -> str:
    """Predictions of quantized layers, with sizes for which the device has kernels."""
    notes, x = [], np.random.default_rng(0).normal(size=(192, 64)).astype("float32")
    for mode in ("int8", "int4", "float8"):

        def run(mode: str = mode) -> tuple[Any, list[Any]]:
            model = keras.Sequential([keras.Input((64,)), L.Dense(32, activation="relu"), L.Dense(16)])
            model.quantize(mode)
            return model, [model.predict(x, batch_size=32, verbose=0) for _ in range(2)]

        notes.append(f"{mode} {alike(device, run, 'predict', 1e-3)}")
    return ", ".join(notes)


def beside_graphs_of_the_compiler(device: str) -> str:
    """A function with CUDA graphs of torch's compiler, which clears workspaces of cuBLAS, runs between replays."""

    def run() -> tuple[Any, list[Any]]:
        model = FITS["dense"]._replace(make=dense(lambda: L.Dense(512), lambda: L.Dense(512))).compiled()
        losses = _fit(model, 3)
        weight = torch.nn.Parameter(torch.ones(256, 256, device=device))
        backend = {"mode": "reduce-overhead"} if device == "cuda" else {"backend": "eager"}
        product = torch.compile(lambda x: (x @ weight).relu(), **backend)
        for _ in range(4):
            product(torch.ones(64, 256, device=device)).sum().backward()
        canaries = [torch.full((2**18,), 7.0, device=device) for _ in range(96)]  # in memory that was given back
        losses += _fit(model, 3)
        assert all(bool((canary == 7).all()) for canary in canaries), "a replay wrote to memory of others"
        return model, [losses]

    return alike(device, run)


def dropped_in_flight(device: str) -> str:
    """A model is dropped while its last replays run, and the next one gets its memory."""

    def run() -> tuple[Any, list[Any]]:
        losses = []
        for _ in range(3):
            model = FITS["dense"].compiled()
            losses += _fit(model, 3)
            outputs = model.predict(X, batch_size=BATCH, verbose=0)
            model, dropped = FITS["dense"].compiled(), model
            del dropped
            gc.collect()
            losses += [*_fit(model, 3), *outputs.ravel()]
        return model, [losses]

    return alike(device, run)


_SMALL_TRAINING = """
import sys
sys.path.insert(0, {root!r})
import torch
import torchkeras as keras
from tests.device_fits import FITS
from torchkeras.training.state import state_of
curves = []
with keras.device({device!r}):
    for mode in ("off", "auto"):
        keras.config.set_cuda_graphs(mode)
        model, history = FITS["dense"].train(epochs=4)
        curves.append(history["loss"])
        model.predict(FITS["dense"].x, batch_size=8, verbose=0)
assert max(abs(a - b) for a, b in zip(*curves, strict=True)) < 1e-4, curves
replayer = state_of(model).replayers.get("train")
print(0 if replayer is None else replayer.replays)
"""


def allocators(device: str) -> str:
    """A training in a process of its own with each kind of memory that torch's allocator has for CUDA."""
    notes = []
    for setting in ("expandable_segments:True", "backend:cudaMallocAsync") if device == "cuda" else ("",):
        environment = {**os.environ, "PYTORCH_CUDA_ALLOC_CONF": setting, "PYTORCH_ALLOC_CONF": setting}
        code = _SMALL_TRAINING.format(root=str(Path(__file__).resolve().parent.parent), device=device)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment
        )
        assert done.returncode == 0, f"{setting}: {done.stderr[-600:]}"
        notes.append(f"{setting} {done.stdout.split()[-1]} replays")
    return ", ".join(notes)


FEATURES: dict[str, Callable[[str], str]] = {
    "random numbers after replays": random_numbers,
    "gradients after an evaluation": gradients_after_an_evaluation,
    "losses of layers, mixed precision": losses_of_layers,
    "threads in turn": threads_in_turn,
    "another stream": another_stream,
    "changes between passes": changes_between_passes,
    "quantized predictions": quantized_predictions,
    "dropped in flight": dropped_in_flight,
    "beside graphs of the compiler": beside_graphs_of_the_compiler,
    "allocators": allocators,
}
