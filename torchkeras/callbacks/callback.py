"""The base of callbacks: every hook is there and does nothing."""

from __future__ import annotations

from typing import Any

from torch.nn.parallel import DistributedDataParallel


class Callback:
    """What `fit`, `evaluate` and `predict` call at each stage. Override the hooks that you need; others cost nothing.

    `logs` is a dict by metric name. Its values are read from the device when they are touched.

    Attributes:
        params: dict with `verbose`, `epochs` and `steps`.
        model: the model that is trained.
    """

    idle_hooks: tuple = ()
    """Hooks (as functions of the class) that this instance, as it is set up, has no work for."""

    runs_last: bool = False
    """Whether it is called after the others, wherever it stands in the list."""

    def __init__(self) -> None:
        self.params: dict[str, Any] | None = None
        self._model: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self._model = model

    @property
    def model(self) -> Any:
        """The model itself, also where torch's DistributedDataParallel was given."""
        return self._model.module if isinstance(self._model, DistributedDataParallel) else self._model

    def on_train_begin(self, logs: Any = None) -> None:
        """Called when `fit` begins."""

    def on_train_end(self, logs: Any = None) -> None:
        """Called when `fit` ends, with the last epoch's logs."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Called when an epoch (counted from 0) begins."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Called when an epoch ends, with its metrics and, as `val_...`, those of validation."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Called before each step of `fit`; with `steps_per_execution=N`, before each N of them."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Called after each step of `fit`, with the metrics so far."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """The older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """The older name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Any = None) -> None:
        """Called when `evaluate`, or validation in `fit`, begins."""

    def on_test_end(self, logs: Any = None) -> None:
        """Called when `evaluate`, or validation in `fit`, ends."""

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Called before each batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Called after each batch of an evaluation, with the metrics so far."""

    def on_predict_begin(self, logs: Any = None) -> None:
        """Called when `predict` begins."""

    def on_predict_end(self, logs: Any = None) -> None:
        """Called when `predict` ends."""

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Called before each batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """Called after each batch of `predict`, with the batch's `outputs`."""
