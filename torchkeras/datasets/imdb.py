"""IMDB: reviews of films, good and bad."""

from __future__ import annotations

import numpy as np

from torchkeras.datasets.arrays import Split, read_npz, shuffled
from torchkeras.datasets.sources import fetch
from torchkeras.datasets.words import as_array, keep_short, limit, read_word_index, shift

__all__ = ["get_word_index", "load_data"]


def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
    **kwargs: int | None,
) -> Split:
    """Load IMDB: 25,000 reviews of films for training and 25,000 for testing, good or bad (Maas et al., 2011).

    Words are numbers in the order of their frequency: with the defaults 4 is the most frequent one. 0 is for padding, 1
    starts a review, 2 stands for a word left out.

    Args:
        path: name of the file in the cache. Default: `"imdb.npz"`.
        num_words: numbers from here on are left out. Default: `None`, all are kept.
        skip_top: numbers below are left out. Default: `0`.
        maxlen: reviews of this many words or more are left out. Default: `None`.
        seed: seed of the order of the reviews. Default: `113`.
        start_char: number before each review; `None` for none. Default: `1`.
        oov_char: number in the place of a word left out; `None` drops the word. Default: `2`.
        index_from: added to the number of each word. Default: `3`.
        **kwargs: `nb_words`, the former name of `num_words`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, NumPy arrays: reviews, lists of numbers in an array of objects, and
        labels `(rows,)`, 0 for bad and 1 for good.

    Raises:
        ValueError: no review is short enough, or the file is broken.
        TypeError: an argument is unknown.
        OSError: the file is not in the cache and could not be downloaded; says where to put it.
    """
    num_words = kwargs.pop("nb_words", num_words)
    if kwargs:
        raise TypeError(f"Unrecognized keyword arguments: {kwargs}.")
    x_train, y_train, x_test, y_test = read_npz(fetch("imdb", path), "x_train", "y_train", "x_test", "y_test")
    parts, generator = [], np.random.RandomState(seed)
    for x, y in (shuffled(generator, x_train, y_train), shuffled(generator, x_test, y_test)):
        texts = shift(x, start_char, index_from)  # type: ignore[arg-type]
        parts.append(keep_short(texts, y, maxlen) if maxlen else (texts, y))
    if not num_words:
        num_words = max(max(text) for texts, _ in parts for text in texts)
    train, test = ((as_array(limit(texts, num_words, skip_top, oov_char)), y) for texts, y in parts)
    return train, test


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """Load the number of each word of IMDB.

    `load_data` adds `index_from` to these numbers.

    Args:
        path: name of the file in the cache. Default: `"imdb_word_index.json"`.

    Returns:
        A dict from words to numbers; 1 is the most frequent one.

    Raises:
        OSError: the file is not in the cache and could not be downloaded; says where to put it.
        ValueError: the file is broken.
    """
    return read_word_index("imdb_word_index", path)
