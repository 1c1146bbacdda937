"""BackupAndRestore at any moment: signals, the clock, every kind of training state; the end is always the same."""

from __future__ import annotations

import os
import signal
import threading
import types

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras.callbacks import backup_and_restore

SAMPLES, BATCH, EPOCHS = 24, 4, 3
STEPS = SAMPLES // BATCH


class At(keras.callbacks.Callback):
    """Does something once, at a moment: (epoch, "batch" | "validation" | "end", number); notes what was logged."""

    def __init__(self, moment=None, action=None):
        super().__init__()
        self.moment, self.action, self.epoch = moment, action, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.now("batch", batch)

    def on_test_batch_end(self, batch, logs=None):
        self.now("validation", batch)

    def on_epoch_end(self, epoch, logs=None):
        self.now("end", 0)

    def now(self, where, number):
        if (self.epoch, where, number) == self.moment:
            self.action()


def kill(name):
    return lambda: os.kill(os.getpid(), getattr(signal, name))


def interrupt():
    raise KeyboardInterrupt


def net(*more, dtype=None):
    dense = keras.layers.Dense(4, activation="tanh", dtype=dtype)
    return keras.Sequential([keras.Input((3,)), dense, *more, keras.layers.Dense(1, dtype=dtype)])


def adam(**kwargs):
    return keras.optimizers.Adam(0.05, **kwargs)


class OwnStep(keras.Sequential):
    """A step of the user's, with logs of its own."""

    def train_step(self, data):
        logs = super().train_step(data)
        return {**logs, "twice": 2 * logs["loss"]}


def scheduled():
    return keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 15))


def with_torch_scheduler(parameters):
    optimizer = torch.optim.Adam(parameters, 0.05)
    return optimizer


MODELS = {
    "dropout and noise": lambda: (net(keras.layers.Dropout(0.3), keras.layers.GaussianNoise(0.1)), adam()),
    "dropout with a seed": lambda: (net(keras.layers.Dropout(0.3, seed=7)), adam()),
    "batch normalization": lambda: (net(keras.layers.BatchNormalization()), adam()),
    "schedule": lambda: (net(), scheduled()),
    "accumulation": lambda: (net(), adam(gradient_accumulation_steps=4)),
    "moving averages": lambda: (net(), adam(use_ema=True, ema_overwrite_frequency=5)),
    "loss scale": lambda: (
        net(dtype="mixed_float16"),
        keras.optimizers.LossScaleOptimizer(adam(), initial_scale=2.0**16, dynamic_growth_steps=5),
    ),
    "torch's optimizer": lambda: (net(), with_torch_scheduler),
    "clipping": lambda: (net(), adam(global_clipnorm=0.1)),
    "own step": lambda: (OwnStep([keras.Input((3,)), keras.layers.Dropout(0.2), keras.layers.Dense(1)]), adam()),
}
CALLBACKS = {
    "plateau": lambda: keras.callbacks.ReduceLROnPlateau("loss", min_delta=10.0, patience=0, factor=0.5),
    "stopping": lambda: keras.callbacks.EarlyStopping("loss", patience=50, restore_best_weights=True),
    "rates": lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.8),
    "swap": lambda: keras.callbacks.SwapEMAWeights(),
}


@pytest.fixture
def data(rng):
    return rng.normal(size=(SAMPLES, 3)).astype("float32"), rng.normal(size=(SAMPLES, 1)).astype("float32")


def train(folder, data, make=MODELS["dropout and noise"], at=None, seed=1, callbacks=(), fit=None, **options):
    keras.utils.set_random_seed(seed)
    model, optimizer = make()
    model.compile(optimizer, "mse", metrics=["mae", keras.metrics.R2Score(name="r2")])
    backup = keras.callbacks.BackupAndRestore(folder, **{"save_freq": 4, **options})
    fit = {"x": data[0], "y": data[1], "batch_size": BATCH, "validation_data": data} if fit is None else fit()
    found = [backup, *callbacks, *([at] if at else [])]
    try:
        model.fit(**fit, epochs=EPOCHS, callbacks=found, verbose=0)
    except (KeyboardInterrupt, SystemExit) as error:
        assert at is not None
        return model, error
    return model, None


