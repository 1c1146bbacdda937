"""Values turned round, shifted, repeated, padded."""

import numpy as np

from tests.ops.row import Row, bools, floats, ints
from tests.ops.rows.reduction import TYPES, rows

X = floats(2, 3, 4)
REFUSED = "refuses what NumPy takes"
LAST_AXIS = "pads the last axis alone where one pair is for all"
WIDE = ((0, 0), (4, 7), (7, 4), (0, 1), (0, 0), (1, 0))
ROWS = [
    *rows("flip", X, TYPES, [{}, {"axis": 1}, {"axis": (0, -1)}, {"axis": [2]}]),
    *rows("fliplr", X, TYPES, [{}]),
    *rows("flipud", X, TYPES, [{}]),
    *rows("roll", X, TYPES, [{"shift": 2}, {"shift": -1, "axis": 1}, {"shift": (1, 2), "axis": (0, 2)}]),
    *rows("rot90", X, TYPES, [{}, {"k": -1}, {"k": 2, "axes": (1, 2)}, {"k": 3, "axes": [2, -3]}]),
    *rows("repeat", X, TYPES, [{"repeats": 2}, {"repeats": 3, "axis": 1}, {"repeats": 0, "axis": -1}]),
    *(
        Row("repeat", (floats(2, 3),), {"repeats": repeats, "axis": axis}, keras=REFUSED, reference=np.repeat)
        for repeats, axis in [([1, 2], 0), ((2, 0, 1), 1), ([2], 1), ([1, 2, 1, 0, 3, 1], None)]
    ),
    *rows("tile", X, TYPES, [{"repeats": r} for r in [2, (2,), (1, 2, 3), [2, 1, 1, 2]]]),
    Row("pad", (X,), {"pad_width": ((1, 0), (0, 2), (3, 1))}, TYPES),
    Row("pad", (X,), {"pad_width": [[0, 0], [1, 1], [2, 0]], "constant_values": 2.5}),
    Row("pad", (ints(2, 3),), {"pad_width": ((0, 1), (2, 0)), "constant_values": 2.7}, gradient="integers"),
    Row("pad", (bools(2, 3),), {"pad_width": ((0, 1), (2, 0)), "constant_values": True}, gradient="booleans"),
    Row("pad", (floats(3, 4),), {"pad_width": ((0, 1), (2, 1)), "mode": "reflect"}, TYPES),
    Row("pad", (ints(3, 4),), {"pad_width": ((2, 2), (0, 0)), "mode": "reflect"}, gradient="integers"),
    *(Row("pad", (X,), {"pad_width": w}, keras=LAST_AXIS, reference=np.pad) for w in [1, (1, 2), ((2, 1),), [[1, 2]]]),
    *(
        Row("pad", (draw,), {"pad_width": w, "mode": mode}, keras=REFUSED, reference=np.pad)
        for mode in ("edge", "wrap", "reflect", "symmetric")
        for draw, w in [(floats(3, 4), 2), (floats(2, 3, 2, 1, 1, 1), WIDE), (floats(3, 4), ((0, 3), (9, 0)))]
    ),
]
