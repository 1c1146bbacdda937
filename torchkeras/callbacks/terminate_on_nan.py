"""TerminateOnNaN: no more batches when the loss is NaN or infinite."""

from __future__ import annotations

import math

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.reporting.progress import announce


class TerminateOnNaN(Callback):
    """Stops `fit` after the first batch whose loss is NaN or infinite.

    It reads the loss of each batch, and so waits for the device at each batch.

    Args:
        raise_error: `True`: raise an error instead, so that no callback's `on_train_end` runs. Default: `False`.

    Raises:
        RuntimeError: (in `fit`, with `raise_error=True`) the loss is NaN or infinite.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.full((4, 2), np.nan)
        >>> nan = keras.callbacks.TerminateOnNaN()
        >>> history = model.fit(x, np.ones((4, 1)), epochs=10, callbacks=[nan], verbose=0)
        Batch 0: Invalid loss, terminating training
        >>> history.epoch
        [0]
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"NaN or Inf loss encountered at batch {batch}. Loss value: {loss}. Terminating training immediately."
            )
        announce(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
