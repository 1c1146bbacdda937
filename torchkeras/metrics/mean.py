"""Sums and means of values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import torch

from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.fast_paths.batch_means import find_batch_mean
from torchkeras.core.registry import public_name
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.masks import get_mask
from torchkeras.core.types import ArrayLike, DeviceLike
from torchkeras.distributed.rank_share import current_share
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.reduction import apply_mask, without_uncounted
from torchkeras.losses.shapes import match_ranks
from torchkeras.losses.sparse import sparse_categorical_crossentropy
from torchkeras.metrics.matches import find_matches
from torchkeras.metrics.metric import Metric, accumulate


def _weigh(
    values: torch.Tensor, weight: torch.Tensor, reduce: Callable[..., torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and weights of one shape: values are reduced over the axes that the weights do not have.

    Raises:
        ValueError: the shapes do not go together.
    """
    given = values.shape
    values, weight = match_ranks(values, weight)
    if values.dim() > weight.dim():
        values = reduce(values, dim=tuple(range(weight.dim(), values.dim())))
    try:
        return values, weight.broadcast_to(values.shape)
    except RuntimeError:
        raise ValueError(
            f"sample_weight must broadcast to the values, or to their leading axes; received values of shape "
            f"{tuple(given)} and sample_weight of shape {tuple(weight.shape)}."
        ) from None


class Sum(Metric):
    """Compute the (weighted) sum of all values.

    Args:
        name: name of the metric. Default: `"sum"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.Sum()
        >>> metric.update_state([1.0, 2.0, 4.0])
        >>> metric.result().item()
        7.0
        >>> metric.reset_state()
        >>> metric.update_state([1.0, 2.0], sample_weight=[0.0, 3.0])
        >>> metric.result().item()
        6.0
    """

    def __init__(self, name: str = "sum", dtype: PolicyLike | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), None, self.dtype, name="total")

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add values, each times its weight.

        Args:
            values: array or tensor.
            sample_weight: weights, of the shape of the values or of their leading axes. Default: `None`.
        """
        mask = get_mask(values)
        values = self._as_batch(values, self._torch_dtype)
        if not self._follow(values):
            return
        if sample_weight is not None:
            weight = convert_to_tensor(sample_weight, self._torch_dtype, values.device)
            values = without_uncounted(values, weight, mask)
            values, weight = _weigh(values, apply_mask(weight, mask, self._torch_dtype, "sum"), torch.sum)
            values = values * weight
        accumulate(self.total, values.sum())

    def result(self) -> torch.Tensor:
        """Return the sum so far."""
        return self.total.value.clone()


class Mean(Metric):
    """Compute the (weighted) mean of all values.

    The first axis counts the samples; the values of a sample are averaged first.

    Args:
        name: name of the metric. Default: `"mean"`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.Mean()
        >>> metric.update_state([1.0, 3.0])
        >>> metric.update_state([5.0])
        >>> metric.result().item()
        3.0
        >>> metric.reset_state()
        >>> metric.update_state([1.0, 3.0], sample_weight=[1.0, 0.0])
        >>> metric.result().item()
        1.0
    """

    _targets_are_cleaned = False  # whether targets of weight 0 are made finite before the values are computed

    def __init__(self, name: str = "mean", dtype: PolicyLike | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), None, self.dtype, name="total")
        self.count = self.add_variable((), None, self.dtype, name="count")
        # Adding n times this tensor is twice as fast as adding the number n.
        self._one = torch.ones((), dtype=self._torch_dtype, device=self.count.device)

    def to(self, device: DeviceLike) -> Self:
        """Move the state to a device, in place."""
        super().to(device)
        self._one = self._one.to(device)
        return self

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add values.

        Args:
            values: array or tensor.
            sample_weight: weights, of the shape of the values or of their leading axes. Default: `None`.

        Raises:
            ValueError: the shapes of values and weights do not fit together.
        """
        mask = None if sample_weight is None else get_mask(values)
        values = self._as_batch(values)
        if not self._follow(values):
            return
        if sample_weight is None:
            self._add_unweighted(values)
        elif values.dim() == 0 and mask is None and isinstance(sample_weight, (int, float)):
            accumulate(self.total, values, sample_weight)
            accumulate(self.count, self._one, sample_weight)
        else:
            self._add_weighted(values, sample_weight, mask)

    def _add_unweighted(self, values: torch.Tensor) -> None:
        if values.dim() == 0:  # a number for the batch, of which there may be a share here
            part = current_share().fraction
            accumulate(self.total, values, part)
            accumulate(self.count, self._one, part)
            return
        inner = math.prod(values.shape[1:])
        if values.shape[0] == 0 or inner == 0:
            return
        accumulate(self.total, values.sum(dtype=self._torch_dtype), 1 if inner == 1 else 1.0 / inner)
        accumulate(self.count, self._one, values.shape[0])

    def _add_weighted(self, values: torch.Tensor, sample_weight: ArrayLike | None, mask: torch.Tensor | None) -> None:
        dtype = self._torch_dtype
        weight = convert_to_tensor(sample_weight, dtype, values.device)
        if not self._targets_are_cleaned:
            values = without_uncounted(values, weight, mask)
        values, weight = _weigh(values.to(dtype), apply_mask(weight, mask, dtype, "sum"), torch.mean)
        inner = math.prod(values.shape[1:])
        if inner == 0:
            return
        accumulate(self.total, (values * weight).sum(), 1 if inner == 1 else 1.0 / inner)
        accumulate(self.count, weight.sum(), 1 if inner == 1 else 1.0 / inner)

    def _add_mean(self, mean: torch.Tensor, samples: int) -> None:
        """Add `samples` values whose mean is known."""
        accumulate(self.total, mean, samples)
        accumulate(self.count, self._one, samples)

    def result(self) -> torch.Tensor:
        """Return the mean so far; 0 if there is none."""
        count = self.count.value
        return (self.total.value / count).masked_fill_(count == 0, 0.0)


