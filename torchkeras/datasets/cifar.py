"""The common part of CIFAR-10 and CIFAR-100."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from torchkeras.core import settings
from torchkeras.datasets.arrays import unpickle


def read_batch(path: Path, label_key: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    """Images `(rows, 32, 32, 3)`, or with their channels first, and labels `(rows, 1)` of one of CIFAR's files.

    Raises:
        ValueError: the file is broken.
    """
    found = unpickle(path.read_bytes(), path, "bytes")
    try:
        images = np.asarray(found[b"data"], "uint8").reshape(-1, 3, 32, 32)
        labels = np.asarray(found[label_key.encode()]).reshape(-1, 1)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no data set that can be read: {error}") from error
    if settings.image_data_format() == "channels_last":
        images = images.transpose(0, 2, 3, 1)
    return images, labels
