"""Threads that train at the same time: which of them may capture a step, and when."""

from __future__ import annotations

import threading

import pytest

import torchkeras as keras
from tests.training import recorded_graphs
from tests.training.replay_cases import BATCH, ROWS, L, adam, make
from torchkeras.training.replay import threads
from torchkeras.training.state import state_of

pytestmark = pytest.mark.usefixtures("graphs_on_the_cpu")


def test_threads_that_train_at_once_capture_nothing_until_one_is_alone(rng):
    """Each curve is that of a training alone; a thread whose pass began first waits with its capture."""
    data = rng.normal(size=(ROWS, 6)).astype("float32"), rng.integers(0, 3, ROWS)
    captured = recorded_graphs.CAPTURED
    both_train, other_has_ended = threading.Barrier(2, timeout=60), threading.Event()
    found: dict[str, list] = {}

    class Meeting(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            both_train.wait()

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                found[self.model.name] = [len(captured)]
                if self.model.name == "second":
                    both_train.wait()
                    other_has_ended.wait(60)
                else:
                    both_train.wait()

        def on_train_end(self, logs=None):
            found[self.model.name].append(state_of(self.model).replayers["train"].replays)

    models = [make(L.BatchNormalization()) for _ in range(2)]
    models[1].set_weights(models[0].get_weights())
    for model, name in zip(models, ("first", "second"), strict=True):
        model.name = name
        model.compile(adam(), "sparse_categorical_crossentropy")

    def run(model, epochs):
        fit = {"batch_size": BATCH, "epochs": epochs, "shuffle": False, "verbose": 0, "callbacks": [Meeting()]}
        found[model.name + " curve"] = model.fit(*data, **fit).history["loss"]
        if model.name == "first":
            other_has_ended.set()

    workers = [threading.Thread(target=run, args=(models[0], 3)), threading.Thread(target=run, args=(models[1], 5))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert found["first"] == [0, 0] and found["second"][0] == 0
    assert found["second"][1] > 5 and len(captured) == 2
    assert found["first curve"] == found["second curve"][:3]


def test_a_thread_that_begins_a_pass_waits_for_a_capture():
    order: list[str] = []

    def other():
        with threads.in_pass():
            order.append("pass")

    with threads.in_pass(), threads.LOCK:
        assert threads.is_alone()
        worker = threading.Thread(target=other)
        worker.start()
        worker.join(0.05)
        order.append("captured")
    worker.join(60)
    assert order == ["captured", "pass"] and threads.is_alone()
