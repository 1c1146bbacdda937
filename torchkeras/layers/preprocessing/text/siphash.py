"""SipHash-2-4 of many strings at once: a hash with a key (Aumasson and Bernstein, 2012)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torchkeras.layers.preprocessing.text.packed import PackedBytes

State = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

# "somepseudorandomlygeneratedbytes", as four words.
_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
_ALL = (1 << 64) - 1


def siphash64(strings: PackedBytes, key: Sequence[int]) -> np.ndarray:
    """The hash of each string, as uint64.

    Args:
        strings: the strings.
        key: two integers, of which the lowest 64 bits count.
    """
    longest_first = np.argsort(-strings.lengths, kind="stable")
    at, n = strings.starts[longest_first], strings.lengths[longest_first]
    words = n // 8
    state = tuple(
        np.full(len(n), (start ^ part) & _ALL, np.uint64) for start, part in zip(_START, (*key, *key), strict=True)
    )
    out = np.empty(len(n), np.uint64)
    with np.errstate(over="ignore"):
        for word in range(int(words[0]) if len(n) else 0):
            active = int(np.searchsorted(-words, -word, side="left"))  # strings that have such a word come first
            taken = _take(tuple(part[:active] for part in state), strings.words(at[:active] + 8 * word))  # type: ignore[arg-type]
            for part, new in zip(state, taken):
                part[:active] = new
        v0, v1, v2, v3 = _take(state, _last_word(strings, at, n))  # type: ignore[arg-type]
        v0, v1, v2, v3 = _rounds((v0, v1, v2 ^ np.uint64(0xFF), v3), 4)
        out[longest_first] = v0 ^ v1 ^ v2 ^ v3
    return out


def _last_word(strings: PackedBytes, at: np.ndarray, n: np.ndarray) -> np.ndarray:
    """The bytes behind the last whole word, with the length (modulo 256) on top."""
    rest = (n & 7).astype(np.uint64)
    word = strings.words(at + (n & ~7))
    kept = word & ((np.uint64(1) << (rest * np.uint64(8))) - np.uint64(1))
    return kept | ((n & 0xFF).astype(np.uint64) << np.uint64(56))


def _take(state: State, word: np.ndarray) -> State:
    v0, v1, v2, v3 = state
    v0, v1, v2, v3 = _rounds((v0, v1, v2, v3 ^ word), 2)
    return v0 ^ word, v1, v2, v3


def _rounds(state: State, number: int) -> State:
    v0, v1, v2, v3 = state
    for _ in range(number):
        v0 = v0 + v1
        v1 = _rotate(v1, 13) ^ v0
        v0 = _rotate(v0, 32)
        v2 = v2 + v3
        v3 = _rotate(v3, 16) ^ v2
        v0 = v0 + v3
        v3 = _rotate(v3, 21) ^ v0
        v2 = v2 + v1
        v1 = _rotate(v1, 17) ^ v2
        v2 = _rotate(v2, 32)
    return v0, v1, v2, v3


def _rotate(x: np.ndarray, by: int) -> np.ndarray:
    return (x << np.uint64(by)) | (x >> np.uint64(64 - by))
