"""MNIST: handwritten digits."""

from __future__ import annotations

from torchkeras.datasets.arrays import Split, read_npz
from torchkeras.datasets.sources import fetch

__all__ = ["load_data"]


def load_data(path: str = "mnist.npz") -> Split:
    """Load MNIST: 60,000 images of handwritten digits for training and 10,000 for testing (LeCun, Cortes and Burges).

    Args:
        path: name of the file in the cache. Default: `"mnist.npz"`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, NumPy arrays of uint8: images `(rows, 28, 28)` with values 0 to 255, and
        digits `(rows,)`.

    Raises:
        OSError: the file is not in the cache and could not be downloaded; says where to put it.
        ValueError: the file is broken.
    """
    x_train, y_train, x_test, y_test = read_npz(fetch("mnist", path), "x_train", "y_train", "x_test", "y_test")
    return (x_train, y_train), (x_test, y_test)
