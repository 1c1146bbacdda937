"""The calls of a training step, counted exactly, against those of a plain torch loop on the same network."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

# The largest ratio allowed.
BUDGETS = {"ResNet-50": 0.8, "BERT-base": 0.7, "GPT-2": 0.7, "LSTM": 0.85}


@pytest.mark.parametrize("name", BUDGETS)
def test_a_step_makes_fewer_calls_than_the_plain_loop(name, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import launches

    network = next(one for one in launches.NETWORKS if one.name.startswith(name))
    plain = sum(launches.calls_per_step(launches.torch_epochs, network).values())
    ours = sum(launches.calls_per_step(launches.keras_epochs, network).values())
    assert ours <= BUDGETS[name] * plain
