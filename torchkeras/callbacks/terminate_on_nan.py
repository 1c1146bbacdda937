"""TerminateOnNaN: no more batches when the loss is no number."""

from __future__ import annotations

import math
from typing import Any

from torchkeras.callbacks.callback import Callback
from torchkeras.reporting.progress import announce


class TerminateOnNaN(Callback):
    """Stops `fit` when the loss is NaN or infinite. It looks at each batch, which waits for the device.

    Args:
        raise_error: raise an error, so that no callback's `on_train_end` runs, instead of stopping.

    Raises:
        RuntimeError: with `raise_error`, at the first such loss.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"NaN or Inf loss encountered at batch {batch}. Loss value: {loss}. Terminating training immediately."
            )
        announce(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
