"""Axes merged, added, dropped, moved."""

import numpy as np

from tests.ops.row import Row, floats
from tests.ops.rows.reduction import TYPES, rows

X = floats(2, 3, 4)
ROWS = [
    *rows("reshape", X, TYPES, [{"newshape": s} for s in [(4, 6), (-1, 2), [2, -1, 2]]]),
    *(
        Row(
            "reshape", (X,), {"newshape": n}, keras="its graphs hold no number", reference=lambda x, newshape: x.ravel()
        )
        for n in (-1, 24)
    ),
    *rows("ravel", X, TYPES, [{}]),
    *rows("transpose", X, TYPES, [{}, {"axes": (1, 0, 2)}, {"axes": [0, -1, 1]}]),
    *rows("moveaxis", X, TYPES, [{"source": 0, "destination": -1}, {"source": (0, 1), "destination": [1, 0]}]),
    *rows("swapaxes", X, TYPES, [{"axis1": 0, "axis2": -1}]),
    *rows("squeeze", floats(2, 1, 3, 1), TYPES, [{}, {"axis": 1}, {"axis": (1, -1)}]),
    *rows("expand_dims", X, TYPES, [{"axis": axis} for axis in [0, -1, (0, 2), [-1, -2]]]),
    Row("broadcast_to", (floats(3, 1),), {"shape": (3, 4)}, TYPES),
    Row("broadcast_to", (floats(3),), {"shape": [2, 3]}),
    Row("size", (X,), gradient="a count", symbolic="int64 when called, int32 in a graph, as in Keras"),
    Row("ndim", (X,), gradient="a count", symbolic="a Python number when called", keras="no tensor", reference=np.ndim),
]
