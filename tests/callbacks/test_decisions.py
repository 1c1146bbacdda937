"""Callbacks that decide: the same logs, fed to ours and to Keras's, lead to the same decisions."""

import itertools
import warnings

import keras
import numpy as np
import pytest
import torch

from tests.callbacks.callback_fakes import FakeMetric, FakeModel
from torchkeras import callbacks as ours_module

LONG = 40


def both(name, *args, **kwargs):
    """Ours and Keras's callback, each with a model."""
    pair = []
    for module in (ours_module, keras.callbacks):
        callback, model = getattr(module, name)(*args, **kwargs), FakeModel()
        callback.set_model(model)
        callback.set_params({"epochs": LONG})
        pair.append((callback, model))
    return pair


def values(rng):
    """A metric that falls, rises and stands still, with steps around the deltas in use."""
    return np.round(1 + np.cumsum(rng.choice([-0.1, -0.01, 0.0, 0.01, 0.1], LONG)), 3)


def table(**options):
    return [dict(zip(options, row, strict=True)) for row in itertools.product(*options.values())]


def run(callback, model, series, look):
    seen = []
    callback.on_train_begin()
    for epoch, value in enumerate(series):
        model.weight += 1
        callback.on_epoch_end(epoch, {"loss": float(value)})
        seen.append(look(callback, model))
        if model.stop_training:
            break
    callback.on_train_end()
    return [*seen, model.weight.tolist()]


@pytest.mark.parametrize(
    "options",
    table(
        mode=["auto", "min", "max"],
        patience=[0, 3],
        min_delta=[0, 0.035],
        baseline=[None, 0.9],
        restore_best_weights=[False, True],
        start_from_epoch=[0, 4],
    ),
    ids=str,
)
def test_early_stopping_decides_as_keras_does(options, rng):
    series = values(rng)
    ours, theirs = both("EarlyStopping", monitor="loss", **options)
    look = lambda c, m: (c.wait, c.best, c.best_epoch, c.stopped_epoch, m.stop_training)
    for _ in range(2):  # the second time it begins anew
        for _, model in (ours, theirs):
            model.stop_training = False
        assert run(*ours, series, look) == run(*theirs, series, look)


@pytest.mark.parametrize(
    "options",
    table(
        mode=["auto", "max"],
        patience=[0, 1, 3],
        min_delta=[1e-4, 0.035],  # no sum of steps: a tie falls either way in float32
        cooldown=[0, 2],
        min_lr=[0.0, 0.1],
        factor=[0.1, 0.7],
    ),
    ids=str,
)
def test_reduce_lr_on_plateau_decides_as_keras_does(options, rng):
    series = values(rng)
    ours, theirs = both("ReduceLROnPlateau", monitor="loss", **options)
    look = lambda c, m: (c.wait, c.cooldown_counter, c.best, m.optimizer.learning_rate)
    assert run(*ours, series, look) == run(*theirs, series, look)


@pytest.mark.parametrize(
    "options",
    table(
        save_best_only=[False, True],
        save_weights_only=[False, True],
        mode=["min", "max"],
        save_freq=["epoch", 1, 4],
        initial_value_threshold=[None, 0.8],
    ),
    ids=str,
)
def test_model_checkpoint_writes_the_files_of_keras(options, rng, tmp_path):
    if options["save_best_only"] and options["save_freq"] != "epoch" and options["initial_value_threshold"] is not None:
        pytest.skip("Keras fails: it has not set up the comparison before the first epoch's end")
    ending = ".weights.h5" if options["save_weights_only"] else ".keras"
    batchwise = options["save_freq"] != "epoch"
    name = f"{tmp_path}/{{epoch:02d}}{'-{batch:03d}' if batchwise else ''}-{{loss:.2f}}{ending}"
    series = values(rng)
    saved = []
    for callback, model in both("ModelCheckpoint", name, monitor="loss", **options):
        if batchwise and options["save_best_only"] and hasattr(callback, "_set_monitor_op"):
            callback._set_monitor_op()
        callback.on_train_begin()
        for epoch, value in enumerate(series[:8]):
            callback.on_epoch_begin(epoch)
            for batch in range(3):
                callback.on_train_batch_end(batch, {"loss": float(value + batch)})
            callback.on_epoch_end(epoch, {"loss": float(value)})
        callback.on_train_end()
        saved.append(model.saved)
    assert saved[0] == saved[1] and (saved[0] or options["initial_value_threshold"])


@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau"])
@pytest.mark.parametrize("bad", [float("nan")])
def test_nan_is_never_best(name, bad):
    callback = getattr(ours_module, name)(monitor="loss", patience=100)
    callback.set_model(FakeModel())
    callback.on_train_begin()
    for epoch, value in enumerate([bad, 2.0, bad]):
        callback.on_epoch_end(epoch, {"loss": value})
    assert callback.best == 2.0


