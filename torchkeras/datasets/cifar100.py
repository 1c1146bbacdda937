"""CIFAR-100: small colour photographs of 100 kinds of things."""

from __future__ import annotations

from torchkeras.datasets.arrays import Split
from torchkeras.datasets.cifar import read_batch
from torchkeras.datasets.sources import fetch

__all__ = ["load_data"]


def load_data(label_mode: str = "fine") -> Split:
    """Load CIFAR-100: 50,000 small photographs for training and 10,000 for testing (Krizhevsky, 2009).

    Args:
        label_mode: `"fine"` for the 100 classes, `"coarse"` for the 20 groups of them. Default: `"fine"`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, NumPy arrays: images `(rows, 32, 32, 3)` of uint8 with values 0 to 255
        (channels first if `keras.config.image_data_format()` says so), and classes `(rows, 1)` of int64.

    Raises:
        OSError: the file is not in the cache and could not be downloaded; says where to put it.
        ValueError: the mode is unknown, or the file is broken.
    """
    if label_mode not in ("fine", "coarse"):
        raise ValueError(f'`label_mode` must be one of `"fine"`, `"coarse"`. Received: label_mode={label_mode}.')
    folder = fetch("cifar100", "cifar-100-python-target", extract=True) / "cifar-100-python"
    train, test = (read_batch(folder / part, f"{label_mode}_labels") for part in ("train", "test"))
    return train, test
