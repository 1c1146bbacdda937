"""A vocabulary: terms in an order, their numbers, and how it is counted from data and read from files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any, TypeAlias

import numpy as np

Term: TypeAlias = str | int


class Vocabulary:
    """Terms and their numbers, which begin at `start`.

    Args:
        terms: the terms in order, none of them twice.
        start: the number of the first term.
        special: other terms with numbers of their own.
    """

    def __init__(self, terms: Sequence[Term], start: int, special: dict[Term, int]) -> None:
        self.terms = list(terms)
        self.start = start
        self.special = special
        self._numbers: dict[Any, int] | None = None
        self._byte_numbers: dict[bytes, int] | None = None

    def __len__(self) -> int:
        return len(self.terms)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_numbers": None, "_byte_numbers": None}  # quicker made again than copied

    def numbers(self, items: Iterable[Term], count: int, default: int) -> np.ndarray:
        """The number of each item, or `default`, as int64.

        Args:
            items: terms and others.
            count: how many they are.
            default: number of an item that is no term.
        """
        if self._numbers is None:
            self._numbers = {**{term: number for number, term in enumerate(self.terms, self.start)}, **self.special}
        return np.fromiter(map(self._numbers.get, items, repeat(default)), np.int64, count)

    def numbers_of_bytes(self, items: Iterable[bytes], count: int, default: int) -> np.ndarray:
        """As `numbers`, for items in UTF-8."""
        if self._byte_numbers is None:
            numbers = {**{term: number for number, term in enumerate(self.terms, self.start)}, **self.special}
            self._byte_numbers = {str(term).encode("utf-8", "surrogatepass"): n for term, n in numbers.items()}
        return np.fromiter(map(self._byte_numbers.get, items, repeat(default)), np.int64, count)


class TokenCounts:
    """How often each token occurs in data, and in how many documents.

    Args:
        documents: whether documents count, too.
    """

    def __init__(self, documents: bool) -> None:
        self.tokens: Counter = Counter()
        self.in_documents: Counter | None = Counter() if documents else None
        self.num_documents = 0

    def add(self, tokens: list[Any], lengths: np.ndarray | None, decode: Callable[[Any], Any] | None = None) -> None:
        """Count the tokens of documents.

        Args:
            tokens: the tokens of all documents, one behind another.
            lengths: tokens of each document; `None` counts no documents.
            decode: turns a distinct token into the term that it counts as.
        """
        _count(self.tokens, tokens, decode)
        if self.in_documents is None or lengths is None:
            return
        ends = np.cumsum(lengths).tolist()
        distinct: list = []
        for start, end in zip([0, *ends], ends):
            distinct.extend(set(tokens[start:end]))
        _count(self.in_documents, distinct, decode)
        self.num_documents += len(ends)

    def most_frequent(self, without: set[Any], limit: int | None) -> list[Any]:
        """The tokens by falling count, ties by falling order of the tokens themselves."""
        found = sorted(((count, token) for token, count in self.tokens.items() if token not in without), reverse=True)
        return [token for _, token in (found if limit is None else found[:limit])]

    def idf(self, terms: list[Any]) -> np.ndarray:
        """The inverse document frequency of terms: `log(1 + documents / (1 + documents with the term))`."""
        counts = self.in_documents or Counter()
        with_term = np.array([counts[term] for term in terms], "float64")
        return np.log(1.0 + self.num_documents / (1.0 + with_term))


def _count(counter: Counter, tokens: list, decode: Callable[[Any], Any] | None) -> None:
    if decode is None:
        counter.update(tokens)
        return
    for token, count in Counter(tokens).items():
        counter[decode(token)] += count


def read_lines(path: str | os.PathLike[str], encoding: str) -> list[str]:
    """The lines of a vocabulary file; empty ones at the end count as none.

    Raises:
        ValueError: there is no such file, or it is not text in that encoding.
    """
    if not os.path.exists(path):
        raise ValueError(f"Vocabulary file {path} does not exist.")
    with open(path, "rb") as file:
        data = file.read()
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"A vocabulary file must be text in the encoding {encoding!r}. Received: {path}, of which line "
            f"{data[: error.start].count(10) + 1} is not ({error.reason})."
        ) from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def repeated(terms: Sequence[Any]) -> list[Any]:
    """The terms that occur more than once."""
    if len(set(terms)) == len(terms):
        return []
    return [term for term, count in Counter(terms).items() if count > 1]
