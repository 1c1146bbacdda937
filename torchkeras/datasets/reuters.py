"""Reuters: news of 46 kinds."""

from __future__ import annotations

import numpy as np

from torchkeras.datasets.arrays import Split, check_test_split, read_npz, shuffled
from torchkeras.datasets.sources import fetch
from torchkeras.datasets.words import as_array, keep_short, limit, read_word_index, shift

__all__ = ["get_label_names", "get_word_index", "load_data"]

_LABELS = """cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton
carcass crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi
iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead"""


def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> Split:
    """Load Reuters: 11,228 news of 46 kinds.

    Words are numbers in the order of their frequency, as in `imdb.load_data`. `get_label_names()` names the kinds.

    Args:
        path: name of the file in the cache. Default: `"reuters.npz"`.
        num_words: numbers from here on are left out. Default: `None`, all are kept.
        skip_top: numbers below are left out. Default: `0`.
        maxlen: news of this many words or more are left out. Default: `None`.
        test_split: share of the rows for testing. Default: `0.2`.
        seed: seed of the order of the news. Default: `113`.
        start_char: number before each text; `None` for none. Default: `1`.
        oov_char: number in the place of a word left out; `None` drops the word. Default: `2`.
        index_from: added to the number of each word. Default: `3`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, NumPy arrays: news, lists of numbers in an array of objects, and kinds
        `(rows,)`, 0 to 45.

    Raises:
        ValueError: no text is short enough, `test_split` is not in `[0, 1)`, or the file is broken.
        OSError: the file is not in the cache and could not be downloaded; says where to put it.
    """
    check_test_split(test_split)
    x, labels = shuffled(seed, *read_npz(fetch("reuters", path), "x", "y"))
    texts = shift(x, start_char, index_from)  # type: ignore[arg-type]
    if maxlen:
        texts, labels = keep_short(texts, labels, maxlen)
    if not num_words:
        num_words = max(max(text) for text in texts)
    texts = limit(texts, num_words, skip_top, oov_char)
    rows = int(len(texts) * (1 - test_split))
    return (as_array(texts[:rows]), np.array(labels[:rows])), (as_array(texts[rows:]), np.array(labels[rows:]))


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """Load the number of each word of Reuters.

    `load_data` adds `index_from` to these numbers.

    Args:
        path: name of the file in the cache. Default: `"reuters_word_index.json"`.

    Returns:
        A dict from words to numbers; 1 is the most frequent one.

    Raises:
        OSError: the file is not in the cache and could not be downloaded; says where to put it.
        ValueError: the file is broken.
    """
    return read_word_index("reuters_word_index", path)


def get_label_names() -> tuple[str, ...]:
    """Return the names of the 46 kinds of news, in the order of their numbers.

    Returns:
        A tuple of strings.

    Example:
        >>> keras.datasets.reuters.get_label_names()[:3]
        ('cocoa', 'grain', 'veg-oil')
    """
    return tuple(_LABELS.split())
