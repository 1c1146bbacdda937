"""Callbacks that Keras has not: what they find, say, keep and leave alone."""

from __future__ import annotations

import datetime
import math
import sys
import types

import numpy as np
import pytest
import torch

import torchkeras as ours
from torchkeras.callbacks import batch_size_finder, live_plot, timer
from torchkeras.reporting.text_plot import text_plot

C = ours.callbacks


def make(optimizer="sgd", **arguments):
    model = ours.Sequential([ours.Input((3,)), ours.layers.Dense(4, "tanh"), ours.layers.Dense(1)])
    model.compile(optimizer, "mse", jit_compile=False, **arguments)
    return model


def data(rng, rows=64):
    x = rng.normal(size=(rows, 3))
    return x, x.sum(axis=1, keepdims=True)


def fit(model, x, y, *callbacks, **arguments):
    return model.fit(x, y, callbacks=list(callbacks), verbose=0, **{"batch_size": 8, "epochs": 2, **arguments})


class Seen(C.Callback):
    """Notes the rates and the weights at the end of each batch."""

    def __init__(self):
        super().__init__()
        self.rates, self.epochs, self.steps = [], 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs += 1

    def on_epoch_end(self, epoch, logs=None):
        self.steps.append(self.params["steps"])


# ---------------------------------------------------------------------------- rates and batches


@pytest.mark.parametrize("optimizer", ["adam", "torch", ours.optimizers.SGD(0.01, momentum=0.9)])
def test_a_rate_is_found_and_the_weights_are_put_back(rng, optimizer, capsys):
    x, y = data(rng, 400)
    model = make("sgd")
    if optimizer == "torch":
        model.compile(torch.optim.Adam(model.parameters(), lr=0.01), "mse", jit_compile=False)
    else:
        model.compile(optimizer, "mse", jit_compile=False)
    before = model.get_weights()
    finder = C.LearningRateFinder(1e-5, 10.0, num_steps=40, stop=True, divergence=None)
    fit(model, x, y, finder, batch_size=50, epochs=5)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    np.testing.assert_allclose(finder.rates, np.geomspace(1e-5, 10.0, 40), rtol=1e-6)
    assert len(finder.losses) == 40 and finder.suggestion in finder.rates
    assert 1e-4 < finder.suggestion < 5  # neither where nothing happens nor where the loss explodes
    assert "Learning rate finder" in capsys.readouterr().out
    assert finder.plot().axes[0].get_xscale() == "log"


def test_losses_of_the_trial_are_those_of_the_batches(rng):
    x, y = data(rng, 24)
    model = make(ours.optimizers.SGD(0.1))
    finder = C.LearningRateFinder(1e-9, 1e-8, num_steps=5, stop=True)
    fit(model, x, y, finder, batch_size=8, shuffle=False, epochs=3)
    outputs = model.predict(x, verbose=0)
    wanted = [float(np.mean((outputs[i : i + 8] - y[i : i + 8]) ** 2)) for i in (0, 8, 16, 0, 8)]
    np.testing.assert_allclose(finder.losses, wanted, rtol=1e-4)


def test_training_goes_on_at_the_rate_that_was_found(rng):
    x, y = data(rng, 400)
    model, seen = make(ours.optimizers.SGD(0.123)), Seen()
    finder = C.LearningRateFinder(1e-5, 1.0, num_steps=20, divergence=None)
    fit(model, x, y, finder, seen)
    assert seen.rates[25:] == pytest.approx([finder.suggestion] * len(seen.rates[25:]), rel=1e-6)
    short = C.LearningRateFinder(1e-5, 1.0, num_steps=1000, divergence=None)
    fit(model, x, y, short, epochs=1)  # the data end before the trial
    assert len(short.losses) == 50 and short.suggestion is not None


def test_a_trial_ends_where_the_loss_explodes(rng):
    x, y = data(rng, 4000)
    model = make(ours.optimizers.SGD(0.1))
    model.layers[0].activation = None
    finder = C.LearningRateFinder(1e-4, 1e6, num_steps=300, stop=True)
    fit(model, x, y + 10, finder, epochs=1)  # far from zero, so that the first batches have losses alike
    assert 10 < len(finder.losses) < 300 and finder.suggestion < 1
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    with pytest.raises(ValueError, match="positive and rise"):
        C.LearningRateFinder(1.0, 0.1)


