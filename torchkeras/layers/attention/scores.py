"""Dot products, masks and softmax: what the attention layers share."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

_WITHOUT_FLASH = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH]


def causal_mask(steps: int, sources: int, device: Any) -> Tensor:
    """`(1, steps, sources)`: a step sees sources up to its own number."""
    return torch.ones((1, steps, sources), dtype=torch.bool, device=device).tril()


def window_mask(steps: int, sources: int, window: int, device: Any) -> Tensor:
    """`(1, steps, sources)`: a step sees sources less than `window` away, before and behind."""
    numbers = torch.arange(steps, device=device)[:, None] - torch.arange(sources, device=device)
    return (numbers.abs() < window)[None]


def all_of(*masks: Tensor | None) -> Tensor | None:
    """The masks' conjunction; `None` stands for a mask that hides nothing."""
    merged = None
    for mask in masks:
        if mask is not None:
            mask = mask.to(torch.bool)
            merged = mask if merged is None else merged & mask
    return merged


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float,
    causal: bool = False,
    dropout: float = 0.0,
    flash: bool | None = None,
) -> Tensor:
    """Scaled dot-product attention in torch's kernels, for `(batch, steps, heads, size)`.

    A query to which all is hidden gets the mean of all values, as Keras has it without dropout.

    Args:
        mask: what may be seen, to be broadcast to `(batch, heads, steps, sources)`.
        flash: `True` for the flash kernel or an error, `False` for any other.
    """
    bias = None if mask is None else as_bias(mask, query.dtype)
    query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    grouped = query.shape[1] != key.shape[1]
    with _kernels(flash):
        outputs = F.scaled_dot_product_attention(
            query, key, value, bias, dropout, causal, scale=scale, enable_gqa=grouped
        )
    return outputs.transpose(1, 2)


def as_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where the mask is true, else a number so low that softmax gives 0 beside any score, and finite."""
    low = -45850.0 if dtype == torch.float16 else -2.372671e38
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask.logical_not(), low)


def _kernels(flash: bool | None) -> Any:
    if flash is None:
        return contextlib.nullcontext()
    return sdpa_kernel([SDPBackend.FLASH_ATTENTION] if flash else _WITHOUT_FLASH)
