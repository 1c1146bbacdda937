"""Dot-product attention (Luong et al., 2015) and additive attention (Bahdanau et al., 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Shape
from torchkeras.core.variables.portable_random import is_portable_random_enabled
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.attention.attention_masks import causal_mask, combined
from torchkeras.layers.attention.mismatch import mismatch
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.regularization.dropout import drawn_mask


class Attention(Layer):
    """Attend by dot products: average the values, weighted by how well each key fits the query.

    `outputs = softmax(query @ key.T) @ value` (Luong et al., 2015, arXiv:1508.04025). The layer has no projections;
    `MultiHeadAttention` has.

    Args:
        use_scale: whether the scores are multiplied by a learned number. Default: `False`.
        score_mode: `"dot"` for `query @ key.T`; `"concat"` for `w * sum(tanh(query + key))` with a learned number `w`.
            Default: `"dot"`.
        dropout: fraction of the scores that is dropped in training. Default: `0.0`.
        seed: int that makes the dropout repeatable; without one it comes from torch's global generator. Default:
            `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: list `[query, value]` or `[query, value, key]`; without a key the value is the key.
        mask: list `[query_mask, value_mask]` of booleans `(batch, T)` and `(batch, S)`, or `None` in the place of one.
            Source steps where the value's mask is False get no attention; outputs where the query's mask is False are
            0. Default: the inputs' own masks.
        training: whether dropout is applied. Default: the training mode of the call.
        return_attention_scores: whether to return the scores as well. Default: `False`.
        use_causal_mask: whether a step attends only to itself and to steps before it. Default: `False`.

    Input shape:
        query `(batch, T, dim)`, value `(batch, S, value_dim)`, key `(batch, S, dim)`.

    Output shape:
        `(batch, T, value_dim)`; with `return_attention_scores` a tuple of it and the scores `(batch, T, S)`.

    Weights:
        `scale`: a number, if `use_scale`. `concat_score_weight`: a number, if `score_mode="concat"`.

    Raises:
        ValueError: an unknown `score_mode`, or the inputs are no list of two or three tensors.

    Example:
        >>> query, value = torch.zeros(1, 1, 2), torch.tensor([[[1.0, 0.0], [3.0, 2.0]]])
        >>> keras.layers.Attention()([query, value]).tolist()
        [[[2.0, 1.0]]]
        >>> outputs, scores = keras.layers.Attention()([query, value], return_attention_scores=True)
        >>> scores.tolist()
        [[[0.5, 0.5]]]
    """

    _tk_config_base = True

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.use_scale = use_scale
        self.score_mode = score_mode
        self.dropout = dropout
        self.seed = seed
        self.supports_masking = True
        if dropout > 0:
            self.seed_generator = SeedGenerator(seed)
        if score_mode not in ("dot", "concat"):
            raise ValueError(
                "Invalid value for argument score_mode. Expected one of {'dot', 'concat'}. "
                f"Received: score_mode={score_mode}"
            )

    def build(self, input_shape: list[Shape]) -> None:
        self._check_inputs(input_shape)
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(name="concat_score_weight", shape=(), initializer="ones")

    def _calculate_scores(self, query: Tensor, key: Tensor) -> Tensor:
        """`(B, T, S)` for a query `(B, T, dim)` and a key `(B, S, dim)`."""
        scale = self.scale
        if self.score_mode == "dot":
            scores = torch.matmul(query, key.transpose(-2, -1))
            return scores if scale is None else scores * scale
        pairs = query.unsqueeze(-2) + key.unsqueeze(-3)
        pairs = torch.tanh(pairs if scale is None else scale * pairs)
        return self.concat_score_weight * pairs.sum(-1)

    def call(
        self,
        inputs: list[Tensor],
        mask: list[Tensor | None] | None = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        self._check_inputs(inputs, mask)
        query, value = inputs[0], inputs[1]
        key = inputs[2] if len(inputs) > 2 else value
        query_mask, value_mask = (mask[0], mask[1]) if mask else (None, None)
        scores = self._calculate_scores(query, key)
        attendable = combined(
            None if value_mask is None else value_mask.unsqueeze(-2),
            causal_mask(scores.shape[-2], scores.shape[-1], scores.device) if use_causal_mask else None,
        )
        if attendable is not None:
            # As in Keras, a score far below all others instead of minus infinity.
            far = 65504.0 if scores.dtype == torch.float16 else 1e9
            scores = torch.where(attendable, scores, scores - far)
        scores = torch.softmax(scores, -1)
        if training and self.dropout > 0:
            scores = self._tk_drop(scores)
        outputs = torch.matmul(scores, value)
        if query_mask is not None:
            outputs = outputs.masked_fill(query_mask.to(torch.bool).unsqueeze(-1).logical_not(), 0)
        return (outputs, scores) if return_attention_scores else outputs

    def _tk_drop(self, scores: Tensor) -> Tensor:
        if self.seed is None and not is_portable_random_enabled():
            return F.dropout(scores, self.dropout)
        keep = 1.0 - self.dropout
        return torch.where(drawn_mask(self, keep, scores.shape, scores.device), scores / keep, 0)

    def compute_mask(self, inputs: list[Tensor], mask: list[Tensor | None] | None = None) -> Tensor | None:
        self._check_inputs(inputs, mask)
        return None if mask is None else mask[0]

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> tuple[int | None, ...]:
        return (*input_shape[0][:-1], input_shape[1][-1])

    def compute_output_spec(
        self,
        inputs: list[KerasTensor],
        mask: list[KerasTensor | None] | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> KerasTensor | tuple[KerasTensor, KerasTensor]:
        self._check_inputs(inputs, mask)
        shapes = [one.shape for one in inputs]
        output = KerasTensor(self.compute_output_shape(shapes), self.compute_dtype)
        if not return_attention_scores:
            return output
        return output, KerasTensor((*shapes[0][:-1], shapes[-1][-2]), self.compute_dtype)

    def _tk_mismatch(self, given: dict[str, Any]) -> str | None:
        inputs = given.get("inputs")
        if not isinstance(inputs, list):
            return None
        return mismatch(dict(zip(("query", "value", "key"), inputs, strict=False)), given.get("mask"), sizes=True)

    def _check_inputs(self, inputs: object, mask: object = None) -> None:
        name = type(self).__name__
        if not isinstance(inputs, list):
            raise ValueError(
                f"{name} layer must be called on a list of inputs, namely [query, value] or [query, value, key]. "
                f"Received: inputs={inputs}."
            )
        if not 2 <= len(inputs) <= 3:
            raise ValueError(
                f"{name} layer accepts inputs list of length 2 or 3, namely [query, value] or [query, value, key]. "
                f"Received length: {len(inputs)}."
            )
        if mask is None:
            return
        if not isinstance(mask, list):
            raise ValueError(
                f"{name} layer mask must be a list, namely [query_mask, value_mask]. Received: mask={mask}."
            )
        if not 2 <= len(mask) <= 3:
            raise ValueError(f"{name} layer accepts mask list of length 2 or 3. Received: mask={mask}.")


class AdditiveAttentionOptions(LayerOptions, total=False):
    """The common arguments, and those of `Attention` that fit."""

    seed: int | None


class AdditiveAttention(Attention):
    """Attend by additive scores: average the values, weighted by a sum over `tanh(query + key)`.

    `scores = sum(scale * tanh(query + key), axis=-1)`, `outputs = softmax(scores) @ value` (Bahdanau et al., 2014,
    arXiv:1409.0473).

    Args:
        use_scale: whether `scale`, a vector of size `dim`, is learned; otherwise it is 1. Default: `True`.
        dropout: fraction of the scores that is dropped in training. Default: `0.0`.
        **kwargs: `seed`, which makes the dropout repeatable, and the arguments of `Layer`: `name`, `trainable`, `dtype`
            and others.

    Call arguments:
        inputs: list `[query, value]` or `[query, value, key]`; without a key the value is the key.
        mask: list `[query_mask, value_mask]` of booleans, as for `Attention`. Default: the inputs' own masks.
        training: whether dropout is applied. Default: the training mode of the call.
        return_attention_scores: whether to return the scores as well. Default: `False`.
        use_causal_mask: whether a step attends only to itself and to steps before it. Default: `False`.

    Input shape:
        query `(batch, T, dim)`, value `(batch, S, value_dim)`, key `(batch, S, dim)`.

    Output shape:
        `(batch, T, value_dim)`; with `return_attention_scores` a tuple of it and the scores `(batch, T, S)`.

    Weights:
        `scale`: `(dim,)`, if `use_scale`.

    Raises:
        ValueError: the inputs are no list of two or three tensors.

    Example:
        >>> query, value = torch.zeros(2, 4, 8), torch.zeros(2, 6, 8)
        >>> keras.layers.AdditiveAttention()([query, value]).shape
        torch.Size([2, 4, 8])
    """

    _tk_config_base = True

    def __init__(
        self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Unpack[AdditiveAttentionOptions]
    ) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: list[Shape]) -> None:
        self._check_inputs(input_shape)
        self.scale = None
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(input_shape[0][-1],), initializer="glorot_uniform")

    def _calculate_scores(self, query: Tensor, key: Tensor) -> Tensor:
        pairs = torch.tanh(query.unsqueeze(-2) + key.unsqueeze(-3))
        return (pairs if self.scale is None else self.scale * pairs).sum(-1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["score_mode"]
        return config
