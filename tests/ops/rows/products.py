"""Products of matrices and vectors, and sums of products."""

import numpy as np

from tests.ops.row import Row, bools, complexes, floats, ints, positive_definite
from tests.ops.rows.reduction import NUMBERS, TYPES

INTEGERS = "integers are no variables"
VECTORS = "vectors of 3 alone, along one axis"
LENGTHS = "another length than NumPy's"
FLAT = "vectors alone"


def shaped(op, *shapes, config=None, dtypes=(), **options):
    """A row for tensors of these shapes."""
    return Row(op, tuple(floats(*shape) for shape in shapes), config or {}, dtypes, **options)


def in_space(x):
    """Vectors of 2 with a third number of 0: NumPy 2.5 takes no others."""
    return np.pad(x, ((0, 0), (0, 3 - x.shape[1])))


ROWS = [
    *(
        shaped("matmul", *shapes, dtypes=TYPES)
        for shapes in [((2, 3), (3, 4)), ((3,), (3,)), ((5, 2, 3), (3,)), ((3,), (5, 3, 4)), ((5, 1, 2, 3), (6, 3, 4))]
    ),
    *(
        shaped("dot", *shapes, dtypes=TYPES)
        for shapes in [((2, 3), (3, 4)), ((3,), (3,)), ((2, 3), ()), ((2, 5, 3), (3,))]
    ),
    shaped("dot", (2, 3), (5, 3, 4), keras="has the axes in another order", reference=np.dot),
    *(shaped("inner", *shapes, dtypes=TYPES) for shapes in [((3,), (3,)), ((2, 3), (4, 5, 3)), ((), (2, 3))]),
    *(shaped("outer", *shapes, dtypes=TYPES) for shapes in [((3,), (4,)), ((2, 3), (2, 2))]),
    *(shaped("kron", *shapes, dtypes=TYPES) for shapes in [((2, 3), (3, 2)), ((3,), (2, 2, 3))]),
    shaped("vdot", (5,), (5,), dtypes=TYPES),
    shaped("vdot", (2, 3), (2, 3), keras=FLAT, reference=np.vdot),
    Row("vdot", (complexes(4), complexes(4)), gradient="complex numbers"),
    *(
        shaped("tensordot", (2, 3, 4), shape, config={"axes": axes}, dtypes=TYPES)
        for shape, axes in [
            ((3, 4, 5), 2),
            ((4, 5), 1),
            ((5,), 0),
            ((4, 3, 5), ((1, 2), (1, 0))),
            ((5, 3), [[1], [1]]),
        ]
    ),
    shaped("tensordot", (2, 3), (5, 3), config={"axes": (1, -1)}, keras="reads no pair", reference=np.tensordot),
    *(
        Row(name, (ints(2, 3), floats(3, 2)), {}, TYPES, gradient=INTEGERS)
        for name in ("matmul", "dot", "outer", "kron")
    ),
    Row("matmul", (ints(2, 3, dtype="int8"), ints(3, 4, dtype="int8")), gradient=INTEGERS),
    Row("matmul", (ints(2, 3, dtype="int8"), bools(3, 4)), gradient=INTEGERS),
    *(
        Row(
            "matmul",
            (ints(3, 50, low=-99999, high=99999, dtype=dtype), ints(50, 3, low=-99, high=99, dtype=dtype)),
            gradient=INTEGERS,
            keras="multiplies integers in float32",
            reference=lambda x, y: x.astype("int64") @ y,
        )
        for dtype in ("int32", "int64")
    ),
    shaped("cross", (4, 3), (4, 3), dtypes=NUMBERS),
    *(
        shaped("cross", a, b, config=config, keras=VECTORS, reference=np.cross)
        for a, b, config in [
            ((4, 3), (3,), {}),
            ((3, 4), (3, 4), {"axis": 0}),
            ((4, 3), (2, 1, 3), {}),
            ((3, 4), (4, 3), {"axisa": 0, "axisb": 1, "axisc": 0}),
        ]
    ),
    *(
        shaped("cross", a, b, keras=VECTORS, reference=lambda x, y: np.cross(in_space(x), in_space(y)))
        for a, b in [((4, 2), (4, 3)), ((4, 3), (4, 2))]
    ),
    shaped("cross", (4, 2), (4, 2), keras=VECTORS, reference=lambda x, y: x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0]),
    *(shaped("correlate", (7,), (3,), config={"mode": mode}, dtypes=TYPES) for mode in ("valid", "same", "full")),
    *(shaped("correlate", (4,), (7,), config={"mode": mode}) for mode in ("valid", "full")),
    *(
        shaped("correlate", (n,), (m,), config={"mode": mode}, keras=LENGTHS, reference=np.correlate)
        for n, m in [(4, 4), (3, 3), (7, 4), (4, 7), (3, 8), (1, 5), (5, 1), (6, 2)]
        for mode in ("valid", "same", "full")
    ),
    Row("slogdet", (positive_definite(3, 3),)),
    Row("slogdet", (floats(2, 3, 3),), {}, ("float64",)),
]
