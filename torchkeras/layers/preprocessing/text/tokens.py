"""Texts to tokens: standardized, split and joined to n-grams, as bytes in UTF-8."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from torchkeras.core.tensors.strings import as_bytes, as_text, string_array

Standardize = str | Callable[[np.ndarray], Any] | None
Split = str | Callable[[np.ndarray], Any] | None

STANDARDIZE = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
SPLIT = ("whitespace", "character")

# Letters and punctuation of ASCII alone: the bytes of others stay as they are.
_LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
_PUNCTUATION = string.punctuation.encode()
# A byte that occurs in no UTF-8: all texts of a batch are worked on as one.
_BETWEEN = b"\xff"


class Tokens(NamedTuple):
    """The tokens of a batch of texts.

    `shape` is that of the texts. Without `lengths` each text is one token.
    """

    flat: list[bytes]
    lengths: np.ndarray | None
    shape: tuple[int, ...]


def standardized(texts: np.ndarray, how: Standardize, encoding: str, owner: str) -> tuple[list[bytes], tuple[int, ...]]:
    """The texts in lower case or without punctuation, as bytes, and their shape.

    Raises:
        ValueError: a text is not in that encoding.
    """
    if callable(how):
        words = np.array(as_text(texts, encoding, owner), dtype=str).reshape(texts.shape)
        texts = string_array(how(words), f"The result of {owner}'s `standardize`")
        how = None
    flat = as_bytes(texts, owner) if texts.dtype.kind == "U" else [t.encode() for t in as_text(texts, encoding, owner)]
    if how is not None and flat:
        table = _LOWER if how.startswith("lower") else None
        gone = _PUNCTUATION if how.endswith("punctuation") else b""
        flat = _BETWEEN.join(flat).translate(table, gone).split(_BETWEEN)
    return flat, texts.shape


def split_texts(flat: list[bytes], shape: tuple[int, ...], how: Split, owner: str) -> Tokens:
    """The texts cut into tokens.

    Raises:
        ValueError: there are several texts in a row.
    """
    if how is None:
        return Tokens(flat, None, shape)
    if len(shape) > 1:
        if shape[-1] != 1:
            raise ValueError(
                f"When using `{owner}` to tokenize strings, the input rank must be 1 or the last shape dimension must "
                f"be 1. Received: inputs.shape={shape} with rank={len(shape)}"
            )
        shape = shape[:-1]
    if how == "whitespace":
        rows: list[list[bytes]] = [text.split() for text in flat]
    elif how == "character":
        rows = [[letter.encode() for letter in text.decode()] for text in flat]
    else:
        words = np.array([text.decode() for text in flat], dtype=str).reshape(shape)
        rows = [_row(row, owner) for row in how(words if shape else words[None])]  # type: ignore[operator]
    return Tokens(list(chain.from_iterable(rows)), np.fromiter(map(len, rows), np.int64, len(rows)), shape)


def _row(row: Any, owner: str) -> list[bytes]:
    array = string_array(row, f"The result of {owner}'s `split`") if len(row) else np.empty(0, object)
    return as_bytes(array, owner)


def joined(tokens: Tokens, widths: Sequence[int]) -> Tokens:
    """The n-grams of each row, first those of the first width."""
    flat, lengths, shape = tokens
    if lengths is None:  # rows of texts that are tokens already
        width = shape[-1] if shape else 1
        lengths = np.full(len(flat) // width if width else 0, width, np.int64)
        shape = shape[:-1]
    ends = np.cumsum(lengths).tolist()
    rows = [_ngrams(flat[start:end], widths) for start, end in zip([0, *ends], ends)]
    return Tokens(list(chain.from_iterable(rows)), np.fromiter(map(len, rows), np.int64, len(rows)), shape)


def _ngrams(row: list[bytes], widths: Sequence[int]) -> list[bytes]:
    found: list[bytes] = []
    if isinstance(widths, range):  # a row has no n-grams longer than itself, however many are asked for
        widths = range(widths.start, min(widths.stop, len(row) + 1))
    for width in widths:
        if width == 1:
            found += row
        else:
            found += map(b" ".join, zip(*(row[place:] for place in range(width))))
    return found


def padded(numbers: np.ndarray, lengths: np.ndarray, width: int | None, fill: int) -> np.ndarray:
    """Rows of different lengths as a matrix.

    Args:
        numbers: the rows one behind another.
        lengths: the length of each row.
        width: columns; longer rows are cut. `None`: as many as the longest row has.
        fill: behind the end of a row.
    """
    columns = int(lengths.max(initial=0)) if width is None else width
    matrix = np.full((len(lengths), columns), fill, numbers.dtype)
    column = np.arange(len(numbers)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = column < columns
    row = np.repeat(np.arange(len(lengths)), lengths)
    matrix[row[kept], column[kept]] = numbers[kept]
    return matrix
