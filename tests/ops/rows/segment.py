"""Reductions over segments."""

import numpy as np

from tests.ops.row import Row, floats, ints, spread

SEGMENTS = "the number of segments is in the values"


def limits(name):
    """The reduction over each of 4 segments by a plain loop; a segment without rows is the type's limit."""
    reduce, limit = (np.max, "min") if name == "segment_max" else (np.min, "max")

    def reference(data, ids, num_segments):
        empty = np.full(data.shape[1:], getattr(np.iinfo(data.dtype), limit))
        return np.stack([reduce(data[ids == i], 0) if (ids == i).any() else empty for i in range(num_segments)])

    return reference


ROWS = [
    *(
        row
        for name in ("segment_sum", "segment_prod", "segment_max", "segment_min")
        for row in (
            Row(
                name,
                (spread(8, 3), lambda rng: rng.permutation(np.arange(8) % 4).astype("int32")),
                {"num_segments": 4},
                dtypes=("uint8", "int32", "int64", "float16", "bfloat16", "float64"),
            ),
            Row(
                name,
                (floats(9), ints(9, low=-1, high=9)),
                {"num_segments": 6},
                gradient="empty segments may be infinite",
            ),
            Row(
                name, (floats(9, 2, 2), ints(9, low=0, high=5)), gradient=SEGMENTS, symbolic=SEGMENTS, compiled=SEGMENTS
            ),
            Row(name, (spread(6, 2), lambda _: np.arange(6) // 2), {"num_segments": 3, "sorted": True}),
        )
    ),
    *(
        Row(
            name,
            (ints(5, 2, dtype=dtype), ints(5, low=1, high=3)),
            {"num_segments": 4},
            gradient="integers",
            keras="an empty segment of integers is what a cast of infinity happens to give",
            reference=limits(name),
        )
        for name in ("segment_max", "segment_min")
        for dtype in ("int8", "int32")
    ),
]
