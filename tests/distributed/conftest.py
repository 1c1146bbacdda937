"""One launch on two ranks, which all tests here look at, and the same trainings in this process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.distributed import equal_cases, jit_cases, sharded, strategy_cases
from tests.distributed.launch import results


class Run(NamedTuple):
    """What two ranks and what one process found, what was printed, where files are."""

    ranks: list[dict]
    alone: dict
    printed: str
    folder: Path
    seed: int


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Run:
    folder, other = (tmp_path_factory.mktemp(name) for name in ("two", "one"))
    seed = _seed()
    ranks, printed = results(folder, Path(__file__).parent / "worker.py", seed, ranks=2)
    alone = {"equal": equal_cases.run(seed), "sharded": sharded.run(other, seed)}
    alone["compiled"] = jit_cases.run(seed)
    alone["strategies"] = strategy_cases.run(seed, "alone")
    return Run(ranks, alone, printed, folder, seed)


@pytest.fixture(scope="session")
def four(tmp_path_factory, run) -> list[dict]:
    """What each of four ranks found, with the seed of `run`."""
    return results(tmp_path_factory.mktemp("four"), Path(__file__).parent / "worker_of_four.py", run.seed, ranks=4)[0]


def _seed() -> int:
    given = os.environ.get("TORCHKERAS_TEST_SEED")
    return int(given) if given else int.from_bytes(os.urandom(3), "little")
