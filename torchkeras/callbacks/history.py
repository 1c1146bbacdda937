"""History: the object that `fit` returns."""

from __future__ import annotations

from typing import Any

from torchkeras.callbacks.callback import Callback, HookLogs


class History(Callback):
    """Keeps the logs of each epoch. Every `fit` has one and returns it.

    Attributes:
        history: dict from a metric's name to the list of its values, one per epoch.
        epoch: list of the epochs' numbers, counted from 0.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=3, verbose=0)
        >>> history.epoch, len(history.history["loss"])
        ([0, 1, 2], 3)
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self
