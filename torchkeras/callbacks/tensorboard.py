"""TensorBoard: curves, weights and the graph of a training, written as event files."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchkeras.callbacks import learning_rates
from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.callbacks.model_graph import graph_event
from torchkeras.core import settings
from torchkeras.distributed import is_main_process
from torchkeras.layers.core.embedding import Embedding

Profiled = tuple[int, int] | None


class TensorBoard(Callback):
    """Write a training's curves for TensorBoard, as event files in `log_dir/train` and `log_dir/validation`.

    Look at them with `tensorboard --logdir logs`. TensorFlow is not needed, the package `tensorboard` is
    (`pip install 'torchkeras-native[tensorboard]'`). With several processes the main one writes.

    The names are Keras's: `epoch_loss`, `epoch_learning_rate` and so on by epoch, `batch_loss` by batch,
    `evaluation_loss_vs_iterations` for each validation.

    Args:
        log_dir: folder to write to. Default: `"logs"`.
        histogram_freq: epochs from one histogram of the weights to the next; 0 for none. Default: `0`.
        write_graph: whether the model's graph of layers is written. Default: `True`.
        write_images: whether weights are written as images, too, with each histogram. Default: `False`.
        write_steps_per_second: whether speed is written, by epoch and by batch. Default: `False`.
        update_freq: `"epoch"`, `"batch"`, or a number of batches from one point to the next. Each point by batch waits
            for the device. Default: `"epoch"`.
        profile_batch: batch, or first and last batch (a pair, or a string such as `"10,20"`), counted from 1, whose
            trace torch's profiler writes to `log_dir/train`; 0 for none. Default: `0`.
        embeddings_freq: epochs from one picture of the `Embedding` layers to the next; 0 for none. Default: `0`.
        embeddings_metadata: file with a label per line for the rows of the embeddings, or a dict of such files by layer
            name; of several columns, separated by tabs, the first line has the names. Default: `None`.

    Raises:
        ValueError: `profile_batch` or `update_freq` is none of these, or `embeddings_metadata` names a layer that is no
            `Embedding` of the model.
        ImportError: the package `tensorboard` is not installed.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> board = keras.callbacks.TensorBoard("logs", histogram_freq=1)
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, callbacks=[board], verbose=0)
        >>> import os
        >>> sorted(os.listdir("logs"))
        ['train']
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int | str | Sequence[int] = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.log_dir = str(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        if self.update_freq != "epoch" and not (isinstance(self.update_freq, int) and self.update_freq > 0):
            raise ValueError(
                f'`update_freq` must be "epoch", "batch" or a positive number of batches. Received: {update_freq!r}'
            )
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        self._profiled = _batches_to_profile(profile_batch)
        self._writers: dict[str, Any] = {}
        self._profiler: torch.profiler.profile | None = None
        self._train_batch = self._first_batch = 0
        self._epoch_start = self._batch_start = 0.0
        works_on_batches = self.update_freq != "epoch" or self._profiled or write_steps_per_second
        if not works_on_batches:
            self.idle_hooks = (TensorBoard.on_train_batch_begin, TensorBoard.on_train_batch_end)

    # ------------------------------------------------------------------ writing

    def _writer(self, part: str) -> Any:
        """The writer of `train` or `validation`, opened when the first value comes."""
        if part not in self._writers:
            self._writers[part] = _summary_writer()(os.path.join(self.log_dir, part))
        return self._writers[part]

    def _scalars(self, part: str, prefix: str, logs: HookLogs, step: int, suffix: str = "") -> None:
        for name, value in logs.items():
            self._writer(part).add_scalar(f"{prefix}_{name}{suffix}", float(value), step, new_style=True)

    def _is_batch_to_write(self) -> bool:
        return self.update_freq != "epoch" and self._train_batch % int(self.update_freq) == 0

    # ------------------------------------------------------------------ hooks

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self._train_batch = 0
        if not is_main_process():
            return
        _summary_writer()  # a missing package is said before training
        self._check_metadata()
        if self.write_graph:
            event = graph_event(self.model)
            if event is not None:
                self._writer("train").file_writer.add_event(event)

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        self._stop_profiler()
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def on_test_end(self, logs: HookLogs | None = None) -> None:
        optimizer = getattr(self.model, "optimizer", None)
        if logs and is_main_process() and hasattr(optimizer, "iterations"):
            self._scalars("validation", "evaluation", logs, int(optimizer.iterations), "_vs_iterations")
            if "train" not in self._writers:  # evaluate() on its own has no end of training
                self.on_train_end()

    def on_train_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        if not is_main_process():
            return
        self._train_batch += 1
        if self.write_steps_per_second:
            self._batch_start = time.perf_counter()
        if self._profiled and self._train_batch == self._profiled[0]:
            handler = torch.profiler.tensorboard_trace_handler(os.path.join(self.log_dir, "train"))
            self._profiler = torch.profiler.profile(on_trace_ready=handler)
            self._profiler.start()

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        if not is_main_process():
            return
        if self._is_batch_to_write():
            if self.write_steps_per_second:
                speed = 1.0 / max(time.perf_counter() - self._batch_start, 1e-9)
                self._scalars("train", "batch", {"steps_per_second": speed}, self._train_batch)
            self._scalars("train", "batch", logs or {}, self._train_batch)
        if self._profiled and self._train_batch >= self._profiled[1]:
            self._stop_profiler()

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._epoch_start, self._first_batch = time.perf_counter(), self._train_batch

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        if not is_main_process():
            return
        logs = logs or {}
        training = {name: value for name, value in logs.items() if not name.startswith("val_")}
        validation = {name.removeprefix("val_"): value for name, value in logs.items() if name.startswith("val_")}
        learning_rates.add_to_logs(getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer), training)
        if self.write_steps_per_second:
            elapsed = max(time.perf_counter() - self._epoch_start, 1e-9)
            training["steps_per_second"] = (self._train_batch - self._first_batch) / elapsed
        self._scalars("train", "epoch", training, epoch)
        self._scalars("validation", "epoch", validation, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings(epoch)
        for writer in self._writers.values():
            writer.flush()

    # ------------------------------------------------------------------ parts

    def _write_weights(self, epoch: int) -> None:
        writer = self._writer("train")
        for weight in self.model.weights:
            name = weight.path.replace(":", "_")
            values = weight.detach().float().cpu()
            writer.add_histogram(f"{name}/histogram", values, epoch)
            image = _as_image(values) if self.write_images else None
            if image is not None:
                writer.add_image(f"{name}/image", image, epoch, dataformats="HWC")

    def _embeddings(self) -> dict[str, Embedding]:
        return {layer.name: layer for layer in self.model.layers if isinstance(layer, Embedding)}

    def _check_metadata(self) -> None:
        if isinstance(self.embeddings_metadata, dict):
            unknown = sorted(set(self.embeddings_metadata) - set(self._embeddings()))
            if unknown:
                raise ValueError(
                    "Unrecognized `Embedding` layer names passed to `keras.callbacks.TensorBoard` "
                    f"`embeddings_metadata` argument: {unknown}. The model has: {sorted(self._embeddings())}"
                )

    def _write_embeddings(self, epoch: int) -> None:
        given = self.embeddings_metadata
        for name, layer in self._embeddings().items():
            if not layer.built:
                continue
            file = given.get(name) if isinstance(given, dict) else given
            labels, header = _read_labels(file, self.log_dir) if file is not None else (None, None)
            table = layer.embeddings.detach().float().cpu()
            self._writer("train").add_embedding(
                table, metadata=labels, metadata_header=header, global_step=epoch, tag=name
            )

    def _stop_profiler(self) -> None:
        if self._profiler is not None:
            self._profiler.stop()
            self._profiler = None


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "The TensorBoard callback needs the package tensorboard. Install it with: "
            "pip install 'torchkeras-native[tensorboard]'"
        ) from error
    return SummaryWriter


