"""CometLogger: logs sent to Comet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchkeras.callbacks.experiment_logger import ExperimentLogger, Values


class CometLogger(ExperimentLogger):
    """Send the settings and the logs of `fit` to Comet. Keras has no such callback.

    An experiment that runs is used and left running; otherwise one is started and ended with `fit`. The names are
    `epoch/loss`, `batch/loss` and so on. With several processes the main one sends.

    Args:
        project_name: name of the project. Default: `None`, that of the package's settings.
        workspace: name of the workspace. Default: `None`, the user's.
        online: whether to send at once; otherwise into a file, to be sent later. Default: `None`, online.
        log_batch_frequency: batches from one point to the next; each waits for the device. Default: `None`, logs of
            epochs alone.
        **kwargs: further arguments of `comet_ml.start`, such as `api_key`.

    Raises:
        ValueError: `log_batch_frequency` is not positive.
        ImportError: (in `fit`) the package `comet_ml` is not installed.

    Example:
        >>> logger = keras.callbacks.CometLogger(project_name="digits", online=False)
        >>> logger.project_name
        'digits'
    """

    def __init__(
        self,
        project_name: str | None = None,
        workspace: str | None = None,
        online: bool | None = None,
        log_batch_frequency: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(log_batch_frequency)
        self.project_name = project_name
        self.workspace = workspace
        self.online = online
        self.kwargs = kwargs
        self._experiment: Any = None
        self._owns = False

    def open(self, settings: Mapping[str, Any]) -> None:
        """Start an experiment, or take the running one.

        Args:
            settings: settings of the training.
        """
        import comet_ml

        self._experiment = comet_ml.get_running_experiment()
        self._owns = self._experiment is None
        if self._owns:
            self._experiment = comet_ml.start(
                project_name=self.project_name, workspace=self.workspace, online=self.online, **self.kwargs
            )
        self._experiment.log_parameters(dict(settings))

    def log(self, values: Values, step: int, epoch: int | None) -> None:
        """Send values.

        Args:
            values: by name.
            step: number of batches so far.
            epoch: number of the epoch, or `None`.
        """
        self._experiment.log_metrics(values, step=step, epoch=epoch)

    def close(self, failed: bool) -> None:
        """End the experiment, if it was started here.

        Args:
            failed: whether training ends by an error.
        """
        if self._owns:
            self._experiment.end()
