"""StepTimes and HardwareUse: where the time of a training step goes, and how much of the machine it uses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.core.accelerators import begin_peak_memory, name_of, peak_memory, synchronize
from torchkeras.layers.base.layer import Layer

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


def _device(model: Layer) -> torch.device:
    return next((weight.device for weight in model.parameters()), torch.device("cpu"))


class StepTimes(Callback):
    """Measure how long a training step waits for data, and its forward pass, backward pass and update.

    The mean seconds per batch are added to the logs of each epoch: `time_data` (from the end of a batch to the begin of
    the next), `time_forward`, `time_backward` (with the loss), `time_update` (the optimizer's) and `time_other`
    (metrics, other callbacks). On a GPU the parts are waited for, and a step that is otherwise replayed as a CUDA graph
    runs in eager mode: measure some epochs, then train without. Where `jit_compile` makes one graph of the step, its
    parts can't be told apart: the logs get `time_data` and `time_step`.

    Attributes:
        seconds: dict of the last epoch's mean seconds per batch, by `"data"`, `"forward"`, `"backward"`, `"update"` and
            `"other"`; of a compiled step by `"data"` and `"step"`.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> times = keras.callbacks.StepTimes()
        >>> history = model.fit(np.ones((8, 2)), np.ones((8, 1)), callbacks=[times], verbose=0)
        >>> sorted(times.seconds)
        ['backward', 'data', 'forward', 'other', 'update']
    """

    PARTS = ("data", "forward", "backward", "update", "other")
    COMPILED_PARTS = ("data", "step")

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}
        self._compiled = False
        self._sums: dict[str, float] = {}
        self._batches = 0
        self._last = 0.0
        self._undo: list[Callable[[], None]] = []

    def _tk_set_exits(self, exits: ExitStack) -> None:
        """Take the hooks away after an error, too.

        Args:
            exits: takes functions to call when `fit` ends.
        """
        exits.callback(self._restore)

    def _mark(self, part: str) -> None:
        """Count the time since the last mark to a part."""
        synchronize(self._device)
        now = time.perf_counter()
        self._sums[part] += now - self._last
        self._last = now

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        model = self.model
        self._device = _device(model)
        self._compiled = bool(getattr(model, "jit_compile", False))
        if self._compiled:
            return
        before = model.register_forward_pre_hook(lambda module, args: self._mark("other"))
        after = model.register_forward_hook(lambda module, args, output: self._mark("forward"))
        self._undo = [before.remove, after.remove]
        optimizer = model.optimizer
        if optimizer is not None:
            apply = optimizer.apply

            def timed(*args: object, **kwargs: Any) -> Any:
                self._mark("backward")
                result = apply(*args, **kwargs)
                self._mark("update")
                return result

            optimizer.__dict__["apply"] = timed
            self._undo.append(lambda: optimizer.__dict__.pop("apply", None))  # type: ignore[arg-type, return-value]

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._sums = dict.fromkeys(self.COMPILED_PARTS if self._compiled else self.PARTS, 0.0)
        self._batches, self._last = 0, time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        self._mark("data")

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        self._mark("step" if self._compiled else "other")
        self._batches += 1

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        self.seconds = {part: total / max(self._batches, 1) for part, total in self._sums.items()}
        if logs is not None:
            logs.update({f"time_{part}": value for part, value in self.seconds.items()})

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        self._restore()

    def _restore(self) -> None:
        for undo in self._undo:
            undo()
        self._undo = []


# Floating-point operations per second of matrix products in bfloat16 or float16, dense, as the makers state them.
_PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "A10G": 70e12, "L4": 121e12, "V100": 125e12}


class HardwareUse(Callback):
    """Measure the floating-point operations per second of training, their share of the device's peak, and memory.

    Added to the logs of each epoch: `tflops` (10^12 operations per second: matrix products, convolutions, attention and
    recurrent layers of forward and backward pass, counted in the first batch, times the batches of the epoch), `mfu`
    (`tflops` divided by the peak; absent if the peak is not known) and `memory` (the epoch's largest allocation on a
    GPU, in MiB; on a CPU the largest so far of the whole process).

    Args:
        peak_flops: operations per second that the device can do at most. Default: `None`, the maker's number for some
            NVIDIA GPUs in bfloat16, else not known.

    Attributes:
        flops_per_batch: the operations of the first batch; `None` before.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, use_bias=False)])
        >>> model.compile("sgd", "mse")
        >>> use = keras.callbacks.HardwareUse(peak_flops=1e12)
        >>> history = model.fit(np.ones((8, 2)), np.ones((8, 3)), callbacks=[use], verbose=0)
        >>> use.flops_per_batch  # twice 8 * 2 * 3: forward pass, and the kernel's gradient; nobody needs the inputs'
        192
        >>> sorted(history.history)
        ['loss', 'memory', 'mfu', 'tflops']
    """

    def __init__(self, peak_flops: float | None = None) -> None:
        super().__init__()
        self.peak_flops = peak_flops
        self.flops_per_batch: int | None = None
        self._counter: FlopCounterMode | None = None
        self._batches = 0
        self._start = 0.0

    def _tk_set_exits(self, exits: ExitStack) -> None:
        """Stop counting after an error, too.

        Args:
            exits: takes functions to call when `fit` ends.
        """
        exits.callback(self._stop_counting)

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self.flops_per_batch = None
        self._device = _device(self.model)
        if self.peak_flops is None:
            name = name_of(self._device)
            self.peak_flops = next((peak for key, peak in _PEAKS.items() if key in name), None)

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._batches, self._start = 0, time.perf_counter()
        begin_peak_memory(self._device)

    def on_train_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        if self.flops_per_batch is None:
            self._counter = FlopCounterMode(display=False, custom_mapping=_uncounted())
            self._counter.__enter__()

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        self._batches += 1
        self._stop_counting()

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        synchronize(self._device)
        seconds = time.perf_counter() - self._start
        rate = (self.flops_per_batch or 0) * self._batches / max(seconds, 1e-9)
        if logs is None:
            return
        logs["tflops"] = rate / 1e12
        if self.peak_flops:
            logs["mfu"] = rate / self.peak_flops
        memory = _peak_memory(self._device)
        if memory is not None:
            logs["memory"] = memory / 2**20

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        self._stop_counting()

    def _stop_counting(self) -> None:
        counter, self._counter = self._counter, None
        if counter is not None:
            counter.__exit__(None, None, None)
            self.flops_per_batch = int(counter.get_total_flops())


def _of_addmm(self_shape: Any, a_shape: Any, b_shape: Any, out_shape: Any = None, **kwargs: Any) -> int:
    """The operations of `self.addmm_(a, b)`."""
    return 2 * a_shape[0] * a_shape[1] * b_shape[1]


def _of_onednn_rnn(inputs: Sequence[int], kernel: Any, recurrent_kernel: Any, *args: object, **kwargs: Any) -> int:
    """The operations of a recurrent layer in one direction: two products per step of each sequence."""
    return _of_cudnn_rnn(inputs, [kernel, recurrent_kernel])


def _of_cudnn_rnn(inputs: Sequence[int], weights: Sequence[Any], *args: object, **kwargs: Any) -> int:
    """The operations of recurrent layers in one call: each step of each sequence meets each kernel once."""
    return 2 * math.prod(inputs[:-1]) * sum(math.prod(shape) for shape in weights if len(shape) == 2)


def _twice(operations: Callable[..., int]) -> Callable[..., int]:
    """The operations of the backward pass: products for the inputs' gradients, and as large ones for the weights'."""
    return lambda *args, **kwargs: 2 * operations(*args, **kwargs)


def _uncounted() -> dict[Any, Callable[..., int]]:
    """The operations, by the shapes of the arguments, of operators that torch's counter does not know (2.13)."""
    counts: dict[str, Callable[..., int]] = {
        "addmm_": _of_addmm,
        "mkldnn_rnn_layer": _of_onednn_rnn,
        "mkldnn_rnn_layer_backward": _twice(_of_onednn_rnn),
        "_cudnn_rnn": _of_cudnn_rnn,
        "_cudnn_rnn_backward": _twice(_of_cudnn_rnn),
    }
    return {getattr(torch.ops.aten, name): of for name, of in counts.items() if hasattr(torch.ops.aten, name)}


def _peak_memory(device: torch.device) -> int | None:
    """The largest memory in bytes: allocated on a GPU, else that of the process; `None` where nothing measures it."""
    on_device = peak_memory(device)
    if on_device is not None:
        return on_device
    if resource is None:
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if torch.backends.mps.is_built() else largest * 1024  # macOS counts bytes, Linux KiB
