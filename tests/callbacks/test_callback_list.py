"""CallbackList: who is called, with what, and what a hook that nobody needs costs."""

import keras
import pytest
import torch

from tests.callbacks.callback_fakes import FakeModel
from torchkeras.callbacks import Callback, CallbackList, History, LambdaCallback, ModelCheckpoint, ProgbarLogger
from torchkeras.callbacks.callback_list import HOOKS
from torchkeras.reporting.logs import Logs

PLACED = [name for name in HOOKS if "batch" in name or "epoch" in name]


def recorder(base=Callback):
    calls = []
    hooks = {n: (lambda self, *args, n=n: calls.append((n, *args))) for n in HOOKS if n not in OLD}
    return type("Recorder", (base,), hooks)(), calls


OLD = ("on_batch_begin", "on_batch_end")


def call(callbacks, name, logs=None):
    getattr(callbacks, name)(*([3] if name in PLACED else []), logs)


def test_the_hooks_are_those_of_keras():
    theirs = {name for name in dir(keras.callbacks.Callback) if name.startswith("on_")}
    assert set(HOOKS) == theirs


@pytest.mark.parametrize("base", [Callback, keras.callbacks.Callback, object])
@pytest.mark.parametrize("name", [n for n in HOOKS if n not in OLD])
def test_every_hook_reaches_callbacks_of_any_kind(name, base):
    callback, calls = recorder(base)
    callback.set_model = callback.set_params = lambda value: None
    callbacks = CallbackList([[callback]], model=FakeModel(), epochs=1)
    call(callbacks, name, {"loss": torch.tensor(2.0)})
    ((hook, *place, logs),) = calls
    assert (hook, place) == (name, [3] if name in PLACED else [])
    assert float(logs["loss"]) == 2.0


@pytest.mark.parametrize("name", HOOKS)
def test_logs_are_never_none(name):
    seen = []
    CallbackList([type("C", (Callback,), {name: lambda self, *args: seen.append(args[-1])})()])
    callback = type("C", (Callback,), {name: lambda self, *args: seen.append(args[-1])})()
    call(CallbackList([callback]), name)
    assert seen == [{}]


def test_older_names_of_batch_hooks():
    seen = []

    class Old(Callback):
        def on_batch_begin(self, batch, logs=None):
            seen.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            seen.append(("end", batch))

    callbacks = CallbackList(Old())
    callbacks.on_train_batch_begin(1)
    callbacks.on_train_batch_end(1)
    callbacks.on_test_batch_end(2)
    assert seen == [("begin", 1), ("end", 1)]
    assert callbacks.watches_train_batches and not callbacks.watches_test_batches


def test_hooks_set_on_the_instance_or_late_count():
    seen = []
    callback = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch), on_test_begin=seen.append)
    callbacks = CallbackList([callback])
    callbacks.on_train_batch_end(4)
    callback.on_predict_end = lambda logs: seen.append("late")
    callbacks.on_predict_begin()
    callbacks.on_predict_end()
    callbacks.on_test_begin()
    assert seen == [4, "late", {}]


@pytest.mark.parametrize("callbacks", [[], [History()], [Callback()], [ModelCheckpoint("a.keras")]])
def test_nobody_watches_batches(callbacks):
    found = CallbackList(callbacks)
    assert not (found.watches_train_batches or found.watches_test_batches or found.watches_predict_batches)


def test_who_watches_batches():
    assert CallbackList(add_progbar=True, verbose=1).only_progress_watches
    watched = CallbackList([ModelCheckpoint("a.keras", save_freq=2)], add_progbar=True, verbose=1)
    assert watched.watches_train_batches and not watched.only_progress_watches

    class Mine(ModelCheckpoint):
        def on_train_batch_end(self, batch, logs=None):
            pass

    assert CallbackList([Mine("a.keras")]).watches_train_batches


def test_the_usual_callbacks_are_added_once():
    history, bar = History(), ProgbarLogger()
    model = FakeModel()
    found = CallbackList([history, bar], add_history=True, add_progbar=True, model=model, verbose=0, epochs=2, steps=3)
    assert found.callbacks == [history, bar] and model.history is history
    assert history.params == {"verbose": 0, "epochs": 2, "steps": 3} and history.model is model
    found = CallbackList(None, add_history=True, add_progbar=True, model=model)
    assert [type(c) for c in found.callbacks] == [History, ProgbarLogger]
    found.append(late := Callback())
    assert late.model is model


def test_unread_values_are_not_computed():
    def never():
        raise AssertionError("read")

    class Counts(Callback):
        batches = 0

        def on_train_batch_end(self, batch, logs=None):
            self.batches += 1

    counts = Counts()
    CallbackList([counts]).on_train_batch_end(0, Logs({"loss": never}))
    CallbackList([counts]).on_train_batch_end(0, Logs.of(never))
    assert counts.batches == 2


def test_what_a_callback_adds_the_next_one_sees():
    def add(epoch, logs):
        logs["extra"] = 1.0

    history = History()
    found = CallbackList([LambdaCallback(on_epoch_end=add), history], model=FakeModel())
    found.on_train_begin()
    found.on_epoch_end(0, {"loss": torch.tensor(0.5)})
    found.on_epoch_end(1, Logs({"loss": lambda: torch.tensor(0.25)}))
    assert history.history == {"loss": [0.5, 0.25], "extra": [1.0, 1.0]} and history.epoch == [0, 1]


def test_under_ddp_the_model_is_the_one_inside(monkeypatch):
    from torchkeras.callbacks import callback as module

    class Wrapper:
        def __init__(self, inner):
            self.module = inner

    monkeypatch.setattr(module, "DistributedDataParallel", Wrapper)
    callback, inner = Callback(), FakeModel()
    callback.set_model(Wrapper(inner))
    assert callback.model is inner


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda epoch, logs: None, "wrap a function, as in LambdaCallback"),
        (print, "received <built-in function print>"),
        (History, "received the class History: call it first"),
        ("EarlyStopping", "of type str"),
        (3, "of type int"),
    ],
)
def test_other_things_than_callbacks_are_refused(wrong, message):
    for make in (lambda: CallbackList(wrong), lambda: CallbackList([History(), [wrong]])):
        with pytest.raises(TypeError, match="callbacks must be Callback instances.*" + message):
            make()
    with pytest.raises(TypeError, match=message):
        CallbackList().append(wrong)
