"""Training on one device of torch_xla: the CPU's numbers, one execution per step, nothing compiled after two epochs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchkeras as keras
from tests.xla import networks
from tests.xla.networks import L, M, O, dense_network
from tests.xla.trials import Asked, asked, check_alike, taken_to_the_cpu, train

S = O.schedules
OPTIMIZERS = {
    "sgd": lambda: O.SGD(0.01),
    "sgd, momentum": lambda: O.SGD(0.05, momentum=0.9, nesterov=True),
    "sgd, rate 1": lambda: O.SGD(S.PiecewiseConstantDecay([3, 6], [0.01, 1.0, 0.0])),
    "adam, clipped, decayed": lambda: O.Adam(0.01, clipnorm=0.1, weight_decay=0.01, amsgrad=True),
    "adam, schedule": lambda: O.Adam(S.CosineDecay(0.01, 30, warmup_target=0.02, warmup_steps=5), global_clipnorm=0.5),
    "adam, averages": lambda: O.Adam(0.01, use_ema=True, ema_overwrite_frequency=3),
    "adam, accumulation": lambda: O.Adam(0.01, gradient_accumulation_steps=2),
    "loss scale": lambda: O.LossScaleOptimizer(O.Adam(S.ExponentialDecay(0.01, 3, 0.9))),
    "torch": lambda: lambda parameters: torch.optim.Adam(parameters, lr=0.01),
    **{
        kind.__name__: lambda kind=kind: kind(learning_rate=0.01)
        for kind in (O.RMSprop, O.Adadelta, O.Adagrad, O.Adamax, O.Nadam, O.Ftrl, O.Lion, O.Lamb, O.Adafactor, O.Muon)
    },
}
METRICS = lambda: ["accuracy", M.AUC(), M.Precision(), M.Recall(), M.F1Score(threshold=0.5), M.PrecisionAtRecall(0.5)]
NETWORKS = {
    "convolutions": (networks.convolutional_network, networks.images, networks.classes(networks.descent)),
    "transformer": (networks.transformer, networks.sentences, networks.classes()),
    "lstm": (networks.recurrent(L.LSTM), networks.sentences, networks.classes()),
    "gru": (networks.recurrent(L.GRU), networks.sentences, networks.classes()),
    "metrics": (
        dense_network(activation="sigmoid"),
        networks.yes_or_no,
        {"optimizer": "adam", "loss": "binary_crossentropy", "metrics": METRICS},
    ),
    "huber": (dense_network(), networks.numbers, {"optimizer": "sgd", "loss": "huber", "metrics": ["mae"]}),
    "jit_compile": (dense_network(), networks.numbers, {"optimizer": "sgd", "loss": "mse", "jit_compile": True}),
}
MSE = {"loss": "mse", "metrics": ["mae"]}
BATCHES = 5  # of 70 rows, the last one smaller


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name, rng):
    work = dense_network(), networks.numbers(rng), {"optimizer": OPTIMIZERS[name], **MSE}
    on_xla = train("xla", *work)
    check_alike(train("cpu", *work), on_xla)
    # Beside the steps, metrics are set to zero and their results computed; the host reads loss and metric.
    assert {epoch[1:] for epoch in on_xla.epochs} == {(BATCHES + 2, 2)}
    assert on_xla.epochs[-1].compiles == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, rng):
    make, data, compile = NETWORKS[name]
    work = make, data(rng), compile
    before = taken_to_the_cpu()
    on_xla = train("xla", *work, epochs=3)
    assert taken_to_the_cpu() == before
    eager = {**compile, "jit_compile": False}
    check_alike(train("cpu", make, work[1], eager, epochs=3), on_xla)
    assert on_xla.epochs[-1].compiles == 0


def test_each_shape_of_batch_is_compiled_once(rng):
    work = dense_network(), networks.numbers(rng), {"optimizer": "adam", **MSE}
    even = train("xla", dense_network(L.ReLU), networks.numbers(rng, 64), {"optimizer": "adam", **MSE})
    ragged = train("xla", dense_network(L.ReLU), networks.numbers(rng, 70), {"optimizer": "adam", **MSE})
    assert sum(epoch.compiles for epoch in even.epochs) > 0
    # The rows of the last batch are new: one graph for the step. All others were compiled before.
    assert [epoch.compiles for epoch in ragged.epochs] == [1, 0, 0, 0], work[0]


@pytest.mark.parametrize(("together", "executions"), [(1, 5), (2, 3), (4, 2), (8, 1)])
def test_steps_per_execution(together, executions, rng):
    compile = {"optimizer": "adam", **MSE, "steps_per_execution": together}
    work = dense_network(), networks.numbers(rng)
    on_xla = train("xla", *work, compile)
    check_alike(train("cpu", *work, {**compile, "steps_per_execution": 1}), on_xla)
    # The steps that are left at the end of an epoch run with the results of the metrics.
    assert [epoch.executions for epoch in on_xla.epochs] == [BATCHES // together + 2] * 4
    assert executions == -(-BATCHES // together)
    assert on_xla.epochs[-1].compiles == 0


@pytest.mark.parametrize("seed", [None, 3])
def test_dropout_differs_from_step_to_step_and_is_not_compiled_again(seed, rng):
    on_xla = train(
        "xla",
        lambda: keras.Sequential([keras.Input((8,)), L.Dropout(0.5, seed=seed)]),
        networks.numbers(rng),
        {"optimizer": "sgd", "loss": lambda: lambda y, p: p},
    )
    losses = on_xla.history["loss"]
    assert len(set(losses)) == len(losses)
    assert on_xla.epochs[-1].compiles == 0


def test_seeded_draws_are_the_cpus_with_the_portable_generator(rng):
    inside = [lambda: L.Dropout(0.5, seed=3), lambda: L.GaussianNoise(0.1, seed=1), lambda: L.Dropout(0.2)]
    work = dense_network(*inside), networks.numbers(rng), {"optimizer": "adam", **MSE}
    keras.config.enable_portable_random()
    try:
        on_xla = train("xla", *work)
        check_alike(train("cpu", *work), on_xla)
    finally:
        keras.config.disable_portable_random()
    assert on_xla.epochs[-1].compiles == 0


def test_the_seed_of_the_process_is_the_devices():
    with keras.device("xla"):
        draws = []
        for _ in range(2):
            keras.utils.set_random_seed(7)
            draws.append(torch.rand(4, device=keras.Variable(0.0).device).cpu())
    assert torch.equal(*draws)


class OwnStep(keras.Model):
    """A model with a training step of the user's."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = L.Dense(1)
        self.mean = M.Mean(name="loss")

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x, y = data
        loss = ((self(x, training=True) - y) ** 2).mean()
        self.zero_grad()
        loss.backward()
        self.optimizer.apply([weight.grad for weight in self.trainable_weights], self.trainable_weights)
        self.mean.update_state(loss)
        return {"loss": self.mean.result()}

    @property
    def metrics(self):
        return [self.mean]


