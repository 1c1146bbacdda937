"""The base of callbacks that watch one metric get better."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from torchkeras import ops
from torchkeras.callbacks.callback import Callback
from torchkeras.core.naming import snake_case

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
    """Knows which way a metric improves and whether a value is an improvement.

    Args:
        monitor: the name of the value in the logs.
        mode: `"min"`, `"max"` or `"auto"`: as the metric of that name says.
        baseline: the best value to begin with.
        min_delta: smaller changes are no improvement.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", baseline: float | None = None, min_delta: float = 0
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"{type(self).__name__} mode {mode!r} is unknown (auto, min or max), fallback to auto mode.",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self._sign: int | None = None

    @property
    def sign(self) -> int:
        """-1 where less is better, 1 where more is.

        Raises:
            ValueError: in auto mode, nothing tells.
        """
        if self._sign is None:
            self._sign = {"min": -1, "max": 1}.get(self.mode) or self._sign_of_metric()
        return self._sign

    def check_direction(self) -> None:
        """Raise `ValueError` now, not at the second value, where nothing tells which way the metric improves."""
        self._sign = self.sign

    @property
    def monitor_op(self) -> Any:
        """The comparison with the best so far: `ops.less` or `ops.greater`."""
        return ops.less if self.sign < 0 else ops.greater

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

    def is_improvement(self, value: float, reference: float | None) -> bool:
        """Whether the value beats the reference by `min_delta`. NaN never does, anything else beats `None`."""
        if value != value:
            return False
        if reference is None:
            return True
        return bool(self.sign * (value - self.sign * self.min_delta - reference) > 0)

    def get_state(self) -> dict[str, Any]:
        """What a resumed training needs, for JSON."""
        return {"best": None if self.best is None else float(self.best)}

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of `get_state`."""
        for name, value in state.items():
            setattr(self, name, value)


def _sign_of(metric: Any) -> int | None:
    direction = getattr(metric, "_direction", None)  # Keras's word for it, which the user's metrics may have
    if direction is not None:
        return 1 if direction == "up" else -1
    function = getattr(metric, "_fn", None) or getattr(metric, "fn", None)
    for name in (snake_case(type(metric).__name__), getattr(function, "__name__", "")):
        if name in _MORE_IS_BETTER or name in _LESS_IS_BETTER:
            return 1 if name in _MORE_IS_BETTER else -1
    return None


def _all_metrics(metrics: Any) -> Iterator[Any]:
    for metric in metrics:
        yield from _all_metrics(getattr(metric, "metrics", ()))
        yield metric
