"""The base of callbacks: every hook is there and does nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch.nn.parallel import DistributedDataParallel

from torchkeras.core.config.keywords import ChecksKeywords

# The values by metric name that a hook receives. A callback may add to them.
HookLogs: TypeAlias = dict[str, Any]


class Callback(ChecksKeywords):
    """Base class of callbacks: objects that `fit`, `evaluate` and `predict` call at each stage.

    Override the hooks that you need; hooks that are not overridden cost nothing. `logs` is a dict by metric name. Its
    values become Python floats when they are read, which is when the device is waited for. A callback may set
    `self.model.stop_training = True`; training then ends after the running batch. Under several processes rank 0's
    decision holds for all.

    A callback whose state matters to a resumed training may define `get_state()`, which returns a dict of numbers,
    strings, lists, dicts and arrays, and `set_state(state)`: `BackupAndRestore` keeps and restores it.

    Attributes:
        params: dict with the entries `verbose`, `epochs` and `steps` (batches per epoch, `None`: not known).
        model: the model that is trained, evaluated or asked for predictions.

    Example:
        >>> class Last(keras.callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         self.last = epoch, sorted(logs)
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse", metrics=["mae"])
        >>> last = Last()
        >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=3, callbacks=[last], verbose=0)
        >>> last.last
        (2, ['loss', 'mae'])
    """

    idle_hooks: tuple[Callable, ...] = ()
    """Hooks (as functions of the class) that this instance, as it is set up, has no work for."""

    needs_all_ranks: bool = False
    """Whether, under several processes, all of them must have it in their lists."""

    runs_last: bool = False
    """Whether it is called after the others, wherever it stands in the list."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = None  # type: ignore[assignment]  # `fit` sets it before any other method is called
        self._model: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Take the settings of the call.

        Args:
            params: dict with the entries `verbose`, `epochs` and `steps`.
        """
        self.params = params

    def set_model(self, model: Any) -> None:
        """Take the model.

        Args:
            model: the model, or torch's `DistributedDataParallel` around it.
        """
        self._model = model

    @property
    def model(self) -> Any:
        """The model itself, also where torch's `DistributedDataParallel` was given."""
        return self._model.module if isinstance(self._model, DistributedDataParallel) else self._model

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        """Called when `fit` begins.

        Args:
            logs: an empty dict.
        """

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        """Called when `fit` ends.

        Args:
            logs: the values of the last epoch.
        """

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        """Called when an epoch of `fit` begins.

        Args:
            epoch: its number, counted from 0.
            logs: an empty dict.
        """

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        """Called when an epoch of `fit`, with its validation, ends.

        Args:
            epoch: its number, counted from 0.
            logs: the epoch's loss and metrics, and those of validation under their names with the prefix `val_`. A
                metric that saw no data is absent.
        """

    def on_train_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        """Called before each batch of `fit`; with `steps_per_execution=N`, before each N batches.

        Args:
            batch: the number of the batch in the epoch, counted from 0.
            logs: an empty dict.
        """
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        """Called after each batch of `fit`; with `steps_per_execution=N`, after each N batches.

        Args:
            batch: the number of the batch in the epoch, counted from 0.
            logs: the loss and the metrics of the epoch so far.
        """
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        """The older name of `on_train_batch_begin`.

        Args:
            batch: the number of the batch in the epoch, counted from 0.
            logs: an empty dict.
        """

    def on_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        """The older name of `on_train_batch_end`.

        Args:
            batch: the number of the batch in the epoch, counted from 0.
            logs: the loss and the metrics of the epoch so far.
        """

    def on_test_begin(self, logs: HookLogs | None = None) -> None:
        """Called when `evaluate`, or validation in `fit`, begins.

        Args:
            logs: an empty dict.
        """

    def on_test_end(self, logs: HookLogs | None = None) -> None:
        """Called when `evaluate`, or validation in `fit`, ends.

        Args:
            logs: the loss and the metrics over the data.
        """

    def on_test_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        """Called before each batch of `evaluate` and of validation.

        Args:
            batch: the number of the batch, counted from 0.
            logs: an empty dict.
        """

    def on_test_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        """Called after each batch of `evaluate` and of validation.

        Args:
            batch: the number of the batch, counted from 0.
            logs: the loss and the metrics so far.
        """

    def on_predict_begin(self, logs: HookLogs | None = None) -> None:
        """Called when `predict` begins.

        Args:
            logs: an empty dict.
        """

    def on_predict_end(self, logs: HookLogs | None = None) -> None:
        """Called when `predict` ends.

        Args:
            logs: an empty dict.
        """

    def on_predict_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        """Called before each batch of `predict`.

        Args:
            batch: the number of the batch, counted from 0.
            logs: an empty dict.
        """

    def on_predict_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        """Called after each batch of `predict`.

        Args:
            batch: the number of the batch, counted from 0.
            logs: dict whose entry `outputs` has the batch's outputs as arrays.
        """
