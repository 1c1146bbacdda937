"""Crossentropies."""

from tests.ops.row import Row, floats, ints

TYPES = ("float16", "bfloat16", "float64")
LAST = "Keras's symbolic form looks at the last axis only"
LOGITS = {"from_logits": True}


def shares(*shape):
    """Positive numbers, of sum 1 along the last axis."""

    def draw(rng):
        x = rng.uniform(0.1, 1, shape)
        return (x / x.sum(-1, keepdims=True)).astype("float32")

    return draw


def class_numbers(*shape):
    return ints(*shape, low=0, high=3)


ROWS = [
    Row("binary_crossentropy", (shares(2, 3), shares(2, 3)), dtypes=TYPES),
    Row("binary_crossentropy", (shares(2, 3), floats(2, 3)), LOGITS, dtypes=TYPES),
    Row("categorical_crossentropy", (shares(2, 3), shares(2, 3)), dtypes=TYPES),
    Row("categorical_crossentropy", (shares(2, 3), floats(2, 3)), LOGITS, dtypes=TYPES),
    Row("categorical_crossentropy", (shares(2, 3, 4), shares(2, 3, 4)), {"axis": 1}),
    Row("categorical_crossentropy", (shares(2, 3, 4), floats(2, 3, 4)), {"axis": -2, **LOGITS}),
    Row("sparse_categorical_crossentropy", (class_numbers(2), shares(2, 3)), dtypes=TYPES),
    Row("sparse_categorical_crossentropy", (class_numbers(2, 4, 1), floats(2, 4, 3)), LOGITS, dtypes=TYPES),
    Row("sparse_categorical_crossentropy", (class_numbers(2, 4), shares(2, 3, 4)), {"axis": 1}),
    Row(
        "sparse_categorical_crossentropy", (class_numbers(2, 1, 4), floats(2, 3, 4)), {"axis": -2, **LOGITS}, reads=LAST
    ),
    Row("sparse_categorical_crossentropy", (class_numbers(5), shares(5, 70))),
    Row("sparse_categorical_crossentropy", (class_numbers(1), shares(3)), unknown="a batch of nothing"),
]
