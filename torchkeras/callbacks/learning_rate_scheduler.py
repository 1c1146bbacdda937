"""LearningRateScheduler: a function sets the learning rate of each epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import torch

from torchkeras.callbacks import learning_rates
from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.reporting.progress import announce


class LearningRateScheduler(Callback):
    """Sets the learning rate at each epoch's beginning by a function, and logs it as `learning_rate`.

    Args:
        schedule: function of the epoch (an integer, counted from 0) and the present rate, or of the epoch alone; it
            returns the new rate as a float.
        verbose: 1: print each rate; 0: do not. Default: `0`.

    Raises:
        ValueError: (in `fit`) the function returns something else than a float, or the optimizer has no learning rate.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.5), "mse")
        >>> halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
        >>> history = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=3, callbacks=[halve], verbose=0)
        >>> history.history["learning_rate"]
        [0.5, 0.25, 0.125]
    """

    def __init__(self, schedule: Callable[[int, float], float] | Callable[[int], float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose
        self._epoch: int | None = None

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        if epoch == self._epoch:
            return  # the epoch is resumed, with the rate that it had
        self._epoch = epoch
        for suffix, optimizer in learning_rates.parts(self.model.optimizer):
            rate = self._next(epoch, learning_rates.read(optimizer))
            learning_rates.write(optimizer, rate)
            if self.verbose > 0:
                whose = f"{suffix[1:]} " if suffix else ""
                announce(f"\nEpoch {epoch + 1}: LearningRateScheduler setting {whose}learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: HookLogs | None = None) -> None:
        learning_rates.add_to_logs(self.model.optimizer, logs)

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self._epoch = None

    def get_state(self) -> dict[str, int | None]:
        """The running epoch, whose rate is set already."""
        return {"epoch": self._epoch}

    def set_state(self, state: dict[str, int | None]) -> None:
        """The inverse of `get_state`.

        Args:
            state: the dict that `get_state` returned.
        """
        self._epoch = state["epoch"]

    def _next(self, epoch: int, rate: float) -> float:
        schedule: Callable[..., float] = self.schedule
        rate = schedule(epoch, rate) if _takes_two(schedule) else schedule(epoch)
        if isinstance(rate, torch.Tensor) and rate.numel() == 1:
            rate = float(rate)
        if not isinstance(rate, (float, np.floating)):
            raise ValueError(f"The output of the `schedule` function should be a float. Received: {rate!r}")
        return float(rate)


def _takes_two(function: Callable) -> bool:
    """Whether a function can be called with the epoch and the rate."""
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a built-in without a signature
        return True
    return True
