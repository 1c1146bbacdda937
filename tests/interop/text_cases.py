"""Layers that take strings, and inputs for them: rows that `record_text.py` runs in Keras and `test_text.py` here."""

from __future__ import annotations

import random

_WORDS = ["apple", "Été", "zoo", "", "a", "日本", "x" * 70, "y" * 200, "naïve café", "[UNK]"]
_TEXTS = ["The quick, brown fox!", "", "the the THE", "É-tude  à\tdeux\n", "a\xa0b\x1cc\x0bd", "don't stop; 1 2 3"]
_random = random.Random(7)
_MANY = ["".join(_random.choices("abcdefghijk éß日", k=length)) for length in range(150)]
_INTEGERS = [0, 1, -1, 5, 7, 12345678901234, -(2**62), 2**62, 9, 10, 11]

# (class, arguments, data for adapt, inputs)
CASES: list[tuple[str, dict, object, object]] = [
    *[("Hashing", {"num_bins": bins}, None, _MANY) for bins in (1, 7, 2**40)],
    *[("Hashing", {"num_bins": 2**40, "salt": salt}, None, _MANY) for salt in (1, [133, 137], [-5, 2**62])],
    ("Hashing", {"num_bins": 1000, "mask_value": ""}, None, [[w] for w in _WORDS]),
    ("Hashing", {"num_bins": 1000, "mask_value": 5}, None, _INTEGERS),
    *[
        ("Hashing", {"num_bins": 4, "output_mode": mode}, None, [["a", "b"], ["c", "a"]])
        for mode in ("one_hot", "multi_hot", "count")
    ],
    ("Hashing", {"num_bins": 4, "output_mode": "one_hot"}, None, [["a"], ["b"]]),
    ("HashedCrossing", {"num_bins": 2**40}, None, (_WORDS, list(range(10)))),
    ("HashedCrossing", {"num_bins": 2**40}, None, (_WORDS, list(range(10)), _WORDS[::-1])),
    ("HashedCrossing", {"num_bins": 9, "output_mode": "one_hot"}, None, ([["a"], ["b"]], [[-3], [2**40]])),
    *[
        ("StringLookup", {"vocabulary": ["a", "zoo", "日本"], "output_mode": mode, **more}, None, inputs)
        for mode in ("int", "one_hot", "multi_hot", "count")
        for more in ({}, {"mask_token": ""}, {"num_oov_indices": 3}, {"max_tokens": 9, "pad_to_max_tokens": True})
        for inputs in (_WORDS, [[w] for w in _WORDS], [_WORDS[:5], _WORDS[5:]])
    ],
    ("StringLookup", {"vocabulary": ["a"], "num_oov_indices": 5, "salt": [3, 9]}, None, _MANY),
    (
        "StringLookup",
        {"vocabulary": ["a", "b"], "output_mode": "tf_idf", "idf_weights": [0.5, 0.25]},
        None,
        [["a", "z"]],
    ),
    (
        "StringLookup",
        {"output_mode": "tf_idf"},
        [["a", "b"], ["a", "a"], ["c", "é"]],
        [["a", "b", "b"], ["z", "é", "a"]],
    ),
    ("StringLookup", {"max_tokens": 3}, ["b", "a", "c", "a", "é", "[UNK]"], ["a", "b", "c", "é"]),
    ("StringLookup", {"vocabulary": ["a", "b"], "invert": True, "mask_token": ""}, None, [0, 1, 2, 3, 9]),
    *[
        ("IntegerLookup", {"vocabulary": [5, 7, -1], "output_mode": mode, **more}, None, inputs)
        for mode in ("int", "one_hot", "multi_hot", "count")
        for more in (
            {},
            {"mask_token": 0},
            {"num_oov_indices": 3},
            {"num_oov_indices": 3, "oov_method": "farmhash"},
            {"num_oov_indices": 3, "oov_method": "farmhash", "salt": 4},
        )
        for inputs in (_INTEGERS, [_INTEGERS[:5], _INTEGERS[5:10]])
    ],
    ("IntegerLookup", {}, [3, 3, 1, 2, -1, 12345678901234], [[3, 2], [1, -1]]),
    ("IntegerLookup", {"output_mode": "tf_idf"}, [[1, 2], [1, 1], [7, 1]], [[1, 2], [9, 7]]),
    ("IntegerLookup", {"vocabulary": [5, 7], "invert": True, "mask_token": 0}, None, [[0, 1], [2, 9]]),
    *[
        ("TextVectorization", {"standardize": how, "split": split, "ngrams": ngrams}, _TEXTS, _TEXTS[::-1])
        for how in ("lower_and_strip_punctuation", "lower", "strip_punctuation", None)
        for split in ("whitespace", "character", None)
        for ngrams in (None, 2, (1, 3))
    ],
    *[
        ("TextVectorization", {"output_mode": mode, "max_tokens": 8, "pad_to_max_tokens": pad}, _TEXTS, _TEXTS)
        for mode in ("multi_hot", "count", "tf_idf")
        for pad in (False, True)
    ],
    ("TextVectorization", {"output_sequence_length": 3}, _TEXTS, _TEXTS),
    ("TextVectorization", {"output_sequence_length": 3, "vocabulary": ["the", "fox"]}, None, [[t] for t in _TEXTS]),
    ("TextVectorization", {"output_sequence_length": 3, "vocabulary": ["the"]}, None, "the fox"),
    ("TextVectorization", {"split": None, "output_sequence_length": 2, "vocabulary": ["a"]}, None, [["a", "b", "a"]]),
    ("TextVectorization", {"split": None, "output_mode": "count", "vocabulary": ["a"]}, None, [["a", "b", "a"]]),
]
