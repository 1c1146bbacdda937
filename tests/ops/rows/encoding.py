"""Class numbers as rows of zeros and ones; polar coordinates and signals."""

import numpy as np

from tests.ops.row import Row, floats, ints, positive

TYPES = ("float16", "bfloat16", "float64")
WHOLE = "numbers of classes"


def classes(*shape):
    return ints(*shape, low=-1, high=4)


def row_for_each(x, num_classes, axis):
    return np.moveaxis((x[..., None] == np.arange(num_classes)).astype("float32"), -1, axis)


ROWS = [
    Row("one_hot", (classes(2, 3), 5), gradient=WHOLE),
    Row("one_hot", (classes(2, 3), 5), {"axis": 0, "dtype": "int32"}, gradient=WHOLE),
    Row("one_hot", (classes(2, 3), 5), {"axis": 1, "dtype": "bool"}, gradient=WHOLE),
    Row("one_hot", (classes(2, 3), 5), {"axis": -2}, gradient=WHOLE, keras="axes mixed", reference=row_for_each),
    Row("one_hot", (ints(4, low=0, high=4, dtype="uint8"), 4), gradient=WHOLE),
    Row("multi_hot", (classes(2, 3), 5), gradient=WHOLE),
    Row("multi_hot", (classes(3), 5), {"dtype": "int32"}, gradient=WHOLE),
    Row("multi_hot", (classes(2, 3, 4), 5), {"axis": 1, "dtype": "bool"}, gradient=WHOLE),
    Row("multi_hot", (classes(2, 3),), {"num_tokens": 5}, gradient=WHOLE),
    Row("polar", (positive(2, 3), floats(2, 3)), dtypes=("int32", "float64")),
    Row("polar", (positive(2, 3), floats(3))),
    Row("psnr", (floats(2, 3, 4), floats(2, 3, 4), 4.0), dtypes=TYPES),
    Row("psnr", (floats(5), floats(5)), {"max_val": 255}),
]