def assert_equal(resumed, whole):
    for mine, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(resumed.optimizer.variables, whole.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    assert resumed.history.epoch
    for name, values in whole.history.history.items():
        assert resumed.history.history[name] == values[-len(resumed.history.epoch) :], name


MOMENTS = [
    (0, "batch", 1),
    (1, "batch", 0),
    (1, "batch", STEPS - 1),
    (0, "validation", 2),
    (1, "validation", STEPS - 1),
    (1, "end", 0),
]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_makes_a_backup_and_ends_the_process(moment, name, data, tmp_path):
    before = signal.getsignal(getattr(signal, name))
    whole, _ = train(tmp_path / "other", data, save_freq="epoch")
    _, error = train(tmp_path / "backup", data, at=At(moment, kill(name)), save_freq="epoch")
    assert error.code == 128 + getattr(signal, name)
    assert signal.getsignal(getattr(signal, name)) is before
    repeated = At()
    resumed, _ = train(tmp_path / "backup", data, seed=9, callbacks=[repeated], save_freq="epoch")
    assert_equal(resumed, whole)
    assert signal.getsignal(getattr(signal, name)) is before


@pytest.mark.parametrize("kind", MODELS)
def test_every_kind_of_training_state(kind, data, rng, tmp_path):
    moment = (int(rng.integers(EPOCHS)), "batch", int(rng.integers(STEPS - 1)))
    moment = (max(moment[0], int(moment[2] < 4)), *moment[1:])
    whole, _ = train(tmp_path / "other", data, MODELS[kind])
    train(tmp_path / "backup", data, MODELS[kind], at=At(moment, kill("SIGTERM")))
    resumed, _ = train(tmp_path / "backup", data, MODELS[kind], seed=9)
    assert_equal(resumed, whole)


@pytest.mark.parametrize("kind", CALLBACKS)
def test_the_state_of_other_callbacks(kind, data, tmp_path):
    def run(folder, **kwargs):
        make = MODELS["moving averages" if kind == "swap" else "batch normalization"]
        return train(tmp_path / folder, data, make, callbacks=[CALLBACKS[kind]()], **kwargs)

    whole, _ = run("other")
    run("backup", at=At((1, "batch", 2), kill("SIGTERM")))
    assert_equal(run("backup", seed=9)[0], whole)


# ---------------------------------------------------------------------------- data that keep a place of their own


class Stream(torch.utils.data.IterableDataset):
    """Draws its samples, and says itself where it is."""

    def __init__(self, data):
        self.data, self.passes, self.given = data, 0, 0

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        order = np.random.default_rng([5, self.passes]).permutation(SAMPLES)
        order = order[slice(None) if worker is None else slice(worker.id, None, 2)]
        for number in order[self.given :]:
            self.given += 1
            yield self.data[0][number], self.data[1][number]
        self.passes, self.given = self.passes + 1, 0

    def state_dict(self):
        return {"passes": self.passes, "given": self.given}

    def load_state_dict(self, state):
        self.passes, self.given = state["passes"], state["given"]


def rows(data):
    return torch.utils.data.TensorDataset(*map(torch.as_tensor, data))


def loader(make, **kwargs):
    return lambda data: torch.utils.data.DataLoader(make(data), batch_size=BATCH, **kwargs)


def stateful(make, seed=None, **kwargs):
    def made(data):
        if seed is not None:
            kwargs["generator"] = torch.Generator().manual_seed(seed)
        torchdata = pytest.importorskip("torchdata.stateful_dataloader")
        return torchdata.StatefulDataLoader(make(data), batch_size=BATCH, **kwargs)

    return made


LOADERS = {
    "an iterable data set with state": loader(Stream),
    "the same, by two workers": loader(Stream, num_workers=2),
    "stateful, shuffled": stateful(rows, shuffle=True),
    "stateful, own generator": stateful(rows, seed=3, shuffle=True),
    "stateful, two workers": stateful(rows, shuffle=True, num_workers=2),
    "stateful, iterable": stateful(Stream),
}


@pytest.mark.parametrize("kind", LOADERS)
def test_data_that_say_where_they_are(kind, data, tmp_path):
    def run(folder, **kwargs):
        return train(tmp_path / folder, data, fit=lambda: {"x": LOADERS[kind](data)}, **kwargs)

    whole, _ = run("other")
    run("backup", at=At((1, "batch", 2), kill("SIGTERM")))
    assert_equal(run("backup", seed=9)[0], whole)


# ---------------------------------------------------------------------------- the clock, and signals of others


def test_the_clock_makes_backups_between_those_of_epochs(data, tmp_path, monkeypatch):
    timers, backups = [], []

    class Timer:
        """Goes off when the test says so, in a thread of its own as Python's timers do."""

        def __init__(self, seconds, function, arguments):
            assert seconds == 30
            self.thread, self.is_on = threading.Thread(target=function, args=arguments), False
            timers.append(self)

        def start(self):
            self.is_on = True

        def cancel(self):
            self.is_on = False

        def go_off(self):
            assert self.is_on
            self.thread.start()
            self.thread.join()

    class Look(At):
        def on_train_batch_begin(self, batch, logs=None):
            backups.append(len(list(tmp_path.glob("backup/generation-*"))))
            if (self.epoch, batch) == (0, 4):
                raise KeyboardInterrupt

    whole, _ = train(tmp_path / "other", data)
    monkeypatch.setattr(backup_and_restore, "threading", types.SimpleNamespace(Timer=Timer))
    at = Look((0, "batch", 1), lambda: timers[-1].go_off())
    train(tmp_path / "backup", data, at=at, save_freq="epoch", save_every=0.5)
    assert backups == [0, 0, 1, 1, 1] and len(timers) == 2 and not any(timer.is_on for timer in timers)
    assert_equal(train(tmp_path / "backup", data, seed=9, save_freq="epoch")[0], whole)


def test_handlers_of_the_program_are_called_after_the_backup(data, tmp_path):
    called = []
    before = signal.signal(signal.SIGUSR1, lambda *args: called.append(len(list(tmp_path.glob("backup/*")))))
    try:
        _, error = train(tmp_path / "backup", data, at=At((0, "batch", 1), kill("SIGUSR1")))
        assert called == [1] and error.code == 128 + signal.SIGUSR1
        train(tmp_path / "backup", data, at=At((1, "batch", 1), kill("SIGUSR1")), signals=())
        assert len(called) == 2, "without the callback's handlers the program's own is called at once"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_signal_at_the_very_end_is_not_lost(data, tmp_path):
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *args: heard.append(True))

    class AtTheEnd(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            kill("SIGUSR1")()

    try:
        model, error = train(tmp_path / "backup", data, callbacks=[AtTheEnd()])
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert error is None and heard == [True]


def test_in_another_thread_signals_are_left_alone(data, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    seen = []
    at = At((0, "batch", 1), lambda: seen.append(signal.getsignal(signal.SIGTERM)))
    thread = threading.Thread(target=train, args=(tmp_path, data), kwargs={"at": at})
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"save_every": 0}, "save_every must be a positive number of minutes"),
        ({"save_every": float("nan")}, "save_every must be a positive number"),
        ({"signals": (15,)}, "signals must be names such as 'SIGTERM'"),
        ({"signals": ("TERM",)}, "signals must be names such as 'SIGTERM'"),
    ],
)
def test_arguments_that_make_no_sense(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        keras.callbacks.BackupAndRestore(tmp_path, **arguments)
