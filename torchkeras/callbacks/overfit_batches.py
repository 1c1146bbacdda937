"""OverfitBatches: the same few batches in every epoch, to see whether a model can learn at all."""

from __future__ import annotations

from torchkeras.callbacks.callback import HookLogs
from torchkeras.callbacks.fast_dev_run import FastDevRun
from torchkeras.callbacks.first_batches import FirstBatches


class OverfitBatches(FastDevRun):
    """Let `fit` train on the same few batches in every epoch, which a sound model learns by heart.

    They are the first batches of the first epoch, and stay in memory. Validation, if there is any, is left out. Keras
    has no such callback.

    Args:
        batches: number of batches. Default: `1`.

    Raises:
        ValueError: the number is not positive.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.1), "mse")
        >>> x, y = np.random.rand(100, 2), np.random.rand(100, 1)
        >>> history = model.fit(x, y, epochs=5, callbacks=[keras.callbacks.OverfitBatches(1)], verbose=0)
        >>> int(model.optimizer.iterations), history.history["loss"][-1] < history.history["loss"][0]
        (5, True)
    """

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        run = self._run
        run.source = FirstBatches(run.source, self.batches, repeats=True)
        run.validation = None
        if self.params:
            self.params["steps"] = run.source.num_batches