def limited(model, monkeypatch, limit, error):
    """A model that runs out of memory above so many rows."""
    whole = model.compute_loss

    def compute_loss(x=None, **arguments):
        if len(x) > limit:
            raise error
        return whole(x=x, **arguments)

    monkeypatch.setattr(model, "compute_loss", compute_loss)
    return model


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_batch_size_is_found_though_memory_runs_out(rng, monkeypatch, error):
    x, y = data(rng, 500)
    model, seen = make("adam"), Seen()
    limited(model, monkeypatch, 100, error)
    finder = C.BatchSizeFinder(margin=0.0)
    fit(model, x, y, finder, seen, epochs=1)
    assert 94 <= finder.batch_size <= 100
    assert all(fits == (rows <= 100) for rows, fits in finder.tried.items())
    assert seen.steps == [math.ceil(500 / finder.batch_size)] == [len(seen.rates)]
    assert int(model.optimizer.iterations) == len(seen.rates)
    stopped = C.BatchSizeFinder(search=False, margin=0.25, stop=True)
    weights = model.get_weights()
    fit(model, x, y, stopped, seen, epochs=1)
    assert stopped.batch_size == 48 and seen.epochs == 1
    for weight, old in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_sizes_that_can_not_be(rng, monkeypatch, capsys):
    x, y = data(rng, 40)
    model = limited(make(), monkeypatch, 1, ERRORS[0])
    with pytest.raises(RuntimeError, match="A batch of 2 rows does not fit"):
        fit(model, x, y, C.BatchSizeFinder())
    broken = limited(make(), monkeypatch, 4, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        fit(broken, x, y, C.BatchSizeFinder())
    assert not batch_size_finder.is_out_of_memory(ValueError("out of memory"))
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.tensor(x).float(), torch.tensor(y).float()), batch_size=8
    )
    finder, seen = C.BatchSizeFinder(margin=0.0), Seen()
    make().fit(loader, callbacks=[finder, seen], verbose=0)
    assert finder.batch_size == 40 and len(seen.rates) == 5
    assert "torch DataLoader keeps its own size" in capsys.readouterr().out
    with pytest.raises(ValueError, match="min_size <= max_size"):
        C.BatchSizeFinder(min_size=9, max_size=3)


# ---------------------------------------------------------------------------- time


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        (None, None), (5, 5.0), ("00:00:02:03", 123.0), ("1:00", 60.0), ("01:00:00:00", 86400.0),
        (datetime.timedelta(minutes=2), 120.0), ({"hours": 1, "seconds": 2}, 3602.0),
    ],
)  # fmt: skip
def test_forms_of_a_limit_of_time(limit, seconds):
    assert C.Timer(limit).max_time == seconds


@pytest.mark.parametrize("limit", ["a:b", -1, True, "1:2:3:4:5", [3]])
def test_what_is_no_limit_of_time(limit):
    with pytest.raises(ValueError, match="`max_time`"):
        C.Timer(limit)
    with pytest.raises(ValueError, match="`interval`"):
        C.Timer(interval="step")


def a_clock(monkeypatch, module, name, tick=1.0):
    """Each look at the clock is a tick later than the one before."""
    now = [0.0]

    def look():
        now[0] += tick
        return now[0]

    monkeypatch.setattr(module, "time", types.SimpleNamespace(**{name: look}))


@pytest.mark.parametrize(("interval", "batches"), [("batch", 4), ("epoch", 8)])
def test_time_runs_out(rng, monkeypatch, capsys, interval, batches):
    x, y = data(rng)
    a_clock(monkeypatch, timer, "monotonic")
    limit, seen = C.Timer(3.5 if interval == "batch" else 0.5, interval), Seen()
    fit(make(), x, y, limit, seen, epochs=5)
    assert len(seen.rates) == batches and "the limit of" in capsys.readouterr().out
    assert limit.time_remaining() == 0.0
    again = C.Timer(100)
    again.set_state(limit.get_state())
    assert again.time_elapsed() == limit.time_elapsed() > 0


