"""Replayed steps equal those in eager mode, in every case in which the host has a part; tested by a stand-in."""

from __future__ import annotations

import logging
import threading
import weakref

import numpy as np
import pytest
import torch

import torchkeras as keras
from tests.device_fits import FITS
from tests.training import recorded_graphs
from tests.training.replay_cases import (
    ACTIONS,
    BATCH,
    CALLBACKS,
    CLOSE,
    EXACT,
    MODELS,
    ROWS,
    Acting,
    L,
    O,
    adam,
    both,
    make,
    my_activation,
    replays,
    same,
    train,
)
from torchkeras.distributed.strategies.registry import STRATEGIES
from torchkeras.training.replay.audit import Audit
from torchkeras.training.replay.settings import Settings
from torchkeras.training.state import state_of

pytestmark = pytest.mark.usefixtures("graphs_on_the_cpu")


@pytest.fixture
def data(rng):
    return rng.normal(size=(ROWS, 6)).astype("float32"), rng.integers(0, 3, ROWS)


@pytest.mark.parametrize("name", [*EXACT, *CLOSE])
def test_optimizers(name, data):
    model, plain, replayed = both(make, data, {**EXACT, **CLOSE}[name])
    assert replays(model) > 10
    same(plain, replayed, 0.0 if name in EXACT else 2e-4)


@pytest.mark.parametrize("name", MODELS)
def test_models(name, data):
    model, plain, replayed = both(MODELS[name], data, adam)
    assert replays(model) > 10
    same(plain, replayed)


def test_an_epoch_of_replays_alone_has_all_its_values(data):
    data = tuple(array[:40] for array in data)
    model, plain, replayed = both(make, data, adam, epochs=4)
    assert replays(model) > 30
    same(plain, replayed)


@pytest.mark.filterwarnings("ignore:.*trainable.*")
@pytest.mark.parametrize("name", ACTIONS)
def test_actions_of_callbacks(name, data):
    model, plain, replayed = both(
        lambda: make(L.Dropout(0.5), L.BatchNormalization()),
        data,
        adam,
        epochs=4,
        make_options=lambda: {"callbacks": [Acting(ACTIONS[name])]},
    )
    assert replays(model) > 10
    assert state_of(model).replayers["train"].has_left == (name in ("activation", "hook"))
    same(plain, replayed)


def test_a_model_that_is_changed_between_calls(data):
    results = []
    for jit in (False, "auto"):
        keras.utils.set_random_seed(1)
        model = make()
        train(model, data, adam(), jit)
        x, first = data[0], model.predict(data[0], batch_size=BATCH, verbose=0)
        first = model.predict(x, batch_size=BATCH, verbose=0)
        model.layers[0].enable_lora(2)
        model.layers[0].lora_kernel_b.assign(np.ones(model.layers[0].lora_kernel_b.shape))
        second = model.predict(x, batch_size=BATCH, verbose=0)
        assert np.abs(first - second).max() > 1e-3
        results.append(second)
    np.testing.assert_array_equal(*results)
    assert replays(model, "predict") > 10


