"""Scaled dot-product attention."""

from tests.ops.row import Row, bools, floats

TYPES = ("float16", "bfloat16", "float64")
NARROW = "computed in float32, as Keras does"


def attention(heads=2, heads_of_keys=2, **config):
    query, key = floats(2, 3, heads, 4), floats(2, 5, heads_of_keys, 4)
    return Row("dot_product_attention", (query, key, key), config, gradient=NARROW, dtypes=() if config else TYPES)


def with_bias(bias, mask, **config):
    query, key = floats(2, 3, 2, 4), floats(2, 5, 2, 4)
    return Row("dot_product_attention", (query, key, key, bias, mask), config, gradient=NARROW)


ROWS = [
    attention(),
    attention(is_causal=True),
    attention(scale=0.3),
    attention(flash_attention=False),
    attention(heads=4, heads_of_keys=2, is_causal=False),
    attention(heads=4, heads_of_keys=1, scale=None),
    with_bias(floats(2, 2, 3, 5), None),
    with_bias(floats(3, 5), None, is_causal=True),
    with_bias(None, bools(2, 1, 3, 5)),
    with_bias(None, bools(1, 1, 1, 5), is_causal=True),
]