def test_speed_is_in_the_logs(rng, monkeypatch):
    from torchkeras.callbacks import throughput

    x, y = data(rng, 60)
    a_clock(monkeypatch, throughput, "perf_counter")
    history = fit(make(), x, y, C.Throughput(), validation_data=(x, y)).history
    # A tick at the epoch's begin, one after the first batch, one when validation begins.
    assert history["batches_per_second"] == [7.0, 8.0]
    assert history["samples_per_second"] == [52.0, 60.0]


# ---------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("optimizer", ["sgd", "scaled"])
def test_norms_of_gradients_by_their_formula(rng, optimizer):
    x, y = data(rng, 8)
    sgd = ours.optimizers.SGD(0.0)
    model = make(ours.optimizers.LossScaleOptimizer(sgd) if optimizer == "scaled" else sgd)
    history = fit(model, x, y, C.GradientNorm(every=1, by_layer=True), epochs=1).history
    loss = ((model(torch.tensor(x).float()) - torch.tensor(y)) ** 2).mean()
    gradients = torch.autograd.grad(loss, model.trainable_weights)
    wanted = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    assert history["gradient_norm"] == pytest.approx([wanted], rel=1e-4)
    assert history["gradient_norm_max"] == pytest.approx([wanted], rel=1e-4)
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert history[f"gradient_norm/{weight.path}"] == pytest.approx([float(gradient.norm())], rel=1e-4)
    with pytest.raises(ValueError, match="`every`"):
        C.GradientNorm(0)


def test_few_batches_are_looked_at(rng):
    x, y = data(rng, 64)
    norm = C.GradientNorm(every=3)
    fit(make(), x, y, norm, epochs=1)
    assert len(norm._norms) == 3  # of 8


