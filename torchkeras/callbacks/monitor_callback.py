"""The base of callbacks that watch whether one metric improves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torchkeras import ops
from torchkeras.callbacks.callback import Callback, HookLogs
from torchkeras.core.naming import snake_case
from torchkeras.core.user_warnings import warn_user

_MORE_IS_BETTER = frozenset(
    """acc accuracy auc binary_accuracy binary_io_u categorical_accuracy concordance_correlation cosine_similarity
    f1_score f_beta_score io_u mean_io_u one_hot_io_u one_hot_mean_io_u pearson_correlation precision
    precision_at_recall r2_score recall recall_at_precision sensitivity_at_specificity sparse_categorical_accuracy
    sparse_top_k_categorical_accuracy specificity_at_sensitivity top_k_categorical_accuracy""".split()
)
_LESS_IS_BETTER = frozenset(
    """bce binary_crossentropy categorical_crossentropy categorical_hinge cce ce crossentropy hinge kl_divergence kld
    log_cosh log_cosh_error mae mape mean_absolute_error mean_absolute_percentage_error mean_squared_error
    mean_squared_logarithmic_error mse msle poisson rmse root_mean_squared_error sparse_categorical_crossentropy
    squared_hinge""".split()
)


class MonitorCallback(Callback):
    """Base class of callbacks that watch one value: which way it improves, and whether it has.

    Args:
        monitor: name of the value in the logs. Default: `"val_loss"`.
        mode: `"min"`: the value should become less; `"max"`: more; `"auto"`: as the metric of that name says. Default:
            `"auto"`.
        baseline: the best value to begin with. Default: `None`.
        min_delta: a change of less than this is no improvement. Default: `0`.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", baseline: float | None = None, min_delta: float = 0
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warn_user(f"{type(self).__name__} mode {mode!r} is unknown (auto, min or max), fallback to auto mode.")
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self._sign: int | None = None
        self._has_warned = False

    def on_train_begin(self, logs: HookLogs | None = None) -> None:
        self._has_warned = False

    def _tk_warn_of_missing(self, message: str) -> None:
        """Warn, once per training, that the logs lack the value."""
        if not self._has_warned:
            self._has_warned = True
            warn_user(message)

    @property
    def _tk_sign(self) -> int:
        """-1 if the value should become less, 1 if it should become more.

        Raises:
            ValueError: in the mode `"auto"`, neither the name nor the metric says it.
        """
        if self._sign is None:
            self._sign = {"min": -1, "max": 1}.get(self.mode) or self._sign_of_metric()
        return self._sign

    def _tk_check_direction(self) -> None:
        """Raise `ValueError` now, not at the second value, if it is not known which way the metric improves."""
        self._sign = self._tk_sign

    @property
    def monitor_op(self) -> Callable[..., Any]:
        """The comparison with the best so far: `ops.less` or `ops.greater`."""
        return ops.less if self._tk_sign < 0 else ops.greater

    def _sign_of_metric(self) -> int:
        name = self.monitor.removeprefix("val_")
        found = {metric.name: metric for metric in _all_metrics(getattr(self.model, "metrics", ()))}
        exact = [metric for known, metric in found.items() if known == name]
        ending = [metric for known, metric in found.items() if name.endswith("_" + known)]  # one of several outputs
        for metric in exact + ending:
            if (sign := _sign_of(metric)) is not None:
                return sign
        if name == "loss" or (name.endswith("_loss") and not exact):
            return -1
        raise ValueError(
            f"{type(self).__name__} can't tell whether monitor={self.monitor!r} should become less or more. "
            "Pass mode='min' or mode='max'."
        )

    def _tk_is_improvement(self, value: float, reference: float | None) -> bool:
        """Whether a value is better than a reference by `min_delta` at least.

        Args:
            value: the value; NaN is never better.
            reference: the value to compare with; any number is better than `None`.
        """
        if value != value:
            return False
        if reference is None:
            return True
        return bool(self._tk_sign * (value - self._tk_sign * self.min_delta - reference) > 0)

    def get_state(self) -> dict[str, Any]:
        """The state that `BackupAndRestore` keeps: the best value so far."""
        return {"best": None if self.best is None else float(self.best)}

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of `get_state`."""
        for name, value in state.items():
            setattr(self, name, value)


def _sign_of(metric: object) -> int | None:
    """1 or -1 as a metric says by its attribute `_direction`, its class or its function; `None`: unknown."""
    direction = getattr(metric, "_direction", None)  # Keras's word for it, which the user's metrics may have
    if direction is not None:
        return 1 if direction == "up" else -1
    function = getattr(metric, "_fn", None) or getattr(metric, "fn", None)
    for name in (snake_case(type(metric).__name__), getattr(function, "__name__", "")):
        if name in _MORE_IS_BETTER or name in _LESS_IS_BETTER:
            return 1 if name in _MORE_IS_BETTER else -1
    return None


def _all_metrics(metrics: Iterable[Any]) -> Iterator[Any]:
    """All metrics, those that others hold first."""
    for metric in metrics:
        yield from _all_metrics(getattr(metric, "metrics", ()))
        yield metric
