"""Activation functions."""

from tests.ops.row import Row, floats, spread

TYPES = ("float16", "bfloat16", "float64")
NUMBERS = ("bool", "uint8", "int32", "int64", *TYPES)
SMOOTH = ["celu", "elu", "gelu", "log_sigmoid", "selu", "sigmoid", "silu", "softplus", "softsign", "squareplus"]
KINKED = ["hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu", "relu", "relu6", "sparse_plus"]


TUPLE = "Keras crashes on the list that a tuple is in its file"
ROWS = [
    *(Row(name, (spread(3, 4),), dtypes=TYPES) for name in SMOOTH + KINKED),
    *(Row(name, (spread(3, 4),), dtypes=TYPES) for name in ["hard_shrink", "soft_shrink", "swish", "tanh_shrink"]),
    *(Row(name, (spread(2, 3, 4),), dtypes=TYPES) for name in ["log_softmax", "softmax"]),
    *(Row(name, (floats(2, 3, 4),), {"axis": axis}) for name in ["log_softmax", "softmax"] for axis in (0, 1, None)),
    *(
        Row(name, (floats(2, 3, 4),), {"axis": axis}, reads=TUPLE)
        for name in ["log_softmax", "softmax"]
        for axis in ((0, 1), (1, 2))
    ),
    Row("relu", (spread(2, 3),), dtypes=NUMBERS[1:]),
    Row("relu6", (spread(2, 3),), dtypes=NUMBERS[1:]),
    Row("sparse_sigmoid", (spread(3, 4),), dtypes=NUMBERS),
    Row("squareplus", (floats(2, 3),), {"b": 1.0}, dtypes=NUMBERS),
    Row("sparsemax", (spread(3, 4),), dtypes=TYPES),
    Row("sparsemax", (spread(2, 3, 4),), {"axis": 1}),
    Row("gelu", (floats(2, 3),), {"approximate": False}),
    Row("elu", (spread(2, 3),), {"alpha": 0.5}),
    Row("celu", (spread(2, 3),), {"alpha": 2.0}),
    Row("leaky_relu", (spread(2, 3),), {"negative_slope": 0.1}),
    Row("hard_shrink", (spread(2, 3),), {"threshold": 0.3}),
    Row("soft_shrink", (spread(2, 3),), {"threshold": 0.25}),
    Row("threshold", (spread(2, 3), 0.2, 0.5), dtypes=NUMBERS[1:]),
    Row("glu", (floats(2, 6),), dtypes=TYPES),
    Row("glu", (floats(2, 4, 3),), {"axis": 1}),
]
