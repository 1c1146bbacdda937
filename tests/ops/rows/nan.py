"""Reductions that leave NaN out."""

import numpy as np

from tests.ops.row import Row, floats, ints, spread
from tests.ops.rows.reduction import AXES, COUNT, NO_AXIS, TYPES, rows


def with_nan(*shape):
    """Spread floats, a third of them NaN, and NaN throughout one of the first axis."""

    def draw(rng):
        x = spread(*shape)(rng)
        x[rng.uniform(size=shape) < 0.3] = np.nan
        x[0, ..., 0] = np.nan
        return x

    return draw


NO_GRADIENT = "NaN has no differences"
FLOATS = ("float16", "bfloat16", "float64")
FRACTION, PERCENT = floats(low=0.26, high=0.32), floats(low=26.0, high=32.0)
QUANTILES = [{}, {"axis": 1}, {"axis": (0, 2), "keepdims": True}, {"axis": -1, "method": "nearest"}]
ROWS = [
    *(
        row
        for name in ("nansum", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd", "nanmedian")
        for row in rows(name, with_nan(2, 3, 4), FLOATS, AXES + NO_AXIS[:1], gradient=NO_GRADIENT)
    ),
    *(Row(name, (spread(2, 3),), {"axis": 1}, TYPES) for name in ("nansum", "nanmax", "nanmin", "nanmean", "nanvar")),
    *(Row(name, (spread(2, 3),), {"axis": 1}, TYPES) for name in ("nanstd", "nanmedian", "nanprod")),
    *rows("nanprod", with_nan(2, 3, 4), FLOATS, AXES, gradient=NO_GRADIENT),
    Row(
        "nanprod",
        (with_nan(2, 3),),
        {"keepdims": True},
        gradient=NO_GRADIENT,
        keras="drops the axes that keepdims keeps",
        reference=lambda x, keepdims: np.nanprod(x, keepdims=keepdims),
    ),
    *(
        row
        for name in ("nanargmax", "nanargmin")
        for row in rows(
            name, with_nan(3, 4), FLOATS, [{}, {"axis": 1}, {"axis": 0}, {"keepdims": True}], gradient=COUNT
        )
    ),
    Row("nanargmax", (ints(3, 4),), {"axis": 1}, gradient=COUNT),
    *(Row("nanquantile", (with_nan(2, 3, 4), FRACTION), c, FLOATS, gradient=NO_GRADIENT) for c in QUANTILES),
    *(Row("nanpercentile", (with_nan(2, 3, 4), PERCENT), c, FLOATS, gradient=NO_GRADIENT) for c in QUANTILES),
    Row("nanquantile", (spread(2, 3), FRACTION), {"axis": 1}, TYPES),
    Row("nanpercentile", (spread(2, 3), PERCENT), {"axis": 1}, TYPES),
    Row("nanquantile", (with_nan(2, 5), floats(3, low=0.0, high=1.0)), {"axis": 1}, gradient=NO_GRADIENT),
]
