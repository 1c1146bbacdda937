"""Arrays out of the files of data sets, without running anything that a file says."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

# All that a pickled array is made of; under both names of NumPy's private package.
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"the file names {module}.{name}; only NumPy arrays, lists, dicts, strings and numbers are read"
            )
        return super().find_class(module, name)


def unpickle(data: bytes, name: Path, encoding: str = "ASCII") -> Any:
    """Plain Python objects and arrays of a pickle.

    Raises:
        ValueError: it holds anything else, or is broken; names the file.
    """
    try:
        return _ArraysOnly(io.BytesIO(data), encoding=encoding).load()
    except Exception as error:  # a broken pickle raises nearly anything
        raise ValueError(f"{name} is no data set that can be read: {error}") from error


def read_npz(path: Path, *names: str) -> list[np.ndarray]:
    """Some arrays of an `.npz` file, also those of Python objects.

    Raises:
        ValueError: the file is broken, or lacks an array; names the file.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return [_read_npy(file.read(f"{name}.npy"), path) for name in names]
    except KeyError as error:
        raise ValueError(f"{path} is no data set that can be read: {error.args[0]}") from error
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is no data set that can be read: {error}") from error


def _read_npy(data: bytes, path: Path) -> np.ndarray:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(stream)
    if not dtype.hasobject:
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    array = np.asarray(unpickle(data[stream.tell() :], path, "latin1"), dtype=object)
    return array.reshape(shape, order="F" if fortran else "C")


def shuffled(seed: int | np.random.RandomState, *arrays: np.ndarray) -> list[np.ndarray]:
    """The arrays in one random order, the same as Keras's for a seed."""
    generator = seed if isinstance(seed, np.random.RandomState) else np.random.RandomState(seed)
    order = np.arange(len(arrays[0]))
    generator.shuffle(order)
    return [array[order] for array in arrays]


Split = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def split(x: np.ndarray, y: np.ndarray, test_split: float) -> Split:
    """The first rows for training, the last `test_split` of all rows for testing."""
    rows = int(len(x) * (1 - test_split))
    return (np.array(x[:rows]), np.array(y[:rows])), (np.array(x[rows:]), np.array(y[rows:]))


def check_test_split(test_split: float) -> None:
    """Raise unless `0 <= test_split < 1`."""
    if not 0 <= test_split < 1:
        raise ValueError(f"Invalid `test_split` argument: {test_split}. It must be between 0 and 1 (exclusive of 1).")
