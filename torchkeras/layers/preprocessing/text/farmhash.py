"""FarmHash64's fingerprint of many strings at once: the numbers by which TensorFlow puts strings into bins.

The algorithm is the 64-bit fingerprint of https://github.com/google/farmhash: a formula each for strings of at most 16,
32 and 64 bytes, and a loop over blocks of 64 bytes for longer ones. Here each formula runs on all strings of its length
class; numbers are unsigned and wrap around at 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from torchkeras.layers.preprocessing.text.packed import PackedBytes

Words = np.ndarray  # of uint64

K0, K1, K2 = (np.uint64(k) for k in (0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F))
_SEED = 81
_ONE, _TWO = np.uint64(1), np.uint64(2)
_MIX = np.uint64(47)


def fingerprint64(strings: PackedBytes) -> Words:
    """The fingerprint of each string."""
    out = np.empty(len(strings), np.uint64)
    with np.errstate(over="ignore"):
        below = -1
        for limit, formula in _FORMULAS:
            rows = np.flatnonzero((strings.lengths > below) & (strings.lengths <= limit))
            if rows.size:
                out[rows] = formula(strings, strings.starts[rows], strings.lengths[rows])
            below = limit
    return out


def concatenated(first: Words, second: Words) -> Words:
    """The fingerprint of a pair, from the fingerprints of its two parts."""
    factor = np.uint64(0xC6A4A7935BD1E995)
    with np.errstate(over="ignore"):
        pair = (first ^ factor) ^ (_shift_mix(second * factor) * factor)
        return _shift_mix(_shift_mix(pair * factor) * factor)


def _rotate(x: Words, by: int) -> Words:
    return (x >> np.uint64(by)) | (x << np.uint64(64 - by))


def _shift_mix(x: Words) -> Words:
    return x ^ (x >> _MIX)


def _join(u: Words, v: Words, factor: Words) -> Words:
    """Two words made one."""
    a = _shift_mix((u ^ v) * factor)
    return _shift_mix((v ^ a) * factor) * factor


def _factor(lengths: np.ndarray) -> Words:
    return K2 + lengths.astype(np.uint64) * _TWO


def _nothing(strings: PackedBytes, at: np.ndarray, n: np.ndarray) -> Words:
    return np.full(len(at), K2)


def _to_3(strings: PackedBytes, at: np.ndarray, n: np.ndarray) -> Words:
    first, middle, last = (strings.bytes_at(at + place) for place in (0, n >> 1, n - 1))
    y = first + (middle << np.uint64(8))
    z = n.astype(np.uint64) + (last << _TWO)
    return _shift_mix((y * K2) ^ (z * K0)) * K2


def _to_7(strings: PackedBytes, at: np.ndarray, n: np.ndarray) -> Words:
    head, tail = strings.half_words(at), strings.half_words(at + n - 4)
    return _join(n.astype(np.uint64) + (head << np.uint64(3)), tail, _factor(n))


def _to_16(strings: PackedBytes, at: np.ndarray, n: np.ndarray) -> Words:
    factor = _factor(n)
    a, b = strings.words(at) + K2, strings.words(at + n - 8)
    c = _rotate(b, 37) * factor + a
    d = (_rotate(a, 25) + b) * factor
    return _join(c, d, factor)


def _to_32(strings: PackedBytes, at: np.ndarray, n: np.ndarray) -> Words:
    factor = _factor(n)
    a, b = strings.words(at) * K1, strings.words(at + 8)
    c, d = strings.words(at + n - 8) * factor, strings.words(at + n - 16) * K2
    return _join(_rotate(a + b, 43) + _rotate(c, 30) + d, a + _rotate(b + K2, 18) + c, factor)


def _to_64(strings: PackedBytes, at: np.ndarray, n: np.ndarray) -> Words:
    factor = _factor(n)
    a, b = strings.words(at) * K2, strings.words(at + 8)
    c, d = strings.words(at + n - 8) * factor, strings.words(at + n - 16) * K2
    y = _rotate(a + b, 43) + _rotate(c, 30) + d
    z = _join(y, a + _rotate(b + K2, 18) + c, factor)
    e, f = strings.words(at + 16) * factor, strings.words(at + 24)
    g = (y + strings.words(at + n - 32)) * factor
    h = (z + strings.words(at + n - 24)) * factor
    return _join(_rotate(e + f, 43) + _rotate(g, 30) + h, e + _rotate(f + a, 18) + g, factor)


def _four_words(strings: PackedBytes, at: np.ndarray, a: Words, b: Words) -> tuple[Words, Words]:
    """Two words made of 32 bytes and two seeds."""
    w, x, y, z = (strings.words(at + place) for place in (0, 8, 16, 24))
    a = a + w
    b = _rotate(b + a + z, 21)
    c = a
    a = a + x + y
    return a + z, b + _rotate(a, 44) + c


State = tuple[Words, Words, Words, tuple[Words, Words], tuple[Words, Words]]


def _block(strings: PackedBytes, at: np.ndarray, state: State, factor: Words | np.uint64, last: bool) -> State:
    """Take a block of 64 bytes into the state; the last one counts some words ninefold."""
    x, y, z, v, w = state
    times = np.uint64(9 if last else 1)
    x = _rotate(x + y + v[0] + strings.words(at + 8), 37) * factor
    y = _rotate(y + v[1] + strings.words(at + 48), 42) * factor
    x = x ^ (w[1] * times)
    y = y + v[0] * times + strings.words(at + 40)
    z = _rotate(z + w[0], 33) * factor
    v = _four_words(strings, at, v[1] * factor, x + w[0])
    w = _four_words(strings, at + 32, z + w[1], y + strings.words(at + 16))
    return z, y, x, v, w


def _beyond_64(strings: PackedBytes, at: np.ndarray, n: np.ndarray) -> Words:
    longest_first = np.argsort(-n, kind="stable")
    at, n = at[longest_first], n[longest_first]
    seed = np.uint64(_SEED)
    y = np.full(len(at), seed * K1 + np.uint64(113))
    z = _shift_mix(y * K2 + np.uint64(113)) * K2
    zero = np.zeros(len(at), np.uint64)
    state: State = (seed * K2 + strings.words(at), y, z, (zero, zero.copy()), (zero.copy(), zero.copy()))
    blocks = (n - 1) // 64
    for block in range(int(blocks[0])):  # of the strings that have so many, which come first
        active = int(np.searchsorted(-blocks, -block, side="left"))
        new = _block(strings, at[:active] + 64 * block, _heads(state, active), K1, False)
        if active == len(at):
            state = new
        else:
            _assign(state, new, active)
    x, y, z, v, w = state
    factor = K1 + ((z & np.uint64(0xFF)) << _ONE)
    w = (w[0] + ((n - 1) & 63).astype(np.uint64), w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x, y, z, v, w = _block(strings, at + n - 64, (x, y, z, v, w), factor, True)
    left = _join(v[0], w[0], factor) + _shift_mix(y) * K0 + z
    out = np.empty(len(at), np.uint64)
    out[longest_first] = _join(left, _join(v[1], w[1], factor) + x, factor)
    return out


def _heads(state: State, number: int) -> State:
    """The state of the first strings."""
    x, y, z, v, w = state
    return x[:number], y[:number], z[:number], (v[0][:number], v[1][:number]), (w[0][:number], w[1][:number])


def _assign(state: State, new: State, active: int) -> None:
    for old, part in zip((*state[:3], *state[3], *state[4]), (*new[:3], *new[3], *new[4])):
        old[:active] = part


_FORMULAS: tuple[tuple[float, Callable[[PackedBytes, np.ndarray, np.ndarray], Words]], ...] = (
    (0, _nothing),
    (3, _to_3),
    (7, _to_7),
    (16, _to_16),
    (32, _to_32),
    (64, _to_64),
    (np.inf, _beyond_64),
)
