"""Run by `doctor` on several processes: they sum a tensor, and rank 0 prints how fast."""

from __future__ import annotations

import time
from datetime import timedelta

import torch
from torch import distributed

NUMBERS = 4_000_000
ROUNDS = 5


def main() -> None:
    """Sum a tensor over the processes a few times; rank 0 prints the seconds of one sum."""
    distributed.init_process_group("gloo", timeout=timedelta(seconds=30))
    tensor = torch.ones(NUMBERS)
    distributed.all_reduce(tensor)
    if not bool((tensor == distributed.get_world_size()).all()):
        raise RuntimeError("The sum over the processes is wrong.")
    begin = time.perf_counter()
    for _ in range(ROUNDS):
        distributed.all_reduce(tensor)
    if distributed.get_rank() == 0:
        print((time.perf_counter() - begin) / ROUNDS)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
