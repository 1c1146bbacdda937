"""Images and values at other coordinates."""

import keras
import numpy as np
import torch

from tests.ops.row import Row, floats, ints

MODES = ("constant", "nearest", "wrap", "mirror", "reflect")
FIRST = {"data_format": "channels_first"}
EIGHT = "how many numbers a transform or a place has is known"
STEPS = "piecewise constant"
WHOLE = "integers"


def unit(*shape):
    """Pixels in [0, 1)."""
    return floats(*shape, low=0.0, high=1.0)


def transforms(*batch):
    """Affine transforms not far from the identity."""

    def draw(rng):
        moved = np.array([1, 0, 0, 0, 1, 0]) + rng.uniform(-0.4, 0.4, (*batch, 6)) * [1, 1, 5, 1, 1, 5]
        return np.concatenate([moved, np.zeros((*batch, 2))], -1).astype("float32")

    return draw


def corners(*batch):
    """Four points `(x, y)` near the corners of an image of 6 rows and 7 columns."""
    square = np.array([[0, 0], [6, 0], [0, 5], [6, 5]])
    return lambda rng: (square + rng.uniform(-0.9, 0.9, (*batch, 4, 2))).astype("float32")


def places(inputs, config, **reasons):
    """A row of map_coordinates."""
    return Row("image.map_coordinates", inputs, config, unknown=EIGHT, **reasons)


SAMPLED = [
    *(
        places(
            (floats(4, 5), floats(2, 30, low=-9, high=14)),
            {"order": order, "fill_mode": mode, "fill_value": 0.5},
            gradient=True if order else STEPS,
            dtypes=("float64",),
        )
        for mode in MODES
        for order in (0, 1)
    ),
    places((floats(3, 4, 2), floats(3, 2, 5, low=-2, high=5)), {"order": 1}),
    places((floats(6), floats(1, 3, 2, 2, low=-3, high=9)), {"order": 1, "fill_mode": "wrap"}),
    places(
        (floats(6), lambda rng: (rng.integers(-6, 20, (1, 40)) / 2).astype("float32")),
        {"order": 0, "fill_mode": "reflect"},
        gradient=STEPS,
    ),
    *(
        places(
            (ints(4, 5, low=0, high=200, dtype=dtype), floats(2, 30, low=-3, high=7)),
            {"order": order, "fill_value": 7.6},
            gradient=WHOLE,
        )
        for dtype in ("uint8", "int32")
        for order in (0, 1)
    ),
    places((floats(4, 5), ints(2, 9)), {"order": 1, "fill_mode": "mirror"}),
]
WARPED = [
    *(
        Row(
            "image.affine_transform",
            (unit(2, 6, 7, 3), transforms(2)),
            {"interpolation": how, "fill_mode": mode},
            gradient=True if how == "bilinear" else STEPS,
            dtypes=("float64",),
            rtol=1e-4,
            atol=1e-4,
        )
        for mode in MODES
        for how in ("bilinear", "nearest")
    ),
    Row("image.affine_transform", (unit(6, 7, 3), transforms()), {"fill_value": 0.3}, unknown=EIGHT, atol=1e-4),
    Row("image.affine_transform", (unit(2, 3, 6, 7), transforms(2)), {"fill_mode": "reflect", **FIRST}, atol=1e-4),
    Row("image.affine_transform", (unit(3, 6, 7), transforms(1)), FIRST, unknown=EIGHT, atol=1e-4),
    Row(
        "image.affine_transform",
        (
            ints(2, 6, 7, 3, low=0, high=256, dtype="uint8"),
            lambda _: np.tile(np.float32([1, 0, 0.25, 0, 1, -0.75, 0, 0]), (2, 1)),
        ),
        gradient=WHOLE,
    ),
    *(
        Row(
            "image.perspective_transform",
            (unit(2, 6, 7, 3), corners(*batch), corners(*batch)),
            {"interpolation": how, "fill_value": 0.2},
            unknown=True if batch else EIGHT,
            gradient=True if how == "bilinear" else STEPS,
            dtypes=("float64",),
            rtol=1e-3,
            atol=1e-3,
        )
        for batch in ((), (2,))
        for how in ("bilinear", "nearest")
    ),
    Row(
        "image.perspective_transform", (unit(3, 6, 7), corners(), corners()), FIRST, unknown=EIGHT, rtol=1e-3, atol=1e-3
    ),
]


def drawn_by_torch(images, seed, **config):
    """Keras's, which takes torch's own generator instead of the seed."""
    torch.manual_seed(seed)
    return keras.ops.image.elastic_transform(images, **{"data_format": "channels_last"} | config)


ELASTIC = [
    Row(
        "image.elastic_transform",
        (unit(*shape),),
        config | {"alpha": 3.0, "sigma": 0.8, "seed": 7},
        keras="pays no heed to the seed",
        reference=drawn_by_torch,
        atol=1e-4,
    )
    for shape, config in (
        ((2, 6, 7, 3), {}),
        ((3, 6, 7), FIRST | {"fill_mode": "constant", "fill_value": 0.5}),
        ((2, 6, 7, 3), {"interpolation": "bilinear", "fill_mode": "wrap"}),
    )
]
ROWS = [*SAMPLED, *WARPED, *ELASTIC]
