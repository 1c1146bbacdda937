"""History: what `fit` returns."""

from __future__ import annotations

from typing import Any

from torchkeras.callbacks.callback import Callback


class History(Callback):
    """Keeps each epoch's logs: `history.history["loss"]` is a list of floats, `history.epoch` the epochs' numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self
