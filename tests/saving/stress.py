"""How often a test tries something at random: a few times in every run, many times under `make stress`."""

from __future__ import annotations

import os


def stress_count(quick: int, full: int) -> int:
    """`full` if the environment has TORCHKERAS_STRESS=1, else `quick`."""
    return full if os.environ.get("TORCHKERAS_STRESS") == "1" else quick
