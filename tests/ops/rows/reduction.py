"""Sums, products, extremes and truth along axes."""

import numpy as np

from tests.ops.row import Row, bools, floats, ints, spread

TYPES = ("bool", "int8", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float64")
NUMBERS = TYPES[1:]
COUNT = "a count has no gradient"
DROPPED = "drops the axes that keepdims keeps, if none is named"
AXES = [{}, {"axis": 1}, {"axis": -2, "keepdims": True}, {"axis": (0, 2)}, {"axis": [2, 0], "keepdims": True}]
NO_AXIS = [{"keepdims": True}, {"axis": ()}]


def rows(op, draw, dtypes, configs, **options):
    """A row for each config, the sweep of types with the first."""
    return [Row(op, (draw,), config, dtypes if i == 0 else (), **options) for i, config in enumerate(configs)]


ROWS = [
    *rows("sum", floats(2, 3, 4), TYPES, AXES + NO_AXIS[1:]),
    *(row for name in ("max", "min", "amax", "amin") for row in rows(name, spread(2, 3, 4), TYPES, AXES + NO_AXIS[1:])),
    *rows("ptp", spread(2, 3, 4), NUMBERS, AXES),
    *(
        Row(name, (spread(2, 3),), {"keepdims": True}, keras=DROPPED, reference=getattr(np, name))
        for name in ("sum", "max", "min", "amax", "amin", "ptp", "prod")
    ),
    *rows("prod", floats(2, 3, 4, low=0.5, high=1.5), TYPES, AXES),
    Row(
        "prod",
        (lambda rng: (np.array([1, 1, 1, 1e-4, 1e-4]) * rng.uniform(200, 250, 5)).astype("float16"),),
        keras="it multiplies in float16, where the first three numbers are infinite",
        reference=lambda x: np.prod(x.astype("float32")).astype("float16"),
        gradient="float16",
    ),
    Row("prod", (ints(2, 3),), {"axis": 1, "dtype": "float32"}, gradient="integers"),
    Row("max", (spread(2, 3),), {"axis": 1, "initial": 0.05}),
    Row("min", (spread(2, 3),), {"initial": 0.05}),
    Row("max", (ints(2, 3),), {"axis": 0, "initial": 2}, gradient="integers"),
    Row(
        "max",
        (floats(0, 3),),
        {"axis": 0, "initial": 1.5},
        symbolic="a size of 0 is not one that a batch may have",
        keras="loses the other axes",
        reference=lambda x, axis, initial: np.max(x, axis=axis, initial=initial),
        gradient="no values",
    ),
    *rows("any", ints(2, 3, 4, low=0, high=2), (), AXES + NO_AXIS, gradient="a truth"),
    *rows("all", ints(2, 3, 4, low=0, high=2), (), AXES + NO_AXIS, gradient="a truth"),
    Row("any", (floats(2, 3),), {"axis": 1}, TYPES, gradient="a truth"),
    Row("all", (floats(2, 3),), {"axis": 1}, TYPES, gradient="a truth"),
    Row("any", (bools(2, 3),), {"axis": 1}, gradient="a truth"),
    *(
        row
        for name in ("argmax", "argmin")
        for row in rows(
            name,
            spread(3, 4),
            TYPES,
            [{}, {"axis": 1}, {"axis": 0, "keepdims": True}, {"keepdims": True}],
            gradient=COUNT,
        )
    ),
    *rows("count_nonzero", ints(3, 4, low=-1, high=2), (), [{}, {"axis": 1}, {"axis": (0, 1)}], gradient=COUNT),
    Row(
        "count_nonzero",
        (ints(2, 3, 4, low=-1, high=2),),
        {"axis": 1},
        gradient=COUNT,
        keras="turns the other axes round",
        reference=np.count_nonzero,
    ),
    Row("count_nonzero", (floats(2, 3),), {"axis": 0}, TYPES, gradient=COUNT),
]
