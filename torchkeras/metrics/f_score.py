"""F scores: precision and recall in one number."""

from __future__ import annotations

import torch

from torchkeras.core import settings
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike
from torchkeras.core.variables.variable import Variable
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.reduction import without_uncounted
from torchkeras.losses.shapes import check_matrices, check_same_shape
from torchkeras.metrics.metric import Metric, accumulate

_AVERAGES = (None, "micro", "macro", "weighted")


def _invalid(argument: str, rule: str, value: object) -> ValueError:
    return ValueError(f"Invalid `{argument}` argument value. {rule} Received: {argument}={value}")


def _check_float(argument: str, value: object) -> None:
    if not isinstance(value, float):
        raise ValueError(
            f"Invalid `{argument}` argument value. It should be a Python float. Received: {argument}={value} of type "
            f"'{type(value)}'"
        )


class FBetaScore(Metric):
    """Compute `(1 + beta**2) * precision * recall / (beta**2 * precision + recall)` of each class.

    Labels and scores have the shape `(batch, classes)`; labels are one-hot or multi-hot.

    Args:
        average: `None` (one value per class), `"micro"` (over all entries together), `"macro"` (the mean over the
            classes) or `"weighted"` (the mean weighted by the number of samples of each class). Default: `None`.
        beta: how many times as important recall is as precision. Default: `1.0`.
        threshold: scores above it mean 1; with `None` only the highest score of a row does. Default: `None`.
        name: name of the metric. Default: `"fbeta_score"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: an argument is none of these.

    Example:
        >>> metric = keras.metrics.FBetaScore(beta=2.0)
        >>> metric.update_state(np.array([[1, 0], [0, 1], [1, 0]]), np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]))
        >>> [round(value, 4) for value in metric.result().tolist()]
        [0.9091, 0.0]
    """

    _direction = "up"
    _tk_config_keys: tuple[str, ...] = ("average", "beta", "threshold")
    true_positives: Variable
    false_positives: Variable
    false_negatives: Variable
    intermediate_weights: Variable

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if average not in _AVERAGES:
            raise _invalid("average", "Expected one of: {None, 'micro', 'macro', 'weighted'}.", average)
        _check_float("beta", beta)
        if beta <= 0.0:
            raise _invalid("beta", "It should be > 0.", beta)
        if threshold is not None:
            _check_float("threshold", threshold)
            if threshold > 1.0 or threshold <= 0.0:
                raise _invalid("threshold", "It should verify 0 < threshold <= 1.", threshold)
        self.average = average
        self.beta = beta
        self.threshold = threshold

    def _build(self, y_true_shape: tuple, y_pred_shape: tuple) -> None:
        check_matrices("FBetaScore", y_true_shape, y_pred_shape)
        shape = () if self.average == "micro" else (y_pred_shape[-1],)
        for name in ("true_positives", "false_positives", "false_negatives", "intermediate_weights"):
            setattr(self, name, self.add_variable(shape, None, self.dtype, name=name))

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch.

        Args:
            y_true: one-hot or multi-hot labels, `(batch, classes)`.
            y_pred: predictions.
            sample_weight: weight of each sample, `(batch,)` or a shape that broadcasts. Default: `None`.

        Raises:
            ValueError: the shapes do not fit together.
        """
        y_pred = self._as_batch(y_pred, self._torch_dtype)
        y_true = self._as_batch(y_true, self._torch_dtype)
        if not self._variables:
            self._build(y_true.shape, y_pred.shape)
        check_same_shape(y_true, y_pred)
        if not self._follow(y_pred):
            return
        if self.threshold is None:
            y_pred = (y_pred >= y_pred.amax(-1, keepdim=True)) & (y_pred.abs() > 1e-9)
        else:
            y_pred = y_pred > self.threshold
        y_pred = y_pred.to(self._torch_dtype)
        self._add(y_true, y_pred, sample_weight)

    def _add(self, y_true: torch.Tensor, y_pred: torch.Tensor, sample_weight: ArrayLike | None) -> None:
        if sample_weight is not None:
            y_true = without_uncounted(y_true, sample_weight)
        both = y_true * y_pred
        if sample_weight is not None:
            weight = convert_to_tensor(sample_weight, self._torch_dtype, y_pred.device).unsqueeze(1)
            both, y_true, y_pred = both * weight, y_true * weight, y_pred * weight
        axes = (0, 1) if self.average == "micro" else 0
        right, labels, predicted = (x.sum(axes) for x in (both, y_true, y_pred))
        accumulate(self.true_positives, right)
        accumulate(self.false_positives, predicted - right)
        accumulate(self.false_negatives, labels - right)
        accumulate(self.intermediate_weights, labels)

    def result(self) -> torch.Tensor:
        """Return the score so far: a value per class for `average=None`, else a scalar tensor."""
        epsilon = settings.epsilon()
        right = self.true_positives.value
        precision = right / (right + self.false_positives.value + epsilon)
        recall = right / (right + self.false_negatives.value + epsilon)
        square = self.beta**2
        score = precision * recall / (square * precision + recall + epsilon) * (1.0 + square)
        if self.average == "weighted":
            sizes = self.intermediate_weights.value
            return (score * sizes / (sizes.sum() + epsilon)).sum()
        return score if self.average is None else score.mean()


class F1Score(FBetaScore):
    """Compute `2 * precision * recall / (precision + recall)` of each class.

    Labels and scores have the shape `(batch, classes)`; labels are one-hot or multi-hot.

    Args:
        average: `None` (one value per class), `"micro"` (over all entries together), `"macro"` (the mean over the
            classes) or `"weighted"` (the mean weighted by the number of samples of each class). Default: `None`.
        threshold: scores above it mean 1; with `None` only the highest score of a row does. Default: `None`.
        name: name of the metric. Default: `"f1_score"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Raises:
        ValueError: an argument is none of these.

    Example:
        >>> metric = keras.metrics.F1Score()
        >>> metric.update_state(np.array([[1, 0], [0, 1], [1, 0]]), np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]))
        >>> [round(value, 4) for value in metric.result().tolist()]
        [0.8, 0.0]
    """

    _tk_config_keys = ("average", "threshold")

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(average=average, beta=1.0, threshold=threshold, name=name, dtype=dtype)