class MeanMetricWrapper(Mean):
    """Compute the mean of a function `(y_true, y_pred)` over all samples.

    Args:
        fn: function of targets, predictions and the further keyword arguments; it returns a value per sample.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype name or policy in which the metric is computed; `None` means `keras.config.floatx()`. Default:
            `None`.
        **kwargs: further arguments of `fn`.

    Example:
        >>> def distance(y_true, y_pred, scale):
        ...     return scale * torch.abs(y_true - y_pred)
        >>> metric = keras.metrics.MeanMetricWrapper(distance, name="distance", scale=2.0)
        >>> metric.update_state(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        >>> metric.result().item()
        2.0
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: PolicyLike | None = None, **kwargs: object
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs
        self._raw_fn = find_matches(fn) or fn
        self._batch_mean = find_batch_mean(fn) if kwargs.get("axis", -1) == -1 else None
        self._keeps_integers = fn is sparse_categorical_crossentropy
        if self._direction is None and (public_name(fn) or ("",))[0] == "keras.losses":
            self._direction = "down"

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:  # type: ignore[override]
        """Add a batch. Entries that a mask on `y_pred` hides are left out.

        Args:
            y_true: targets.
            y_pred: predictions.
            sample_weight: weight of each sample, `(batch,)` or a shape that broadcasts. Default: `None`.

        Raises:
            ValueError: the shapes do not fit together.
        """
        mask = get_mask(y_pred)
        if isinstance(y_pred, torch.Tensor):
            if y_pred.requires_grad:
                y_pred = y_pred.detach()
            if self._batch_mean is not None and sample_weight is None and mask is None:
                if isinstance(y_true, torch.Tensor) and self._add_batch_mean(y_true, y_pred):
                    return
        if sample_weight is not None or mask is not None:
            y_true = without_uncounted(y_true, sample_weight, mask)
        values = self._raw_fn(y_true, y_pred, **self._fn_kwargs)
        if mask is not None:
            if sample_weight is not None:
                sample_weight = convert_to_tensor(sample_weight, self._torch_dtype, mask.device)
            sample_weight = apply_mask(sample_weight, mask, self._torch_dtype, "sum")
        super().update_state(values, sample_weight)

    def _add_batch_mean(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> bool:
        """Add the batch in few kernels, where its mean can be had in one."""
        if y_pred.dtype != self._torch_dtype or y_pred.numel() == 0 or not self._follow(y_pred):
            return False
        if not self._keeps_integers and y_true.dtype != y_pred.dtype:
            y_true = y_true.to(y_pred.dtype)
        y_true, y_pred = match_ranks(y_true, y_pred)
        mean = self._batch_mean(y_true, y_pred, **self._fn_kwargs)
        if mean is None:
            return False
        self._add_mean(mean, y_pred.shape[0] if y_pred.dim() > 1 else 1)
        return True

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON-ready values, the function by its registered name."""
        return {
            **super().get_config(),
            "fn": serialize_keras_object(self._fn),
            **serialize_keras_object(self._fn_kwargs),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the metric that `config` describes."""
        return cls(**(deserialize_keras_object(config) if "fn" in config else config))


class FunctionMetric(MeanMetricWrapper):
    """Base of the public means, whose classes fix the function: the config holds its arguments only."""

    keras_module = None
    _targets_are_cleaned = True

    def get_config(self) -> dict[str, Any]:
        return Metric.get_config(self)
