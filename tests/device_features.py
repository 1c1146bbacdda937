"""Single features on the current kind of device, rows by name, for `scripts/gpu_check.py`.

Each row is a function of the device's name that raises an error where something is wrong, and else returns a note. All
can be tried on a CPU, with the stand-in for CUDA graphs (`tests/training/recorded_graphs.py`).
"""

from __future__ import annotations

import contextlib
import gc
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
import torch

import torchkeras as keras
from tests.device_fits import BATCH, FITS, ROWS, WithTorchModule, X, Y, dense, loader
from torchkeras.training.data import array_source
from torchkeras.training.state import state_of

Feature = Callable[[str], str]


@contextlib.contextmanager
def cuda_graphs(mode: str) -> Iterator[None]:
    """Inside, CUDA graphs are `"off"`, `"auto"` or `"always"`."""
    before = keras.config.cuda_graphs()
    keras.config.set_cuda_graphs(mode)
    try:
        yield
    finally:
        keras.config.set_cuda_graphs(before)


def _replays(model: Any, purpose: str = "train") -> int:
    replayer = state_of(model).replayers.get(purpose)
    return 0 if replayer is None else replayer.replays


def _curve(name: str = "dense", **options: Any) -> tuple[Any, list[float]]:
    """A model that was trained on the current device, and its losses."""
    model, history = FITS[name].train(epochs=3, **options)
    return model, history["loss"]


def weights_set_after_the_capture(device: str) -> str:
    """Replayed prediction and evaluation see weights that were set since, also where a policy casts them."""
    notes = []
    for name in ("dense", "mixed_bfloat16", "mixed_float16"):
        fit = FITS[name]
        with keras.device(device), cuda_graphs("auto"):
            model = fit.compiled()

            def passes(model: Any = model, fit: Any = fit) -> list[np.ndarray]:
                found = model.evaluate(fit.x, fit.y, batch_size=BATCH, verbose=0)
                return [model.predict(fit.x, batch_size=BATCH, verbose=0), np.asarray(found)]

            passes()
            model.set_weights([weight * 0.5 + 0.25 for weight in model.get_weights()])
            replayed = passes()
            assert _replays(model, "predict") > 5 and _replays(model, "test") > 5, "nothing was replayed"
            keras.config.set_cuda_graphs("off")
            for found, wanted in zip(replayed, passes(), strict=True):
                np.testing.assert_allclose(found, wanted, rtol=max(fit.tolerance, 1e-4), atol=fit.tolerance)
        notes.append(name)
    return ", ".join(notes)


