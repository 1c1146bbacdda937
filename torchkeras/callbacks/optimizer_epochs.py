"""Tells an optimizer with a scheduler of torch's that an epoch is over."""

from __future__ import annotations

from typing import Any

from torchkeras.callbacks.callback import Callback


class OptimizerEpochs(Callback):
    """Steps a torch scheduler that goes by epochs, after the other callbacks have seen the rate of this one."""

    runs_last = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.optimizer.end_epoch(logs or {})

    @staticmethod
    def is_wanted(model: Any) -> bool:
        """Whether the model's optimizer goes by epochs."""
        return getattr(getattr(model, "optimizer", None), "interval", "batch") == "epoch"
