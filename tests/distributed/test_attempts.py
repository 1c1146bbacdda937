"""Processes that torchrun starts again share a store with those before, and must not read their words."""

from __future__ import annotations

import threading
import time

import pytest
from torch import distributed

from torchkeras.distributed import attempts


def agreed(store, size, late=None, missing=()):
    """The parts of the store that so many processes, as threads, agree on; errors in their places."""
    found = [None] * size

    def process(rank):
        if rank == late:
            time.sleep(0.05)
        try:
            found[rank] = attempts.agreed_part(store, rank, size, 0.3 if missing else 20.0)
        except RuntimeError as error:
            found[rank] = error

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(size) if rank not in missing]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_each_attempt_has_words_of_its_own():
    store = distributed.HashStore()
    for late in (None, 0, 2):
        parts = agreed(store, 3, late)
        assert not parts[0].check(["word"]), "nothing is left of the attempts before"
        parts[0].set("word", str(late))
        assert all(part.get("word") == str(late).encode() for part in parts)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_process_that_does_not_come_is_not_taken_for_the_one_before(missing):
    store = distributed.HashStore()
    agreed(store, 2)
    left = agreed(store, 2, missing=[missing])[1 - missing]
    assert "did not find each other" in str(left)


@pytest.mark.parametrize("machines, restarts, is_new", [("1", "0", False), ("1", "2", True), ("2", "0", True)])
def test_a_store_of_torchrun_is_parted(monkeypatch, machines, restarts, is_new):
    store = distributed.HashStore()
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)
    assert attempts.part_of_attempt(store, 0, 1, 5.0) is store
    for name, value in (("USE_AGENT_STORE", "True"), ("RESTART_COUNT", restarts)):
        monkeypatch.setenv(f"TORCHELASTIC_{name}", value)
    monkeypatch.setenv("GROUP_WORLD_SIZE", machines)
    assert (attempts.part_of_attempt(store, 0, 1, 5.0) is not store) == is_new
