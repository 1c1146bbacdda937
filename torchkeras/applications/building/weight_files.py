"""Files of pretrained weights: where they are published, what they are called in the cache, and how they are loaded."""

from __future__ import annotations

import os
from typing import NamedTuple

from torchkeras.downloads.get_file import get_file
from torchkeras.models.model import Model

BUCKET = "https://storage.googleapis.com/tensorflow/keras-applications"


class WeightFile(NamedTuple):
    """A published file of weights.

    Args:
        origin: its address.
        file_hash: MD5 or SHA-256 of its bytes; `None` where Keras publishes none.
        name: its name in the cache; empty: the last part of the address.
    """

    origin: str
    file_hash: str | None = None
    name: str = ""

    def fetch(self) -> str:
        """The path of the file in `$KERAS_HOME/models`, downloaded if it is not there.

        Raises:
            OSError: it is not there and can't be downloaded; the error names the address, the file and the folder.
        """
        name = self.name or self.origin.rpartition("/")[2]
        return get_file(name, origin=self.origin, file_hash=self.file_hash, cache_subdir="models")


class Hashes(NamedTuple):
    """Checksums of the two files of a variant: with the classifier, and without it."""

    top: str
    no_top: str


def tf_kernels(folder: str, model: str, include_top: bool, hashes: Hashes) -> WeightFile:
    """The file of one of the older networks, named for the order of the axes of its kernels."""
    end = "" if include_top else "_notop"
    name = f"{model}_weights_tf_dim_ordering_tf_kernels{end}.h5"
    return WeightFile(f"{BUCKET}/{folder}/{name}", hashes.top if include_top else hashes.no_top)


def plain(address: str, include_top: bool, hashes: Hashes, end: str = "_notop") -> WeightFile:
    """The file of one of the newer networks: `address`, then `.h5` or `_notop.h5`."""
    if include_top:
        return WeightFile(f"{address}.h5", hashes.top)
    return WeightFile(f"{address}{end}.h5", hashes.no_top)


def check_weights(weights: str | os.PathLike[str] | None, include_top: bool, classes: int) -> None:
    """Check the arguments that say which weights to load.

    Raises:
        ValueError: `weights` is no file that exists, or the classifier of ImageNet is asked for other classes.
    """
    if weights not in (None, "imagenet") and not (weights and os.path.exists(weights)):
        raise ValueError(
            "The `weights` argument should be either `None` (random initialization), `imagenet` (pre-training on "
            f"ImageNet), or the path to the weights file to be loaded.  Received: weights={weights}"
        )
    if weights == "imagenet" and include_top and classes != 1000:
        raise ValueError(
            'If using `weights="imagenet"` with `include_top=True`, `classes` should be 1000. '
            f"Received classes={classes}"
        )


def load(model: Model, weights: str | os.PathLike[str] | None, published: WeightFile | None) -> None:
    """Load the weights that the arguments of a network name: a published file, a file of the user's, or none."""
    if published is not None:
        model.load_weights(published.fetch())
    elif weights is not None:
        model.load_weights(weights)
