"""Einstein's sum."""

from __future__ import annotations

import numpy as np

from tests.ops.row import Row, bools, floats, ints
from tests.ops.rows.reduction import NUMBERS

CASES = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("...ij,...jk->...ik", (5, 2, 3), (3, 4)),
    ("...ij,...jk->...ik", (6, 1, 2, 3), (5, 3, 4)),
    ("abc,cd->abd", (2, 3, 4), (4, 5)),
    ("aecd,abcd->acbe", (2, 3, 4, 5), (2, 6, 4, 5)),
    ("ij,kl->", (2, 3), (4, 5)),
    ("i,j->ij", (3,), (4,)),
    ("ij->ji", (2, 3)),
    ("...ij->...ji", (5, 2, 3)),
    ("ij->", (2, 3)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("ba", (2, 3)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
]
ROWS = [
    *(Row("einsum", (subscripts, *(floats(*s) for s in shapes)), {}, NUMBERS[5:]) for subscripts, *shapes in CASES),
    Row("einsum", ("ij,jk->ik", floats(2, 3), floats(3, 4)), {}, NUMBERS),
    Row("einsum", ("i j, j k -> k i", floats(2, 3), floats(3, 4)), keras="reads no spaces", reference=np.einsum),
    *(
        Row("einsum", ("ij,jk->ik", draw, floats(3, 4)), gradient="integers", keras="refuses", reference=np.einsum)
        for draw in (ints(2, 3), ints(2, 3, dtype="int8"), bools(2, 3))
    ),
    Row(
        "einsum",
        ("ij,jk->ik", ints(2, 3, dtype="int8"), bools(3, 4)),
        gradient="integers",
        keras="refuses",
        reference=np.einsum,
    ),
]