def test_passes_without_training_read_weights_that_were_changed_since_the_capture(data):
    """Under a mixed policy they keep casts of the weights, which a graph must not have read."""
    x, y = data[0], data[1].astype("float32")[:, None]
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = make()
    keras.config.set_dtype_policy(before)
    model.compile("sgd", "mse")

    def passes(mode):
        keras.config.set_cuda_graphs(mode)
        return model.predict(x, batch_size=BATCH, verbose=0), model.evaluate(x, y, batch_size=BATCH, verbose=0)

    passes("auto")
    model.set_weights([weight * 2 + 1 for weight in model.get_weights()])
    replayed = passes("auto")
    assert replays(model, "predict") > 10 and replays(model, "test") > 10
    for found, wanted in zip(replayed, passes("off"), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", ["mixed_bfloat16", "large vocabulary", "schedule, averages", "many metrics"])
def test_graphs_read_no_memory_that_is_given_back_after_a_pass(name):
    fit = FITS[name]
    model, _ = fit.train()
    model.evaluate(fit.x, fit.y, batch_size=8, verbose=0)
    model.predict(fit.x, batch_size=8, verbose=0)
    found = [read for graph in recorded_graphs.CAPTURED for read in graph.dangling()]
    assert len(recorded_graphs.CAPTURED) >= 3 and not found, found


def test_who_looks_at_operations_sees_those_of_a_step(data):
    """A replay launches kernels without operations, of which a counter of operations would see none."""
    model = make()
    model.compile("sgd", "sparse_categorical_crossentropy")
    found = []
    for _ in range(2):
        use = keras.callbacks.HardwareUse(1e12)
        model.fit(*data, batch_size=BATCH, verbose=0, callbacks=[use])
        found.append((use.flops_per_batch, replays(model)))
    assert found[0][0] == found[1][0] > 0
    assert found[1][1] == found[0][1] + ROWS // BATCH + bool(ROWS % BATCH) - 2  # but the first, and the ragged last


def test_steps_on_several_devices_can_not_be_captured():
    with Audit(torch.device("cpu", 1)) as audit:  # beside which the tensors here lie on another one
        torch.ones(2) + 1
    assert audit.obstacle == "it computes on several devices (ones)"


def test_numbers_that_an_operator_draws_on_the_host_can_not_be_captured():
    """The key of the portable generator: a replay would give all steps the same random numbers."""
    keras.config.enable_portable_random()
    try:
        for layer, operation in ((L.Dropout(0.5), "next_torch_seed"), (L.Dropout(0.5, seed=1), "copy_")):
            x = torch.ones(2, 3)
            layer(x, training=True)
            with Audit(torch.device("cuda", 0)) as audit:  # beside which all tensors here are the host's
                layer(x, training=True)
            assert f"({operation})" in audit.obstacle
    finally:
        keras.config.disable_portable_random()


def test_a_vocabulary_that_is_set_between_passes():
    x = np.arange(80).reshape(20, 4) % 9
    lookup = L.IntegerLookup(vocabulary=[1, 2, 3, 4])
    model = keras.Sequential([keras.Input((4,), dtype="int64"), lookup])
    model.predict(x, batch_size=2, verbose=0)
    assert replays(model, "predict") > 3
    lookup.set_vocabulary([5, 6, 7, 8])
    np.testing.assert_array_equal(model.predict(x, batch_size=2, verbose=0), lookup(x).numpy())


def test_settings_behind_public_attributes():
    for policy, name in (("float32", "autocast"), ("mixed_bfloat16", "autocast"), ("float32", "dtype_policy")):
        layer = L.Dense(2, dtype=policy)
        before = Settings([layer])
        setattr(layer, name, False if name == "autocast" else "float64")
        assert not before.are_unchanged() and before != Settings([layer]), (policy, name)


def test_a_generator_that_changes_the_model_between_two_batches(data):
    found = []
    for mode in ("off", "auto"):
        keras.config.set_cuda_graphs(mode)
        keras.utils.set_random_seed(1)
        model = make(L.Dropout(0.5))
        model.compile(adam(), "sparse_categorical_crossentropy")

        def batches(model=model):
            for number in range(30):
                if number == 20:
                    model.layers[1].rate = 0.9
                yield data[0][:BATCH], data[1][:BATCH]

        history = model.fit(batches(), steps_per_epoch=30, verbose=0).history
        found.append((history, model.get_weights()))
    assert replays(model) > 15
    same(*found)


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks(name, data):
    model, plain, replayed = both(make, data, adam, epochs=5, make_options=lambda: {"callbacks": [CALLBACKS[name]()]})
    assert replays(model) > 10
    same(plain, replayed)


def test_averages_swapped_for_validation(data):
    model, plain, replayed = both(
        make,
        data,
        lambda: O.Adam(0.01, use_ema=True),
        validation_data=data,
        make_options=lambda: {"callbacks": [keras.callbacks.SwapEMAWeights()]},
    )
    assert replays(model) > 10 and replays(model, "test") > 10
    same(plain, replayed)


@pytest.mark.parametrize("group", [3, 7])
def test_steps_per_execution(group, data):
    model, plain, replayed = both(make, data, adam, compile_options={"steps_per_execution": group})
    assert replays(model) > 10
    same(plain, replayed)


def test_sample_weights_and_class_weights(data, rng):
    for options in (
        {"sample_weight": rng.uniform(size=ROWS).astype("float32")},
        {"class_weight": {0: 1.0, 1: 2.0, 2: 0.0}},
    ):
        model, plain, replayed = both(make, data, adam, **options)
        assert replays(model) > 10
        same(plain, replayed)


def test_mixed_float16(data, monkeypatch):
    monkeypatch.setattr("torchkeras.optimizers.loss_scale._HOSTS", ())
    keras.config.set_dtype_policy("mixed_float16")
    try:
        for optimizer in (
            adam,
            lambda: O.SGD(O.schedules.CosineDecay(0.1, 20)),
            lambda: O.Adam(0.01, gradient_accumulation_steps=2),
        ):
            model, plain, replayed = both(make, data, optimizer)
            assert replays(model) > 10
            same(plain, replayed, 1e-3)
    finally:
        keras.dtype_policies.reset_dtype_policy()


def test_nested_data_and_outputs(rng):
    x = {"a": rng.normal(size=(40, 3)).astype("float32"), "b": rng.normal(size=(40, 2)).astype("float32")}
    y = {"first": rng.normal(size=(40, 1)).astype("float32"), "second": rng.normal(size=(40, 2)).astype("float32")}

    def nested():
        inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((2,), name="b")}
        h = L.Dense(4)(L.Concatenate()([inputs["a"], inputs["b"]]))
        return keras.Model(inputs, {"first": L.Dense(1, name="first")(h), "second": L.Dense(2, name="second")(h)})

    eager, replayed = nested(), nested()
    replayed.set_weights(eager.get_weights())
    found = []
    for model, jit in ((eager, False), (replayed, "auto")):
        model.compile("adam", "mse", metrics={"first": ["mae"]}, jit_compile=jit)
        torch.manual_seed(0)
        history = model.fit(x, y, batch_size=4, epochs=3, verbose=0).history
        found.append(
            (history, model.evaluate(x, y, batch_size=4, verbose=0), model.predict(x, batch_size=4, verbose=0))
        )
    assert replays(replayed) > 10 and replays(replayed, "test") > 3 and replays(replayed, "predict") > 3
    assert found[0][0] == found[1][0] and found[0][1] == found[1][1]
    for name in y:
        np.testing.assert_array_equal(found[0][2][name], found[1][2][name])


