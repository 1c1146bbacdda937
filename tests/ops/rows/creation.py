"""Tensors made anew, triangles, diagonals, grids, windows and ranges."""

import numpy as np

from tests.ops.row import Row, complexes, floats, ints, positive

TYPES = ("bool", "int8", "uint8", "int32", "int64", "float16", "bfloat16", "float64")
LINE = "float64 is narrowed to float32, as in Keras: see the test"
AXIS = "it takes one number a side and the axis 0 alone"


def made(name: str, *inputs, **config) -> Row:
    """A call without tensors."""
    return Row(name, inputs, config, gradient="it takes no tensor", symbolic="it takes no tensor")


def form(name: str, *inputs, **config) -> Row:
    """A call that takes the form of a tensor, not its values."""
    return Row(name, inputs, config, dtypes=TYPES, gradient="values play no part")


ROWS = [
    *(made(name, shape) for name in ["zeros", "ones"] for shape in [(2, 3), (), [4], 3]),
    *(made(name, (2, 3), dtype=d) for name in ["zeros", "ones"] for d in ["int32", "bool", "float16"]),
    *(made("full", *a) for a in [((2, 3), 1), ((), 1.5), ([2], True), ((2, 3), [1, 2, 3]), ((2,), 1.7, "int32")]),
    Row("full", ((2, 3), floats(3)), gradient="float64 is cast to floatx(): see the test"),
    Row("full", ((2, 3), ints(3)), {"dtype": "float16"}, gradient="integers"),
    *(form(name, floats(2, 3)) for name in ["zeros_like", "ones_like"]),
    *(form(name, floats(2, 3), dtype="int32") for name in ["zeros_like", "ones_like"]),
    form("empty_like", floats(0, 3)),
    form("full_like", floats(2, 3), 2),
    form("full_like", floats(2, 3), 2.5, dtype="int32"),
    Row("full_like", (floats(2, 3), floats(3)), gradient="the form's is 0 and unused: see the test"),
    *(made("array", value) for value in [2, 2.5, True, [1, 2], [[1.0], [2.0]]]),
    *(made("array", [0.1, 2.7], dtype=d) for d in ["int32", "float16", "float64"]),
    Row("array", (floats(2, 3),), dtypes=TYPES),
    Row("array", (floats(2, 3),), {"dtype": "float16"}, gradient="float16"),
    *(made("eye", *a) for a in [(3,), (3, 4), (4, 3, 1), (3, 4, -2), (3, 3, 7), (3, None, 0, "int32")]),
    *(made("identity", *a) for a in [(3,), (2, "bool")]),
    *(made("tri", *a) for a in [(3,), (3, 4), (4, 3, 1), (3, 4, -2), (3, None, 0, "int32")]),
    *(Row(name, (floats(2, 4, 3),), {"k": k}, dtypes=TYPES) for name in ["tril", "triu"] for k in (0, 1, -1)),
    *(Row("diag", (floats(*shape),), {"k": k}, dtypes=TYPES) for shape in [(3,), (3, 4)] for k in (0, 1, -2)),
    Row("diag", (floats(3, 4),), {"k": 6}, gradient="nothing is left"),
    *(Row("diagflat", (floats(*shape),), {"k": k}, dtypes=TYPES) for shape in [(3,), (2, 2)] for k in (0, 1, -2)),
    Row("vander", (ints(4),), gradient="integers"),
    Row("vander", (floats(4),), {"N": 3}, dtypes=TYPES),
    Row("vander", (floats(4),), {"N": 3, "increasing": True}),
    *(Row("vander", (floats(4),), {"N": n}, gradient="constants") for n in (0, 1)),
    Row("vander", (complexes(3),), gradient="its input is complex"),
    *(Row("view", (positive(2, 4),), {"dtype": d}, gradient="bits") for d in ["int32", "uint8", "int16", "int64"]),
    Row("view", (positive(2, 4),)),
    Row("meshgrid", (floats(3), floats(4))),
    Row("meshgrid", (floats(3), floats(4)), {"indexing": "ij"}, dtypes=TYPES),
    Row("meshgrid", (floats(3), floats(2), floats(4))),
    Row("meshgrid", (floats(3),), keras="its graph of one vector cannot be read back", reference=np.meshgrid),
    Row("meshgrid", (ints(3), floats(2)), keras="it takes one type alone", reference=np.meshgrid),
    Row("meshgrid", (floats(2, 2), floats(3)), keras="it takes vectors alone", reference=np.meshgrid),
    *(made(name, x) for name in ["bartlett", "blackman", "hamming", "hanning"] for x in (0, 1, 2, 7, 10)),
    *(made("kaiser", x, beta) for x in (0, 1, 7) for beta in (0, 2.5, 14)),
    *(made("arange", *a) for a in [(4,), (4.0,), (2, 9), (2, 9, 3), (9, 2, -2), (0, 1, 0.3), (0, 3, None, "int8")]),
    *(made("arange", *a) for a in [(4, None, None, "float16"), (1.0, 3)]),
    Row("arange", (ints(low=3, high=9),), gradient="integers", symbolic="how many come depends on the value",
        compiled="how many come depends on the value"),
    *(made("linspace", *a) for a in [(0, 1), (0, 10, 5), (3.0, -2.0, 4, False), (0, 10, 5, True, True), (2, 3, 0)]),
    *(made("linspace", -9, 7, 6, endpoint, dtype=d) for endpoint in (True, False) for d in ["int32", "float16"]),
    Row("linspace", (floats(), floats(), 5), dtypes=TYPES[1:], gradient=LINE),
    *(Row("linspace", (floats(2, 3), floats(3), 4), {"endpoint": e, "axis": a},
          keras=AXIS, gradient=LINE, reference=np.linspace)
      for e in (True, False) for a in (0, 1, -1)),
    Row("linspace", (floats(2, 3), 1.5, 4), {"retstep": True}, keras=AXIS, gradient=LINE, reference=np.linspace),
    *(made("logspace", *a) for a in [(0, 1), (0, 3, 4), (-1.0, 2.0, 5, False), (0, 3, 4, True, 2)]),
    *(Row("logspace", (floats(2, 3), floats(3), 4), {"base": b, "axis": a},
          keras=AXIS, gradient=LINE, reference=np.logspace)
      for b in (10, 2.5) for a in (0, -1)),
    *(made("geomspace", *a) for a in [(1, 8), (1, 8, 4), (-2.0, -9.0, 5, False), (4, 0.5, 3)]),
    *(Row("geomspace", (positive(2, 3), positive(3), 4), {"endpoint": e, "axis": a}, keras=AXIS, gradient=LINE,
          reference=np.geomspace) for e in (True, False) for a in (0, 1)),
    Row("geomspace", (1, 1000, 4), {"dtype": "int32"}, gradient="it takes no tensor", symbolic="it takes no tensor",
        keras="it computes the logarithms in integers", reference=np.geomspace, atol=1),
]  # fmt: skip
