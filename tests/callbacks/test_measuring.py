"""Callbacks that measure a training: traces, times of the parts, operations, memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras.core.torch_internals import count_dispatch_modes

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


def test_operations_of_recurrent_layers():
    """One kernel computes the whole layer, which torch's counter leaves out."""
    x, units = np.ones((2, 5, 4), "float32"), 3
    model = keras.Sequential([keras.Input(x.shape[1:]), L.Bidirectional(L.LSTM(units))])
    model.compile("sgd", "mse")
    use = keras.callbacks.HardwareUse()
    model.fit(x, np.ones((2, 2 * units), "float32"), verbose=0, callbacks=[use])
    products = 2 * 5 * 4 * units * (4 + units)  # rows, steps, gates, kernels
    assert use.flops_per_batch == 2 * 2 * 3 * products  # two directions; twice as much in the backward pass


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_traces_of_evaluation_and_prediction(method, tmp_path):
    profiler = keras.callbacks.ProfilerCallback(tmp_path, 2, 2)
    model, x = make(), np.ones((10, 4), "float32")
    targets = {"y": x[:, :1]} if method == "evaluate" else {}
    getattr(model, method)(x, **targets, batch_size=2, verbose=0, callbacks=[profiler])
    events = json.loads((tmp_path / "trace_batches_2_to_3.json").read_text())["traceEvents"]
    assert [str(event.get("name")).split("/")[-1] for event in events].count("last") == 2
    assert hooks(model) == 0
    fit(model, profiler, validation_data=(x, x[:, :1]), epochs=2)
    assert profiler.trace_file.endswith("2_to_3.json")  # batches of the validation are not counted


class Fails(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise OSError("The disk is full.")

    def on_test_batch_end(self, batch, logs=None):
        raise OSError("The disk is full.")


@pytest.mark.parametrize("first", [True, False])
def test_after_an_error_nothing_is_measured_any_more(first, tmp_path):
    measuring = [
        keras.callbacks.StepTimes(),
        keras.callbacks.HardwareUse(),
        keras.callbacks.ProfilerCallback(tmp_path, first_batch=1),
    ]
    model = make()
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            fit(model, *([Fails(), *measuring] if first else [*measuring, Fails()]))
        assert hooks(model) == 0 and "apply" not in vars(model.optimizer) and not count_dispatch_modes()
    assert (tmp_path / "trace_batches_1_to_1.json").exists()


def test_an_error_in_an_evaluation_leaves_the_weights_in_the_model(rng):
    x = rng.normal(size=(4, 4)).astype("float32")
    model = make()
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=None), "mse")
    swap = keras.callbacks.SwapEMAWeights()
    model.train_on_batch(x, x[:, :1])
    weights = model.get_weights()
    with pytest.raises(OSError, match="full"):
        model.evaluate(x, x[:, :1], verbose=0, callbacks=[swap, Fails()])
    for mine, before in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, before)


def test_a_compiled_step_stays_one_graph(tmp_path, monkeypatch, caplog):
    real, graphs = torch.compile, []

    def count(module, example):
        graphs.append(module)
        return module.forward

    monkeypatch.setattr(torch, "compile", lambda f, **kwargs: real(f, **{**kwargs, "backend": count}))
    torch._dynamo.reset()
    model = make()
    model.compile("adam", "mse", jit_compile=True)
    times, profiler = keras.callbacks.StepTimes(), keras.callbacks.ProfilerCallback(tmp_path, 4, 1)
    history = fit(model, times, profiler, keras.callbacks.HardwareUse(), epochs=2)
    assert len(graphs) == 1 and profiler.trace_file
    assert not [record for record in caplog.records if record.name == "torchkeras"]
    assert set(times.seconds) == {"data", "step"} and "time_step" in history


@pytest.mark.parametrize("jit", [False, True])
def test_throughput_leaves_out_the_batches_that_build_and_compile(jit, monkeypatch):
    clock = iter([0.0, 100.0, 200.0, 201.0] if jit else [0.0, 100.0, 101.0])
    monkeypatch.setattr("torchkeras.callbacks.throughput.time.perf_counter", lambda: next(clock))
    speed, model, logs = keras.callbacks.Throughput(), make(), {}
    model.jit_compile = jit
    speed.set_model(model)
    speed.on_train_begin()
    speed.on_epoch_begin(0)
    for batch in range(4):
        speed.on_train_batch_end(batch)
    speed.on_epoch_end(0, logs)
    assert logs == {"batches_per_second": 2.0 if jit else 3.0}
