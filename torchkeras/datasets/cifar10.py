"""CIFAR-10: small colour photographs of 10 kinds of things."""

from __future__ import annotations

import numpy as np

from torchkeras.datasets.arrays import Split
from torchkeras.datasets.cifar import read_batch
from torchkeras.datasets.sources import fetch

__all__ = ["load_data"]


def load_data() -> Split:
    """Load CIFAR-10: 50,000 small photographs for training and 10,000 for testing (Krizhevsky, 2009).

    The classes are: 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, NumPy arrays of uint8: images `(rows, 32, 32, 3)` with values 0 to 255
        (channels first if `keras.config.image_data_format()` says so), and classes `(rows, 1)`.

    Raises:
        OSError: the file is not in the cache and could not be downloaded; says where to put it.
        ValueError: the file is broken.
    """
    folder = fetch("cifar10", "cifar-10-batches-py-target", extract=True) / "cifar-10-batches-py"
    parts = [read_batch(folder / f"data_batch_{number}") for number in range(1, 6)]
    x_train = np.concatenate([images for images, _ in parts])
    y_train = np.concatenate([labels for _, labels in parts]).astype("uint8")
    x_test, y_test = read_batch(folder / "test_batch")
    return (x_train, y_train), (x_test, y_test.astype("uint8"))
