"""Strings as data: they stay on the host, in NumPy arrays of `str` or `bytes`, until a layer makes numbers of them."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

_STRING_KINDS = "UST"  # fixed width text, fixed width bytes, NumPy's variable width text


def is_string_array(value: object) -> bool:
    """Whether a value is a NumPy array of strings or bytes; of an array of objects, the first that is not missing."""
    if not isinstance(value, (np.ndarray, np.generic)):
        return False
    kind = value.dtype.kind
    if kind != "O":
        return kind in _STRING_KINDS
    first = next((item for item in np.asarray(value).flat if not is_missing(item)), None)
    return isinstance(first, (str, bytes))


def is_missing(value: object) -> bool:
    """Whether a value stands for none: `None`, NaN, pandas' `NA`."""
    if value is None or value is np.ma.masked:
        return True
    if isinstance(value, (str, bytes)):
        return False
    try:
        return bool(value != value)
    except TypeError:  # pandas' NA has no truth value
        return True
    except ValueError:  # an array has several
        return False


def holds_strings(value: object) -> bool:
    """Whether a value is a string, or a list or tuple (of lists and tuples) that begins with one."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (str, bytes, np.str_, np.bytes_))


def string_array(value: Any, owner: str) -> np.ndarray:
    """The strings of a value as one array of `str` and `bytes`.

    Args:
        value: a string, (nested) lists of them, an array, or a column of pandas, pyarrow or Polars.
        owner: the layer or the input that takes them, for messages.

    Raises:
        TypeError: an element is no string.
        ValueError: an element is missing (`None`, NaN), or rows have different lengths.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in _STRING_KINDS:
        return value.astype(object) if value.dtype.kind == "T" else value
    try:
        array = np.asarray(value, dtype=object)
    except ValueError as error:
        raise ValueError(f"{owner} takes rows of strings that all have the same length. {error}") from error
    wrong = next((item for item in array.flat if not isinstance(item, (str, bytes))), None)
    if wrong is None and not any(item is None for item in array.flat):
        return array
    if isinstance(wrong, (list, tuple)):
        raise ValueError(
            f"{owner} takes rows of strings that all have the same length; received rows of "
            f"{sorted({len(row) for row in array.flat if isinstance(row, (list, tuple))})} strings. Pad the shorter "
            f"ones."
        )
    if is_missing(wrong):
        places = [place for place, item in enumerate(array.flat) if is_missing(item)]
        name = getattr(value, "name", None)
        column = f" in column {name!r}" if isinstance(name, str) else ""
        raise ValueError(
            f"{owner} takes strings without missing values. Received: {len(places)} of {array.size} values{column} are "
            f"missing (the first at {places[:5]}). Fill them first, for example with ''."
        )
    raise TypeError(
        f"{owner} takes strings. Received: {wrong!r} (of type {type(wrong).__name__}) in an array of shape "
        f"{array.shape}. Convert numbers with `str`, or use a layer for numbers, such as IntegerLookup."
    )


def lists_to_arrays(value: Any, owner: str) -> Any:
    """Data with arrays in the place of strings and lists of strings.

    A list (of lists) that begins with a string is one array, a tuple of strings, too; a tuple of lists stays a tuple of
    several arrays, as do dicts.
    """
    if isinstance(value, (str, bytes)):
        return string_array(value, owner)
    if isinstance(value, dict):
        return type(value)({key: lists_to_arrays(item, owner) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        if (
            value
            and holds_strings(value if isinstance(value, list) else value[0])
            and (isinstance(value, list) or isinstance(value[0], (str, bytes)))
        ):
            return string_array(value, owner)
        items = [lists_to_arrays(item, owner) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def as_text(array: np.ndarray, encoding: str, owner: str) -> list[str]:
    """The elements of an array of strings as a flat list of `str`.

    Raises:
        ValueError: bytes that are not text in that encoding.
    """
    items = array.ravel().tolist()
    if array.dtype.kind == "U" or bytes not in set(map(type, items)):
        return items
    try:
        return [item.decode(encoding) if isinstance(item, bytes) else item for item in items]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{owner} takes text in the encoding {encoding!r}. Received: {_not_text(items, encoding)}"
        ) from error


def _not_text(items: list, encoding: str) -> str:
    for place, item in enumerate(items):
        try:
            if isinstance(item, bytes):
                item.decode(encoding)
        except UnicodeDecodeError as error:
            return (
                f"{item[:60]!r} as element {place} ({error.reason} at byte {error.start}). Give the right `encoding`."
            )
    return "bytes that are not"


def as_bytes(array: np.ndarray, owner: str) -> list[bytes]:
    """The elements of an array of strings as a flat list of bytes: text in UTF-8, bytes as they are.

    Raises:
        ValueError: text with surrogates, which UTF-8 can't hold.
    """
    items = array.ravel().tolist()
    if array.dtype.kind == "S":
        return items
    try:
        return [item.encode() if isinstance(item, str) else item for item in items]
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{owner} takes text that UTF-8 can hold. Received: {error.object[:60]!r} ({error.reason})."
        ) from error


def flattened(rows: list[Any]) -> tuple[list[Any], np.ndarray]:
    """The elements of a list of lists, and the length of each list."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return list(chain.from_iterable(rows)), lengths