def test_nan_is_never_saved_as_best(tmp_path):
    callback = ours_module.ModelCheckpoint(tmp_path / "{epoch}.keras", monitor="loss", save_best_only=True)
    callback.set_model(model := FakeModel())
    for epoch, value in enumerate([float("nan"), 2.0, float("nan"), 1.0]):
        callback.on_epoch_end(epoch, {"loss": value})
    assert [path.rsplit("/", 1)[1] for path in model.saved] == ["2.keras", "4.keras"]


DIRECTIONS = {
    **{name: cls for name, cls in vars(keras.metrics).items() if isinstance(cls, type)},
}


@pytest.mark.parametrize("name", sorted(DIRECTIONS))
def test_auto_mode_knows_the_metrics_that_keras_knows(name):
    metric = None
    for arguments in [(), (2,), (0.5,), (2, [0])]:
        try:
            metric = DIRECTIONS[name](*arguments, name="m")
            break
        except (TypeError, ValueError):
            continue
    if metric is None:
        pytest.skip("takes other arguments")
    expected = {"up": 1, "down": -1}.get(getattr(metric, "_direction", None))
    known = type(name, (), {"name": "m"})()  # by the class's name alone
    callback = ours_module.EarlyStopping(monitor="val_m")
    callback.set_model(model := FakeModel())
    model.metrics = [type("CompileMetrics", (), {"metrics": [known], "name": "compile_metrics"})()]
    if expected is None:
        with pytest.raises(ValueError, match="mode='min'"):
            _ = callback._tk_sign
    else:
        assert callback._tk_sign == expected


@pytest.mark.parametrize(
    ("monitor", "metric", "sign"),
    [
        ("loss", None, -1),
        ("val_loss", None, -1),
        ("val_a_loss", None, -1),
        ("val_mine", FakeMetric("mine", "up"), 1),
        ("mine", FakeMetric("mine", "down"), -1),
        ("val_output_mine", FakeMetric("mine", "up"), 1),
    ],
)
def test_auto_mode_of_other_names(monitor, metric, sign):
    callback = ours_module.EarlyStopping(monitor=monitor)
    callback.set_model(model := FakeModel())
    model.metrics += [metric] if metric else []
    assert callback._tk_sign == sign


@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau"])
def test_a_missing_value_warns_and_changes_nothing(name):
    for callback, model in both(name, monitor="val_loss", patience=0):
        callback.on_train_begin()
        with pytest.warns(UserWarning, match="`val_loss` which is not available"):
            callback.on_epoch_end(3, {"loss": 1.0})
        assert not model.stop_training and model.optimizer.learning_rate == 0.5


@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau"])
def test_a_value_that_is_missing_for_some_epochs_is_said_once_and_not_counted(name):
    callback = getattr(ours_module, name)(monitor="val_loss", patience=2)
    callback.set_model(model := FakeModel())
    present = {"loss": 1.0, "val_loss": 0.5}
    for _ in range(2):  # in each training
        callback.on_train_begin()
        with pytest.warns(UserWarning, match="`val_loss` which is not available") as caught:
            for epoch, logs in enumerate(
                [{"loss": 1.0}, present, {"loss": 1.0}, {"loss": 1.0}, present, {"loss": 0.1}]
            ):
                callback.on_epoch_end(epoch, dict(logs))
        assert len(caught) == 1
        assert (callback.best, callback.wait) == (0.5, 1)
        assert not model.stop_training and model.optimizer.learning_rate == 0.5


def test_a_missing_value_never_replaces_the_best_model(tmp_path):
    callback = ours_module.ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True)
    callback.set_model(model := FakeModel())
    callback.on_train_begin()
    with pytest.warns(UserWarning, match="Can save best model only with val_loss available") as caught:
        for epoch, logs in enumerate([{}, {"val_loss": 2.0}, {}, {"val_loss": 3.0}, {}, {"val_loss": 1.0}]):
            callback.on_epoch_end(epoch, logs)
    assert len(caught) == 1
    assert [path.rsplit("/", 1)[1] for path in model.saved] == ["1.keras", "2.keras", "6.keras"]


@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau"])
def test_a_metric_that_nobody_knows_is_an_error_at_once(name):
    for callback, _ in both(name, monitor="unknown"):
        callback.on_train_begin()
        with pytest.raises(ValueError, match="unknown"):
            callback.on_epoch_end(0, {"loss": 1.0})


def test_an_unknown_mode_warns_and_becomes_auto():
    with pytest.warns(UserWarning, match="unknown"):
        assert ours_module.EarlyStopping(mode="best").mode == "auto"


def test_refused_arguments():
    with pytest.raises(ValueError, match="factor"):
        ours_module.ReduceLROnPlateau(factor=1.0)
    for wrong in [{"filepath": "a.txt"}, {"filepath": "a.keras", "save_weights_only": True}]:
        with pytest.raises(ValueError, match="filepath"):
            ours_module.ModelCheckpoint(**wrong)
    for frequency in ["batch", 0.5, None]:
        with pytest.raises(ValueError, match="save_freq"):
            ours_module.ModelCheckpoint("a.keras", save_freq=frequency)
        with pytest.raises(ValueError, match="Invalid value.*save_freq"):
            ours_module.BackupAndRestore("a", save_freq=frequency)
    for empty in ["", None]:
        with pytest.raises(ValueError, match="Empty `backup_dir`"):
            ours_module.BackupAndRestore(empty)


