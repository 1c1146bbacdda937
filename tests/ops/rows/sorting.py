"""Order."""

import numpy as np

from tests.ops.row import Row, ints, spread
from tests.ops.rows.reduction import TYPES, rows

INDEX = "indices have no gradient"
AXES = [{}, {"axis": 0}, {"axis": None}]


def parted(x, kth, axis=-1):
    """Few values are sorted for it; `test_arrays.py` has what holds for many."""
    return np.argsort(x, axis=axis)


ROWS = [
    *rows("sort", spread(3, 4), TYPES, AXES),
    *rows("argsort", spread(3, 4), TYPES, AXES, gradient=INDEX),
    *(
        Row("argpartition", (spread(3, 4),), config, gradient=INDEX, keras="in another order", reference=parted)
        for config in [{"kth": 1}, {"kth": -1, "axis": 0}, {"kth": 5, "axis": None}]
    ),
    Row("argsort", (ints(4, 20, low=0, high=3),), gradient=INDEX),
]
