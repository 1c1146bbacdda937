"""R2: the share of the targets' variance that predictions explain."""

from __future__ import annotations

import torch

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike
from torchkeras.core.user_warnings import warn_user
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.reduction import without_uncounted
from torchkeras.losses.shapes import check_matrices, check_same_shape, match_ranks
from torchkeras.metrics.metric import Metric, accumulate

_AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


class R2Score(Metric):
    """Compute `1 - sum((y_true - y_pred)**2) / sum((y_true - mean(y_true))**2)` of each output.

    Targets and predictions have the shape `(batch, outputs)`. 1 means exact predictions, 0 the quality of the mean as a
    prediction.

    Args:
        class_aggregation: `None` (one value per output), `"uniform_average"` (their mean) or
            `"variance_weighted_average"` (their mean weighted by the variance of the targets). Default:
            `"uniform_average"`.
        num_regressors: number of independent inputs, for the adjusted score; 0 computes the plain score. Default: `0`.
        name: name of the metric. Default: `"r2_score"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: an argument is none of these.

    Example:
        >>> metric = keras.metrics.R2Score()
        >>> metric.update_state(np.array([[1.0], [4.0], [3.0]]), np.array([[2.0], [4.0], [4.0]]))
        >>> round(metric.result().item(), 4)
        0.5714
    """

    _direction = "up"
    _tk_config_keys = ("class_aggregation", "num_regressors")

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if class_aggregation not in _AGGREGATIONS:
            raise ValueError(
                f"Invalid value for argument `class_aggregation`: {class_aggregation!r}; it must be one of "
                f"{_AGGREGATIONS}."
            )
        if num_regressors < 0:
            raise ValueError(f"Invalid value for argument `num_regressors`: {num_regressors!r}; it must be 0 or more.")
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable((), None, name="num_samples")

    def _build(self, y_true_shape: tuple, y_pred_shape: tuple) -> None:
        check_matrices("R2Score", y_true_shape, y_pred_shape)
        shape = (y_pred_shape[-1],)
        self.squared_sum = self.add_variable(shape, None, name="squared_sum")
        self.sum = self.add_variable(shape, None, name="sum")
        self.total_mse = self.add_variable(shape, None, name="residual")
        self.count = self.add_variable(shape, None, name="count")

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch.

        Args:
            y_true: targets, `(batch, outputs)`.
            y_pred: predictions.
            sample_weight: weight of each sample, `(batch,)` or a shape that broadcasts. Default: `None`.

        Raises:
            ValueError: the shapes do not fit together.
        """
        dtype = self._torch_dtype
        y_true, y_pred = match_ranks(self._as_batch(y_true, dtype), self._as_batch(y_pred, dtype))
        if len(self._variables) == 1:
            self._build(y_true.shape, y_pred.shape)
        check_same_shape(y_true, y_pred)
        if not self._follow(y_pred):
            return
        weight = convert_to_tensor(1 if sample_weight is None else sample_weight, dtype, y_pred.device)
        weight = (weight.unsqueeze(1) if weight.dim() == 1 else weight).broadcast_to(y_true.shape)
        if sample_weight is not None:
            y_true = without_uncounted(y_true, weight)
        weighted = y_true * weight
        accumulate(self.sum, weighted.sum(0))
        accumulate(self.squared_sum, (y_true * weighted).sum(0))
        accumulate(self.total_mse, ((y_true - y_pred).square() * weight).sum(0))
        accumulate(self.count, weight.sum(0))
        accumulate(self.num_samples, y_true.numel())

    def result(self) -> torch.Tensor:
        """Return the score so far: a value per output for `class_aggregation=None`, else a scalar tensor."""
        total = self.squared_sum.value - self.sum.value * (self.sum.value / self.count.value)
        scores = 1.0 - self.total_mse.value / total
        scores = scores.where(~scores.isinf(), 0.0)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (total * scores).sum() / total.sum()
        return scores if self.num_regressors == 0 else self._adjusted(scores)

    def _adjusted(self, scores: torch.Tensor) -> torch.Tensor:
        rest = float(self.num_samples.value) - self.num_regressors - 1.0
        if rest > 0:
            return 1.0 - (1.0 - scores) * (self.num_samples.value - 1.0) / rest
        warn_user(
            f"The adjusted R2 needs more than num_regressors + 1 = {self.num_regressors + 1} values; the plain R2 is "
            f"returned."
        )
        return scores