# ---------------------------------------------------------------------------- rates and NaN


@pytest.mark.parametrize(
    "schedule",
    [lambda epoch, lr: lr * 0.5, lambda epoch: 1 / (epoch + 1), lambda e, lr: np.float32(lr), lambda e, lr=0.0: 0.1],
)
def test_learning_rate_scheduler(schedule):
    rates = []
    for callback, model in both("LearningRateScheduler", schedule):
        for epoch in range(3):
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, logs := {"loss": 1.0})
            rates.append((model.optimizer.learning_rate, logs["learning_rate"]))
    assert rates[:3] == rates[3:]


def test_learning_rate_scheduler_takes_tensors_and_torch_optimizers():
    callback = ours_module.LearningRateScheduler(lambda epoch, lr: lr * torch.tensor(0.5))
    callback.set_model(model := FakeModel())
    model.optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    callback.on_epoch_begin(0)
    assert model.optimizer.param_groups[0]["lr"] == pytest.approx(0.2)


@pytest.mark.parametrize("result", [None, "0.1", 1, [0.1]])
def test_a_schedule_must_give_a_float(result):
    for callback, _ in both("LearningRateScheduler", lambda epoch, lr: result):
        with pytest.raises(ValueError, match="should be a float"):
            callback.on_epoch_begin(0)


def test_a_type_error_inside_a_schedule_comes_out():
    callback = ours_module.LearningRateScheduler(lambda epoch, lr: lr + "x")
    callback.set_model(FakeModel())
    with pytest.raises(TypeError):
        callback.on_epoch_begin(0)


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf"), 1.0])
def test_terminate_on_nan(loss, capsys):
    for callback, model in both("TerminateOnNaN"):
        callback.on_train_batch_end(2, {"loss": loss})
        assert model.stop_training == (not np.isfinite(loss))
    for callback, _ in both("TerminateOnNaN", raise_error=True):
        if np.isfinite(loss):
            callback.on_train_batch_end(2, {"loss": loss})
        else:
            with pytest.raises(RuntimeError, match="NaN or Inf loss encountered at batch 2"):
                callback.on_train_batch_end(2, {"loss": loss})


# ---------------------------------------------------------------------------- files


def test_csv_logger_writes_what_keras_writes(tmp_path, rng):
    written = []
    for index, module in enumerate((ours_module, keras.callbacks)):
        path = tmp_path / f"{index}.csv"
        for append, keys in [(False, ("loss", "b")), (True, ("loss", "b")), (True, ("loss", "val_loss"))]:
            callback = module.CSVLogger(path, separator=";", append=append)
            callback.on_train_begin()
            for epoch in range(3):
                logs = dict.fromkeys(keys, epoch / 7) | {"b": np.arange(3) if epoch else "text"}
                callback.on_epoch_end(epoch, logs)
                assert path.read_text().count("\n") >= epoch + 1  # at once
            callback.on_epoch_end(3, {"loss": 1.0})
            callback.on_train_end()
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_csv_logger_overwrites_or_appends(tmp_path):
    for append, rows in [(False, 2), (False, 2), (True, 3)]:
        callback = ours_module.CSVLogger(str(tmp_path / "a.csv"), append=append)
        callback.on_train_begin()
        callback.on_epoch_end(0, {"loss": 1.0})
        callback.on_train_end()
        assert len((tmp_path / "a.csv").read_text().splitlines()) == rows


def test_checkpoint_names_and_places(tmp_path):
    model = FakeModel()

    def save(name, logs, **kwargs):
        callback = ours_module.ModelCheckpoint(tmp_path / name, **kwargs)
        callback.set_model(model)
        callback.on_epoch_end(0, logs)

    save("new/{epoch}/{a:.1f}.keras", {"a": 0.25})
    assert (tmp_path / "new/1/0.2.keras").exists()
    with pytest.raises(KeyError, match="missing"):
        save("{missing}.keras", {"a": 0.25})
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(OSError, match="non-directory"):
        save("folder.keras", {})
    with pytest.warns(UserWarning, match="only with val_loss available"):
        save("a.keras", {"loss": 1.0}, save_best_only=True)
    with pytest.warns(UserWarning, match="scalar value"):
        save("b.keras", {"loss": np.zeros(2)}, save_best_only=True, monitor="loss")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save("c.h5", {"loss": 1.0}, save_best_only=True, monitor="loss")


def test_only_the_main_process_writes(tmp_path, monkeypatch):
    """Of what needs no model; tests/distributed has the checkpoints."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    callback = ours_module.CSVLogger(tmp_path / "a.csv")
    callback.set_model(FakeModel())
    callback.set_params({"epochs": 1})
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_epoch_end(0, {"loss": 1.0})
    callback.on_train_end({"loss": 1.0})
    assert list(tmp_path.iterdir()) == []
