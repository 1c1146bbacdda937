"""WandbLogger: logs sent to Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchkeras.callbacks.experiment_logger import ExperimentLogger, Values


class WandbLogger(ExperimentLogger):
    """Send the settings and the logs of `fit` to Weights & Biases. Keras has no such callback.

    A run that is open is used and left open; otherwise one is opened and ended with `fit`, as failed after an error.
    The names are `epoch/loss`, `batch/loss` and so on. With several processes the main one sends.

    Args:
        project: name of the project. Default: `None`, that of the package's settings.
        name: name of the run. Default: `None`, made up by the service.
        log_batch_frequency: batches from one point to the next; each waits for the device. Default: `None`, logs of
            epochs alone.
        **kwargs: further arguments of `wandb.init`, such as `mode="offline"`.

    Raises:
        ValueError: `log_batch_frequency` is not positive.
        ImportError: (in `fit`) the package `wandb` is not installed.

    Example:
        >>> logger = keras.callbacks.WandbLogger(project="digits", mode="offline")
        >>> logger.project
        'digits'
    """

    def __init__(
        self, project: str | None = None, name: str | None = None, log_batch_frequency: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(log_batch_frequency)
        self.project = project
        self.name = name
        self.kwargs = kwargs
        self._run: Any = None
        self._owns = False

    def open(self, settings: Mapping[str, Any]) -> None:
        """Open a run, or take the open one.

        Args:
            settings: settings of the training.
        """
        import wandb

        self._owns = wandb.run is None
        self._run = wandb.init(project=self.project, name=self.name, **self.kwargs) if self._owns else wandb.run
        self._run.config.update(dict(settings), allow_val_change=True)
        self._run.define_metric("epoch/*", step_metric="epoch/epoch")
        self._run.define_metric("batch/*", step_metric="batch/step")

    def log(self, values: Values, step: int, epoch: int | None) -> None:
        """Send values.

        Args:
            values: by name.
            step: number of batches so far.
            epoch: number of the epoch, or `None`.
        """
        place = {"batch/step": step} if epoch is None else {"epoch/epoch": epoch}
        self._run.log({**values, **place})

    def close(self, failed: bool) -> None:
        """End the run, if it was opened here.

        Args:
            failed: whether training ends by an error.
        """
        if self._owns:
            self._run.finish(exit_code=int(failed))
