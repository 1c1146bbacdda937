"""The three ways to run a case. Each gives a function that runs some epochs and returns the seconds of each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from cases import Case

Epochs = Callable[[int], list[float]]
clock: Callable[[], float] = time.perf_counter
"""The seconds that count: of a clock, or of the processor (`time.process_time`), where other programs run beside."""


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


# ------------------------------------------------------------------------------------------------ plain torch


def torch_loop(
    case: Case, x: np.ndarray, y: np.ndarray, device: str, bf16: bool, fused: bool, compiled: bool = False
) -> Epochs:
    """The loop that a good torch user writes: data on the device, nothing read back before the epoch's end.

    `compiled`: outputs and loss are one function of `torch.compile`, and so is its backward pass.
    """
    model = case.module().to(device)
    inputs, labels = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
    if case.images:
        layout = torch.channels_last if case.channels_last else torch.contiguous_format
        inputs = inputs.permute(0, 3, 1, 2).contiguous(memory_format=layout)
        model = model.to(memory_format=layout)
    precision = (lambda: torch.autocast(device, torch.bfloat16)) if bf16 else contextlib.nullcontext
    if case.predict:
        model = torch.compile(model) if compiled else model
        return lambda epochs: [
            _timed(device, _predict, model, inputs, case.batch_size, precision) for _ in range(epochs)
        ]
    optimizer = torch.optim.Adam(model.parameters(), fused=True if fused else None)

    def forward(batch: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with precision():
            logits = model(batch)
            if case.outputs == 1:
                return logits, F.binary_cross_entropy_with_logits(logits, wanted)
            return logits, F.cross_entropy(logits, wanted)

    outputs_and_loss = torch.compile(forward) if compiled else forward

    def epoch() -> tuple[float, float]:
        model.train()
        n = len(inputs)
        order = torch.randperm(n, device=device)
        total = torch.zeros((), device=device)
        right = torch.zeros((), device=device)
        for start in range(0, n, case.batch_size):
            rows = order[start : start + case.batch_size]
            batch, wanted = inputs[rows], labels[rows]
            optimizer.zero_grad()
            logits, loss = outputs_and_loss(batch, wanted)
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                total += loss.detach() * len(rows)
                hits = (logits > 0) == (wanted > 0.5) if case.outputs == 1 else logits.argmax(1) == wanted
                right += hits.sum()
        return total.item() / n, right.item() / n

    return lambda epochs: [_timed(device, epoch) for _ in range(epochs)]


@torch.inference_mode()
def _predict(model: torch.nn.Module, inputs: torch.Tensor, batch_size: int, precision: Callable) -> np.ndarray:
    model.eval()
    with precision():
        return torch.cat([model(batch) for batch in inputs.split(batch_size)]).float().cpu().numpy()


def _timed(device: str, run: Callable, *args: Any) -> float:
    _wait(device)
    start = clock()
    run(*args)
    _wait(device)
    return clock() - start


# ------------------------------------------------------------------------------------------------ Keras's API


def keras_fit(lib: Any, case: Case, x: np.ndarray, y: np.ndarray, device: str, bf16: bool, jit: Any) -> Epochs:
    """`fit` (or `predict`) of torchkeras or of Keras: NumPy arrays in, no progress bar."""
    model = _compiled(lib, case, x, bf16, jit)
    if case.predict:
        return lambda epochs: [
            _timed(device, lambda: model.predict(x, batch_size=case.batch_size, verbose=0)) for _ in range(epochs)
        ]

    def run(epochs: int) -> list[float]:
        clock = _clock(lib, device)
        model.fit(x, y, batch_size=case.batch_size, epochs=epochs, verbose=0, callbacks=[clock])
        return clock.seconds

    return run


def _compiled(lib: Any, case: Case, x: np.ndarray, bf16: bool, jit: Any) -> Any:
    lib.config.set_dtype_policy("mixed_bfloat16" if bf16 else "float32")
    inputs = lib.Input(x.shape[1:], dtype="int64" if x.dtype.kind == "i" else "float32")
    outputs = case.layers(lib, inputs)
    if bf16:
        outputs = lib.layers.Activation("linear", dtype="float32")(outputs)
    model = lib.Model(inputs, outputs)
    if case.outputs == 1:
        loss, metric = lib.losses.BinaryCrossentropy(from_logits=True), lib.metrics.BinaryAccuracy(threshold=0.0)
    else:
        loss = lib.losses.SparseCategoricalCrossentropy(from_logits=True)
        metric = lib.metrics.SparseCategoricalAccuracy()
    options = {} if jit is None else {"jit_compile": jit}
    model.compile(optimizer=lib.optimizers.Adam(), loss=loss, metrics=[metric], **options)
    return model


def _clock(lib: Any, device: str) -> Any:
    class Clock(lib.callbacks.Callback):
        """Seconds of each epoch, the reading of its results included."""

        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            _wait(device)
            self.start = clock()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            float(logs["loss"])
            _wait(device)
            self.seconds.append(clock() - self.start)

    return Clock()


def epoch_without_sync(lib: Any, case: Case, x: np.ndarray, y: np.ndarray) -> None:
    """An epoch in which torch raises whenever the host waits for the CUDA device."""
    model = _compiled(lib, case, x, bf16=False, jit=None)
    model.fit(x, y, batch_size=case.batch_size, epochs=1, verbose=0)
    last = -(-len(x) // case.batch_size) - 1

    class Strict(lib.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            torch.cuda.set_sync_debug_mode("error")

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == last:
                torch.cuda.set_sync_debug_mode("default")

    try:
        model.fit(x, y, batch_size=case.batch_size, epochs=1, verbose=0, callbacks=[Strict()])
    finally:
        torch.cuda.set_sync_debug_mode("default")
