"""The private names by which subclasses written for Keras know the parts of attention."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor


def alias(name: str) -> Any:
    """A second name of the attribute `name`, to read and to set."""
    return property(lambda layer: getattr(layer, name), lambda layer, value: setattr(layer, name, value))


class _Softmax(Protocol):
    def __call__(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor: ...


class PrivateNames:
    """Second names of the options that all attention with projections has, and Keras's private helpers."""

    _softmax: _Softmax

    _dropout = alias("dropout")
    _use_bias = alias("use_bias")
    _use_gate = alias("use_gate")
    _sliding_window = alias("sliding_window")
    _kernel_initializer = alias("kernel_initializer")
    _bias_initializer = alias("bias_initializer")
    _kernel_regularizer = alias("kernel_regularizer")
    _bias_regularizer = alias("bias_regularizer")
    _activity_regularizer = alias("_projection_regularizer")
    _kernel_constraint = alias("kernel_constraint")
    _bias_constraint = alias("bias_constraint")

    def _masked_softmax(self, attention_scores: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The scores' softmax; a mask `(batch, steps, sources)` counts for all heads."""
        while attention_mask is not None and attention_mask.dim() < attention_scores.dim():
            attention_mask = attention_mask.unsqueeze(1)
        return self._softmax(attention_scores, mask=attention_mask)


class MultiHeadNames(PrivateNames):
    """The same for multi-head attention."""

    _num_heads = alias("num_heads")
    _key_dim = alias("key_dim")
    _value_dim = alias("value_dim")
    _query_dense = alias("query_dense")
    _key_dense = alias("key_dense")
    _value_dense = alias("value_dense")
    _output_dense = alias("output_dense")
    _inverse_sqrt_key_dim = alias("_scale")


class GroupedNames(PrivateNames):
    """The same for grouped-query attention."""

    _inverse_sqrt_head_dim = alias("_scale")
