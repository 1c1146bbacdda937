"""Types and conversions, blocks, values put in places, named axes."""

import numpy as np

from tests.ops.row import Row, bools, floats, ints

TYPES = ("bool", "int8", "uint8", "int32", "int64", "float16", "bfloat16", "float64")
X = floats(4, 6)
STEPS = "a staircase"
OPEN = "the block's size is asked of an open one"
MINUS_ONE = "reads -1 as a size"
OVERFLOW = "the greatest integer overflows in floats"


def clipped(x, dtype):
    info = np.iinfo(dtype)
    return np.clip(x.astype("float64"), info.min, info.max).astype("int64").clip(info.min, info.max).astype(dtype)


def places(count):
    """Places in `X`, each in another row."""
    return lambda rng: np.stack([rng.permutation(4)[:count], rng.integers(-6, 6, count)], -1).astype("int32")


ROWS = [
    *(Row("cast", (X,), {"dtype": d}, TYPES, gradient=STEPS) for d in ("int32", "bool", "float16", "uint16")),
    Row("cast", (X,), {"dtype": "float64"}, TYPES),
    Row("convert_to_tensor", (X,), {}, TYPES),
    Row("convert_to_tensor", (X,), {"dtype": "float64"}, TYPES),
    *(
        Row("saturate_cast", (floats(4, 6, low=-400, high=400),), {"dtype": d}, TYPES, gradient=STEPS)
        for d in ("uint8", "int8", "int16", "bool")
    ),
    Row("saturate_cast", (floats(4, 6, low=-1e6, high=1e6),), {"dtype": "float16"}, gradient=STEPS),
    Row("saturate_cast", (ints(4, 6, low=-400, high=400),), {"dtype": "uint8"}, gradient=STEPS),
    Row("saturate_cast", (floats(4, 6, low=-1e10, high=1e10),), {"dtype": "int32"}, gradient=STEPS, keras=OVERFLOW,
        reference=clipped),
    Row("stop_gradient", (X,), {}, TYPES, gradient="none flows"),
    Row("unstack", (X,), {"axis": 1}, TYPES),
    Row("unstack", (X,), {"num": 4}, unknown=OPEN),
    Row("slice", (floats(4, 6, 3), (1, 2, 0), (2, 3, 3)), {}, TYPES),
    Row("slice", (X, ints(2, low=0, high=3), (1, 2))),
    Row("slice", (X, (-3, 1), (2, 2))),
    Row("slice", (X, (1, 2), (-1, -1)), keras=MINUS_ONE, reference=lambda x, start, shape: x[1:, 2:]),
    Row("slice_update", (X, (1, 2), floats(2, 3)), {}, TYPES),
    Row("slice_update", (X, ints(2, low=0, high=3), floats(2, 3))),
    Row("slice_update", (ints(4, 6), (0, 0), floats(2, 3)), gradient="cast to integers"),
    Row("scatter", (ints(5, 1, low=0, high=4), floats(5, 2), (4, 2)), {}, TYPES, unknown=OPEN),
    Row("scatter", (ints(5, 2, low=-4, high=4), floats(5), (4, 4)), {}, unknown=OPEN),
    Row("scatter_update", (X, places(3), floats(3)), {}, TYPES, unknown=OPEN),
    Row("scatter_update", (X, [[0, 1], [3, -1], [2, 5]], floats(3))),
    Row("scatter_update", (X, [[0], [2]], floats(2, 6))),
    *(
        Row("scatter_update", (X, ints(5, 2, low=-4, high=4), floats(5)), {"reduction": r}, TYPES[1:], unknown=OPEN)
        for r in ("add", "max", "min", "mul")
    ),
    *(
        Row("scatter_update", (X, ints(5, 1, low=0, high=4), floats(5, 6)), {"reduction": r}, unknown=OPEN)
        for r in ("add", "max", "min", "mul")
    ),
    Row("scatter_update", (ints(4, 6), ints(3, 2, low=0, high=4), ints(3)), {"reduction": "max"}, gradient="integers",
        unknown=OPEN),
    Row("scatter_update", (bools(4), [[1], [2]], bools(2)), gradient="booleans"),
    Row("rearrange", (floats(2, 6, 4), "a b c -> c a b"), {}, TYPES),
    Row("rearrange", (floats(2, 6, 4), "a b c -> a (c b)"), {}, TYPES),
    Row("rearrange", (floats(2, 6, 4), "a (b d) c -> d (a b) c"), {"d": 3}),
    Row("rearrange", (floats(2, 6, 4), "... c -> c ..."), keras="has no ellipsis",
        reference=lambda x, pattern: x.transpose(2, 0, 1)),
    Row("rearrange", (floats(2, 1, 4), "a 1 c -> c () a"), keras="has no axes of size 1",
        reference=lambda x, pattern: x.transpose(2, 1, 0)),
]  # fmt: skip
