"""SwapEMAWeights: evaluation with the moving averages of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import torch

from torchkeras.callbacks.callback import Callback, HookLogs


class SwapEMAWeights(Callback):
    """Swaps the weights with their moving averages before an evaluation or a prediction, and back after it.

    The optimizer must have been made with `use_ema=True`: it keeps an exponential moving average of each weight.

    Args:
        swap_on_epoch: whether to swap at each epoch's end, too, and back at the next epoch's beginning. Callbacks that
            stand after this one in the list (such as `ModelCheckpoint`) then see the averages. Default: `False`.

    Raises:
        ValueError: (in `fit`, `evaluate` and `predict`) the optimizer keeps no averages.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.1, use_ema=True), "mse")
        >>> swap = keras.callbacks.SwapEMAWeights()
        >>> x, y = np.ones((4, 2)), np.ones((4, 1))
        >>> history = model.fit(x, y, epochs=2, validation_data=(x, y), callbacks=[swap], verbose=0)
        >>> sorted(history.history)
        ['loss', 'val_loss']
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._averages_in_model = False

    def _tk_set_exits(self, exits: ExitStack) -> None:
        """Let the model have its own weights after an error, too.

        Args:
            exits: takes functions to call when `fit`, `evaluate` or `predict` ends.
        """
        exits.callback(self._put, False)

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        if self.swap_on_epoch:
            self._put(False)

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        if self.swap_on_epoch and not self._averages_in_model:
            self._put(True)
            if epoch == (self.params or {}).get("epochs", 0) - 1:  # the training's end will read the averages
                with torch.no_grad():
                    for weight, average in self._pairs():
                        average.copy_(weight)

    def on_test_begin(self, logs: HookLogs | None = None) -> None:
        self._put(True)

    def on_test_end(self, logs: HookLogs | None = None) -> None:
        self._put(False)

    def on_predict_begin(self, logs: HookLogs | None = None) -> None:
        self._put(True)

    def on_predict_end(self, logs: HookLogs | None = None) -> None:
        self._put(False)

    @torch.no_grad()
    def _put(self, averages: bool) -> None:
        """Let the model hold the averages, or its own weights."""
        if self._averages_in_model == averages:
            return
        for weight, average in self._pairs():
            kept = weight.detach().clone()
            weight.copy_(average)
            average.copy_(kept)
        self._averages_in_model = averages

    def _pairs(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Each weight with its average; none before the optimizer is built."""
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        inner = [part for part in getattr(optimizer, "optimizers", [optimizer]) if getattr(part, "use_ema", False)]
        if not inner:
            raise ValueError(
                "SwapEMAWeights must be used when `use_ema=True` is set on the optimizer. "
                f"Received: use_ema={getattr(optimizer, 'use_ema', None)}"
            )
        for part in inner:
            averages = part._slots.get("average", ())  # none before the optimizer is built
            yield from (
                (weight, average) for weight, average in zip(part._trainable_variables, averages) if average is not None
            )

    def get_state(self) -> dict[str, Any]:
        """Return the state that `BackupAndRestore` keeps: whether the model holds the averages."""
        return {"averages_in_model": self._averages_in_model}

    def set_state(self, state: dict[str, Any]) -> None:
        """Set the state that `get_state` returned.

        Args:
            state: the dict.
        """
        self._averages_in_model = state["averages_in_model"]
