"""One script on one process and on two ranks: the same losses, metrics, weights and predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.distributed.equal_cases import CASES
from tests.distributed.launch import results

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parent / "equal_cases.py"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("equal")
    seed = int.from_bytes(__import__("os").urandom(3), "little")
    (alone,), _ = results(folder / "one", SCRIPT, seed)
    ranks, printed = results(folder / "two", SCRIPT, seed, ranks=2)
    return alone, ranks, printed, seed


@pytest.mark.parametrize("name", CASES)
def test_equal(runs, name):
    alone, ranks, _, seed = runs
    for rank in ranks:
        differences = dict(compare(rank[name], alone[name], name))
        worst = max(differences, key=differences.get)
        assert differences[worst] < 1e-5, f"seed {seed}: {worst} differs by {differences[worst]:.2e}"


def compare(a, b, path):
    """Pairs of a place and the largest difference there, relative where numbers are over 1."""
    if isinstance(b, dict):
        assert a.keys() == b.keys(), path
        for key in b:
            yield from compare(a[key], b[key], f"{path}/{key}")
    elif isinstance(b, list) and b and isinstance(b[0], (dict, list)) and not _is_array(b):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b)):
            yield from compare(x, y, f"{path}/{i}")
    else:
        x, y = np.array(a, "float64"), np.array(b, "float64")
        assert x.shape == y.shape, path
        yield path, float((np.abs(x - y) / np.maximum(1, np.abs(y))).max()) if y.size else 0.0


def _is_array(value):
    try:
        np.array(value, "float64")
    except (TypeError, ValueError):
        return False
    return True


def test_nothing_was_said(runs):
    assert "Traceback" not in runs[2]
    assert "find_unused_parameters" not in runs[2]
