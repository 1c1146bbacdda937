"""Grouped-query attention (Ainslie et al., 2023, arXiv:2305.13245)."""

from __future__ import annotations

from typing import Any

from torchkeras.core.registry import register_public
from torchkeras.core.types import Identifier
from torchkeras.layers.attention.projected import ProjectedAttention, Shape, check_value_and_key
from torchkeras.layers.core.einsum_dense import EinsumDense


class GroupedQueryAttention(ProjectedAttention):
    """Attention in which groups of query heads share a head of keys and values.

    Args:
        head_dim: size of a head.
        num_query_heads: a multiple of `num_key_value_heads`.
        num_key_value_heads: 1 gives multi-query attention, `num_query_heads` multi-head attention.
        dropout: share of the attention scores dropped in training.
        sliding_window: how far a step sees, before and behind.
        flash_attention: `True` for torch's flash kernel or an error; default: torch chooses.
        use_gate: multiply what the heads put out by a sigmoid gate of the query.
    """

    _tk_config_base = True

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        activity_regularizer: Identifier | None = None,
        kernel_constraint: Identifier | None = None,
        bias_constraint: Identifier | None = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        options = dict(locals())
        super().__init__(**kwargs)
        if num_query_heads % num_key_value_heads != 0:
            raise ValueError(
                "`num_query_heads` must be divisible by `num_key_value_heads`. Received: "
                f"num_query_heads={num_query_heads}, num_key_value_heads={num_key_value_heads}"
            )
        self.head_dim = head_dim
        self.num_query_heads = num_query_heads
        self.num_key_value_heads = num_key_value_heads
        self._set_options(options, head_dim)

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        many, few = self.num_query_heads, self.num_key_value_heads
        self._query_dense = self._to_heads("query", query_shape, many)
        self._key_dense = self._to_heads("key", key_shape, few)
        if self.use_gate:
            self._gate_dense = self._to_heads("gate", query_shape, many, activation="sigmoid")
        self._value_dense = self._to_heads("value", value_shape, few)
        self._build_scores(-1)
        self._output_dense = self._projection("attention_output", "bthd,hdm->btm", (None, query_shape[-1]))
        self._output_dense.build((None, None, many, self.head_dim))

    def _to_heads(self, name: str, shape: Shape, heads: int, **options: Any) -> EinsumDense:
        dense = self._projection(name, "btm,mhd->bthd", (None, heads, self.head_dim), **options)
        dense.build(shape)
        return dense

    def _projections(self) -> tuple[EinsumDense, EinsumDense, EinsumDense, EinsumDense]:
        return self._query_dense, self._key_dense, self._value_dense, self._output_dense

    def _heads(self) -> int:
        return self.num_query_heads

    def compute_output_shape(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> Shape:
        if query_shape[-1] != value_shape[-1]:
            raise ValueError(
                "The last dimension of `query_shape` and `value_shape` must be equal. Received: "
                f"query_shape={query_shape}, value_shape={value_shape}"
            )
        check_value_and_key(value_shape, key_shape)
        return tuple(query_shape)


# Keras has the class under another name in public, which is the one in files; it names layers after this one.
register_public(GroupedQueryAttention, "keras.layers", "GroupQueryAttention", aliases=("GroupedQueryAttention",))
