"""Scaled dot-product attention."""

import dataclasses

import numpy as np

from tests.ops.row import Row, bools, floats

TYPES = ("float16", "bfloat16", "float64")
NARROW = "computed in float32, as Keras does"


def attention(heads=2, heads_of_keys=2, **config):
    query, key = floats(2, 3, heads, 4), floats(2, 5, heads_of_keys, 4)
    return Row("dot_product_attention", (query, key, key), config, gradient=NARROW, dtypes=() if config else TYPES)


def with_bias(bias, mask, **config):
    query, key = floats(2, 3, 2, 4), floats(2, 5, 2, 4)
    return Row("dot_product_attention", (query, key, key, bias, mask), config, gradient=NARROW)


def causal_with_bias(bias):
    row = with_bias(bias, None, is_causal=True)
    # Keras gives torch both at once, which torch 2.14 refuses.
    return dataclasses.replace(row, keras="fails with torch 2.14", reference=causal_attention)


def causal_attention(query, key, value, bias, mask, is_causal):
    """The softmax of the scores plus the bias, over the keys up to the query's place."""
    scores = np.einsum("bqhd,bkhd->bhqk", query, key, dtype="float64") / np.sqrt(query.shape[-1]) + bias
    weights = np.where(np.tril(np.ones(scores.shape[-2:])), np.exp(scores), 0)
    return np.einsum("bhqk,bkhd->bqhd", weights / weights.sum(-1, keepdims=True), value)


ROWS = [
    attention(),
    attention(is_causal=True),
    attention(scale=0.3),
    attention(flash_attention=False),
    attention(heads=4, heads_of_keys=2, is_causal=False),
    attention(heads=4, heads_of_keys=1, scale=None),
    with_bias(floats(2, 2, 3, 5), None),
    causal_with_bias(floats(3, 5)),
    with_bias(None, bools(2, 1, 3, 5)),
    with_bias(None, bools(1, 1, 1, 5), is_causal=True),
]
