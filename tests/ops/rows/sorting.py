"""Order."""

from tests.ops.row import Row, ints, spread
from tests.ops.rows.reduction import TYPES, rows

INDEX = "indices have no gradient"
AXES = [{}, {"axis": 0}, {"axis": None}]
ROWS = [
    *rows("sort", spread(3, 4), TYPES, AXES),
    *rows("argsort", spread(3, 4), TYPES, AXES, gradient=INDEX),
    Row("argsort", (ints(4, 20, low=0, high=3),), gradient=INDEX),
]