def _batches_to_profile(profile_batch: int | str | Sequence[int]) -> Profiled:
    """The first and last batch to profile, `None` for none."""
    given = profile_batch
    try:
        if isinstance(given, str):
            numbers = tuple(int(part) for part in given.split(","))
        else:
            numbers = (given,) if isinstance(given, int) else tuple(given)
        start, stop = numbers if len(numbers) == 2 else (numbers[0], numbers[0])
        valid = len(numbers) in (1, 2) and all(isinstance(n, int) for n in numbers) and 0 <= start <= stop
    except (TypeError, ValueError, IndexError):
        valid = False
    if not valid:
        raise ValueError(
            "profile_batch must be a non-negative integer or 2-tuple of positive integers. A pair of positive integers "
            f"signifies a range of batches to profile. Found: {profile_batch}"
        )
    return (start, stop) if stop else None


def _as_image(values: Tensor) -> Tensor | None:
    """A weight as a gray image, stretched to `[0, 1]`; `None` for one with too many axes."""
    image = values.squeeze()
    if image.ndim < 2:
        image = image.reshape(-1, 1)
    elif image.ndim == 3:  # channels beside each other
        channels = image.shape[2] if settings.image_data_format() == "channels_last" else image.shape[0]
        image = image.permute(0, 2, 1) if settings.image_data_format() == "channels_last" else image.permute(1, 0, 2)
        image = image.reshape(image.shape[0], channels * image.shape[2])
    if image.ndim != 2:
        return None
    image = image.T if image.shape[0] > image.shape[1] else image
    low, high = image.min(), image.max()
    return ((image - low) / (high - low).clamp_min(1e-12))[:, :, None]


def _read_labels(file: str, log_dir: str) -> tuple[list, list[str] | None]:
    """The labels of a file, and the names of their columns if there are several."""
    path = Path(file) if Path(file).is_file() else Path(log_dir) / file
    rows = path.read_text(encoding="utf-8").splitlines()
    if rows and "\t" in rows[0]:
        header, *rest = (row.split("\t") for row in rows)
        return rest, header
    return rows, None
