"""From a loss per sample to the number that is trained on: masks, sample weights, the reduction."""

from __future__ import annotations

import math
from typing import Any

import torch

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.masks import get_mask
from torchkeras.core.torch_internals import count_dispatch_modes, in_functorch_transform, tracing_state
from torchkeras.core.types import ArrayLike, Nest
from torchkeras.distributed.rank_share import current_share
from torchkeras.losses.shapes import check_broadcast, match_ranks

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)
BATCH_MEANS = frozenset(("sum_over_batch_size", "mean"))


def check_reduction(reduction: str | None) -> str | None:
    """The reduction itself.

    Raises:
        ValueError: there is none of that name.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"Invalid value for argument reduction={reduction!r}; it must be one of {REDUCTIONS}.")
    return reduction


def divide_no_nan(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """`x / y`, and 0 where `y` is 0."""
    zero = y == 0
    return torch.where(zero, 0.0, x / torch.where(zero, 1.0, y)).to(x.dtype)


def apply_mask(
    sample_weight: torch.Tensor | None, mask: torch.Tensor | None, dtype: torch.dtype, reduction: str | None
) -> torch.Tensor | None:
    """The weights with a mask's zeros in them.

    Where the loss will be averaged over all entries, the valid ones weigh `total / valid`, so that the result is the
    mean over the valid ones.
    """
    if mask is None:
        return sample_weight
    factor = mask.to(dtype)
    if reduction in BATCH_MEANS:
        total, valid = current_share().sum_over_ranks(mask.numel(), factor.sum())
        factor = factor * divide_no_nan(torch.ones_like(factor) * total, valid)
    if sample_weight is None:
        return factor
    sample_weight = convert_to_tensor(sample_weight, dtype, mask.device)
    factor, sample_weight = match_ranks(factor, sample_weight)
    check_broadcast("mask", factor, "sample_weight", sample_weight)
    return sample_weight * factor


def without_uncounted(values: Nest[ArrayLike], *weights: ArrayLike | None) -> Any:
    """Replace NaN and infinity by 0 where a weight or mask is 0; other numbers, and integers, stay as they are.

    A product of NaN and 0 is NaN, in the loss and in each gradient; so what does not count must not be NaN.

    Args:
        values: targets, or values per sample; anything but a float tensor is returned as it is.
        weights: sample weights and masks, of the shape of `values` or of its leading axes; or `None`.
    """
    if not isinstance(values, torch.Tensor) or not values.is_floating_point() or _is_finite(values):
        return values
    for weight in weights:
        if weight is None:
            continue
        if not isinstance(weight, torch.Tensor):
            weight = convert_to_tensor(weight, None, values.device)
        while weight.dim() > values.dim() and weight.shape[-1] == 1:
            weight = weight.squeeze(-1)
        if weight.dim() > values.dim() or any(w not in (1, v) for w, v in zip(weight.shape, values.shape)):
            continue  # whoever multiplies them says so
        counts = weight.to(values.device) != 0
        if counts.dim() < values.dim():
            counts = counts.reshape(counts.shape + (1,) * (values.dim() - counts.dim()))
        values = torch.where(counts, values, values.nan_to_num(0.0, 0.0, 0.0))
    return values


def _is_finite(values: torch.Tensor) -> bool:
    """Whether all values are known to be finite: on the CPU, where nobody waits and one sum answers it.

    It takes a sixth of the time of the three kernels that would replace those which are not.
    """
    return (
        values.is_cpu
        and not values.requires_grad
        and not torch.compiler.is_compiling()
        and not in_functorch_transform()
        and tracing_state() is None
        and count_dispatch_modes() == 0
        and type(values) in (torch.Tensor, torch.nn.Parameter)
        and math.isfinite(values.sum().item())
    )


def reduce_values(values: torch.Tensor, sample_weight: torch.Tensor | None, reduction: str | None) -> torch.Tensor:
    """Weighted values to one number, as `reduction` says."""
    if reduction is None or reduction == "none" or values.dim() == 0 or values.shape == (0,):
        return values
    if reduction == "sum" or values.numel() == 0:
        return current_share().scale_sum(values.sum())
    if reduction == "mean_with_sample_weight" and sample_weight is not None:
        (weight,) = current_share().sum_over_ranks(sample_weight.sum())
        return divide_no_nan(current_share().scale_sum(values.sum()), weight)
    return values.mean()


def reduce_weighted(
    values: ArrayLike,
    sample_weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    reduction: str | None = "sum_over_batch_size",
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """The loss of a batch from its values per sample (or per sample and step).

    Args:
        sample_weight: broadcasts against the values; a last axis of 1 is added or dropped where the ranks differ by 1.
        mask: entries that are false count for nothing.

    Raises:
        ValueError: the shapes of values and weights do not go together.
    """
    values = convert_to_tensor(values, dtype)
    if sample_weight is None and mask is None:
        return reduce_values(values, None, reduction)
    if sample_weight is not None:
        sample_weight = convert_to_tensor(sample_weight, dtype, values.device)
    if mask is not None:
        mask = convert_to_tensor(mask, None, values.device)
    weight = apply_mask(sample_weight, mask, dtype, reduction)
    values, weight = match_ranks(values, weight)
    check_broadcast("the loss values", values, "sample_weight", weight)
    return reduce_values(values * weight, weight, reduction)


def batch_weight(
    reduction: str | None, y_pred: torch.Tensor, sample_weight: ArrayLike | None = None
) -> float | torch.Tensor | None:
    """How much a batch counts when the losses of several are put together as that of all their rows.

    Returns:
        For a mean the number of rows; under a mask, or by sample weights, the sum of those it was divided by. `None`
        for losses that are no mean: batches count alike.
    """
    by_weight = reduction == "mean_with_sample_weight"
    mask = get_mask(y_pred) if by_weight or reduction in BATCH_MEANS else None
    # Weights that are less exact than the gradients would make sums that cancel wrong.
    dtype = torch.float64 if y_pred.dtype == torch.float64 else torch.float32
    if by_weight and sample_weight is not None:
        weight = convert_to_tensor(sample_weight, dtype, y_pred.device)
        weight = apply_mask(weight, mask, dtype, reduction)  # type: ignore[assignment]
    elif mask is not None:
        weight = mask
    else:
        return batch_rows(reduction, y_pred)
    return current_share().sum_over_ranks(weight.sum(dtype=dtype))[0]


def batch_rows(reduction: str | None, y_pred: torch.Tensor) -> int | None:
    """The rows of the global batch, if the reduction is a mean over them; `None` for other losses."""
    if reduction != "mean_with_sample_weight" and reduction not in BATCH_MEANS:
        return None
    return current_share().total_rows(y_pred.shape[0] if y_pred.dim() else 1)
