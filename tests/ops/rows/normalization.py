"""Moments and normalizations."""

import numpy as np

from tests.ops.row import Row, floats, positive

TYPES = ("float16", "bfloat16", "float64")


def far_from_zero(*shape):
    """Values whose mean is great beside their spread: there Keras's mean of squares minus squared mean has no digit."""
    return floats(*shape, low=2999, high=3001)


def mean_and_variance(x, axis):
    x = x.astype("float64")
    axis = tuple(axis) if isinstance(axis, list) else axis
    return x.mean(axis), x.var(axis)


def whitened(x, gamma=None, beta=None, axis=-1, epsilon=1e-7, square=False):
    """Layer (or, if `square`, root mean square) normalization along any axis."""
    x = x.astype("float64")
    mean = 0 if square else x.mean(axis, keepdims=True)
    y = (x - mean) / np.sqrt(((x - mean) ** 2).mean(axis, keepdims=True) + epsilon)
    shape = [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


def whitened_square(x, scale=None, axis=-1):
    return whitened(x, scale, axis=axis, square=True)


ROWS = [
    Row("moments", (floats(2, 3, 4), [0, 1]), dtypes=TYPES),
    Row("moments", (floats(2, 3, 4), 1), {"keepdims": True}),
    Row("moments", (floats(2, 3, 4), [0, 1, 2])),
    Row("moments", (floats(2, 50, 60, 3), [0, 1, 2])),
    *(
        Row("moments", (far_from_zero(*shape), axes), keras="cancellation", reference=mean_and_variance)
        for shape, axes in [
            ((4, 50), 1),
            ((50, 4), 0),
            ((4, 50), [0, 1]),
            ((2, 5, 4, 3), [0, 1, 2]),
            ((2, 50, 60, 3), [0, 1, 2]),
        ]
    ),
    Row("batch_normalization", (floats(2, 3, 4), floats(4), positive(4), -1), dtypes=TYPES),
    Row("batch_normalization", (floats(2, 3, 4), floats(3), positive(3), 1, floats(3), floats(3)), dtypes=TYPES),
    Row("batch_normalization", (floats(2, 3, 5, 4), floats(4), positive(4), 3, floats(4), floats(4), 0.1)),
    Row("batch_normalization", (floats(2, 3, 5, 4), floats(3), positive(3), 1), {"scale": None}),
    Row(
        "batch_normalization",
        (floats(4, 3), floats(4), positive(4), 0, floats(4)),
        reads="no offset without a scale there",
    ),
    Row("layer_normalization", (floats(2, 3, 4),), dtypes=("bool", "int32", *TYPES)),
    Row("layer_normalization", (floats(2, 3, 4), floats(4), floats(4)), {"epsilon": 0.1}, dtypes=TYPES),
    Row("layer_normalization", (floats(2, 3, 4), floats(3, 4), floats(3, 4)), {"axis": (1, 2)}),
    Row("layer_normalization", (floats(2, 3, 4), floats(4)), {"axis": [-1]}),
    Row(
        "layer_normalization",
        (floats(2, 3, 4), floats(3), floats(3)),
        {"axis": 1},
        keras="crashes on torch unless the axes are the last",
        reference=whitened,
    ),
    Row("layer_normalization", (floats(2, 3, 4), floats(4)), {"rms_scaling": True}, compiled="it warns"),
    Row("rms_normalization", (floats(2, 3, 4),), dtypes=("bool", "int32", *TYPES)),
    Row("rms_normalization", (floats(2, 3, 4), floats(4)), {"epsilon": 0.1}, dtypes=TYPES),
    Row("rms_normalization", (floats(2, 3, 4), floats(3, 4)), {"axis": (-2, -1)}),
    Row(
        "rms_normalization",
        (floats(2, 3, 4), floats(2)),
        {"axis": 0},
        keras="crashes on torch unless the axes are the last",
        reference=whitened_square,
    ),
    Row("normalize", (floats(2, 3, 4),), dtypes=("bool", "int32", "int64", *TYPES)),
    Row("normalize", (floats(2, 3, 4),), {"axis": (0, 2)}),
    Row("normalize", (floats(2, 3, 4),), {"axis": 1, "order": 1, "epsilon": 0.7}),
    Row("normalize", (floats(2, 3),), {"order": 3, "axis": 0}),
    Row("normalize", (floats(2, 3),), {"epsilon": 5.0, "axis": None}),
]
