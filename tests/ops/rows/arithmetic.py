"""Functions of two numbers."""

import numpy as np

from tests.ops.row import Row, bools, floats, ints, positive, spread

TYPES = ("bool", "int8", "uint8", "int32", "int64", "float16", "bfloat16", "float64")
NUMBERS = TYPES[1:]
MIXED = ("float16", "int8")
ONCE = "see the row of two tensors: beside a number the body has no float64"
A, B = positive(2, 3), positive(3)
C, D = floats(2, 3, low=1.2, high=7.8), floats(3, low=1.2, high=3.8)  # no zeros as integers
APART = (lambda rng: spread(6)(rng).reshape(2, 3), lambda rng: np.zeros(3, "float32"))  # nowhere equal: no kinks
WHOLE = ints(2, 3, low=1, high=9)


def both(name: str, *, refused: tuple = (), numbers: dict | None = None, **options) -> list[Row]:
    """An op with two tensors that broadcast, and with numbers on either side."""
    kinds = tuple(t for t in TYPES if t not in refused)
    numbers = options if numbers is None else numbers
    return [
        Row(name, (C, D), dtypes=kinds, **options),
        Row(name, (C, 2), dtypes=NUMBERS, **numbers),
        Row(name, (C, 1.5), dtypes=NUMBERS, **numbers),
        Row(name, (2, C), dtypes=NUMBERS, **numbers),
        *(
            Row(name, (C, ints(3, low=1, high=4, dtype=d)), dtypes=MIXED, **options)
            for d in ("int32", "uint8", "int64")
        ),
    ]


def tensors_alone(name: str, *draws, **options) -> Row:
    return Row(name, draws or (A, B), **({"dtypes": TYPES} | options))


COMING = "of Keras 3.16"
ROWS = [
    *(row for name in ["add", "multiply", "divide", "true_divide"] for row in both(name)),
    *both("divide_no_nan", numbers={"gradient": ONCE}),
    *both("subtract", refused=("bool",)),
    *both("power", refused=("bool",)),
    Row("subtract", (floats(4), True)),
    Row("power", (ints(8), -1), gradient="integers"),
    *both("floor_divide", refused=("bool",), gradient="a staircase"),
    *(row for name in ["mod", "fmod"] for row in both(name, gradient="it jumps")),
    *(Row(name, (ints(8), ints(8, low=1)), gradient="integers") for name in ["mod", "fmod", "floor_divide", "power"]),
    *(Row(name, (floats(8), floats(8, low=-3, high=-1)), gradient="jumps") for name in ["mod", "fmod", "floor_divide"]),
    *(tensors_alone(name, *APART) for name in ["maximum", "minimum", "fmax", "fmin"]),
    *(Row(name, (spread(6), 0), dtypes=NUMBERS, gradient=ONCE) for name in ["maximum", "minimum", "fmax", "fmin"]),
    *(Row(name, (floats(5), floats(4, 1)), gradient="pairs may tie") for name in ["maximum", "minimum"]),
    *(tensors_alone(name) for name in ["logaddexp", "logaddexp2", "arctan2"]),
    tensors_alone("hypot", dtypes=NUMBERS),
    Row("hypot", (bools(3), bools(3)), gradient="booleans", keras="it fails on two booleans",
        reference=lambda a, b: np.hypot(a, b, dtype="float32")),
    *(Row(name, (A, 2), dtypes=NUMBERS, gradient=ONCE) for name in ["logaddexp", "logaddexp2", "arctan2"]),
    Row("divide_no_nan", (A, lambda rng: rng.permutation(np.array([0.0, 0.0, 2.0], "float32"))),
        gradient="at 0 it is set, not found: see the test"),
    Row("heaviside", (spread(6), floats(6)), dtypes=TYPES, gradient="torch has none"),
    Row("heaviside", (lambda rng: rng.permutation(np.array([0.0, -1.0, 2.0], "float32")), floats(1)),
        gradient="torch has none"),
    *(Row(name, (A, 2), gradient=ONCE, keras="its symbolic form takes no numbers", reference=function)
      for name, function in {"hypot": np.hypot, "heaviside": np.heaviside}.items()),
    Row("copysign", (spread(2, 3), spread(3)), keras=COMING, reads=COMING, reference=np.copysign),
    Row("float_power", (positive(2, 3), floats(3)), keras=COMING, reads=COMING, reference=np.float_power),
    Row("nextafter", (A, B), gradient="torch has none", keras="it steps in float64 and rounds back to where it was",
        reference=np.nextafter, rtol=1e-9),
    Row("nextafter", (A, 0), gradient="torch has none", keras="as above",
        reference=lambda a, b: np.nextafter(a, np.float32(b)), rtol=1e-9),
    Row("ldexp", (floats(2, 3), ints(3)), dtypes=NUMBERS, gradient=True),
    Row("ldexp", (ints(2, 3), 3), gradient="integers"),
    *(Row(name, (WHOLE, ints(3, low=1, high=30)), gradient="integers") for name in ["gcd", "lcm"]),
    *(Row(name, (WHOLE, ints(3, low=1, high=9, dtype=d)), gradient="integers")
      for name in ["gcd", "lcm"] for d in ["int8", "uint8", "int64"]),
    *(Row(name, (WHOLE, 12), gradient="integers") for name in ["gcd", "lcm"]),
]  # fmt: skip
