"""A part of torchrun's store for the processes that run now, apart from those that ran before a restart.

Torchrun (2.13) gives all attempts of a job the same store, which still has the addresses of the dead processes: new
ones connect to these, and fail or wait for each other. With several machines the counts of restarts differ among them
(only the machine on which a process failed counts it), so that no number names the attempt; the processes agree on a
name.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from typing import Any

from torch import distributed

_SHORTEST, _LONGEST = 0.002, 0.1  # seconds between two looks


def part_of_attempt(store: Any, rank: int, size: int, seconds: float) -> Any:
    """The part of torchrun's store that is for the running attempt; any other store as it is.

    Args:
        store: the store of the job.
        rank: the number of this process.
        size: how many processes there are.
        seconds: how long to wait for the others.

    Raises:
        RuntimeError: not all processes came in time.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return store
    if os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
        return agreed_part(store, rank, size, seconds)
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return store if restarts == "0" else distributed.PrefixStore(f"attempt_{restarts}", store)


def agreed_part(store: Any, rank: int, size: int, seconds: float) -> Any:
    """A part of the store that these processes have for themselves.

    Each process writes a word of its own. Rank 0 makes a name of the words that it finds and offers it to each with the
    word that it took for that rank's; who finds its own word agrees. If all have, the name is good: no process that ran
    before can have agreed to it.

    Args:
        store: the store of the job.
        rank: the number of this process.
        size: how many processes there are.
        seconds: how long to wait for the others.

    Raises:
        RuntimeError: not all processes came in time.
    """
    word, offered, pause = uuid.uuid4().hex[:12], "", _SHORTEST
    mine, words = f"torchkeras/word/{rank}", [f"torchkeras/word/{other}" for other in range(size)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not store.check([mine]) or store.get(mine).decode() != word:  # one that is being stopped may write, too
            store.set(mine, word)
        if rank == 0 and store.check(words):
            found = [value.decode() for value in store.multi_get(words)]
            name = hashlib.sha256(" ".join(found).encode()).hexdigest()[:16]
            if name != offered:
                offered = name
                for other, value in enumerate(found):
                    store.set(f"torchkeras/offer/{other}", f"{value} {name}")
            if store.add(f"torchkeras/agreed/{name}", 0) == size - 1:
                store.set(f"torchkeras/good/{name}", "")
                return distributed.PrefixStore(f"attempt_{name}", store)
        elif rank and store.check([f"torchkeras/offer/{rank}"]):
            value, name = store.get(f"torchkeras/offer/{rank}").decode().split()
            if value == word and name != offered:
                offered = name
                store.add(f"torchkeras/agreed/{name}", 1)
            if value == word and store.check([f"torchkeras/good/{name}"]):
                return distributed.PrefixStore(f"attempt_{name}", store)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)
    raise RuntimeError(f"The {size} processes of the job did not find each other in the store.")
