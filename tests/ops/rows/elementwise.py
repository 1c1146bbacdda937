"""Functions of one number."""

import numpy as np

from tests.ops.row import Row, bools, complexes, floats, ints, positive, spread

TYPES = ("bool", "int8", "uint8", "int32", "int64", "float16", "bfloat16", "float64")
NUMBERS = TYPES[1:]
EDGES = lambda rng: rng.permutation(np.array([-np.inf, np.nan, np.inf, -0.0, 0.0, 2.5], "float32"))
SMOOTH = [
    "exp", "exp2", "expm1", "sin", "cos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "square", "copy", "real",
    "conjugate", "deg2rad", "rad2deg", "i0", "sinc", "nan_to_num",
]  # fmt: skip


def clipped(x: np.ndarray, x_min: float | None, x_max: float | None) -> np.ndarray:
    return np.clip(x, x_min, x_max)


ROWS = [
    *(Row(name, (floats(2, 3),), dtypes=TYPES, rtol=2e-5) for name in SMOOTH),
    *(Row(name, (complexes(2, 3),), gradient="its input is complex") for name in ["exp", "square", "copy", "sqrt"]),
    *(Row(n, (positive(2, 3),), dtypes=TYPES) for n in ["log", "log1p", "log2", "log10", "sqrt", "tan", "reciprocal"]),
    *(Row(n, (floats(2, 3, low=-0.9, high=0.9),), dtypes=TYPES) for n in ["arcsin", "arccos", "arctanh"]),
    Row("arccosh", (floats(2, 3, low=1.1),), dtypes=TYPES),
    Row("negative", (floats(2, 3),), dtypes=NUMBERS),
    *(Row(name, (spread(2, 3),), dtypes=TYPES) for name in ["absolute", "fabs", "sign", "cbrt", "trunc"]),
    *(Row(name, (spread(2, 3),), dtypes=TYPES) for name in ["floor", "ceil", "angle"]),
    *(Row(name, (EDGES,), gradient="its input is not finite") for name in ["nan_to_num", "sign", "absolute", "trunc"]),
    *(Row(name, (complexes(3),), gradient="its input is complex", symbolic="Keras's symbol stays complex: see the test")
      for name in ["absolute", "angle", "real", "imag"]),
    *(Row(name, (complexes(3),), gradient="its input is complex") for name in ["conjugate", "conj"]),
    *(Row(name, (floats(3),), dtypes=TYPES, gradient="the same op under another name") for name in ["abs", "conj"]),
    Row("imag", (floats(3),), gradient="it is 0", keras="it refuses real numbers", reference=np.imag),
    Row("round", (spread(2, 3),), gradient="a staircase", dtypes=NUMBERS),
    Row("round", (spread(2, 3),), {"decimals": 1}, gradient="a staircase", dtypes=("float16", "bfloat16", "float64")),
    Row("round", (ints(5, low=-900, high=900),), {"decimals": -2}, gradient="integers"),
    Row("round", (ints(5),), {"decimals": 1}, gradient="integers"),
    Row("round", (ints(5, dtype="int8"),), {"decimals": 3}, gradient="integers",
        keras="it fails where 10**decimals is beyond the type", reference=np.round),
    Row("nan_to_num", (EDGES,), {"nan": 1.0, "posinf": 2.0, "neginf": -3.0}, gradient="its input is not finite"),
    Row("clip", (spread(3, 4),), {"x_min": -0.5, "x_max": 0.5}, dtypes=TYPES),
    Row("clip", (spread(3, 4),), {"x_min": 0, "x_max": 1}, dtypes=TYPES),
    Row("clip", (ints(3, 4),), {"x_min": -1.5, "x_max": 2.5}, gradient="integers"),
    Row("clip", (bools(4),), {"x_min": 0, "x_max": 1}, gradient="booleans"),
    Row("clip", (spread(2, 3), [-0.5, 0.0, 0.1], 0.6), dtypes=NUMBERS),
    Row("clip", (spread(2, 3), floats(3, low=-1.0, high=0.0), floats(2, 1, low=0.0, high=1.0)),
        symbolic="bounds that are tensors are no part of a file", gradient="its bounds are inputs that may tie"),
    Row("clip", (spread(6),), {"x_min": None, "x_max": 0.3}, keras="it fails on None", reference=clipped),
    Row("clip", (spread(6),), {"x_min": -0.3, "x_max": None}, keras="it fails on None", reference=clipped),
]  # fmt: skip