def threads(device: str) -> str:
    """Two threads train at once, each by the curve of a training alone; on two GPUs, if there are two."""
    several = device == "cuda" and torch.cuda.device_count() > 1
    places = ["cuda:0", "cuda:1"] if several else [device, device]
    with keras.device(device), cuda_graphs("off"):
        models = [FITS["dense"].compiled() for _ in places]
        wanted = _curve()[1]
    models = []
    for place in places:
        with keras.device(place):
            models.append(FITS["dense"].compiled())
    found: dict[int, list[float]] = {}
    errors: list[BaseException] = []
    meet = threading.Barrier(len(places), timeout=60)

    def run(index: int) -> None:
        try:
            with keras.device(places[index]):
                meet.wait()
                found[index] = FITS["dense"].fit(models[index], epochs=3)["loss"]
        except BaseException as error:
            errors.append(error)

    with cuda_graphs("auto"):
        workers = [threading.Thread(target=run, args=(index,)) for index in range(len(places))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
        assert not errors, errors
        with keras.device(places[-1]):
            alone, _ = _curve()
    # Both threads draw the order of batches from one generator, so that only the level can be compared.
    assert all(abs(found[index][-1] - wanted[-1]) < 0.2 for index in found), (found, wanted)
    return f"on {', '.join(places)}; {[_replays(model) for model in models]} replays, alone {_replays(alone)}"


def another_device(device: str) -> str:
    """A training on a device that is not the current one, replayed."""
    if device != "cuda" or torch.cuda.device_count() < 2:
        return "not run: there is one device"
    curves = []
    for place in ("cuda:0", "cuda:1"):
        with keras.device(place), cuda_graphs("auto"):
            model, curve = _curve()
            curves.append(curve)
            assert _replays(model) > 5
    np.testing.assert_allclose(*curves, rtol=1e-4)
    return f"{_replays(model)} replays on cuda:1"


class FailsInCapture(keras.layers.Layer):
    """Waits for the device while a step is captured, and only then."""

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            torch.cuda.synchronize()
        return inputs


def failed_capture(device: str) -> str:
    """After a capture that failed the training goes on, and the next model is captured in a new pool."""
    keras.config.enable_copy_stream()  # its memory is used in two streams, which torch holds back during captures
    try:
        with keras.device(device), cuda_graphs("always"):
            model = dense(FailsInCapture, lambda: keras.layers.Dropout(0.5))()
            model.compile("adam", FITS["dense"].loss())
            losses = model.fit(loader(ROWS), epochs=4, verbose=0).history["loss"]
            assert np.isfinite(losses).all()
            begin = _active_bytes(device)
            for _ in range(20):
                model.fit(loader(ROWS), verbose=0)
            grown = _active_bytes(device) - begin
            assert grown < 2**15, f"{grown} bytes were not given back"
            other, _ = _curve("regularized")
            assert _replays(other) > 5, "the next model was not captured"
    finally:
        keras.config.disable_copy_stream()
    return f"{_replays(model)} replays, then {_replays(other)}"


def _active_bytes(device: str) -> int:
    """The memory that can't be given out, because it is in use or waits for a stream."""
    gc.collect()
    return torch.cuda.memory_stats()["active_bytes.all.current"] if device == "cuda" else 0


def memory_of_dropped_models(device: str) -> str:
    """A model that is gone gives the memory of its graphs back; one whose gradient is kept lets others be captured."""
    sizes, gradients = [], []
    with keras.device(device), cuda_graphs("auto"):
        for _ in range(3):
            model, _ = _curve()
            assert _replays(model) > 5, "not captured"
            gradients.append(model.trainable_weights[0].grad)
            gone = weakref.ref(model)
            del model
            keras.backend.clear_session()
            gc.collect()
            assert gone() is None
            if device == "cuda":
                torch.cuda.empty_cache()
                sizes.append(torch.cuda.memory_reserved() / 2**20)
    assert not sizes or sizes[-1] <= sizes[0] + 8, f"MiB reserved after each model: {sizes}"
    return f"MiB reserved after each model: {sizes}" if sizes else ""


def arrays_beyond_memory(device: str) -> str:
    """Arrays, sparse arrays and HDF5 data sets that are cut on the host, with and without the copy stream."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, h5py.File(Path(folder) / "x.h5", "w") as file, keras.device(device):
        file["x"], file["y"] = X, Y
        data = {"resident": (X, Y), "array": (X, Y), "HDF5": (file["x"], file["y"])}
        for name, (x, y) in data.items():
            for beside in (False, True):
                with contextlib.ExitStack() as stack:
                    if name == "array":
                        stack.enter_context(mock.patch.object(array_source, "_fits", lambda arrays, device: False))
                    if beside:
                        keras.config.enable_copy_stream()
                        stack.callback(keras.config.disable_copy_stream)
                    model = FITS["dense"].compiled()
                    found[f"{name} {beside}"] = model.fit(x, y, BATCH, epochs=3, verbose=0).history["loss"]
    wanted = found.pop("resident False")
    for name, curve in found.items():
        np.testing.assert_allclose(curve, wanted, rtol=1e-5, err_msg=name)
    return f"{len(found)} ways"


class OneBuffer(keras.utils.PyDataset):
    """Batches in the same memory, which each one fills again; pinned on a machine with a GPU."""

    def __init__(self, device: str, reuses: bool) -> None:
        super().__init__()
        self.buffer = torch.empty(1024, 6, pin_memory=device == "cuda")
        self.reuses = reuses

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.buffer.fill_(index / 24)
        return x if self.reuses else x.clone(), torch.zeros(1024, dtype=torch.int64)


def refilled_memory(device: str) -> str:
    """Batches that a data set makes in the same pinned memory, while Python runs ahead of the GPU."""
    curves = []
    with keras.device(device):
        for reuses, beside in ((False, False), (True, False), (True, True)):
            with contextlib.ExitStack() as stack:
                if beside:
                    keras.config.enable_copy_stream()
                    stack.callback(keras.config.disable_copy_stream)
                model = FITS["dense"].compiled()
                batches = OneBuffer(device, reuses)
                curves.append(model.fit(batches, epochs=3, shuffle=False, verbose=0).history["loss"])
    for curve in curves[1:]:
        np.testing.assert_allclose(curve, curves[0], rtol=1e-5)
    return ""


class Slices(keras.utils.PyDataset):
    """Batches that are views of one large array, so that moving them is all that they cost."""

    def __init__(self, x: np.ndarray, rows: int) -> None:
        super().__init__()
        self.x, self.rows = x, rows

    def __len__(self) -> int:
        return len(self.x) // self.rows

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        part = self.x[index * self.rows : (index + 1) * self.rows]
        return part, np.zeros(len(part), "int64")


def feeding(device: str) -> str:
    """Milliseconds per step with data on the device, and with large batches of the host. Never fails."""
    width, rows, units = (60_000, 256, 1024) if device == "cuda" else (200, 8, 8)
    x = np.random.default_rng(0).random((4 * rows, width), "float32")
    notes = []
    with keras.device(device), cuda_graphs("auto"):
        for name, beside in (("on the device", False), ("from the host", False), ("in a copy stream", True)):
            keras.backend.clear_session()
            inner = [keras.layers.Dense(units, activation="relu") for _ in range(4)]
            model = keras.Sequential([keras.Input((width,)), *inner, keras.layers.Dense(10)])
            model.compile("sgd", FITS["dense"].loss())
            given = {"x": x, "y": np.zeros(len(x), "int64"), "batch_size": rows} if name == "on the device" else {}
            with contextlib.ExitStack() as stack:
                if beside:
                    keras.config.enable_copy_stream()
                    stack.callback(keras.config.disable_copy_stream)
                source = given or {"x": Slices(x, rows)}
                model.fit(**source, epochs=3, shuffle=False, verbose=0)
                begin = time.perf_counter()
                model.fit(**source, epochs=5, shuffle=False, verbose=0)
                notes.append(f"{name} {1000 * (time.perf_counter() - begin) / 20:.2f} ms")
    return ", ".join(notes)


def tensors_of_two_devices(device: str) -> str:
    """Ops move their arguments to the current device, as in Keras."""
    with keras.device(device):
        here, there = torch.from_numpy(X), torch.from_numpy(X).to(device)
        results = [
            keras.ops.matmul(here.T, there),
            keras.ops.add(there, here),
            keras.ops.concatenate([here, there]),
            keras.ops.conv(here[None, :, :, None], there[None, :1, :1, None].reshape(1, 1, 1, 1)),
        ]
    assert all(result.device.type == device for result in results), [result.device for result in results]
    np.testing.assert_allclose(results[0].cpu(), X.T @ X, rtol=1e-3, atol=1e-3)
    return ""


class OpsInWorkers(torch.utils.data.Dataset):
    """A data set that computes with ops, which workers do after this process has used the GPU."""

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return keras.ops.multiply(keras.ops.convert_to_tensor(X[index]), 1.0), int(Y[index])


def workers(device: str) -> str:
    """Workers of a loader, forked after the first computation on the device, compute on the CPU."""
    with keras.device(device):
        keras.ops.ones(1).cpu()
    batches = torch.utils.data.DataLoader(OpsInWorkers(), BATCH, num_workers=2, multiprocessing_context="fork")
    model = FITS["dense"].compiled()
    losses = model.fit(batches, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    return ""


def compiled_own_step(device: str) -> str:
    """A training step of the user's, compiled, has the curve of the eager one."""
    with keras.device(device), cuda_graphs("off"):
        curves = [_curve("own step", jit_compile=jit)[1] for jit in (False, True)]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-3)
    return ""


