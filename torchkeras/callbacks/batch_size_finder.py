"""BatchSizeFinder: the largest batch that fits in memory."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.callbacks.run import Run
from torchkeras.callbacks.training_snapshot import TrainingSnapshot
from torchkeras.core import tree
from torchkeras.core.accelerators import empty_cache
from torchkeras.distributed import world_size
from torchkeras.distributed.process import gather_objects
from torchkeras.reporting.progress import announce

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


class BatchSizeFinder(Callback):
    """Find the largest batch size with which a training step fits in memory, and train with it.

    Before the first epoch, forward and backward passes run on the first batch, its rows repeated: with twice as many
    rows each time until memory runs out, then in between. Errors of memory are caught, all weights keep their values.
    With several processes each one tries its share, and the smallest result counts. Keras has no such callback.

    Where `fit` was given arrays, it goes on with the size that was found. A `DataLoader` or data set makes its own
    batches: then the size is in `batch_size`, to make another loader with it.

    Args:
        min_size: the first size that is tried. Default: `2`.
        max_size: the largest size that is tried. Default: `8192`; never more than there are samples.
        steps_per_trial: passes for each size. Default: `2`.
        margin: share of the size that is found to leave out, for steps that need more memory. Default: `0.1`.
        search: whether to search between the last size that fits and the first that does not, instead of taking the
            former. Default: `True`.
        stop: whether `fit` ends after the search, instead of training. Default: `False`.

    Raises:
        ValueError: a size is not positive, or `margin` not from 0 to below 1.
        RuntimeError: (in `fit`) not even `min_size` fits.

    Attributes:
        batch_size: the result, the size of the global batch; `None` before `fit`.
        tried: whether each size that was tried fits.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> finder = keras.callbacks.BatchSizeFinder(margin=0.0)
        >>> _ = model.fit(np.ones((40, 2)), np.ones((40, 1)), callbacks=[finder], verbose=0)
        Batch size finder: 40 ...
        >>> finder.batch_size
        40
    """

    def __init__(
        self,
        min_size: int = 2,
        max_size: int = 8192,
        steps_per_trial: int = 2,
        margin: float = 0.1,
        search: bool = True,
        stop: bool = False,
    ) -> None:
        super().__init__()
        if not 0 < min_size <= max_size or steps_per_trial < 1 or not 0 <= margin < 1:
            raise ValueError(
                "0 < min_size <= max_size, steps_per_trial >= 1 and 0 <= margin < 1 must hold; received "
                f"min_size={min_size}, max_size={max_size}, steps_per_trial={steps_per_trial}, margin={margin}."
            )
        self.min_size = min_size
        self.max_size = max_size
        self.steps_per_trial = steps_per_trial
        self.margin = margin
        self.search = search
        self.stop = stop
        self.batch_size: int | None = None
        self.tried: dict[int, bool] = {}
        self._run: Any = None

    def _tk_set_run(self, run: Run) -> None:
        """Take the call of `fit`.

        Args:
            run: the call.
        """
        self._run = run

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        source = self._run.source
        self.tried = {}
        ranks = world_size()
        samples = getattr(source.source, "num_samples", None)
        largest = max(min(self.max_size, samples or self.max_size) // ranks, 1)
        found = self._largest_that_fits(source.peek(), min(self.min_size, largest), largest)
        size = max(int(min(gather_objects(found)) * (1 - self.margin)), 1) * ranks
        self.batch_size = size
        if source.source.set_batch_size(size):
            self.params["steps"] = source.num_batches  # type: ignore[index]
            announce(f"Batch size finder: {size} rows per batch")
        else:
            kept = source.source.describe()
            announce(f"Batch size finder: {size} rows per batch would fit; the {kept} keeps its own size")
        if self.stop:
            self._run.initial_epoch = self._run.epochs

    def _largest_that_fits(self, data: object, size: int, largest: int) -> int:
        snapshot = TrainingSnapshot(self.model)
        try:
            if not self._fits(data, size):
                raise RuntimeError(f"A batch of {size} rows does not fit in memory.")
            too_large = largest + 1
            while size < largest:
                following = min(2 * size, largest)
                if not self._fits(data, following):
                    too_large = following
                    break
                size = following
            while self.search and too_large - size > max(size // 16, 1):
                middle = (size + too_large) // 2
                size, too_large = (middle, too_large) if self._fits(data, middle) else (size, middle)
            return size
        finally:
            snapshot.restore()
            for weight in self.model.trainable_weights:
                weight.grad = None

    def _fits(self, data: object, rows: int) -> bool:
        try:
            batch = _with_rows(data, rows)
            for _ in range(self.steps_per_trial):
                self._step(batch)
            self.tried[rows] = True
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self.tried[rows] = False
        if not self.tried[rows]:
            empty_cache()
        return self.tried[rows]

    def _step(self, batch: Any) -> None:
        """Forward pass and gradients, without a message to other ranks."""
        x, y, weights = (*batch, None, None)[:3] if isinstance(batch, tuple) else (batch, None, None)
        outputs = self.model(x, training=True)
        loss = self.model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weights)
        torch.autograd.grad(loss, [w for w in self.model.trainable_weights if w.requires_grad], allow_unused=True)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory, on a GPU or on the CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def _with_rows(data: object, rows: int) -> Any:
    """A batch whose rows are repeated until there are so many."""

    def repeat(value: object) -> Any:
        if not isinstance(value, torch.Tensor) or not value.dim():
            return value
        return value[torch.arange(rows, device=value.device) % len(value)]

    return tree.map_structure(repeat, data)
