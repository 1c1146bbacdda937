"""Callbacks that measure a training: traces, times of the parts, operations, memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import torchkeras as keras

L = keras.layers


def make():
    layers = [L.Dense(3, activation="relu", name="first"), torch.nn.Linear(3, 3), L.Dense(1, name="last")]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile("adam", "mse")
    return model


def fit(model, *callbacks, **options):
    x, y = np.ones((10, 4), "float32"), np.ones((10, 1), "float32")
    return model.fit(x, y, batch_size=2, verbose=0, callbacks=list(callbacks), **options).history


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize("first, batches, last", [(2, 2, 3), (4, 99, 10)])
def test_the_trace_has_the_layers_of_the_chosen_batches(first, batches, last, tmp_path):
    model = make()
    profiler = keras.callbacks.ProfilerCallback(tmp_path / "traces", first, batches)
    fit(model, profiler, epochs=2)
    (file,) = (tmp_path / "traces").iterdir()
    assert str(file) == profiler.trace_file and file.name == f"trace_batches_{first}_to_{last}.json"
    events = json.loads(file.read_text())["traceEvents"]
    names = [str(event.get("name")).split("/")[-1] for event in events if event.get("cat") == "user_annotation"]
    recorded = last - first + 1
    assert [names.count(layer) for layer in ("first", "last")] == [recorded, recorded]
    assert "last" in profiler.summary
    assert hooks(model) == 0


def test_no_batch_no_trace(tmp_path):
    profiler = keras.callbacks.ProfilerCallback(tmp_path, first_batch=50)
    fit(make(), profiler)
    assert profiler.trace_file is None and not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="at least 1"):
        keras.callbacks.ProfilerCallback(first_batch=0)


def test_the_parts_of_a_step_add_up_and_the_training_is_the_same(monkeypatch):
    from torchkeras.callbacks import step_times

    clock = iter(range(10**6))
    monkeypatch.setattr(step_times.time, "perf_counter", lambda: float(next(clock)))
    plain, timed = make(), make()
    timed.set_weights(plain.get_weights())
    times = keras.callbacks.StepTimes()
    expected = fit(plain, epochs=2, shuffle=False)["loss"]
    history = fit(timed, times, epochs=2, shuffle=False)
    assert history["loss"] == expected
    # A look at the clock takes one second here: each part is one look long, "other" is two.
    assert times.seconds == {"data": 1, "forward": 1, "backward": 1, "update": 1, "other": 2}
    assert history["time_other"] == [2, 2]
    assert hooks(timed) == 0 and "apply" not in vars(timed.optimizer)


def test_operations_are_those_of_the_products():
    model = make()
    use = keras.callbacks.HardwareUse(peak_flops=1e9)
    history = fit(model, use)
    products = 4 * 3 + 3 * 3 + 3 * 1
    inner = 3 * 3 + 3 * 1  # the first layer's inputs need no gradient
    assert use.flops_per_batch == 2 * 2 * (2 * products + inner)
    assert history["mfu"][0] == pytest.approx(history["tflops"][0] * 1e3)
    assert history["memory"][0] > 10
    assert "mfu" not in fit(model, keras.callbacks.HardwareUse())
