"""LearningRateFinder: a range test for the learning rate at the beginning of `fit`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from torchkeras.callbacks import learning_rates
from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.callbacks.training_snapshot import TrainingSnapshot
from torchkeras.distributed.process import broadcast_object
from torchkeras.reporting.progress import announce

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class LearningRateFinder(Callback):
    """Find a learning rate: try rates from small to large on the first batches of `fit`, then go on with a good one.

    Each trial step has a larger rate, `min_rate * (max_rate / min_rate) ** (i / (num_steps - 1))`. The suggestion is
    the rate where the losses fall most steeply: straight lines are fitted to a fifth of the steps. Then all weights,
    those of the optimizer too, become what they were, and training goes on at the suggested rate. The trial ends early
    if the loss explodes. Keras has no such callback; see Smith, "Cyclical Learning Rates for Training Neural Networks"
    (2017).

    Args:
        min_rate: the first rate. Default: `1e-7`.
        max_rate: the last rate. Default: `1.0`.
        num_steps: number of trial steps. Default: `100`.
        divergence: the trial ends when the smoothed loss exceeds the best one so many times; `None`: never. Default:
            `4.0`.
        smoothing: share of the old value in the moving average of the losses. Default: `0.9`.
        stop: whether `fit` ends after the trial, instead of training. Default: `False`.

    Raises:
        ValueError: the rates are not positive and rising, or there are fewer than 3 steps.

    Attributes:
        rates: the rates that were tried.
        losses: the loss of each trial step.
        suggestion: the suggested rate; `None` before the trial has ended, or if no loss was finite.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> finder = keras.callbacks.LearningRateFinder(num_steps=20, max_rate=0.1)
        >>> _ = model.fit(np.random.rand(80, 2), np.ones((80, 1)), batch_size=4, callbacks=[finder], verbose=0)
        Learning rate finder: ...
        >>> len(finder.rates), 1e-7 <= finder.suggestion <= 0.1
        (20, True)
    """

    def __init__(
        self,
        min_rate: float = 1e-7,
        max_rate: float = 1.0,
        num_steps: int = 100,
        divergence: float | None = 4.0,
        smoothing: float = 0.9,
        stop: bool = False,
    ) -> None:
        super().__init__()
        if not 0 < min_rate < max_rate or num_steps < 3:
            raise ValueError(
                "The rates must be positive and rise, in 3 steps at least; received "
                f"min_rate={min_rate}, max_rate={max_rate}, num_steps={num_steps}."
            )
        self.min_rate = min_rate
        self.max_rate = max_rate
        self.num_steps = num_steps
        self.divergence = divergence
        self.smoothing = smoothing
        self.stop = stop
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.suggestion: float | None = None
        self._snapshot: TrainingSnapshot | None = None
        self._total = 0.0  # the sum of the losses of the epoch's batches so far
        self._counted = 0

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self.rates, self.losses, self.suggestion = [], [], None
        self._first_rate = learning_rates.read(self.model.optimizer)
        self._snapshot = TrainingSnapshot(self.model)
        self.idle_hooks = ()

    def on_epoch_begin(self, epoch: int, logs: HookLogs | None = None) -> None:
        self._total, self._counted = 0.0, 0

    def on_train_batch_begin(self, batch: int, logs: HookLogs | None = None) -> None:
        if self._snapshot is not None:
            step = len(self.losses) / (self.num_steps - 1)
            rate = self.min_rate * (self.max_rate / self.min_rate) ** step
            learning_rates.write(self.model.optimizer, rate)
            self.rates.append(rate)

    def on_train_batch_end(self, batch: int, logs: HookLogs | None = None) -> None:
        if self._snapshot is None:
            return
        # The logs have the mean of the epoch so far.
        total = float((logs or {}).get("loss", math.nan)) * (batch + 1)
        loss = (total - self._total) / max(batch + 1 - self._counted, 1)
        self._total, self._counted = total, batch + 1
        self.losses.append(broadcast_object(loss))
        if len(self.losses) >= self.num_steps or self._has_diverged():
            self._finish()

    def on_train_end(self, logs: HookLogs | None = None) -> None:
        if self._snapshot is not None:  # the data ended before the trial
            self._finish()

    def _has_diverged(self) -> bool:
        smooth = self.smoothed_losses()
        if not math.isfinite(smooth[-1]):
            return True
        return self.divergence is not None and len(smooth) > 5 and smooth[-1] > self.divergence * min(smooth)

    def smoothed_losses(self) -> list[float]:
        """The moving average of the losses, corrected for its beginning at zero."""
        average, smooth = 0.0, []
        for step, loss in enumerate(self.losses, 1):
            average = self.smoothing * average + (1 - self.smoothing) * loss
            smooth.append(average / (1 - self.smoothing**step))
        return smooth

    def _suggested(self) -> float | None:
        """The rate in the middle of the steps over which a straight line through the losses falls most steeply."""
        losses = np.array(self.losses)
        losses = losses[: np.argmin(np.append(np.isfinite(losses), False))]
        if len(losses) < 3:
            return None
        # As many steps as smooth out the differences between batches.
        span = min(max(len(losses) // 5, 5), len(losses))
        steps = np.arange(span) - (span - 1) / 2
        slopes = np.convolve(losses, steps[::-1], mode="valid")
        return self.rates[int(np.argmin(slopes)) + span // 2]

    def _finish(self) -> None:
        assert self._snapshot is not None
        self._snapshot.restore()
        self._snapshot = None
        self.idle_hooks = (LearningRateFinder.on_train_batch_begin, LearningRateFinder.on_train_batch_end)
        self.suggestion = self._suggested()
        rate = self._first_rate if self.suggestion is None else self.suggestion
        learning_rates.write(self.model.optimizer, rate)
        if self.suggestion is None:
            announce(f"Learning rate finder: no suggestion; the rate stays at {rate:.3g}")
        else:
            announce(f"Learning rate finder: {rate:.3g} after {len(self.losses)} steps")
        if self.stop:
            self.model.stop_training = True

    def plot(self, ax: Axes | None = None) -> Any:
        """Draw the losses by learning rate, with the suggestion.

        Args:
            ax: axes of matplotlib to draw in. Default: `None`, those of a new figure.

        Returns:
            The figure of matplotlib.

        Raises:
            ImportError: matplotlib is not installed.
        """
        from matplotlib.figure import Figure

        axes = ax if ax is not None else Figure((6, 4), layout="constrained").add_subplot()
        axes.plot(self.rates[: len(self.losses)], self.losses, color="tab:blue", alpha=0.3, label="loss")
        axes.plot(self.rates[: len(self.losses)], self.smoothed_losses(), color="tab:blue", label="smoothed")
        if self.suggestion is not None:
            axes.axvline(self.suggestion, color="tab:red", linestyle="--", label=f"suggestion {self.suggestion:.2g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        axes.legend()
        return axes.figure
