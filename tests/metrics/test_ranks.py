"""Metrics of two gloo ranks, each with its share of the rows, are those of one process: state and result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.distributed.launch import results
from tests.interop.metric_cases import METRICS
from tests.metrics import rank_cases

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    seed = int.from_bytes(np.random.bytes(3), "little")
    ranks, _ = results(tmp_path_factory.mktemp("ranks"), Path(rank_cases.__file__), seed, ranks=2)
    return ranks, rank_cases.run(seed)


@pytest.mark.parametrize("row", METRICS)
def test_two_ranks_are_one_process(row, found):
    ranks, alone = found
    for rank in ranks:
        assert len(rank[row]["state"]) == len(alone[row]["state"]) > 0
        for own, whole in zip(rank[row]["state"], alone[row]["state"], strict=True):
            np.testing.assert_allclose(own, whole, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(rank[row]["result"], alone[row]["result"], rtol=1e-4, atol=1e-5)