def test_further_calls_replay_at_once(data):
    model = make()
    train(model, data, adam(), "auto")
    captured, first = len(recorded_graphs.CAPTURED), replays(model)
    model.fit(*data, batch_size=BATCH, epochs=1, verbose=0)
    assert len(recorded_graphs.CAPTURED) == captured + 1  # the ragged batch came for the fourth time
    assert replays(model) == first + ROWS // BATCH
    model.compile("adam", "mse")
    assert not state_of(model).replayers


def test_gradients_are_those_of_the_last_batch(data):
    found = []

    class Gradients(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            found[-1].append(self.model.layers[0].kernel.grad.clone())

    for jit in (False, "auto"):
        keras.utils.set_random_seed(1)
        found.append([])
        train(make(), data, adam(), jit, epochs=4, callbacks=[Gradients()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_gradients_outlive_an_evaluation_that_was_captured_before(data):
    data, found = tuple(array[:40] for array in data), []  # the last batch of an epoch is replayed, too

    class Gradients(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            found[-1].append([weight.grad.clone() for weight in self.model.trainable_weights])

    for mode in ("off", "auto"):
        keras.config.set_cuda_graphs(mode)
        keras.utils.set_random_seed(1)
        model = make()
        model.compile(adam(), "sparse_categorical_crossentropy")
        model.evaluate(*data, batch_size=BATCH, verbose=0)
        found.append([])
        model.fit(
            *data, batch_size=BATCH, epochs=3, validation_data=data, validation_batch_size=BATCH, verbose=0,
            callbacks=[Gradients()],
        )  # fmt: skip
    assert replays(model) > 10 and replays(model, "test") > 20
    for plain, replayed in zip(*found, strict=True):
        assert all(map(torch.equal, plain, replayed))


def test_a_thread_that_has_not_run_a_step_does_not_capture_it(data):
    """It has no handles of CUDA's libraries yet, and none can be made within a capture."""
    model = make()
    model.predict(data[0][: 3 * BATCH], batch_size=BATCH, verbose=0)  # two steps, then an audit
    assert not recorded_graphs.CAPTURED

    other = threading.Thread(target=lambda: model.predict(data[0][:BATCH], batch_size=BATCH, verbose=0))
    other.start()
    other.join(60)
    assert not recorded_graphs.CAPTURED
    model.predict(data[0][: 2 * BATCH], batch_size=BATCH, verbose=0)
    assert len(recorded_graphs.CAPTURED) == 1


def test_an_exception_leaves_the_training_usable(data):
    def fail(model):
        raise KeyError("no")

    results = []
    for jit in (False, "auto"):
        keras.utils.set_random_seed(1)
        model = make()
        with pytest.raises(KeyError):
            train(model, data, adam(), jit, callbacks=[Acting(fail, 20)])
        model.fit(*data, batch_size=BATCH, verbose=0)
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------------------- steps that are not replayed


class Own(L.Layer):
    def call(self, inputs):
        return inputs * 2.0


class Waiting(L.Layer):
    def call(self, inputs):
        return inputs * 2.0 if float(inputs.detach().sum()) > 1e9 else inputs * 3.0


class OwnStep(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)


def with_hook():
    model = make()
    model.layers[0].register_forward_hook(lambda *args: None)
    return model


EAGER = {
    "own layer": ("auto", lambda: make(Own()), "Own is code of yours"),
    "lambda": ("auto", lambda: make(L.Lambda(lambda x: x * 2)), "Lambda"),
    "own activation": ("auto", lambda: make(L.Dense(2, activation=my_activation)), "my_activation"),
    "hooks": ("always", with_hook, "has hooks"),
    "waiting": ("always", lambda: make(Waiting()), "reads values of the device"),
    "seeded": ("auto", lambda: make(L.Dropout(0.5, seed=1)), "seed"),
}


@pytest.mark.parametrize("name", EAGER)
def test_what_stays_in_eager_mode_and_says_so_once(name, data, caplog):
    mode, make_model, reason = EAGER[name]
    keras.config.set_cuda_graphs(mode)
    with caplog.at_level(logging.INFO, logger="torchkeras"):
        model, plain, replayed = both(make_model, data, adam)
    lines = [record for record in caplog.records if "train step" in record.getMessage()]
    assert replays(model) == 0 and not recorded_graphs.CAPTURED
    assert len(lines) == 1 and reason in lines[0].getMessage()
    assert (lines[0].levelno == logging.WARNING) == (mode == "always")
    same(plain, replayed)


def test_own_layers_are_replayed_where_the_user_says_so(data):
    keras.config.set_cuda_graphs("always")
    model, plain, replayed = both(lambda: make(Own(), L.Lambda(lambda x: torch.tanh(x))), data, adam)
    assert replays(model) > 10
    same(plain, replayed)


def test_compiled_steps_are_replayed_too(data, monkeypatch):
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: real(f, **{**options, "backend": "eager"}))
    eager, replayed = make(), make()
    replayed.set_weights(eager.get_weights())
    plain, found = train(eager, data, adam(), False), train(replayed, data, adam(), True)
    assert replays(replayed) > 10
    same(plain, found, 1e-6)


def test_the_search_for_anomalies_needs_eager_steps(data):
    with torch.autograd.set_detect_anomaly(True):
        model = make()
        train(model, data, adam(), "auto")
    assert replays(model) == 0


def test_switches(data):
    for mode, jit, options in (("off", "auto", {}), ("auto", False, {}), ("auto", "auto", {"run_eagerly": True})):
        keras.config.set_cuda_graphs(mode)
        model = make()
        train(model, data, adam(), jit, compile_options=options)
        assert not recorded_graphs.CAPTURED and not state_of(model).replayers
    with pytest.raises(ValueError, match="must be one of"):
        keras.config.set_cuda_graphs("sometimes")


def test_steps_of_several_processes_are_not_captured(data, caplog, monkeypatch):
    assert all(strategy.replay_obstacle for name, strategy in STRATEGIES.items() if name != "single")
    monkeypatch.setattr(STRATEGIES["single"], "replay_obstacle", STRATEGIES["data_parallel"].replay_obstacle)
    keras.config.set_cuda_graphs("always")
    model = make()
    train(model, data, adam(), "auto")
    assert not recorded_graphs.CAPTURED and replays(model) == 0
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "several processes train" in line and "error handling" in line


def test_a_train_step_of_the_users_runs(data):
    model = OwnStep([keras.Input((6,)), L.Dense(3)])
    train(model, data, adam(), "auto")
    assert "train" not in state_of(model).replayers


def test_optimizers_of_torch_and_of_the_user(data, caplog):
    class Mine(O.SGD):
        pass

    for optimizer in (torch.optim.SGD, lambda parameters: torch.optim.SGD(parameters, lr=0.1), Mine(0.1)):
        model = make()
        train(model, data, optimizer, "auto")
        assert replays(model) == 0


def test_a_capture_that_fails(data, monkeypatch, caplog):
    """The step is done in eager mode, once, and the optimizer has counted it once."""
    capture = recorded_graphs.RecordedGraphs.capture

    def failing(self, function, leaves_gradients):
        capture(self, function, leaves_gradients)
        raise RuntimeError("operation failed due to a previous error during capture")

    monkeypatch.setattr(recorded_graphs.RecordedGraphs, "capture", failing)
    with caplog.at_level(logging.INFO, logger="torchkeras"):
        model, plain, replayed = both(
            lambda: make(L.Dropout(0.5)), data, lambda: O.Adam(0.01, gradient_accumulation_steps=3)
        )
    assert len(recorded_graphs.CAPTURED) == 1 and "previous error" in caplog.text
    same(plain, replayed)


def test_a_capture_that_fails_holds_no_memory_while_the_step_runs_again(data, monkeypatch):
    """Memory that ran out in the capture would run out again."""
    held, alive = [], []

    def failing(self, function, leaves_gradients):
        activations = torch.ones(3)
        held.append(weakref.ref(activations))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    class Looks(L.Layer):
        def call(self, inputs):
            alive.append(bool(held) and held[0]() is not None)
            return inputs

    monkeypatch.setattr(recorded_graphs.RecordedGraphs, "capture", failing)
    keras.config.set_cuda_graphs("always")
    model = make(Looks())
    train(model, data, adam(), "auto")
    assert held and not any(alive)


def test_shapes_that_never_repeat(rng):
    def batches():
        for length in range(1, 90):
            yield np.ones((2, length, 3), "float32"), np.ones((2, 1), "float32")

    model = keras.Sequential([keras.Input((None, 3)), L.GlobalAveragePooling1D(), L.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(batches(), verbose=0)
    assert replays(model) == 0 and not recorded_graphs.CAPTURED


def test_copies_and_pickles_have_no_graphs(data):
    import copy
    import pickle

    model = make()
    train(model, data, adam(), "auto")
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert not state_of(other).replayers
        other.fit(*data, batch_size=BATCH, verbose=0)


def test_too_little_memory_for_a_step_beside_the_graphs(data, monkeypatch, caplog):
    monkeypatch.setattr(recorded_graphs.RecordedGraphs, "obstacle", lambda self: "the device is full")
    with caplog.at_level(logging.INFO, logger="torchkeras"):
        model, plain, replayed = both(make, data, adam)
    assert len(recorded_graphs.CAPTURED) == 1 and "the device is full" in caplog.text
    same(plain, replayed)
