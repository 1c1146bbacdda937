"""FastDevRun: a few batches of everything, to see whether a script runs to its end."""

from __future__ import annotations

from typing import Any

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.callbacks.first_batches import FirstBatches
from torchkeras.callbacks.run import Run


class FastDevRun(Callback):
    """Let `fit` do one epoch with a few batches of training and of validation, to find faults of a script quickly.

    The other callbacks run as ever, so that they are tried, too. Keras has no such callback.

    Args:
        batches: number of batches. Default: `1`.

    Raises:
        ValueError: the number is not positive.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x, y = np.ones((1000, 2)), np.ones((1000, 1))
        >>> history = model.fit(x, y, epochs=50, callbacks=[keras.callbacks.FastDevRun(2)], verbose=0)
        >>> len(history.epoch), int(model.optimizer.iterations)
        (1, 2)
    """

    def __init__(self, batches: int = 1) -> None:
        super().__init__()
        self.batches = _positive(batches)
        self._run: Any = None

    def _tk_set_run(self, run: Run) -> None:
        """Take the call of `fit`.

        Args:
            run: the call.
        """
        self._run = run

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        run = self._run
        run.source = FirstBatches(run.source, self.batches)
        if run.validation is not None:
            run.validation = FirstBatches(run.validation, self.batches)
        run.epochs = min(run.epochs, run.initial_epoch + 1)
        if self.params:
            self.params["epochs"], self.params["steps"] = run.epochs, run.source.num_batches


def _positive(batches: int) -> int:
    if isinstance(batches, bool) or not isinstance(batches, int) or batches < 1:
        raise ValueError(f"`batches` must be a positive integer; received {batches!r}.")
    return batches