def test_a_step_of_the_users(rng):
    work = OwnStep, networks.numbers(rng), {"optimizer": "adam", "loss": "mse"}
    on_xla = train("xla", *work)
    check_alike(train("cpu", *work), on_xla)
    assert on_xla.epochs[-1].compiles == 0 and on_xla.epochs[-1].executions <= BATCHES + 2


def test_files_and_callbacks(rng, tmp_path):
    x, y = networks.numbers(rng)
    kept = keras.callbacks.ModelCheckpoint(str(tmp_path / "kept.keras"), monitor="val_loss", save_best_only=True)
    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"), save_freq=2)
    plateau = keras.callbacks.ReduceLROnPlateau(patience=0)
    seen: list[float] = []
    each = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    work = dense_network(L.BatchNormalization), (x, y), {"optimizer": "adam", **MSE}
    callbacks = {"callbacks": [kept, backup, plateau, each], "validation_split": 0.2}
    with keras.device("xla"):
        model = work[0]()
        model.compile("adam", "mse", metrics=["mae"])
        model.fit(x, y, epochs=3, verbose=0, **callbacks)
        loaded = keras.models.load_model(tmp_path / "kept.keras")
        for mine, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        loaded.fit(x, y, verbose=0)
        for method in (loaded.train_on_batch, loaded.test_on_batch):
            assert np.isfinite(method(x[:8], y[:8])).all()
        assert loaded.predict_on_batch(x[:2]).shape == (2, 1)
        assert {parameter.device.type for parameter in loaded.parameters()} == {"xla"}
    assert len(seen) == 6 and np.isfinite(seen).all()


def test_a_model_moves_to_the_device_and_back(rng):
    x, y = networks.numbers(rng)
    with keras.device("cpu"):
        model = dense_network(L.BatchNormalization)()
    before = model.predict(x, verbose=0)
    model.to("xla")
    assert isinstance(model.layers[0].kernel, keras.Variable) and model.layers[0].kernel.device.type == "xla"
    np.testing.assert_allclose(model.predict(x, verbose=0), before, 1e-5, 1e-5)
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    trained = model.predict(x, verbose=0)
    np.testing.assert_allclose(model.to("cpu").predict(x, verbose=0), trained, 1e-5, 1e-5)


def test_counts_are_differences():
    assert Asked(3, 2, 1) - Asked(1, 1, 1) == Asked(2, 1, 0) and len(asked()) == 3
