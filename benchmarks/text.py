"""Layers that take strings and categories: million rows per second in one thread; writes results/text.md.

    python benchmarks/text.py [--only Hashing] [--rounds 7] [--rows 100000]

Keras on torch computes these layers by TensorFlow and refuses to make them without it: it is timed where TensorFlow is
installed beside torch, with one thread, too. Beside
`StringLookup` stands a dict's `get` on each string, beside `TextVectorization` a plain loop of Python that does the
same (lower, remove punctuation, split, look up, pad), as one writes them by hand.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

os.environ["KERAS_BACKEND"] = "torch"
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")

import keras
import numpy as np
import torch

import torchkeras
from timing import Run, best_times

RESULTS = Path(__file__).resolve().parent / "results"
VOCABULARY = 10_000
WORDS_PER_TEXT = 20


class Row(NamedTuple):
    """A layer: its data, how a library makes it, and a plain loop that does the same (`None`: none is timed)."""

    name: str
    data: str
    layer: Callable[[Any], Any]
    plain: Callable[[Any], object] | None = None


def words() -> list[str]:
    """Terms of 3 to 12 letters, all different."""
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    found: dict[str, None] = {}
    while len(found) < VOCABULARY:
        found["".join(rng.choice(letters, rng.integers(3, 13)))] = None
    return list(found)


TERMS = words()
NUMBERS = list(range(10, 10 * VOCABULARY + 10, 10))
INDEX = {term: number for number, term in enumerate(TERMS, 1)}
PUNCTUATION = re.compile(r"""[!-,./:-@\\[-^_`{|}~'"-]""")


def look_up(column: np.ndarray) -> torch.Tensor:
    return torch.tensor([INDEX.get(term, 0) for term in column.tolist()])


def vectorize(texts: np.ndarray) -> torch.Tensor:
    numbers = np.zeros((len(texts), WORDS_PER_TEXT), "int64")
    for row, text in enumerate(texts.tolist()):
        found = [INDEX.get(word, 0) + 1 for word in PUNCTUATION.sub("", text.lower()).split()][:WORDS_PER_TEXT]
        numbers[row, : len(found)] = found
    return torch.from_numpy(numbers)


def data(rows: int) -> dict[str, Any]:
    """Columns of which one value in ten is unknown, and texts of twenty words."""
    rng = np.random.default_rng(1)
    terms = np.array(TERMS + [f"unknown{i}" for i in range(VOCABULARY // 9)])
    strings = terms[rng.integers(0, len(terms), rows)]
    integers = 10 * rng.integers(1, VOCABULARY * 10 // 9, rows)
    picked = terms[rng.integers(0, len(terms), (rows // 10, WORDS_PER_TEXT))]
    texts = np.array([" ".join(row).capitalize() + "." for row in picked])
    return {
        "strings": strings,
        "integers": integers,
        "texts": texts,
        "pairs of strings": (strings, strings[::-1].copy()),
        "pairs of integers": (integers, integers[::-1].copy()),
    }


ROWS = [
    Row("StringLookup(vocabulary)", "strings", lambda lib: lib.layers.StringLookup(vocabulary=TERMS), look_up),
    Row(
        "StringLookup(vocabulary, num_oov_indices=4)",
        "strings",
        lambda lib: lib.layers.StringLookup(vocabulary=TERMS, num_oov_indices=4),
    ),
    Row("IntegerLookup(vocabulary)", "integers", lambda lib: lib.layers.IntegerLookup(vocabulary=NUMBERS)),
    Row("Hashing(1000)", "strings", lambda lib: lib.layers.Hashing(1000)),
    Row("Hashing(1000, salt=1)", "strings", lambda lib: lib.layers.Hashing(1000, salt=1)),
    Row("Hashing(1000)", "integers", lambda lib: lib.layers.Hashing(1000)),
    Row("Hashing(1000, salt=1)", "integers", lambda lib: lib.layers.Hashing(1000, salt=1)),
    Row("HashedCrossing(1000)", "pairs of strings", lambda lib: lib.layers.HashedCrossing(1000)),
    Row("HashedCrossing(1000)", "pairs of integers", lambda lib: lib.layers.HashedCrossing(1000)),
    Row(
        f"TextVectorization(vocabulary, output_sequence_length={WORDS_PER_TEXT})",
        "texts",
        lambda lib: lib.layers.TextVectorization(vocabulary=TERMS, output_sequence_length=WORDS_PER_TEXT),
        vectorize,
    ),
    Row(
        f"TextVectorization(vocabulary, ngrams=2, output_sequence_length={2 * WORDS_PER_TEXT})",
        "texts",
        lambda lib: lib.layers.TextVectorization(vocabulary=TERMS, ngrams=2, output_sequence_length=2 * WORDS_PER_TEXT),
    ),
]


def runs_of(row: Row, values: Any) -> dict[str, Run]:
    mine = row.layer(torchkeras)
    runs: dict[str, Run] = {"torchkeras": lambda: mine(values)}
    try:
        theirs = row.layer(keras)
    except ImportError:  # Keras asks for TensorFlow
        pass
    else:
        runs["Keras"] = lambda: theirs(values)
    if row.plain is not None:
        runs["Python"] = lambda: row.plain(values)
    return runs


def tensorflow_version() -> str:
    for name in ("tensorflow", "tensorflow-cpu"):
        with suppress(PackageNotFoundError):
            return f"version {version(name)}"
    return "not installed here"


def line_of(row: Row, count: int, times: dict[str, float]) -> str:
    speeds = {name: f"{count / seconds / 1e6:.3f}" for name, seconds in times.items()}
    return (
        f"| {row.name} | {count} {row.data} | {speeds['torchkeras']} | {speeds.get('Keras', 'needs TensorFlow')} "
        f"| {speeds.get('Python', '')} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    columns = data(options.rows)
    np.testing.assert_array_equal(ROWS[0].layer(torchkeras)(columns["strings"]), look_up(columns["strings"]))
    vectorization = torchkeras.layers.TextVectorization(vocabulary=TERMS, output_sequence_length=WORDS_PER_TEXT)
    np.testing.assert_array_equal(vectorization(columns["texts"]), vectorize(columns["texts"]))
    lines = []
    for row in ROWS:
        if options.only in row.name:
            values = columns[row.data]
            count = len(values[0]) if isinstance(values, tuple) else len(values)
            lines.append(line_of(row, count, best_times(runs_of(row, values), options.rounds)))
            print(lines[-1], flush=True)
    if options.only:
        return
    heading = f"""# Layers that take strings and categories

{date.today()}, {platform.machine()}, one CPU thread, torch {torch.__version__}, Keras {keras.__version__} on torch.
Million rows per second, the best of {options.rounds} rounds, each one call. The vocabulary has {VOCABULARY:,} terms
of 3 to 12 letters, each several times in a column; one value in ten is not in it. A text has {WORDS_PER_TEXT} words.
Keras on torch computes these layers by TensorFlow ({tensorflow_version()}) and can't make them without it;
torchkeras needs torch and NumPy alone. "Python" is a dict's `get` for each string, and a plain loop for texts.

| layer | data of a call | torchkeras | Keras | Python |
|---|---|---|---|---|
"""
    RESULTS.joinpath("text.md").write_text(heading + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