# ---------------------------------------------------------------------------- errors and short runs


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_model_is_saved_when_training_breaks_off(rng, tmp_path, capsys, error):
    class Breaks(C.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 11:
                raise error("here")

    x, y = data(rng)
    rescue = C.OnExceptionCheckpoint(tmp_path / "new" / "at_{epoch}_{batch}.keras")
    model = make()
    with pytest.raises(error):
        fit(model, x, y, rescue, Breaks())
    assert rescue.saved == str(tmp_path / "new" / "at_2_3.keras")
    loaded = ours.saving.load_model(rescue.saved)
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    fit(model, x, y, rescue)
    assert rescue.saved is None
    with pytest.raises(ValueError, match=r"must end in \.keras"):
        C.OnExceptionCheckpoint("model.bin")


def test_short_runs(rng):
    x, y = data(rng)
    model, seen = make(), Seen()
    history = fit(model, x, y, C.FastDevRun(2), seen, epochs=9, validation_data=(x, y)).history
    assert (seen.epochs, len(seen.rates), seen.steps) == (1, 2, [2]) and len(history["val_loss"]) == 1
    inputs = []

    class Watched(ours.Model):
        def __init__(self):
            super().__init__()
            self.dense = ours.layers.Dense(1)

        def call(self, x, training=False):
            inputs.append(x.sum().item())
            return self.dense(x)

    model, seen = Watched(), Seen()
    model.compile("sgd", "mse", jit_compile=False)
    fit(model, x, y, C.OverfitBatches(2), seen, epochs=4, validation_data=(x, y))
    assert seen.epochs == 4 and len(seen.rates) == 8 and seen.steps == [2] * 4
    assert inputs[-8:] == inputs[-2:] * 4
    with pytest.raises(ValueError, match="positive integer"):
        C.FastDevRun(0)


# ---------------------------------------------------------------------------- tables and curves


def test_a_table_marks_the_best_values(capsys):
    table = C.PrintTable(precision=1)
    table.set_model(types.SimpleNamespace(metrics=[ours.metrics.BinaryAccuracy(name="right")]))
    table.on_train_begin()
    for epoch, logs in enumerate(
        [{"loss": 3.0, "right": 0.1, "odd": 1.0}, {"loss": 4.0, "right": 0.3}, {"loss": 2.0, "right": 0.2}]
    ):
        table.on_epoch_begin(epoch)
        table.on_epoch_end(epoch, logs)
    lines = [[cell.strip() for cell in line.split("|")] for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["epoch", "loss", "right", "odd", "seconds"]
    assert [line[:4] for line in lines[2:]] == [
        ["1", "3.0*", "0.1*", "1.0"],
        ["2", "4.0", "0.3*", "-"],
        ["3", "2.0*", "0.2", "-"],
    ]


def test_a_table_by_rich(monkeypatch, capsys):
    from rich.console import Console

    from torchkeras.callbacks import print_table

    monkeypatch.setattr(print_table, "_console", lambda: Console(force_terminal=True, width=80))
    table = C.PrintTable(["loss"])
    table.set_model(types.SimpleNamespace(metrics=[]))
    table.on_train_begin()
    table.on_epoch_begin(0)
    table.on_epoch_end(0, {"loss": 1.0, "other": 2.0})
    out = capsys.readouterr().out
    assert "\x1b[1;32m" in out and "1.0000*" in out and "other" not in out


def test_curves_as_text():
    lines = text_plot({"a": [0.0, 1.0, 2.0], "b": [2.0, math.nan, 0.0]}, width=9, height=3)
    assert [line[12:] for line in lines[:3]] == ["○       ●", "    ●", "●       ○"]
    assert lines[0].startswith("         2 ┤") and lines[-1] == "● a  ○ b"
    assert text_plot({}) == ["(no values yet)"] == text_plot({"a": [math.inf]})
    assert len(text_plot({"a": [1.0]}, 5, 3)) == 6


def test_curves_in_terminals_files_and_notebooks(rng, monkeypatch, capsys, tmp_path):
    x, y = data(rng)
    plot = C.LivePlot(filename=tmp_path / "curves.png", height=3)
    fit(make(metrics=["mae"]), x, y, plot, validation_data=(x, y), validation_freq=2)
    out = capsys.readouterr().out
    assert out.count("● loss  ○ val_loss") == 1 and "● mae  ○ val_mae" in out and "\x1b[" not in out
    assert math.isnan(plot.history["val_loss"][0]) and len(plot.history["val_loss"]) == 2
    assert (tmp_path / "curves.png").read_bytes()[1:4] == b"PNG"

    monkeypatch.setattr(live_plot.sys.stdout, "isatty", lambda: True, raising=False)
    fit(make(), x, y, C.LivePlot(height=3), epochs=3)
    assert capsys.readouterr().out.count("\x1b[6A\x1b[J") == 2

    shown = []

    class Handle:
        def update(self, figure):
            shown.append(figure)

    display = types.SimpleNamespace(display=lambda figure, display_id: shown.append(figure) or Handle())
    monkeypatch.setattr(live_plot, "_notebook", lambda: display)
    fit(make(), x, y, C.LivePlot(["loss"], every=2), epochs=4)
    assert [len(figure.axes) for figure in shown] == [1, 1]
    with pytest.raises(ValueError, match="`every`"):
        C.LivePlot(every=0)


# ---------------------------------------------------------------------------- services


class Calls(list):
    """Functions with given signatures that note their calls."""

    def function(self, name, signature, result=None):
        names = [part.split("=")[0].strip().lstrip("*") for part in signature.split(",")]
        space = {"note": lambda found: self.append((name, found)) or result}
        exec(f"def {name}({signature}): return note(dict({', '.join(f'{n}={n}' for n in names if n)}))", space)
        return staticmethod(space[name])


# The signatures of wandb 0.31, mlflow 3.17 and comet_ml 3.58, as far as they concern the loggers.
def fake_wandb(calls, running):
    class Run:
        log = calls.function("log", "data, step=None, commit=None")
        finish = calls.function("finish", "exit_code=None")
        define_metric = calls.function(
            "define_metric", "name, step_metric=None, step_sync=None, hidden=None, summary=None, goal=None"
        )
        config = type("Config", (), {"update": calls.function("update", "d, allow_val_change=None")})()

    arguments = "entity=None, project=None, dir=None, id=None, name=None, notes=None, tags=None, config=None, mode=None"
    init = calls.function("init", arguments, Run())
    return types.SimpleNamespace(run=Run() if running else None, init=init.__func__)


def fake_mlflow(calls, running):
    parts = {
        "set_tracking_uri": "uri",
        "set_experiment": "experiment_name=None, experiment_id=None",
        "start_run": "run_id=None, experiment_id=None, run_name=None, nested=False",
        "log_params": "params, synchronous=None, run_id=None",
        "log_metrics": "metrics, step=None, synchronous=None, run_id=None, timestamp=None",
        "end_run": "status='FINISHED'",
    }
    found = {name: calls.function(name, signature).__func__ for name, signature in parts.items()}
    return types.SimpleNamespace(active_run=lambda: object() if running else None, **found)


def fake_comet_ml(calls, running):
    class Experiment:
        log_parameters = calls.function("log_parameters", "parameters, prefix=None, nested_support=True, step=None")
        log_metrics = calls.function("log_metrics", "dic, prefix=None, step=None, epoch=None")
        end = calls.function("end", "")

    start = calls.function(
        "start", "api_key=None, workspace=None, project_name=None, experiment_key=None, mode=None, online=None",
        Experiment(),
    )  # fmt: skip
    return types.SimpleNamespace(get_running_experiment=lambda: Experiment() if running else None, start=start.__func__)


SERVICES = {
    "wandb": (C.WandbLogger, {"project": "p", "name": "n", "mode": "offline"}, fake_wandb, "init", "finish"),
    "mlflow": (C.MLflowLogger, {"experiment": "p", "tracking_uri": "u"}, fake_mlflow, "start_run", "end_run"),
    "comet_ml": (C.CometLogger, {"project_name": "p", "online": False}, fake_comet_ml, "start", "end"),
}


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("service", SERVICES)
def test_what_services_are_sent(rng, monkeypatch, service, running):
    kind, arguments, fake, begin, end = SERVICES[service]
    calls = Calls()
    monkeypatch.setitem(sys.modules, service, fake(calls, running))
    x, y = data(rng)
    fit(make(ours.optimizers.SGD(0.25)), x, y, kind(log_batch_frequency=3, **arguments), validation_data=(x, y))
    names = [name for name, _ in calls]
    assert (begin in names, end in names) == (not running, not running)
    settings = next(found for name, found in calls if name in ("update", "log_params", "log_parameters"))
    settings = next(value for value in settings.values() if isinstance(value, dict))
    assert settings["optimizer"] == "SGD" and settings["optimizer/learning_rate"] == 0.25 and settings["epochs"] == 2
    sent = [found for name, found in calls if name in ("log", "log_metrics")]
    values = [next(value for value in found.values() if isinstance(value, dict)) for found in sent]
    epochs = [value for value in values if "epoch/loss" in value]
    assert len(epochs) == 2 and {"epoch/val_loss", "epoch/learning_rate"} <= set(epochs[0])
    assert len([value for value in values if "batch/loss" in value]) == 5  # of 16 batches
    assert all(type(value) in (float, int) for found in values for value in found.values())


@pytest.mark.parametrize("service", SERVICES)
def test_services_learn_of_errors(rng, monkeypatch, service):
    kind, arguments, fake, _, end = SERVICES[service]
    calls = Calls()
    monkeypatch.setitem(sys.modules, service, fake(calls, False))

    class Breaks(C.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("broken")

    x, y = data(rng)
    with pytest.raises(RuntimeError, match="broken"):
        fit(make(), x, y, kind(**arguments), Breaks())
    assert calls[-1][0] == end
    assert calls[-1][1] in ({"exit_code": 1}, {"status": "FAILED"}, {})
    monkeypatch.setitem(sys.modules, service, None)
    with pytest.raises(ImportError):
        fit(make(), x, y, kind(**arguments))
    with pytest.raises(ValueError, match="`log_batch_frequency`"):
        kind(log_batch_frequency=0)
