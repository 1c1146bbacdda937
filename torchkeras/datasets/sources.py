"""Where the data sets come from: addresses and checksums, as in Keras."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from torchkeras.downloads.get_file import get_file

_BASE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


class Source(NamedTuple):
    """An address and the checksum of the file there (MD5 or SHA-256; `None`: Keras publishes none)."""

    origin: str
    file_hash: str | None


SOURCES = {
    "mnist": Source(f"{_BASE}mnist.npz", "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"),
    "boston_housing": Source(
        f"{_BASE}boston_housing.npz", "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"
    ),
    "california_housing": Source(
        f"{_BASE}california_housing.npz", "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"
    ),
    "imdb": Source(f"{_BASE}imdb.npz", "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"),
    "imdb_word_index": Source(f"{_BASE}imdb_word_index.json", "bfafd718b763782e994055a2d397834f"),
    "reuters": Source(f"{_BASE}reuters.npz", "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"),
    "reuters_word_index": Source(f"{_BASE}reuters_word_index.json", "4d44cc38712099c9e383dc6e5f11a921"),
    "cifar10": Source(
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    "cifar100": Source(
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
    **{
        f"fashion_mnist/{name}": Source(_BASE + name, None)
        for name in (
            "train-labels-idx1-ubyte.gz",
            "train-images-idx3-ubyte.gz",
            "t10k-labels-idx1-ubyte.gz",
            "t10k-images-idx3-ubyte.gz",
        )
    },
}


def fetch(name: str, fname: str, cache_subdir: str = "datasets", extract: bool = False) -> Path:
    """The path of a data set's file, or folder, in the cache."""
    source = SOURCES[name]
    return Path(
        get_file(fname, origin=source.origin, file_hash=source.file_hash, cache_subdir=cache_subdir, extract=extract)
    )
