"""Connectionist temporal classification."""

import numpy as np

from tests.ops.row import Row, floats, ints

CLASSES = 5
LENGTHS = (lambda rng: np.array([3, 1], "int32"), lambda rng: np.array([7, 6], "int32"))
LOGITS = floats(2, 7, CLASSES, low=-4, high=4)
STEPS = LENGTHS[1]
LOSS = "computed in float32, as Keras does"
SIZE = "torch's kernel has a size that depends on the lengths"
NUMBERS = "paths are numbers of classes"
BEAM = {"strategy": "beam_search"}

ROWS = [
    Row(
        "ctc_loss",
        (ints(2, 3, low=1, high=CLASSES), LOGITS, *LENGTHS),
        gradient=LOSS,
        compiled=SIZE,
        dtypes=("float16", "float64"),
    ),
    Row(
        "ctc_loss",
        (ints(2, 3, low=0, high=CLASSES - 1), LOGITS, *LENGTHS),
        {"mask_index": 4},
        gradient=LOSS,
        compiled=SIZE,
    ),
    Row("ctc_decode", (LOGITS, STEPS), gradient=NUMBERS, dtypes=("float16", "bfloat16", "float64")),
    Row("ctc_decode", (LOGITS, STEPS), {"merge_repeated": False, "mask_index": 2}, gradient=NUMBERS),
    Row("ctc_decode", (LOGITS, STEPS), {"mask_index": None}, gradient=NUMBERS),
    Row("ctc_decode", (LOGITS, STEPS), {**BEAM, "beam_width": 4, "top_paths": 2}, gradient=NUMBERS),
    Row("ctc_decode", (LOGITS, STEPS), {**BEAM, "beam_width": 1, "mask_index": None}, gradient=NUMBERS),
    Row("ctc_decode", (floats(3, 6, 3), ints(3, low=1, high=7)), {**BEAM, "beam_width": 9}, gradient=NUMBERS),
]
