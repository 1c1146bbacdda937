"""Functions of one number."""

from tests.ops.row import Row, floats, positive, spread

TYPES = ("bool", "int8", "uint8", "int32", "int64", "float16", "bfloat16", "float64")
SMOOTH = ["exp", "expm1", "sin", "cos", "arctan", "sinh", "cosh", "tanh", "square", "negative"]
ROWS = [
    *(Row(name, (floats(2, 3),), dtypes=TYPES[1:] if name == "negative" else TYPES) for name in SMOOTH),
    *(Row(n, (positive(2, 3),), dtypes=TYPES) for n in ["log", "log1p", "log2", "log10", "sqrt", "tan", "reciprocal"]),
    *(Row(name, (floats(2, 3, low=-0.9, high=0.9),), dtypes=TYPES) for name in ["arcsin", "arccos"]),
    *(Row(name, (spread(2, 3),), dtypes=TYPES[1:]) for name in ["absolute", "sign", "floor", "ceil"]),
    Row("round", (spread(2, 3),), {"decimals": 1}, gradient="a staircase"),
    Row("clip", (spread(3, 4),), {"x_min": -0.5, "x_max": 0.5}),
]
