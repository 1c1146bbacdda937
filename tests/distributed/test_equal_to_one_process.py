"""One script on one process and on two ranks: the same losses, metrics, weights and predictions."""

from __future__ import annotations

import numpy as np
import pytest

from tests.distributed import equal_cases, jit_cases, strategy_cases

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", equal_cases.CASES)
def test_equal(run, name):
    for rank in run.ranks:
        assert_close(rank["equal"][name], run.alone["equal"][name], name, run.seed)


@pytest.mark.parametrize("strategy", ["model", "sharded"])
@pytest.mark.parametrize("name", equal_cases.UNDER_DISTRIBUTIONS)
def test_equal_under_a_distribution(run, strategy, name):
    for rank in run.ranks:
        assert_close(rank[f"equal: {strategy}"][name], run.alone["equal"][name], name, run.seed)


@pytest.mark.parametrize("strategy", ["data", "model", "sharded"])
@pytest.mark.parametrize("name", strategy_cases.CASES)
def test_strategies(run, strategy, name):
    for rank in run.ranks:
        assert_close(rank[f"strategies: {strategy}"][name], run.alone["strategies"][name], name, run.seed)


@pytest.mark.parametrize("strategy", ["model", "hybrid"])
@pytest.mark.parametrize("name", strategy_cases.ON_FOUR_RANKS)
def test_meshes_of_two_axes(run, four, strategy, name):
    for rank in four:
        assert_close(rank[strategy][name], run.alone["strategies"][name], name, run.seed)


@pytest.mark.parametrize("strategy", jit_cases.UNDER)
def test_compiled_under_a_strategy(run, strategy):
    for rank in run.ranks:
        for name, case in rank["compiled"][strategy].items():
            assert_close(case["result"], run.alone["compiled"][name]["result"], name, run.seed)
            assert case["graphs"] > 0
            assert not case["logged"], "each function is one graph, and compiled once"


def test_sharded_is_whole(run):
    for rank in run.ranks:
        assert_close(rank["sharded"], run.alone["sharded"], "sharded", run.seed)
    files = ["1.keras", "2.keras", "3.keras", "model.keras"]
    assert sorted(path.name for path in run.folder.glob("*.keras")) == files


def assert_close(got, expected, name, seed):
    differences = dict(compare(got, expected, name))
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
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
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
