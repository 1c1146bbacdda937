"""Fashion-MNIST: pictures of clothes."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from torchkeras.datasets.arrays import Split
from torchkeras.datasets.sources import fetch

__all__ = ["load_data"]


def load_data() -> Split:
    """Load Fashion-MNIST: 60,000 pictures of clothes for training, 10,000 for testing (Xiao, Rasul and Vollgraf, 2017).

    The classes are: 0 T-shirt/top, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle
    boot.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, NumPy arrays of uint8: images `(rows, 28, 28)` with values 0 to 255, and
        classes `(rows,)`.

    Raises:
        OSError: a file is not in the cache and could not be downloaded; says where to put it.
        ValueError: a file is broken.
    """
    (x_train, y_train), (x_test, y_test) = (
        (_read(part, "images-idx3-ubyte.gz"), _read(part, "labels-idx1-ubyte.gz")) for part in ("train", "t10k")
    )
    return (x_train, y_train), (x_test, y_test)


def _read(part: str, kind: str) -> np.ndarray:
    name = f"{part}-{kind}"
    return read_idx(fetch(f"fashion_mnist/{name}", name, "datasets/fashion-mnist"))


def read_idx(path: Path) -> np.ndarray:
    """An array of bytes from a compressed file in MNIST's IDX format: a type, the sizes of the axes, the values.

    Raises:
        ValueError: the file is broken.
    """
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} is no data set that can be read: {error}") from error
    axes = data[3] if len(data) > 3 else 0
    sizes = np.frombuffer(data, ">u4", axes, offset=4) if len(data) >= 4 + 4 * axes else np.empty(0, int)
    values = np.frombuffer(data, "u1", offset=min(len(data), 4 + 4 * axes)) if data else np.empty(0, "u1")
    if data[:3] != b"\0\0\x08" or not axes or values.size != np.prod(sizes, dtype=int):
        raise ValueError(f"{path} is no data set that can be read: it is no IDX file of bytes, or was cut off")
    return values.reshape(sizes)
