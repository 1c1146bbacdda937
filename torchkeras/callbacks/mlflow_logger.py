"""MLflowLogger: logs sent to MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchkeras.callbacks.experiment_logger import ExperimentLogger, Values


class MLflowLogger(ExperimentLogger):
    """Send the settings and the logs of `fit` to MLflow. Keras has no such callback.

    A run that is active is used and left active; otherwise one is started and ended with `fit`, as failed after an
    error. The names are `epoch/loss`, `batch/loss` and so on; the step of the former is the epoch. With several
    processes the main one sends.

    Args:
        experiment: name of the experiment. Default: `None`, the active one.
        run_name: name of the run. Default: `None`, made up by the package.
        tracking_uri: address of the server, or a folder. Default: `None`, that of the package's settings.
        log_batch_frequency: batches from one point to the next; each waits for the device. Default: `None`, logs of
            epochs alone.

    Raises:
        ValueError: `log_batch_frequency` is not positive.
        ImportError: (in `fit`) the package `mlflow` is not installed.

    Example:
        >>> logger = keras.callbacks.MLflowLogger("digits", tracking_uri="http://localhost:5000")
        >>> logger.experiment
        'digits'
    """

    def __init__(
        self,
        experiment: str | None = None,
        run_name: str | None = None,
        tracking_uri: str | None = None,
        log_batch_frequency: int | None = None,
    ) -> None:
        super().__init__(log_batch_frequency)
        self.experiment = experiment
        self.run_name = run_name
        self.tracking_uri = tracking_uri
        self._mlflow: Any = None
        self._owns = False

    def open(self, settings: Mapping[str, Any]) -> None:
        """Start a run, or take the active one.

        Args:
            settings: settings of the training.
        """
        import mlflow

        self._mlflow = mlflow
        if self.tracking_uri is not None:
            mlflow.set_tracking_uri(self.tracking_uri)
        self._owns = mlflow.active_run() is None
        if self._owns:
            if self.experiment is not None:
                mlflow.set_experiment(self.experiment)
            mlflow.start_run(run_name=self.run_name)
        mlflow.log_params(dict(settings))

    def log(self, values: Values, step: int, epoch: int | None) -> None:
        """Send values.

        Args:
            values: by name.
            step: number of batches so far.
            epoch: number of the epoch, or `None`.
        """
        self._mlflow.log_metrics(values, step=step if epoch is None else epoch)

    def close(self, failed: bool) -> None:
        """End the run, if it was started here.

        Args:
            failed: whether training ends by an error.
        """
        if self._owns:
            self._mlflow.end_run(status="FAILED" if failed else "FINISHED")
