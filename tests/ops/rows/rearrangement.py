"""Patches and blocks."""

from tests.ops.row import Row, floats

TYPES = ("float16", "bfloat16", "float64")
BLOCKS = ["space_to_depth", "depth_to_space"]
NUMBERS = ("bool", "uint8", "int32", *TYPES)

ROWS = [
    *(Row(name, (floats(2, 4, 6, 8), 2), dtypes=NUMBERS) for name in BLOCKS),
    *(Row(name, (floats(2, 8, 4, 6), 2), {"data_format": "channels_first"}) for name in BLOCKS),
    *(Row(name, (floats(1, 3, 6, 18), 3)) for name in BLOCKS),
    Row("unfold", (floats(2, 3, 5, 6), 2), dtypes=TYPES),
    Row("unfold", (floats(2, 3, 5, 6), (2, 3)), {"dilation": (2, 1), "padding": (1, 0), "stride": (1, 2)}),
    Row("fold", (floats(2, 12, 9), (4, 4), 2), dtypes=TYPES),
    Row("fold", (floats(2, 8, 12), 6, (2, 2)), {"padding": 1, "stride": [2, 3]}),
]
