"""What holds under torchrun beside equal numbers: who prints and writes, who decides, what the ranks see."""

from __future__ import annotations

import copy
import inspect
import io
import os
import pickle
import sys

import numpy as np
import torch

import torchkeras as keras
from torchkeras import distributed, layers

RULES = {}
RANK = int(os.environ.get("RANK", 0))


def net(*more):
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu"), *more, layers.Dense(1)])


def compiled(*more):
    model = net(*more)
    model.compile("sgd", "mse")
    return model


def rows(n):
    return np.arange(n * 4, dtype="float32").reshape(n, 4) / (n * 4), np.linspace(0, 1, n, dtype="float32")[:, None]


def rule(function):
    RULES[function.__name__] = function
    return function


class Heard(keras.callbacks.Callback):
    def __init__(self, stop_at=None):
        super().__init__()
        self.batches, self.epochs, self.stop_at = 0, [], stop_at

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        if self.batches == self.stop_at:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(dict(logs))


@rule
def weights_begin_as_rank_0s():
    keras.utils.set_random_seed(RANK)
    x, y = rows(8)
    model = compiled()
    before = float(model.get_weights()[0].sum())
    predicted = model.predict(x, verbose=0).tolist()
    model.fit(x, y, verbose=0)
    return {"before": before, "predicted": predicted, "weights": [w.tolist() for w in model.get_weights()]}


@rule
def random_numbers_go_on_alike():
    keras.utils.set_random_seed(RANK)
    x, y = rows(33)
    seen = []

    def batches():
        while True:
            seen.append(float(np.random.uniform()) + float(torch.rand(())))
            yield rows(5)

    model = compiled(layers.Dropout(0.5))
    model.fit(batches(), steps_per_epoch=5, epochs=2, verbose=0)
    model.fit(x, y, epochs=2, verbose=0)
    return {"seen": seen, "after": [float(np.random.uniform()), float(torch.rand(()))]}


@rule
def dropout_differs():
    keras.utils.set_random_seed(3)

    class Spy(layers.Layer):
        def call(self, x, training=None):
            if training:
                masks.append((x == 0).flatten().tolist())
            return x

    masks = []
    x = np.ones((32, 4), "float32")
    model = compiled(layers.Dropout(0.5), Spy())
    model.fit(x, x[:, :1], epochs=2, verbose=0)
    return masks


@rule
def rank_0_decides_on_stopping():
    x, y = rows(64)
    at_batch = Heard(stop_at=3 if RANK == 0 else None)
    compiled().fit(x, y, batch_size=8, verbose=0, callbacks=[at_batch])
    only_here = Heard(stop_at=2)  # on one rank alone
    compiled().fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=[only_here] if RANK == 0 else [])
    return [at_batch.batches, len(at_batch.epochs), only_here.batches]


@rule
def early_stopping():
    x, y = rows(64)
    stopping = keras.callbacks.EarlyStopping("loss", min_delta=1e9, patience=1, restore_best_weights=True)
    heard = Heard()
    model = compiled()
    model.fit(x, y, epochs=6, verbose=0, callbacks=[stopping, heard])
    return {"epochs": heard.epochs, "weights": [w.tolist() for w in model.get_weights()]}


@rule
def files(where):
    x, y = rows(20)
    model = compiled()
    folder = where / "files"
    folder.mkdir(exist_ok=True)
    callbacks = [
        keras.callbacks.ModelCheckpoint(str(folder / "{epoch}.keras")),
        keras.callbacks.ModelCheckpoint(
            str(folder / "best.weights.h5"), "loss", save_weights_only=True, save_best_only=True
        ),
        keras.callbacks.CSVLogger(str(folder / "log.csv")),
        keras.callbacks.BackupAndRestore(str(folder / "backup")),
    ]
    model.fit(x, y, epochs=2, verbose=0, callbacks=callbacks)
    model.save(folder / "whole.keras")  # the others wait: the file is there
    again = keras.models.load_model(folder / "whole.keras")
    if RANK == 0:
        model.save(folder / "by_rank_0.keras")
    model.save_weights(folder / "late.weights.h5")
    model.load_weights(folder / "late.weights.h5")
    memory = io.BytesIO()
    model.save(memory)
    try:
        model.save(folder / "no_folder" / "a.keras")
        failed = ""
    except OSError as error:
        failed = type(error).__name__
    return {
        "same": bool(np.allclose(again.predict(x, verbose=0), model.predict(x, verbose=0))),
        "memory": len(memory.getvalue()) > 1000,
        "failed": failed,
    }


