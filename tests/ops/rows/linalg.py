"""Matrices: factors, equations, norms."""

import numpy as np

from tests.ops.row import Row, floats, positive, positive_definite, spread

TYPES = ("float64",)
SIGNS = "the vectors' signs are free"
SYMMETRIC = "torch's is that of symmetric or triangular changes"


def singular(rows, columns, rank):
    """Matrices of less than full rank."""
    return lambda rng: (rng.normal(size=(rows, rank)) @ rng.normal(size=(rank, columns))).astype("float32")


def nearly_singular(rng):
    """A matrix whose singular values are 1, 0.5, 0.0013 and 0.0007."""
    (u, _), (v, _) = (np.linalg.qr(rng.normal(size=(n, 4))) for n in (6, 4))
    return (u * [1, 0.5, 1.3e-3, 7e-4] @ v).astype("float32")


def well(*shape):
    """Square matrices far from singular."""
    return lambda rng: (rng.normal(size=shape) + 2 * shape[-1] * np.eye(shape[-1])).astype("float32")


def product_of_sines(x, y):
    return (x * y).sin()


def derivative_of_sines(_, primals, tangents):
    (x, y), (dx, dy) = primals, tangents
    return np.sin(x * y), np.cos(x * y) * (x * dy + y * dx)


ROWS = [
    *(
        Row(name, inputs, config, dtypes=TYPES, gradient=gradient, rtol=1e-4, unknown=unknown)
        for shape, unknown in (((2, 3, 3), True), ((4, 4), "of unknown size a matrix isn't square"))
        for name, inputs, config, gradient in (
            ("cholesky", (positive_definite(*shape),), {}, SYMMETRIC),
            ("cholesky", (positive_definite(*shape),), {"upper": True}, SYMMETRIC),
            ("cholesky_inverse", (well(*shape),), {}, SYMMETRIC),
            ("cholesky_inverse", (well(*shape),), {"upper": True}, SYMMETRIC),
            ("det", (well(*shape),), {}, True),
            ("logdet", (positive_definite(*shape),), {}, True),
            ("inv", (well(*shape),), {}, True),
            ("eig", (well(*shape),), {}, SIGNS),
            ("eigh", (positive_definite(*shape),), {}, SIGNS),
            ("solve", (well(*shape), floats(*shape[:-1], 2)), {}, True),
            ("solve", (well(*shape), floats(*shape[:-1])), {}, True),
            ("solve_triangular", (well(*shape), floats(*shape[:-1], 2)), {}, True),
            ("solve_triangular", (well(*shape), floats(*shape[:-1])), {"lower": True}, True),
            ("qr", (well(*shape),), {}, True),
        )
    ),
    Row("solve", (well(2, 3, 3), floats(3, 4)), symbolic="Keras's shape leaves the batch out"),
    *(Row("lu_factor", (spread(*s),), dtypes=TYPES, rtol=1e-4) for s in ((4, 4), (5, 3), (2, 3, 5))),
    *(Row("qr", (spread(2, *s),), dtypes=TYPES) for s in ((5, 3), (3, 3), (3, 5))),
    Row("qr", (spread(2, 5, 3),), {"mode": "complete"}, gradient="torch has none for it"),
    *(
        Row("svd", (spread(*s),), config, dtypes=TYPES, gradient=SIGNS if config.get("compute_uv", True) else True)
        for s in ((5, 3), (2, 3, 4))
        for config in ({}, {"full_matrices": False}, {"compute_uv": False})
    ),
    *(Row("lstsq", (floats(6, 3), b), dtypes=TYPES, rtol=1e-4, atol=1e-4) for b in (floats(6), floats(6, 2))),
    Row("lstsq", (singular(6, 4, 2), floats(6, 2)), {"rcond": 1e-3}, rtol=1e-3, atol=1e-4, gradient="not of full rank"),
    Row(
        "lstsq",
        (nearly_singular, floats(6, 2)),
        {"rcond": 1e-3},
        rtol=1e-2,
        atol=1e-2,
        gradient="not of full rank",
        compiled="the pseudo-inverse computes it there, and such matrices magnify the rounding",
    ),
    Row("lstsq", (floats(3, 5), floats(3)), rtol=1e-3, atol=1e-4),
    *(Row("pinv", (floats(*s),), dtypes=TYPES, rtol=1e-3, atol=1e-4) for s in ((5, 3), (2, 3, 4))),
    Row("pinv", (singular(5, 4, 2),), {"rcond": 1e-3}, rtol=1e-3, atol=1e-4, gradient="not of full rank"),
    *(
        Row("matrix_rank", (x,), {"tol": tol}, gradient="a count", dtypes=TYPES)
        for x in (singular(5, 4, 2), floats(2, 3, 4))
        for tol in (None, 0.01, 2.5)
    ),
    *(
        Row("norm", (positive(2, 5, 4),), {"ord": ord, "axis": axis, "keepdims": keepdims}, rtol=1e-4)
        for axis, keepdims, orders in (
            (1, False, (None, 1, 2, 3, -1, -2, np.inf, -np.inf, 0.5)),
            ((2, 1), True, (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)),
        )
        for ord in orders
    ),
    Row("norm", (floats(5),), {"ord": 0}, gradient="a count"),
    Row("norm", (positive(2, 3, 4),), {"keepdims": True}, dtypes=("bool", "int8", "int64", "float16", "float64")),
    Row("norm", (positive(3, 4),), {"ord": 1}),
    Row(
        "jvp",
        (lambda _: product_of_sines, [floats(3, 2), floats(3, 2)], [floats(3, 2), floats(3, 2)]),
        symbolic="a function is no config",
        keras="takes tuples of tensors alone",
        reference=derivative_of_sines,
    ),
    Row(
        "matrix_power",
        (floats(2, 3, 3),),
        {"n": 3},
        keras="of Keras 3.16",
        reads="of Keras 3.16",
        reference=np.linalg.matrix_power,
    ),
    Row(
        "linalg.matrix_power",
        (well(2, 3, 3),),
        {"n": -1},
        keras="of Keras 3.16",
        reads="of Keras 3.16",
        reference=np.linalg.matrix_power,
    ),
]
