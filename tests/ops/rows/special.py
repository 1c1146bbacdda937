"""Special functions and rankings."""

import numpy as np
import scipy.special

from tests.ops.row import Row, floats, ints, positive, spread

TYPES = ("bool", "int8", "uint8", "int32", "int64", "float16", "bfloat16", "float64")
COMING = "of Keras 3.16"
ROWS = [
    Row("lgamma", (floats(2, 3, low=0.2, high=9),), keras=COMING, reads=COMING, reference=scipy.special.gammaln),
    Row(
        "gammainc",
        (positive(2, 3), positive(3)),
        gradient="torch has none for the parameter",
        keras=COMING,
        reads=COMING,
        reference=scipy.special.gammainc,
    ),
    *(Row(name, (floats(2, 3),), dtypes=TYPES) for name in ("erf", "erfc")),
    Row("erfc", (floats(2, 3, low=4, high=6),), atol=0),
    Row("erfinv", (floats(2, 3, low=-0.9, high=0.9),), dtypes=TYPES),
    Row("rsqrt", (positive(2, 3),), dtypes=TYPES),
    Row("logsumexp", (floats(2, 3),), dtypes=TYPES),
    Row("logsumexp", (floats(2, 3, low=500, high=1000),), {"axis": 1, "keepdims": True}),
    Row("logsumexp", (floats(2, 3, 4),), {"axis": (0, -1)}),
    Row("top_k", (spread(3, 7),), {"k": 3}, dtypes=("uint8", "int32", "int64", "float16", "bfloat16", "float64")),
    Row("top_k", (spread(2, 3, 5),), {"k": 5}),
    Row("top_k", (spread(6),), {"k": 6, "sorted": False}, gradient="the order is torch's choice"),
    Row("in_top_k", (ints(9, low=0, high=5), spread(9, 5)), {"k": 2}, gradient="says yes or no"),
    Row("in_top_k", (ints(9, low=-9, high=9), ints(9, 4, low=0, high=3)), {"k": 1}, gradient="says yes or no"),
    Row(
        "in_top_k",
        (ints(3, 4, low=0, high=5), spread(3, 4, 5)),
        {"k": 3},
        gradient="says yes or no",
        keras="fails on more than two axes",
        reference=lambda t, p, k: (p > np.take_along_axis(p, t[..., None], -1)).sum(-1) < k,
    ),
    Row(
        "in_top_k",
        (ints(6, low=0, high=3), lambda rng: rng.choice([np.nan, 1.0, -np.inf, np.inf], (6, 3)).astype("float32")),
        {"k": 2},
        gradient="says yes or no",
    ),
    Row("cdist", (floats(4, 3), floats(5, 3)), dtypes=("uint8", "int32", "float16", "bfloat16", "float64")),
    Row("cdist", (floats(2, 1, 4, 3), floats(3, 5, 3))),
    Row("cdist", (floats(40, 3, low=1000, high=1001), floats(30, 3, low=1000, high=1001))),
]
