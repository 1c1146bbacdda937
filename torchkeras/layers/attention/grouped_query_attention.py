"""Grouped-query attention (Ainslie et al., 2023, arXiv:2305.13245)."""

from __future__ import annotations

from typing import Any, Unpack

from torchkeras.core.registry import register_public
from torchkeras.core.types import Identifier
from torchkeras.layers.attention.private_names import GroupedNames
from torchkeras.layers.attention.projected import ProjectedAttention, Shape, check_value_and_key
from torchkeras.layers.base.options import CommonOptions
from torchkeras.layers.core.einsum_dense import EinsumDense


class GroupedQueryAttention(GroupedNames, ProjectedAttention):
    """Attend in several heads, of which groups share one projection of keys and values.

    With fewer heads for keys and values than for queries, less has to be kept while text is generated (Ainslie et al.,
    2023, arXiv:2305.13245). The public name is `GroupQueryAttention`.

    Args:
        head_dim: size of each head, a positive int.
        num_query_heads: number of heads of the query, a multiple of `num_key_value_heads`.
        num_key_value_heads: number of heads of keys and values. 1 is multi-query attention, `num_query_heads` is
            multi-head attention.
        dropout: fraction of the attention scores that is dropped in training. Default: `0.0`.
        use_bias: whether the projections have biases. Default: `True`.
        sliding_window: number of steps: a query step attends only to steps less than this far away, before and behind.
            Default: `None`, no limit.
        flash_attention: `True` uses torch's flash kernel or raises an error, `False` never uses it, `None` lets torch
            choose. Default: `None`.
        kernel_initializer, bias_initializer: how the projections' weights start: a name or an initializer.
            Defaults: `"glorot_uniform"`, `"zeros"`.
        kernel_regularizer, bias_regularizer: penalty on the projections' weights, added to the loss. Default: `None`.
        activity_regularizer: penalty on the projections' outputs, divided by the batch size and added to the loss.
            Default: `None`.
        kernel_constraint, bias_constraint: function that maps a weight of a projection to an allowed value after each
            update. Default: `None`.
        use_gate: whether the heads' outputs are multiplied by a sigmoid projection of the query. Default: `False`.
        seed: int that makes the dropout repeatable; without one it comes from torch's global generator. Default:
            `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        query: `(batch, T, ...)`.
        value: `(batch, S, ...)`.
        key: `(batch, S, ...)`. Default: `value`.
        query_mask: booleans `(batch, T)`; False marks padding. Default: the query's own mask.
        value_mask, key_mask: booleans `(batch, S)`; steps where one is False get no attention. Default: the tensors'
            own masks.
        attention_mask: booleans `(batch, T, S)`, or with an axis of heads `(batch, heads, T, S)`; False forbids a query
            step to attend to a source step. Default: `None`.
        return_attention_scores: whether to return the scores as well. Default: `False`.
        training: whether dropout is applied. Default: the training mode of the call.
        use_causal_mask: whether a step attends only to itself and to steps before it, as a decoder needs. Default:
            `False`.

    Input shape:
        query `(batch, T, dim)`, value `(batch, S, dim)`, key `(batch, S, key_size)`.

    Output shape:
        `(batch, T, dim)`; with `return_attention_scores` a tuple of it and the scores `(batch, num_query_heads, T, S)`.

    Raises:
        ValueError: `num_query_heads` is no multiple of `num_key_value_heads`, or the shapes do not fit.

    Example:
        >>> layer = keras.layers.GroupQueryAttention(head_dim=4, num_query_heads=6, num_key_value_heads=2)
        >>> query, source = torch.zeros(3, 8, 16), torch.zeros(3, 5, 16)
        >>> layer(query, source).shape
        torch.Size([3, 8, 16])
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
        **kwargs: Unpack[CommonOptions],
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
        self._build_scores(4, (1,))
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

# Keras's second names.
GroupQueryAttention = GroupedQueryAttention