@rule
def a_distributed_sampler_is_left_alone():
    x, y = map(torch.as_tensor, rows(22))
    set_ = torch.utils.data.TensorDataset(x, y)
    sampler = torch.utils.data.DistributedSampler(set_, 2, RANK, shuffle=True)
    loader = torch.utils.data.DataLoader(set_, batch_size=4, sampler=sampler)
    seen = []

    class Spy(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x):
            seen.append((x[:, 0] * 22).round().tolist())
            return self.dense(x)

    model = Spy()
    model.build((None, 4))
    model.compile("sgd", "mse")
    model.fit(loader, epochs=2, verbose=0)
    return {"seen": seen, "weights": [w.tolist() for w in model.get_weights()]}


@rule
def statistics_are_averaged():
    x, y = rows(32)
    model = compiled(layers.BatchNormalization())
    model.fit(x, y, epochs=1, verbose=0)
    return [w.tolist() for w in model.get_weights()]


@rule
def what_a_step_looks_for():
    """Whether torch's DDP walks the graph for unused parameters."""
    x, y = rows(32)

    class Mine(layers.Dense):
        pass

    looks = []
    for model in (compiled(), compiled(Mine(3))):
        model.fit(x, y, batch_size=8, verbose=0)
        looks.append(model._tk_training.train_step.trained.wrapped.find_unused_parameters)
    return looks


@rule
def printing():
    x, y = rows(33)
    model = compiled()
    print(f"<<{RANK}", flush=True)
    distributed.barrier()
    history = model.fit(x, y, verbose=2, epochs=1, validation_data=(x, y))
    model.evaluate(x, y, verbose=2)
    model.predict(x, verbose=2)
    sys.stdout.flush()
    distributed.barrier()
    print(f">>{RANK}", flush=True)
    return sorted(history.history)


@rule
def copies():
    x, y = rows(8)
    model = compiled()
    model.fit(x, y, verbose=0)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    twin.fit(x, y, verbose=0)
    model.fit(x, y, verbose=0)
    return [[w.tolist() for w in one.get_weights()] for one in (model, twin)]


class Interrupt(keras.callbacks.Callback):
    def __init__(self, at):
        super().__init__()
        self.at, self.losses = at, []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])
        if self.model.optimizer.iterations == self.at:
            raise KeyboardInterrupt


class Noisy(torch.utils.data.Dataset):
    """Draws noise from torch's generator and from NumPy's when a sample is fetched."""

    def __init__(self, samples):
        self.x, self.y = rows(samples)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index] + torch.rand(()).item() + np.float32(np.random.random()), self.y[index]


RESUMED = {
    "arrays": lambda: (rows(40), {"batch_size": 4}),
    "arrays with steps": lambda: (rows(40), {"batch_size": 4, "steps_per_epoch": 5}),
    "loader": lambda: ((torch.utils.data.DataLoader(Noisy(40), batch_size=4, shuffle=True),), {}),
    "loader, own generator": lambda: (
        (torch.utils.data.DataLoader(Noisy(40), batch_size=4, shuffle=True, generator=torch.Generator()),),
        {},
    ),
    "loader, distributed sampler": lambda: (
        (
            torch.utils.data.DataLoader(
                data := Noisy(80), batch_size=4, sampler=torch.utils.data.DistributedSampler(data, 2, RANK)
            ),
        ),
        {},
    ),
}


@rule
def interrupted_trainings_end_as_if_they_had_not_been(where):
    def train(kind, folder, at=None, seed=3):
        keras.utils.set_random_seed(seed)
        arguments, options = RESUMED[kind]()
        model = net(layers.BatchNormalization(), layers.Dropout(0.4))
        model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae", keras.metrics.R2Score(name="r2")])
        callbacks = [keras.callbacks.BackupAndRestore(str(where / folder), save_freq=3), Interrupt(at)]
        try:
            model.fit(*arguments, epochs=3, verbose=0, callbacks=callbacks, **options)
        except KeyboardInterrupt:
            distributed.barrier()
        return model, callbacks[1].losses

    found = {}
    for number, kind in enumerate(RESUMED):
        whole, all_losses = train(kind, f"whole{number}")
        train(kind, f"resumed{number}", at=13)
        resumed, losses = train(kind, f"resumed{number}", seed=4)
        logged, expected = resumed.history.history, whole.history.history
        found[kind] = {
            "batches": len(losses),
            "losses": losses == all_losses[-len(losses) :],
            "weights": all(map(np.array_equal, resumed.get_weights(), whole.get_weights())),
            "history": all(values[-len(logged[name]) :] == logged[name] for name, values in expected.items()),
        }
    return found


@rule
def targets_of_other_rows_are_refused():
    x, y = rows(6)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda t: t.repeat(2, 1)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    said = []
    for call in (model.train_on_batch, model.test_on_batch):
        try:
            call(x, np.concatenate([y, y]))
        except ValueError as error:
            said.append(str(error))
    return said


def run(where):
    return {
        name: function(where) if inspect.signature(function).parameters else function()
        for name, function in RULES.items()
    }
