"""Values picked by place, by condition, from the diagonal."""

import numpy as np

from tests.ops.row import Row, bools, floats, ints
from tests.ops.rows.reduction import TYPES, rows

X = floats(4, 3, 5)
FROM_END = "counts from the end of an axis, where there is none"
FORM = "one tensor when called on torch; NumPy and its graphs have one an axis"
BACKWARD = "reads no slice alone and no negative steps"
KEYS = [
    0,
    -1,
    (0, 1),
    (slice(None), 1),
    (..., 2),
    (slice(None), None, slice(0, 2)),
    (slice(0, 4, 2), ..., 0),
]
ROWS = [
    *(Row("take", (X, ints(*shape, low=-3, high=3)), {"axis": 1}, TYPES) for shape in [(2,), (2, 4), ()]),
    Row("take", (X, ints(2, 3, low=0, high=60)), {}, TYPES),
    Row("take", (X, ints(6, low=0, high=5, dtype="int64")), {"axis": -1}),
    Row("take", (X, 1), {"axis": 2}),
    Row("take", (X, [0, -1]), {"axis": 0}),
    Row("take_along_axis", (X, ints(4, 2, 5, low=-3, high=3)), {"axis": 1}, TYPES),
    Row("take_along_axis", (X, ints(1, 2, 5, low=-3, high=3, dtype="int64")), {"axis": -2}),
    Row("take_along_axis", (X, ints(7, low=0, high=60))),
    Row("take", (X, ints(7, low=-60, high=60)), keras=FROM_END, reference=np.take),
    Row("take_along_axis", (X, ints(7, low=-60, high=60), None), keras=FROM_END, reference=np.take_along_axis),
    *(Row("get_item", (X,), {"key": key}, TYPES) for key in KEYS),
    *(
        Row("get_item", (X,), {"key": key}, keras=BACKWARD, reference=lambda x, key: x[key])
        for key in [
            slice(1, 3),
            slice(None, None, -1),
            (0, slice(None, None, -2)),
            (..., None, slice(3, 0, -1)),
            slice(0, 2, -1),
        ]
    ),
    Row(
        "nonzero",
        (ints(3, 4, low=0, high=2),),
        gradient="indices",
        keras=FORM,
        reference=np.nonzero,
        symbolic="the number depends on the values",
        compiled="the number depends on the values",
    ),
    Row("select", ([bools(3, 4), bools(3, 4)], [floats(3, 4), floats(3, 4)]), {}, TYPES),
    Row("select", ([bools(3, 4), bools(4)], [floats(3, 4), floats(3, 1)], 1.5), {}, TYPES),
    Row("select", ([bools(3, 4)], [floats(3, 4)], floats(4)), {}, TYPES),
    Row("select", ([bools(3, 4), bools(3, 4)], [ints(3, 4), floats(3, 4)]), {}, TYPES, gradient="integers among them"),
    *rows("diagonal", X, TYPES, [{}, {"offset": 1}, {"offset": -2, "axis1": 1, "axis2": 2}, {"axis1": -1, "axis2": 0}]),
    *rows("trace", X, TYPES, [{}, {"offset": -1}, {"offset": 1, "axis1": 2, "axis2": 0}]),
    *(
        Row("unravel_index", (ints(*shape, low=-24, high=24, dtype=dtype),), {"shape": (2, 3, 4)}, gradient="indices")
        for shape, dtype in [((5,), "int32"), ((2, 3), "int32"), ((4,), "int16")]
    ),
    Row(
        "unravel_index",
        (ints(4, low=0, high=24, dtype="int64"),),
        {"shape": [4, 6]},
        gradient="indices",
        symbolic="int32 when called, int64 in a graph, as in Keras",
    ),
]
