"""Multi-head attention (Vaswani et al., 2017)."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, Unpack

from torchkeras.core.types import Identifier
from torchkeras.layers.attention.private_names import MultiHeadNames
from torchkeras.layers.attention.projected import ProjectedAttention, Shape, check_value_and_key
from torchkeras.layers.base.options import CommonOptions
from torchkeras.layers.core.einsum_dense import EinsumDense


class MultiHeadAttention(MultiHeadNames, ProjectedAttention):
    """Attend in several heads, each with its own projections of query, key and value.

    For each head `h`, `outputs_h = softmax((query @ W_q) @ (key @ W_k).T / sqrt(key_dim)) @ (value @ W_v)`; one more
    projection joins the heads (Vaswani et al., 2017, arXiv:1706.03762). With the same tensor as query and value it is
    self-attention.

    Args:
        num_heads: number of heads, a positive int.
        key_dim: size of each head's queries and keys, a positive int.
        value_dim: size of each head's values; `None` means `key_dim`. Default: `None`.
        dropout: fraction of the attention scores that is dropped in training. Default: `0.0`.
        use_bias: whether the projections have biases. Default: `True`.
        output_shape: int or tuple: sizes of the outputs' last axes; `None` means the query's last size. Default:
            `None`.
        attention_axes: int or tuple: the axes attended over; `None` means all between the batch axis and the last.
            Default: `None`.
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
        query `(batch, T, query_dim)`, value `(batch, S, *)`, key `(batch, S, *)`; more axes between, for
        `attention_axes`.

    Output shape:
        `(batch, T, query_dim)`, or `(batch, T, *output_shape)`; with `return_attention_scores` a tuple of it and the
        scores `(batch, heads, T, S)`.

    Raises:
        ValueError: a size is not positive, value and key differ in length, or flash attention is asked for together
            with dropout or scores.

    Example:
        >>> layer = keras.layers.MultiHeadAttention(num_heads=2, key_dim=4)
        >>> query, source = torch.zeros(3, 8, 16), torch.zeros(3, 5, 16)
        >>> layer(query, source).shape
        torch.Size([3, 8, 16])
        >>> outputs, scores = layer(query, source, return_attention_scores=True)
        >>> scores.shape
        torch.Size([3, 2, 8, 5])
    """

    _tk_config_base = True

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
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
        for name in ("num_heads", "key_dim", "value_dim"):
            value = options[name]
            if (not isinstance(value, int) or value <= 0) and not (name == "value_dim" and value is None):
                raise ValueError(
                    f"Received an invalid value for argument `{name}`, expected a positive integer. "
                    f"Received: {name}={value}"
                )
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim or key_dim
        self._output_shape = _as_sizes(output_shape)
        self.attention_axes = _as_axes(attention_axes)
        self._set_options(options, key_dim)

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        key_shape = check_value_and_key(value_shape, key_shape)
        heads = self.num_heads
        self.query_dense = self._to_heads("query", query_shape, heads, self.key_dim)
        self.key_dense = self._to_heads("key", key_shape, heads, self.key_dim)
        if self.use_gate:
            self._gate_dense = self._to_heads("gate", query_shape, heads, self.value_dim, activation="sigmoid")
        self.value_dense = self._to_heads("value", value_shape, heads, self.value_dim)
        self._build_attention(len(value_shape) + 1)
        self.output_dense = self._from_heads("attention_output", query_shape)
        self.output_dense.build((*query_shape[:-1], heads, self.value_dim))

    def _build_attention(self, rank: int) -> None:
        """Make the layers between scores and outputs, for projections of a rank."""
        axes = self.attention_axes or tuple(range(1, rank - 2))
        self.attention_axes = tuple(axis if axis >= 0 else rank - 1 + axis for axis in axes)
        self._build_scores(rank, self.attention_axes)

    def _to_heads(self, name: str, shape: Shape, heads: int, size: int, **options: Any) -> EinsumDense:
        free = string.ascii_lowercase[: len(shape) - 1]
        dense = self._projection(name, f"{free}x,xyz->{free}yz", (None,) * (len(free) - 1) + (heads, size), **options)
        dense.build(shape)
        return dense

    def _from_heads(self, name: str, query_shape: Shape) -> EinsumDense:
        free = string.ascii_lowercase[: len(query_shape) - 1]
        sizes = self._output_shape or (query_shape[-1],)
        new = string.ascii_lowercase[len(free) : len(free) + len(sizes)]
        return self._projection(name, f"{free}yz,yz{new}->{free}{new}", (None,) * (len(free) - 1) + tuple(sizes))

    def _projections(self) -> tuple[EinsumDense, EinsumDense, EinsumDense, EinsumDense]:
        return self.query_dense, self.key_dense, self.value_dense, self.output_dense

    def _heads(self) -> int:
        return self.num_heads

    def compute_output_shape(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> Shape:
        check_value_and_key(value_shape, key_shape)
        return (*query_shape[:-1], *(self._output_shape or query_shape[-1:]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_shape": self._output_shape}


def _as_sizes(output_shape: int | Sequence[int] | None) -> tuple[int, ...] | None:
    if not output_shape:
        return output_shape  # type: ignore[return-value]  # an empty one stays as it is
    try:
        return (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
    except TypeError as error:
        raise ValueError(f"Invalid `output_shape`: {output_shape}. It must be a tuple, list or int.") from error


def _as_axes(axes: int | Sequence[int] | None) -> Sequence[int] | None:
    if isinstance(axes, int):
        return (axes,)
    if axes and not isinstance(axes, (list, tuple)):
        raise ValueError(f"`attention_axes` must be an int, list, or tuple. Received: attention_axes={axes}")
    return axes