def users_module_replayed(device: str) -> str:
    """Code of the user's is replayed where the switch says `"always"`."""
    with keras.device(device):
        curves = []
        for mode in ("off", "always"):
            with cuda_graphs(mode):
                model, curve = _curve("torch module")
                curves.append(curve)
    assert isinstance(model, WithTorchModule) and _replays(model) > 5
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4)
    return f"{_replays(model)} replays"


def tf32(device: str) -> str:
    """The switch is on and off in products and convolutions, whatever `torch.backends.fp32_precision` says."""
    rng = np.random.default_rng(0)
    a, image = rng.normal(size=(512, 512)), rng.normal(size=(4, 16, 16, 64))
    kernel = rng.normal(size=(3, 3, 64, 64))
    wanted = [a @ a, torch.nn.functional.conv2d(*map(torch.from_numpy, (_nchw(image), _oihw(kernel)))).numpy()]
    errors: dict[bool, list[float]] = {}
    try:
        for on in (True, False):
            torch.backends.fp32_precision = "none" if on else "tf32"
            keras.config.enable_tf32() if on else keras.config.disable_tf32()
            b, x, k = (torch.from_numpy(v.astype("float32")).to(device) for v in (a, image, kernel))
            found = [b @ b, keras.ops.conv(x, k, padding="valid").permute(0, 3, 1, 2)]
            pairs = zip(found, wanted, strict=True)
            errors[on] = [float(np.abs(one.cpu().double().numpy() - true).max()) for one, true in pairs]
    finally:
        torch.backends.fp32_precision = "none"
        keras.config.disable_tf32()
    note = f"largest errors with TF32 {errors[True]}, without {errors[False]}"
    assert max(errors[False]) < 1e-2, note
    if device == "cuda" and torch.cuda.get_device_capability() >= (8, 0) and torch.version.hip is None:
        assert min(errors[True]) > 1e-2, note
    return note


def _nchw(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _oihw(kernel: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))


FEATURES: dict[str, Feature] = {
    "weights set after the capture": weights_set_after_the_capture,
    "replayed code of the user's": users_module_replayed,
    "failed capture": failed_capture,
    "memory of dropped models": memory_of_dropped_models,
    "threads": threads,
    "another device": another_device,
    "arrays beyond memory": arrays_beyond_memory,
    "memory that is filled again": refilled_memory,
    "feeding": feeding,
    "tensors of two devices": tensors_of_two_devices,
    "workers of a loader": workers,
    "TF32": tf32,
    "compiled own step": compiled_own_step,
}
