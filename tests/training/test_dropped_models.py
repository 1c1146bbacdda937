"""Models that nobody refers to are freed before another one runs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import torchkeras as keras
from torchkeras.training import dropped_models


@pytest.fixture(autouse=True)
def collections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Python's collector never starts by itself; a collection through this list is noted and done."""
    counted: list[int] = []
    thresholds = gc.get_threshold()
    collect = gc.collect

    def counting() -> int:
        counted.append(1)
        return collect()

    monkeypatch.setattr(gc, "collect", counting)
    monkeypatch.setattr(dropped_models, "_ran", weakref.WeakSet())
    monkeypatch.setattr(dropped_models, "_kept_bytes", 0)
    monkeypatch.setattr(dropped_models, "SMALL", 100)
    gc.set_threshold(0)
    yield counted
    gc.set_threshold(*thresholds)


def _model(kind: str, units: int = 64) -> Any:
    layers = [keras.layers.Dense(units), keras.layers.Dense(1)]
    if kind == "sequential":
        return keras.Sequential([keras.Input((4,)), *layers])
    if kind == "functional":
        inputs = keras.Input((4,))
        return keras.Model(inputs, layers[1](layers[0](inputs)))

    class Subclassed(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.parts = layers

        def call(self, inputs: Any) -> Any:
            return self.parts[1](self.parts[0](inputs))

    return Subclassed()


def _run(model: Any, method: str) -> None:
    x, y = np.ones((4, 4), "float32"), np.ones((4, 1), "float32")
    if method != "predict":
        model.compile("adam", "mse")
    getattr(model, method)(*([x] if method == "predict" else [x, y]), **({} if "batch" in method else {"verbose": 0}))


@pytest.mark.parametrize("kind", ["sequential", "functional", "subclassed"])
@pytest.mark.parametrize("method", ["fit", "predict", "evaluate", "train_on_batch"])
def test_a_dropped_model_is_freed_before_the_next_one_runs(kind: str, method: str) -> None:
    model = _model(kind)
    _run(model, method)
    dropped = weakref.ref(model)
    del model
    model = _model(kind)
    _run(model, method)
    assert dropped() is None


def test_models_that_live_cost_few_collections(collections: list[int]) -> None:
    models = [_model("sequential") for _ in range(24)]
    for _ in range(2):
        for model in models:
            _run(model, "predict")
    assert 0 < len(collections) < 14  # growth by a quarter: log(24) / log(1.25)


def test_small_models_and_a_collector_that_is_off_cost_none(
    collections: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    gc.disable()
    try:
        for _ in range(3):
            _run(_model("sequential"), "predict")
    finally:
        gc.enable()
    monkeypatch.setattr(dropped_models, "SMALL", 1 << 20)
    for _ in range(3):
        _run(_model("sequential"), "predict")
    assert not collections
