"""Means, variances, quantiles, correlation."""

import numpy as np

from tests.ops.row import Row, floats, ints, positive, spread
from tests.ops.rows.nan import FRACTION, PERCENT, QUANTILES, with_nan
from tests.ops.rows.reduction import AXES, NO_AXIS, NUMBERS, TYPES, rows

FRACTIONS = floats(3, low=0.0, high=1.0)
ALWAYS_LINEAR = "its graphs forget the method"
METHODS = ("linear", "lower", "higher", "midpoint", "nearest")
WRONG_WEIGHTS = "sums over the last axis alone, or refuses"
ROWS = [
    *rows("mean", floats(2, 3, 4), TYPES, AXES + NO_AXIS),
    *rows("var", floats(2, 3, 4), TYPES, AXES + NO_AXIS),
    *rows("std", floats(2, 3, 4), TYPES, AXES + NO_AXIS[:1]),
    *rows("median", spread(2, 3, 4), TYPES, AXES + NO_AXIS[:1]),
    Row("median", (with_nan(3, 4),), {"axis": 1}, gradient="NaN has no differences"),
    *rows("average", floats(2, 3, 4), TYPES, [{}, {"axis": 1}]),
    Row("average", (floats(2, 3, 4),), {"axis": (0, 2)}, keras="reads no pair of axes", reference=np.average),
    Row("average", (floats(2, 3), 1, positive(3)), {}, NUMBERS),
    Row("average", (ints(2, 3), 1, positive(3)), gradient="integers"),
    *(
        Row("average", (floats(*shape), axis, positive(*weights)), keras=WRONG_WEIGHTS, reference=np.average)
        for shape, axis, weights in [((2, 3), None, (2, 3)), ((2, 3), 0, (2,)), ((2, 3, 4), (0, 2), (2, 3, 4))]
    ),
    *(Row("quantile", (spread(2, 3, 4), FRACTION), config, TYPES) for config in QUANTILES[:3]),
    *(Row("percentile", (spread(2, 3, 4), PERCENT), config, TYPES) for config in QUANTILES),
    *(
        Row("quantile", (spread(3, 5), FRACTIONS), {"axis": 1, "method": m}, keras=ALWAYS_LINEAR, reference=np.quantile)
        for m in METHODS
    ),
    Row("quantile", (spread(3, 5), FRACTIONS), {"axis": 0, "keepdims": True}),
    Row("quantile", (ints(3, 5), FRACTIONS), {"axis": 1}, gradient="the fractions are no variables where steps are"),
    Row("quantile", (spread(3, 4), 0.25), {"axis": 1}, gradient="the fraction is no tensor"),
    Row("percentile", (spread(3, 4), [10, 55.5]), {}, gradient="the fractions are no tensor"),
    Row("quantile", (with_nan(3, 4), FRACTION), {"axis": 1}, gradient="NaN has no differences"),
    Row("percentile", (spread(3, 5), floats(3, low=0.0, high=100.0)), {"axis": (0, 1)}),
    Row("corrcoef", (floats(3, 6),), {}, NUMBERS),
    Row("corrcoef", (floats(6),)),
    Row("cov", (floats(3, 6),), keras="of Keras 3.16", reads="of Keras 3.16", reference=np.cov),
    Row("cov", (floats(6),), keras="of Keras 3.16", reads="of Keras 3.16", reference=np.cov),
]
