"""Counts, places among sorted values, unique values."""

import numpy as np

from tests.ops.row import Row, floats, ints, positive
from tests.ops.rows.reduction import TYPES

INDEX = "counts and places have no gradient"
NO_CALL = "its graphs fail when called"
VALUES = "the size depends on the values"
SMALL = ints(9, low=0, high=5)


def bins(*shape):
    """Rising floats."""
    return lambda rng: np.sort(floats(*shape)(rng))


def counted(*inputs, dtypes=(), **config):
    return Row("bincount", inputs, config, dtypes, gradient=INDEX, compiled=VALUES, symbolic=VALUES)


def unique(draw, **config):
    return Row("unique", (draw,), config, gradient=INDEX, compiled=VALUES, symbolic=VALUES)


ROWS = [
    counted(SMALL),
    counted(SMALL, minlength=8),
    counted(SMALL, positive(9), dtypes=TYPES),
    counted(SMALL, ints(9)),
    counted(ints(9, low=0, high=5, dtype="uint8"), ints(9, dtype="int8")),
    Row(
        "bincount",
        (ints(3, 9, low=0, high=9),),
        {"minlength": 4},
        gradient=INDEX,
        compiled=VALUES,
        symbolic=VALUES,
        keras="refuses rows whose greatest values differ",
        reference=lambda x, minlength: np.array([np.bincount(r, minlength=max(x.max() + 1, minlength)) for r in x]),
    ),
    *(
        Row("histogram", (floats(20),), config, ("float64",), gradient=INDEX, keras=NO_CALL, reference=np.histogram)
        for config in [{}, {"bins": 4}, {"bins": 3, "range": (-1.0, 1.5)}, {"bins": 3, "range": (1, 1)}]
    ),
    *(
        Row("histogram", (draw,), {"bins": 4}, gradient=INDEX, keras="refuses integers", reference=np.histogram)
        for draw in (ints(20), ints(20, dtype="uint8"))
    ),
    Row("digitize", (floats(3, 4), bins(5)), {}, TYPES, gradient=INDEX),
    Row("digitize", (ints(3, 4), bins(5)), gradient=INDEX),
    *(
        Row("searchsorted", (bins(5), floats(*shape)), {"side": side}, TYPES[1:], gradient=INDEX)
        for shape in [(3,), (2, 3), ()]
        for side in ("left", "right")
    ),
    *(
        unique(draw, **config)
        for draw in (ints(9, low=0, high=4), ints(3, 4, low=0, high=2))
        for config in [{}, {"return_counts": True}, {"size": 3}, {"size": 12}, {"size": 12, "fill_value": 7}]
    ),
    *(
        unique(ints(9, low=0, high=4), return_index=True, return_inverse=True, return_counts=True, **config)
        for config in [{}, {"size": 2}, {"size": 6}, {"size": 6, "fill_value": 9}]
    ),
    *(
        unique(ints(5, 2, low=0, high=2), axis=0, return_index=True, return_inverse=True, return_counts=True, **config)
        for config in [{}, {"size": 2}, {"size": 6}]
    ),
    unique(ints(2, 5, low=0, high=2), axis=1, size=4, fill_value=9),
    Row(
        "unique",
        (ints(3, 4, low=0, high=4),),
        {"return_index": True, "return_inverse": True},
        gradient=INDEX,
        compiled=VALUES,
        symbolic=VALUES,
        keras="refuses matrices",
        reference=lambda x, **k: np.unique(x, **k),
    ),
]
