"""Scaled dot-product attention in torch's kernels."""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.dtypes import result_type

op = functools.partial(op, file_module="keras.src.ops.nn")

_WITHOUT_FLASH = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH]


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    scale: float | None,
    causal: bool = False,
    dropout: float = 0.0,
    flash: bool | None = None,
) -> Tensor:
    """Attention of `(batch, steps, heads, size)`; with fewer heads of keys and values each serves several of queries.

    Args:
        bias: added to the scores, to be broadcast to `(batch, heads, steps, sources)`.
        flash: `True` for the flash kernel or an error, `False` for any other.
    """
    grouped = query.shape[2] != key.shape[2]
    q, k, v = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    if flash is None:
        y = F.scaled_dot_product_attention(q, k, v, bias, dropout, causal, scale=scale, enable_gqa=grouped)
        return y.transpose(1, 2)
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION] if flash else _WITHOUT_FLASH):
        y = F.scaled_dot_product_attention(q, k, v, bias, dropout, causal, scale=scale, enable_gqa=grouped)
    return y.transpose(1, 2)


def as_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where the mask is true, else a number so low that softmax gives 0 beside any score, and finite.

    So a query to which all is hidden gets the mean of all values, as Keras has it.
    """
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask.logical_not(), _low(dtype))


def _low(dtype: torch.dtype) -> float:
    return -45850.0 if dtype == torch.float16 else -2.372671e38


def _describe(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> KerasTensor:
    if kwargs.get("attn_logits_soft_cap") is not None:
        raise ValueError("`attn_logits_soft_cap` must be None: it is for another accelerator's kernel.")
    dtype = result_type(query.dtype, key.dtype, value.dtype, float)
    return KerasTensor((*query.shape[:-1], value.shape[-1]), dtype)


@op(dtype="narrow_float", keep=("bias", "mask"), call=("scale",), spec=_describe)
def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """Compute attention: `softmax(scale * query @ key + bias) @ value` (arXiv:1706.03762).

    Args:
        query: tensor `(batch, steps, heads, size)`.
        key: tensor `(batch, sources, key heads, size)`; the key heads are as many as the heads, or a divisor of them.
        value: tensor of the shape of `key`.
        bias: tensor that broadcasts to `(batch, heads, steps, sources)`, added to the scores. Default: `None`.
        mask: boolean tensor that broadcasts likewise: true where a step may see a source. Default: `None`.
        scale: factor of the scores; `None`: `1 / sqrt(size)`. Default: `None`.
        is_causal: whether a step sees no later sources. Default: `False`.
        flash_attention: `True` for the flash kernel or an error, `False` for any other kernel; `None`: torch decides.
            Default: `None`.
        attn_logits_soft_cap: must be `None`: it is for TPUs. Default: `None`.

    Returns:
        A tensor of the shape of `query`.

    Raises:
        ValueError: the inputs are not 4D, or both bias and mask, or a soft cap are given.

    Example:
        >>> keras.ops.dot_product_attention(np.zeros((1, 2, 1, 4)), np.zeros((1, 2, 1, 4)), np.ones((1, 2, 1, 4))).shape
        torch.Size([1, 2, 1, 4])
    """
    if attn_logits_soft_cap is not None:
        raise ValueError(f"`attn_logits_soft_cap` must be None. Received: attn_logits_soft_cap={attn_logits_soft_cap}")
    if bias is not None and mask is not None:
        raise ValueError("Only one of `bias` and `mask` can be given. Received both.")
    if query.dim() != 4 or key.dim() != 4 or value.dim() != 4:
        raise ValueError(
            f"`dot_product_attention` only supports 4D inputs. Received: query.shape={tuple(query.shape)}, "
            f"key.shape={tuple(key.shape)}, "
            f"value.shape={tuple(value.shape)}"
        )
    if is_causal and (mask is not None or bias is not None):
        seen = torch.ones((query.shape[1], key.shape[1]), dtype=torch.bool, device=query.device).tril()
        is_causal = False
        if mask is not None:
            mask = seen & mask.bool()
        else:
            bias = bias.to(query.dtype).where(seen, _low(query.dtype))
    if mask is not None:
        bias = as_bias(mask, query.dtype)
    elif bias is not None:
        bias = bias.to(query.dtype)
    return attend(query, key, value, bias, scale, is_causal, flash=flash_attention)
