"""Bits of integers."""

from tests.ops.row import Row, bools, ints

INTEGERS = "integers"
LOGIC = ["bitwise_and", "bitwise_or", "bitwise_xor"]
SHIFTS = ["bitwise_left_shift", "left_shift", "bitwise_right_shift", "right_shift"]
TYPES = ["int8", "uint8", "int16", "int64"]
ROWS = [
    *(Row(name, (ints(2, 3, low=-90, high=90), ints(3, low=0, high=8)), gradient=INTEGERS) for name in LOGIC + SHIFTS),
    *(Row(name, (ints(4, low=0, dtype=dtype), ints(4, low=0)), gradient=INTEGERS)
      for name in LOGIC + SHIFTS for dtype in TYPES),
    *(Row(name, (ints(4, dtype="int8"), ints(4, low=0, dtype="uint8")), gradient=INTEGERS) for name in LOGIC + SHIFTS),
    *(Row(name, (ints(4), 3), gradient=INTEGERS, keras="its symbolic form takes no numbers",
          reference={"bitwise_and": lambda x, y: x & y, "bitwise_or": lambda x, y: x | y,
                     "bitwise_xor": lambda x, y: x ^ y}[name]) for name in LOGIC),
    *(Row(name, (ints(4), 3), gradient=INTEGERS) for name in SHIFTS),
    *(Row(name, (bools(6), bools(6)), gradient="booleans") for name in LOGIC),
    *(Row(name, (ints(4, dtype=dtype),), gradient=INTEGERS)
      for name in ["bitwise_not", "bitwise_invert"] for dtype in ["int32", *TYPES]),
    *(Row(name, (bools(4),), gradient="booleans") for name in ["bitwise_not", "bitwise_invert"]),
]  # fmt: skip
