"""Lets an optimizer with a torch scheduler know that an epoch is over."""

from __future__ import annotations

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.layers.base.layer import Layer


class OptimizerEpochs(Callback):
    """Steps a torch scheduler that counts epochs, after the other callbacks have seen the rate of this epoch."""

    runs_last = True

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        self.model.optimizer.end_epoch(logs or {})

    @staticmethod
    def is_wanted(model: Layer) -> bool:
        """Whether the model's optimizer has a scheduler that counts epochs."""
        return getattr(getattr(model, "optimizer", None), "interval", "batch") == "epoch"
