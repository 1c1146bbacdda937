"""ProfilerCallback: traces of some batches, in which the layers have their names."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.core.accelerators import synchronize
from torchkeras.distributed import is_main_process


class ProfilerCallback(Callback):
    """Record some batches of `fit`, `evaluate` or `predict` with torch's profiler and write the trace to a file.

    The file `trace_batches_A_to_B.json` opens in https://ui.perfetto.dev or `chrome://tracing`. Each call of a layer is
    a range with the layer's path as its name; operators, and on a GPU kernels, lie within. While batches are recorded,
    layers have hooks, so a step that is otherwise replayed as a CUDA graph runs in eager mode from then on. A model
    with `jit_compile` gets no hooks: its trace has the kernels of the compiled step. Batches are counted over all
    epochs of one `fit`, without those of the validation. After an error, the file has the batches until then. With
    several processes, the main process writes.

    Args:
        log_dir: folder for the file, made if it does not exist. Default: `"logs"`.
        first_batch: number of the first batch to record, counted from 1; the batches before it are warm-up. Default:
            `5`.
        batches: how many batches to record. Default: `3`.
        record_shapes: whether to record the shapes of the operators' inputs. Default: `False`.
        profile_memory: whether to record allocations. Default: `False`.

    Attributes:
        trace_file: the file that was written, `None` before.
        summary: the operators and layers that took most of the time, as a table in text; `None` before.

    Raises:
        ValueError: `first_batch` or `batches` is smaller than 1.

    Example:
        >>> import tempfile
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="scores")])
        >>> model.compile("sgd", "mse")
        >>> profiler = keras.callbacks.ProfilerCallback(tempfile.mkdtemp(), first_batch=2, batches=1)
        >>> _ = model.fit(np.ones((8, 2)), np.ones((8, 1)), batch_size=2, callbacks=[profiler], verbose=0)
        >>> profiler.trace_file.endswith("trace_batches_2_to_2.json"), "scores" in open(profiler.trace_file).read()
        (True, True)
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        first_batch: int = 5,
        batches: int = 3,
        record_shapes: bool = False,
        profile_memory: bool = False,
    ) -> None:
        super().__init__()
        if first_batch < 1 or batches < 1:
            raise ValueError(
                f"first_batch and batches must be at least 1; received first_batch={first_batch}, batches={batches}."
            )
        self.log_dir = os.fspath(log_dir)
        self.first_batch = first_batch
        self.batches = batches
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.trace_file: str | None = None
        self.summary: str | None = None
        self._batch = 0
        self._stage: str | None = None
        self._profiler: torch.profiler.profile | None = None
        self._names: LayerRanges | None = None

    def _tk_set_exits(self, exits: ExitStack) -> None:
        """Stop the profiler after an error, too.

        Args:
            exits: takes functions to call when `fit`, `evaluate` or `predict` ends.
        """
        exits.callback(self._finish)

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self._begin("train")

    def on_test_begin(self, logs: HookLogs | None = None) -> None:
        self._begin("test")

    def on_predict_begin(self, logs: HookLogs | None = None) -> None:
        self._begin("predict")

    def on_train_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        self._begin_batch("train")

    def on_test_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        self._begin_batch("test")

    def on_predict_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        self._begin_batch("predict")

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        self._end_batch("train")

    def on_test_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        self._end_batch("test")

    def on_predict_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        self._end_batch("predict")

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        self._end("train")

    def on_test_end(self, logs: HookLogs | None = None) -> None:
        self._end("test")

    def on_predict_end(self, logs: HookLogs | None = None) -> None:
        self._end("predict")

    def _begin(self, stage: str) -> None:
        """Begin to count batches, unless this is the validation of a `fit`."""
        if self._stage is None:
            self._stage, self._batch = stage, 0

    def _begin_batch(self, stage: str) -> None:
        if stage != self._stage:
            return
        self._batch += 1
        if self._batch == self.first_batch and is_main_process():
            if not getattr(self.model, "jit_compile", False):
                self._names = LayerRanges(self.model)
            self._profiler = torch.profiler.profile(
                record_shapes=self.record_shapes, profile_memory=self.profile_memory
            )
            self._profiler.start()

    def _end_batch(self, stage: str) -> None:
        if stage == self._stage and self._batch == self.first_batch + self.batches - 1:
            self._write()

    def _end(self, stage: str) -> None:
        if stage == self._stage:
            self._finish()

    def _finish(self) -> None:
        self._stage = None
        self._write()

    def _write(self) -> None:
        """Stop the profiler, if it runs, and write what it recorded."""
        profiler, self._profiler = self._profiler, None
        if profiler is None:
            return
        synchronize()
        profiler.stop()
        if self._names is not None:
            self._names.remove()
            self._names = None
        os.makedirs(self.log_dir, exist_ok=True)
        file = os.path.join(self.log_dir, f"trace_batches_{self.first_batch}_to_{self._batch}.json")
        profiler.export_chrome_trace(file)
        self.trace_file = file
        self.summary = profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=30)


class LayerRanges:
    """Marks each call of a module within a model as a range of torch's profiler, under the module's name.

    Args:
        model: the model.
    """

    def __init__(self, model: nn.Module) -> None:
        self._open: list[Any] = []
        self._handles: list[RemovableHandle] = []
        for key, module in model.named_modules():
            name = getattr(module, "path", None) or getattr(module, "name", None) or key or type(module).__name__
            self._handles.append(module.register_forward_pre_hook(self._opener(str(name))))
            self._handles.append(module.register_forward_hook(self._close, always_call=True))

    def _opener(self, name: str) -> Any:
        def begin(module: nn.Module, args: object) -> None:
            entered = torch.profiler.record_function(name)
            entered.__enter__()
            self._open.append(entered)

        return begin

    def _close(self, module: nn.Module, args: object, output: Any) -> None:
        self._open.pop().__exit__(None, None, None)

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
