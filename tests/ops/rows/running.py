"""Running sums and products, differences, integrals."""

import numpy as np

from tests.ops.row import Row, bools, floats, ints, positive
from tests.ops.rows.nan import with_nan
from tests.ops.rows.reduction import NUMBERS, TYPES, rows

NO_SAMPLES = "its graphs hold no tensor of samples"
AXES = [{}, {"axis": 1}, {"axis": 0}]
ROWS = [
    *rows("cumsum", floats(2, 3), TYPES, AXES),
    *rows("cumprod", positive(2, 3), TYPES, AXES),
    *rows("nancumsum", with_nan(2, 3), NUMBERS[5:], AXES, gradient="NaN has no differences"),
    *rows("nancumprod", with_nan(2, 3), NUMBERS[5:], AXES, gradient="NaN has no differences"),
    *rows("nancumsum", floats(2, 3), TYPES, AXES[:1]),
    *rows("nancumprod", positive(2, 3), TYPES, AXES[:1]),
    *(
        Row(name, (ints(2, 3),), {"axis": 1, "dtype": dtype}, gradient="integers")
        for name in ("cumsum", "cumprod", "nancumsum", "nancumprod")
        for dtype in ("float32", "int64", "float64", "int16", "bool")
    ),
    *rows("diff", floats(3, 4), NUMBERS, [{}, {"axis": 0}, {"n": 2}, {"n": 5, "axis": 1}]),
    Row("diff", (bools(3, 4),), gradient="booleans"),
    *rows("trapezoid", floats(3, 4), NUMBERS, [{}, {"axis": 0, "dx": 0.5}]),
    Row("trapezoid", (floats(3, 4), floats(4)), {"axis": 1}, NUMBERS[5:], keras=NO_SAMPLES, reference=np.trapezoid),
    Row("trapezoid", (floats(3, 4), floats(3, 4)), {"axis": 0}, keras=NO_SAMPLES, reference=np.trapezoid),
    Row("trapezoid", (ints(3, 4), floats(4)), gradient="integers", keras=NO_SAMPLES, reference=np.trapezoid),
]
