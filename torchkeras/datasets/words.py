"""Texts as lists of word numbers: the common part of IMDB and Reuters."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from torchkeras.datasets.sources import fetch

Texts = list[list[int]]


def shift(texts: Sequence[Sequence[int]], start_char: int | None, index_from: int | None) -> Texts:
    """Make room for special numbers: add `index_from` to each word, and put `start_char` before each text."""
    if start_char is not None:
        return [[start_char, *(word + (index_from or 0) for word in text)] for text in texts]
    if index_from:
        return [[word + index_from for word in text] for text in texts]
    return [list(text) for text in texts]


def keep_short(texts: Texts, labels: np.ndarray, maxlen: int) -> tuple[Texts, np.ndarray]:
    """The texts of fewer than `maxlen` words, with their labels.

    Raises:
        ValueError: there are none.
    """
    kept = [i for i, text in enumerate(texts) if len(text) < maxlen]
    if not kept:
        raise ValueError(
            f"After filtering for sequences shorter than maxlen={maxlen}, no sequence was kept. Increase maxlen."
        )
    return [texts[i] for i in kept], labels[kept]


def limit(texts: Texts, num_words: int, skip_top: int, oov_char: int | None) -> Texts:
    """Only words numbered from `skip_top` to `num_words - 1`; others become `oov_char`, or go if that is `None`."""
    if oov_char is None:
        return [[word for word in text if skip_top <= word < num_words] for text in texts]
    return [[word if skip_top <= word < num_words else oov_char for word in text] for text in texts]


def as_array(texts: Texts) -> np.ndarray:
    """An array of objects, each of them a list."""
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


def read_word_index(name: str, path: str) -> dict[str, int]:
    """The number of each word, from a data set's JSON file.

    Raises:
        ValueError: the file is broken.
    """
    file = fetch(name, path)
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no word index that can be read: {error}") from error
