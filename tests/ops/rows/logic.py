"""Comparisons, logic, choices."""

import numpy as np

from tests.ops.row import Row, bools, complexes, floats, ints, spread

TYPES = ("bool", "int8", "uint8", "int32", "int64", "float16", "bfloat16", "float64")
EDGES = lambda rng: rng.permutation(np.array([-np.inf, np.nan, np.inf, -0.0, 0.0, 2.5], "float32"))
TRUTH = "it gives truth values"
INDICES = {"gradient": "it gives indices", "compiled": "how many indices come depends on the values"}
COMPARE = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
LOGICAL = ["logical_and", "logical_or", "logical_xor"]
NEAR = lambda rng: np.float32(1) + rng.uniform(-3e-5, 3e-5, (4, 5)).astype("float32")
ROWS = [
    *(Row(name, (ints(4, 5, low=0, high=3), ints(5, low=0, high=3)), gradient=TRUTH) for name in COMPARE + LOGICAL),
    *(Row(name, (floats(2, 3), floats(3)), dtypes=TYPES, gradient=TRUTH) for name in COMPARE + LOGICAL),
    *(Row(name, (ints(9), value), gradient=TRUTH) for name in COMPARE for value in (2, 1.5)),
    *(Row(name, (2, ints(9)), gradient=TRUTH) for name in COMPARE),
    *(Row(name, (bools(4), True), gradient=TRUTH) for name in LOGICAL),
    *(Row(name, (EDGES, EDGES), gradient=TRUTH) for name in COMPARE + LOGICAL),
    Row("logical_not", (ints(5, low=0, high=2),), gradient=TRUTH),
    Row("logical_not", (floats(5),), dtypes=TYPES, gradient=TRUTH),
    *(Row(name, (EDGES,), gradient=TRUTH)
      for name in ["isnan", "isinf", "isfinite", "isposinf", "isneginf", "isreal", "signbit"]),
    *(Row(name, (floats(5),), dtypes=TYPES, gradient=TRUTH)
      for name in ["isnan", "isinf", "isfinite", "isposinf", "isneginf", "isreal", "signbit"]),
    *(Row(name, (complexes(5),), gradient=TRUTH) for name in ["isnan", "isinf", "isfinite", "isreal"]),
    *(Row(name, (NEAR, lambda rng: np.ones(5, "float32")), config, gradient=TRUTH)
      for name in ["isclose", "allclose"] for config in ({}, {"rtol": 1e-4}, {"atol": 1e-4, "rtol": 0.0})),
    *(Row(name, (EDGES, EDGES), {"equal_nan": True}, gradient=TRUTH) for name in ["isclose", "allclose"]),
    *(Row(name, (ints(4), floats(4)), gradient=TRUTH, dtypes=TYPES) for name in ["isclose", "allclose"]),
    Row("isclose", (ints(8), 2), {"atol": 1}, gradient=TRUTH, keras="it takes a part of the tolerance from integers",
        reference=np.isclose),
    *(Row("isin", (ints(4, 5), ints(3)), config, gradient=TRUTH) for config in ({}, {"invert": True})),
    Row("isin", (bools(4, 5), bools(1)), gradient=TRUTH),
    Row("isin", (ints(4, 5), [1, 2]), {"assume_unique": True}, gradient=TRUTH),
    Row("isin", (floats(3), ints(3)), dtypes=TYPES, gradient=TRUTH),
    Row("where", (bools(2, 3), floats(2, 3), floats(3)), dtypes=TYPES),
    Row("where", (bools(2, 1), floats(2, 3), 0), dtypes=TYPES),
    Row("where", (bools(2, 1), 1.5, floats(2, 3)), dtypes=TYPES),
    Row("where", (ints(4, low=0, high=2), ints(4), floats(1)), dtypes=TYPES),
    Row("where", (bools(2, 3), 1, 2), gradient="numbers"),
    Row("where", (spread(6), ints(6), 0.5), gradient="its float is the condition", dtypes=TYPES),
    Row("where", (ints(3, 4, low=0, high=2),), symbolic="how many come is not known before", **INDICES),
]  # fmt: skip
