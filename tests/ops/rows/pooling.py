"""Pooling."""

from tests.ops.row import Row, spread

TYPES = ("float16", "bfloat16", "float64")
TUPLE = "Keras crashes on the list that a tuple is in its file"
FIRST = {"data_format": "channels_first"}
POOLS = ["max_pool", "average_pool"]
ADAPTIVE = ["adaptive_max_pool", "adaptive_average_pool"]

ROWS = [
    *(Row(name, (spread(2, 6, 4, 3), 2), dtypes=TYPES) for name in POOLS),
    *(Row(name, (spread(2, 7, 2), 3, 2)) for name in POOLS),
    *(Row(name, (spread(2, 7, 2), 2, 1, "same")) for name in POOLS),
    *(Row(name, (spread(2, 2, 8), 3), {"padding": "same", **FIRST}) for name in POOLS),
    *(Row(name, (spread(2, 6, 5, 2), (3, 2)), {"strides": (2, 1), "padding": "same"}) for name in POOLS),
    *(Row(name, (spread(2, 2, 6, 6), 4), {"strides": [2, 3], "padding": "same", **FIRST}) for name in POOLS),
    *(Row(name, (spread(1, 4, 5, 4, 2), 3, 1, "same")) for name in POOLS),
    *(Row(name, (spread(1, 4, 5, 4, 2), (2, 1, 3))) for name in POOLS),
    Row("max_pool", (spread(2, 4, 4, 1), 2), dtypes=("uint8", "int32", "int64")),
    *(Row(name, (spread(2, 6, 5, 3), 2), dtypes=TYPES, reads=TUPLE) for name in ADAPTIVE),
    *(Row(name, (spread(2, 6, 5, 3), (3, 2)), reads=TUPLE) for name in ADAPTIVE),
    *(Row(name, (spread(2, 7, 3), (3,)), reads=TUPLE) for name in ADAPTIVE),
    *(Row(name, (spread(2, 3, 7), (3,)), FIRST, reads=TUPLE) for name in ADAPTIVE),
    *(Row(name, (spread(1, 4, 4, 5, 2), (2, 4, 3)), reads=TUPLE) for name in ADAPTIVE),
]
