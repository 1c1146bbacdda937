"""Several tensors made one, and one made several."""

import numpy as np

from tests.ops.row import Row, floats, ints
from tests.ops.rows.reduction import TYPES

A, B = floats(2, 3), floats(2, 3)
MIXED = "integers are no variables"
ROWS = [
    *(Row(name, ([A, B],), {}, TYPES) for name in ("concatenate", "stack", "hstack", "vstack", "dstack")),
    *(Row(name, ([floats(3), floats(3)],)) for name in ("vstack", "dstack")),
    Row("hstack", ([floats(3), floats(4)],), keras="its graphs join no vectors", reference=np.hstack),
    *(Row(name, ([floats(2, 3, 4), floats(2, 3, 4)],)) for name in ("hstack", "vstack", "dstack")),
    Row(
        "column_stack",
        ([floats(3), floats(3, 2)],),
        keras="of Keras 3.16",
        reads="of Keras 3.16",
        reference=np.column_stack,
    ),
    Row("concatenate", ([A, floats(2, 4), floats(2, 1)],), {"axis": -1}),
    Row("hstack", ([A, floats(2, 4)],)),
    Row("vstack", ([A, floats(1, 3)],)),
    Row("stack", ([A, B, A],), {"axis": -1}),
    *(
        Row(name, ([floats(2, 3), ints(2, 3)],), {}, TYPES, gradient=MIXED)
        for name in ("concatenate", "stack", "hstack", "vstack", "dstack")
    ),
    Row("append", (A, floats(4)), {}, TYPES),
    Row("append", (A, floats(1, 3)), {"axis": 0}, symbolic="an open first size is any other's, too"),
    Row("append", (A, floats(2, 2)), {"axis": 1}),
    Row("append", (A, ints(4)), {}, TYPES, gradient=MIXED),
    *(Row("split", (floats(4, 6),), {"indices_or_sections": s, "axis": a}) for s, a in [(3, 1), (2, 0), ([1, 4], -1)]),
    Row("split", (floats(6, 2),), {"indices_or_sections": (1, 3)}, TYPES),
    *(Row("array_split", (floats(5, 7),), {"indices_or_sections": n, "axis": 1}, TYPES) for n in (3, 7, 9)),
    *(Row("hsplit", (floats(4, 6),), {"indices_or_sections": s}, TYPES) for s in (3, (1, 4))),
    Row("hsplit", (floats(6),), {"indices_or_sections": [2, 3]}),
    *(Row("vsplit", (floats(4, 6),), {"indices_or_sections": s}, TYPES) for s in (2, (1, 3))),
    *(Row("dsplit", (floats(2, 3, 6),), {"indices_or_sections": s}, TYPES) for s in (3, [1, 4])),
]
