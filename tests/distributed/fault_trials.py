"""Ranks that fail, that are alone somewhere, or that differ: how each of them ends.

    python fault_trials.py FOLDER [NAME ...]

prints a line of JSON: by fault the exit codes, the seconds, and the last lines of what each rank printed.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torchmetrics

import torchkeras as keras
from tests.distributed import forked

RANK = lambda: int(os.environ["RANK"])
FAULTS = {}


def fault(function):
    FAULTS[function.__name__] = function
    return function


def rows(n):
    return np.ones((n, 4), "float32"), np.zeros((n, 1), "float32")


def net(loss="mse", units=3, **kwargs):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(1)])
    model.compile("sgd", loss, **kwargs)
    return model


class Rows(torchmetrics.Metric):
    """Counts rows."""

    def __init__(self):
        super().__init__()
        self.add_state("rows", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, predicted, target):
        self.rows += len(predicted)

    def compute(self):
        return self.rows


class Raise(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 2 and RANK() == 1:
            raise KeyError("in a callback")


@fault
def callback(where):
    net().fit(*rows(64), batch_size=8, callbacks=[Raise()], verbose=0)


@fault
def loader(where):
    def batches():
        for number in range(9):
            if number == 4 and RANK() == 1:
                raise OSError("in the data")
            yield rows(8)

    net().fit(batches(), verbose=0)


@fault
def loss(where):
    calls = []

    def own(y, y_pred):
        calls.append(1)
        if len(calls) == 3 and RANK() == 1:
            raise ArithmeticError("in the loss")
        return keras.ops.mean(keras.ops.square(y - y_pred))

    net(own).fit(*rows(64), batch_size=8, verbose=0)


@fault
def save(where):
    class Save(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.save(where / "no folder" / "model.keras")

    net().fit(*rows(16), callbacks=[Save()], verbose=0)


@fault
def killed(where):
    class Kill(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2 and RANK() == 1:
                os.kill(os.getpid(), 9)

    net().fit(*rows(64), batch_size=8, callbacks=[Kill()], verbose=0)


@fault
def lengths(where):
    net().fit(*rows(64 if RANK() else 48), batch_size=8, verbose=0)


@fault
def code(where):
    net(units=3 + RANK()).fit(*rows(16), verbose=0)


@fault
def seeds(where):
    keras.utils.set_random_seed(RANK())
    x = np.random.normal(size=(16, 4)).astype("float32")
    net().fit(x, x[:, :1], verbose=0)


@fault
def one_callback(where):
    callbacks = [keras.callbacks.BackupAndRestore(where / "backup")] if RANK() == 0 else []
    net().fit(*rows(16), callbacks=callbacks, verbose=0)


@fault
def alone_in_save(where):
    keras.distributed.calls._SECONDS_TO_MEET = 1.0
    model = net()
    model.fit(*rows(16), verbose=0)
    if RANK() == 1:
        model.save(where / "alone.keras")
    time.sleep(2)


@fault
def alone_in_sharded_save(where):
    keras.distributed.calls._SECONDS_TO_MEET = 1.0
    keras.distribution.initialize()
    keras.distribution.set_distribution(keras.distribution.FullyShardedDataParallel())
    model = net()
    model.fit(*rows(16), verbose=0)
    try:
        pickle.dumps(model)
    except TypeError as error:
        print(error, flush=True)
    if RANK() == 0:
        model.save(where / "alone.keras")
    time.sleep(2)


def sharded_net():
    keras.distribution.initialize()
    keras.distribution.set_distribution(keras.distribution.FullyShardedDataParallel())
    return net()


@fault
def alone_in_predict(where):
    model = net()
    model.fit(*rows(16), verbose=0)
    if RANK() == 0:
        model.predict(rows(16)[0], verbose=0)
    model.fit(*rows(16), verbose=0)


@fault
def alone_at_the_end(where):
    model = net()
    model.fit(*rows(16), verbose=0)
    if keras.distributed.is_main_process():
        model.evaluate(*rows(16), verbose=0)


class Look(keras.callbacks.Callback):
    """Calls that rank 0 alone makes in a training."""

    def __init__(self, when):
        super().__init__()
        setattr(self, when, lambda *args: RANK() == 0 and self.model.evaluate(*rows(4), verbose=0))


@fault
def alone_in_a_callback(where):
    net().fit(*rows(16), epochs=3, verbose=0, callbacks=[Look("on_epoch_end")])


@fault
def alone_between_batches(where):
    keras.distribution.initialize(timeout=3)
    net().fit(*rows(16), batch_size=4, verbose=0, callbacks=[Look("on_train_batch_end")])


@fault
def alone_with_a_weight(where):
    model = sharded_net()
    if RANK() == 0:
        model.layers[0].kernel.numpy()


@fault
def alone_with_weights(where):
    model = sharded_net()
    model.get_weights() if RANK() else model.set_weights([np.ones(w.shape) for w in model.weights])


@fault
def alone_in_compile(where):
    keras.distribution.initialize()
    keras.distribution.set_distribution(keras.distribution.FullyShardedDataParallel())
    RANK() == 0 and net()


@fault
def alone_in_barrier(where):
    """Rank 1 raises an error of its own; its script would otherwise come to the barrier."""
    keras.distribution.initialize()
    if RANK() == 1:
        raise ZeroDivisionError("of the script")
    keras.distributed.barrier()


@fault
def alone_on_a_batch(where):
    keras.distribution.initialize(timeout=3)
    model = net()
    model.train_on_batch(*rows(4))
    RANK() == 0 and model.train_on_batch(*rows(4))
    model.predict(rows(4)[0], verbose=0)


@fault
def by_itself(where):
    """No fault: rank 0 alone predicts, evaluates, trains on; then both train, and agree."""
    model = net()
    model.fit(*rows(16), verbose=0)
    found = []
    if keras.distributed.is_main_process():
        with keras.distributed.single_process():
            found = model.predict(rows(6)[0], verbose=0).shape, model.evaluate(*rows(16), verbose=0)
            model.fit(*rows(16), verbose=0)
            model.save(where / "by_itself.keras")
    model.fit(*rows(16), batch_size=4, verbose=0)
    print(json.dumps([[np.ravel(w).tolist() for w in model.get_weights()], (where / "by_itself.keras").exists()]))
    model = sharded_net()
    with keras.distributed.single_process():
        try:
            model.predict(rows(6)[0], verbose=0)
        except RuntimeError as error:
            print(error)
    sizes = keras.distributed.gather_objects(len(found))
    print(json.dumps(sizes), flush=True)


@fault
def nobody_comes(where):
    if RANK() == 1:
        return
    keras.distribution.initialize(timeout=2)


@fault
def lost_in_a_message(where):
    keras.distribution.initialize(timeout=2)
    model = net()

    class Sleep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1 and RANK() == 1:
                time.sleep(4)

    model.fit(*rows(16), batch_size=4, verbose=0, callbacks=[Sleep()])


@fault
def uneven(where):
    found = []
    alone = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_initializer="ones")])
    for n in range(1, 6):
        model = keras.models.clone_model(alone)
        model.set_weights(alone.get_weights())
        model.compile("sgd", "mse", metrics=["mae"])
        x = np.arange(n * 4, dtype="float32").reshape(n, 4) / 20
        model.fit(x, x[:, :1], batch_size=3, shuffle=False, verbose=0, validation_data=(x, x[:, :1]))
        found.append([len(model.predict(x, verbose=0)), *model.evaluate(x, x[:, :1], verbose=0)])
    try:
        model.fit(np.zeros((0, 4)), np.zeros((0, 1)), verbose=0)
    except ValueError as error:
        print(error, flush=True)
    print(json.dumps(found), flush=True)


@fault
def offloaded(where):
    """No fault: weights in the host's memory, on a machine that has nothing else, train as ever."""
    keras.distribution.initialize()
    losses = []
    for offload in (True, False):
        keras.distribution.set_distribution(keras.distribution.FullyShardedDataParallel(cpu_offload=offload))
        keras.utils.set_random_seed(1)
        x = np.random.normal(size=(32, 4)).astype("float32")
        losses.append(net().fit(x, x[:, :1], batch_size=8, epochs=2, verbose=0).history["loss"])
    print(json.dumps(losses), flush=True)


@fault
def torchmetrics_in_parts(where):
    """No fault: torchmetrics' sums count each row once on a mesh with model ranks."""
    keras.distribution.initialize()
    mesh = keras.distribution.DeviceMesh((1, 2), ["batch", "model"])
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[".*kernel"] = ("model", None)
    keras.distribution.set_distribution(keras.distribution.ModelParallel(layout_map=layouts))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "mse", metrics=[torchmetrics.MeanSquaredError(), Rows()])
    found = model.evaluate(*rows(10), batch_size=4, verbose=0, return_dict=True)
    print(json.dumps(found), flush=True)


def run(folder: Path, name: str, ranks: int = 2) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / name
    begin = time.monotonic()
    codes = forked.wait(forked.start(partial(FAULTS[name], folder), ranks, str(log)), 40)
    seconds = time.monotonic() - begin
    return {
        "codes": codes,
        "seconds": seconds,
        "printed": [Path(f"{log}.{rank}").read_text() for rank in range(ranks)],
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, *names = sys.argv[1:]
    print(json.dumps({name: run(Path(folder), name) for name in names or FAULTS}))
