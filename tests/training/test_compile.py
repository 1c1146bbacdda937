"""What `compile()` takes: Keras's kinds and torch's own, and what it notes about `trainable`."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import torchkeras as keras

ROWS, BATCH = 20, 8  # the last batch is ragged


@pytest.fixture
def data(rng):
    x = rng.normal(size=(ROWS, 4)).astype("float32")
    return x, rng.integers(0, 3, ROWS), rng.normal(size=(ROWS, 3)).astype("float32")


def make():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(3)])


def batches(*arrays):
    for start in range(0, ROWS, BATCH):
        yield [torch.as_tensor(array[start : start + BATCH]) for array in arrays]


def torch_loop(weights, x, y, loss, optimizer, scheduler=None, epochs=2):
    """The same training by hand; returns the weights and each epoch's mean loss."""
    kernels = [nn.Parameter(torch.as_tensor(w).clone()) for w in weights]
    optimizer = optimizer(kernels)
    scheduler = scheduler(optimizer) if scheduler else None
    means = []
    for _ in range(epochs):
        total = 0.0
        for inputs, targets in batches(x, y):
            logits = torch.tanh(inputs @ kernels[0] + kernels[1]) @ kernels[2] + kernels[3]
            value = loss(logits, targets)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            if scheduler:
                scheduler.step()
            total += value.item() * len(inputs)
        means.append(total / ROWS)
    return kernels, means


def same(model, kernels):
    for left, right in zip(model.get_weights(), kernels, strict=True):
        np.testing.assert_allclose(left, right.detach().numpy(), rtol=1e-4, atol=1e-6)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


OPTIMIZERS = {
    "instance": (lambda model: sgd(model.parameters()), sgd),
    "class": (lambda model: torch.optim.Adam, torch.optim.Adam),
    "function": (lambda model: sgd, sgd),
    "wrapped": (lambda model: keras.optimizers.TorchOptimizer(torch.optim.AdamW), torch.optim.AdamW),
}


def kept_by_fit(model, x, y):
    """For each weight whether an epoch leaves it as it was."""
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    return [np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_torch_optimizers(kind, data):
    x, y, _ = data
    model = make()
    given, by_hand = OPTIMIZERS[kind]
    start = model.get_weights()
    model.compile(given(model), nn.CrossEntropyLoss())
    history = model.fit(x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0).history
    kernels, means = torch_loop(start, x, y, nn.CrossEntropyLoss(), by_hand)
    same(model, kernels)
    np.testing.assert_allclose(history["loss"], means, rtol=1e-5)


SCHEDULERS = {
    "function": lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5),
    "cosine": lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6),
}


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_torch_schedulers_step_after_each_update(kind, data):
    x, y, _ = data
    model = make()
    start = model.get_weights()
    model.compile(keras.optimizers.TorchOptimizer(sgd, scheduler=SCHEDULERS[kind]), nn.CrossEntropyLoss())
    model.fit(x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    same(model, torch_loop(start, x, y, nn.CrossEntropyLoss(), sgd, SCHEDULERS[kind])[0])


def test_a_torch_scheduler_of_the_given_optimizer(data):
    x, y, _ = data
    model = make()
    start = model.get_weights()
    optimizer = sgd(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    model.compile(keras.optimizers.TorchOptimizer(optimizer, scheduler), nn.CrossEntropyLoss())
    model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    assert model.optimizer.learning_rate == pytest.approx(0.1 * 0.5**3)
    half = lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    same(model, torch_loop(start, x, y, nn.CrossEntropyLoss(), sgd, half, epochs=1)[0])


# What torch wants first is the prediction; class targets are int64 without a last axis.
LOSSES = {
    "cross entropy": (nn.CrossEntropyLoss(), "classes", "int64"),
    "int32 classes": (nn.CrossEntropyLoss(), "classes", "int32"),
    "uint8 classes": (nn.CrossEntropyLoss(label_smoothing=0.1), "classes", "uint8"),
    "a column of classes": (nn.CrossEntropyLoss(), "column", "int64"),
    "function": (F.cross_entropy, "classes", "int64"),
    "probabilities": (nn.CrossEntropyLoss(), "probabilities", "float32"),
    "not symmetric": (nn.KLDivLoss(reduction="batchmean"), "probabilities", "float32"),
    "regression": (nn.SmoothL1Loss(), "values", "float32"),
    "double targets": (nn.MSELoss(), "values", "float64"),
    "unreduced": (nn.MSELoss(reduction="none"), "values", "float32"),
}


@pytest.mark.parametrize("case", LOSSES)
def test_torch_losses(case, data):
    loss, kind, dtype = LOSSES[case]
    x, classes, values = data
    y = {
        "classes": classes,
        "column": classes[:, None],
        "values": values,
        "probabilities": np.exp(values) / np.exp(values).sum(1, keepdims=True),
    }[kind].astype(dtype)
    model = make()
    start = model.get_weights()
    model.compile(sgd, loss)
    history = model.fit(x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0).history

    def by_hand(logits, targets):
        if not targets.is_floating_point():
            targets = targets.reshape(-1).long()
        return loss(logits, targets.float() if targets.is_floating_point() else targets).mean()

    kernels, means = torch_loop(start, x, y, by_hand, sgd)
    same(model, kernels)
    np.testing.assert_allclose(history["loss"], means, rtol=1e-5)


def test_a_torch_loss_takes_sample_weights_where_it_does_not_reduce(data):
    x, _, y = data
    weights = np.linspace(0, 2, ROWS, dtype="float32")
    model = make()
    model.compile("sgd", nn.MSELoss(reduction="none"))
    found = model.evaluate(x, y, sample_weight=weights, batch_size=ROWS, verbose=0)
    errors = ((model.predict(x, verbose=0).astype("float64") - y) ** 2).mean(1)
    np.testing.assert_allclose(found, (errors * weights).mean(), rtol=1e-5)
    model.compile("sgd", nn.MSELoss())
    again = model.evaluate(x, y, sample_weight=weights, batch_size=ROWS, verbose=0)
    np.testing.assert_allclose(again, found, rtol=1e-6)


class OwnLoss(nn.Module):
    def forward(self, y_pred, y_true):
        return (y_pred - y_true).abs().mean()


def test_a_torch_loss_of_the_users_takes_no_sample_weights(data):
    x, _, y = data
    model = make()
    model.compile("sgd", OwnLoss())
    model.evaluate(x, y, verbose=0)
    with pytest.raises(ValueError, match="reduction='none'"):
        model.evaluate(x, y, sample_weight=np.ones(ROWS), verbose=0)


def test_torchmetrics_in_compile(data):
    torchmetrics = pytest.importorskip("torchmetrics")
    x, y, _ = data
    model = make()
    model.compile(
        keras.optimizers.SGD(0.5),
        nn.CrossEntropyLoss(),
        metrics=[
            torchmetrics.classification.MulticlassAccuracy(num_classes=3, average="micro"),
            torchmetrics.classification.MulticlassPrecision(num_classes=3, average="macro"),
            "accuracy",
        ],
    )
    history = model.fit(x, y, batch_size=BATCH, epochs=3, verbose=0, validation_data=(x, y)).history
    assert history["multiclassaccuracy"] == pytest.approx(history["accuracy"])  # so it starts anew each epoch
    assert history["val_multiclassaccuracy"] == pytest.approx(history["val_accuracy"])
    # Precision depends on which of the two is the prediction.
    prediction = torch.as_tensor(model.predict(x, verbose=0))
    expected = torchmetrics.classification.MulticlassPrecision(num_classes=3, average="macro")(
        prediction, torch.as_tensor(y)
    )
    assert model.evaluate(x, y, verbose=0, return_dict=True)["multiclassprecision"] == pytest.approx(float(expected))


def near(y_true, y_pred):
    return (y_true - y_pred).abs() < 1


# (metric, its name in the logs)
METRICS = [
    ("mae", "mae"),
    ("MeanAbsoluteError", "MeanAbsoluteError"),
    (near, "near"),
    (lambda y_true, y_pred: near(y_true, y_pred), "lambda"),
    (keras.metrics.MeanAbsoluteError, "mean_absolute_error"),
    (keras.metrics.MeanAbsoluteError(name="mine"), "mine"),
    (keras.losses.MeanAbsoluteError(), "mean_absolute_error"),
]


@pytest.mark.parametrize(("metric", "name"), METRICS)
def test_metrics_and_their_names(metric, name, data):
    x, _, y = data
    model = make()
    model.compile("sgd", "mse", metrics=[metric])
    error = np.abs(model.predict(x, verbose=0).astype("float64") - y)
    found = model.evaluate(x, y, batch_size=BATCH, verbose=0, return_dict=True)
    assert set(found) == {"loss", name}
    assert found[name] == pytest.approx((error < 1).mean() if name in ("near", "lambda") else error.mean(), rel=1e-4)


def test_the_keras_2_name_of_steps_per_execution():
    model = make()
    model.compile("sgd", "mse", experimental_steps_per_execution=4)
    assert model.steps_per_execution == 4


def test_compile_notes_what_trains(data):
    x, _, y = data
    model = make()
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.trainable = False
    model.train_on_batch(x, y)
    assert all(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert not any(p.requires_grad for p in model.parameters())  # as the user left it
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.trainable = True
    model.fit(x, y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_compiling_again_starts_anew(data):
    x, classes, y = data
    model = make()
    model.compile(keras.optimizers.Adam(0.1), "mse", metrics=["mae"])
    model.fit(x, y, verbose=0)
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert int(model.optimizer.iterations) == 0
    assert list(model.fit(x, classes, verbose=0).history) == ["loss"]


def test_jit_compile_is_one_graph_and_the_ragged_batch_is_not_compiled(data, monkeypatch):
    x, y, _ = data
    graphs = []

    def count(module, example):
        graphs.append(module)
        return module.forward

    real = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda f, **kwargs: real(f, **{**kwargs, "backend": count, "fullgraph": True})
    )
    torch._dynamo.reset()
    compiled, plain = make(), make()
    start = plain.get_weights()
    compiled.set_weights(plain.get_weights())
    for model, jit in ((compiled, True), (plain, False)):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"], jit_compile=jit)
    options = {"batch_size": BATCH, "epochs": 3, "shuffle": False, "verbose": 0}
    found, wanted = compiled.fit(x, y, **options).history, plain.fit(x, y, **options).history
    assert len(graphs) == 1
    compiled.fit(x, y, batch_size=ROWS, shuffle=False, verbose=0)  # another size is compiled, once
    compiled.fit(x, y, batch_size=ROWS // 2, shuffle=False, verbose=0)
    assert len(graphs) == 2
    for model in (compiled, plain):
        model.set_weights(start)
    found, wanted = compiled.fit(x, y, **options).history, plain.fit(x, y, **options).history
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5)
    same(compiled, [torch.as_tensor(w) for w in plain.get_weights()])


def test_jit_compile_counts_each_model_by_itself(data, monkeypatch):
    x, _, y = data
    graphs = []

    def count(module, example):
        graphs.append([tuple(t.shape) for t in example])
        return module.forward

    real = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda f, **kwargs: real(f, **{**kwargs, "backend": count, "fullgraph": True})
    )
    torch._dynamo.reset()
    with torch._dynamo.config.patch(recompile_limit=1):
        for units in range(1, 4):
            model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(3)])
            model.compile("sgd", "mse", jit_compile=True)
            model.fit(x, y, batch_size=ROWS // 2, verbose=0)  # the first batch makes variables, uncompiled
            assert len(graphs) == units
            assert all(isinstance(size, int) for shape in graphs[-1] for size in shape)  # none is left open


def test_a_torch_optimizer_of_all_parameters_leaves_frozen_ones_alone(data):
    """Also those that still have a gradient of an earlier step, of this model or another one."""
    x, _, y = data
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.compile(optimizer, "mse")
    model.fit(x, y, verbose=0)
    model.layers[0].trainable = False
    model.compile(optimizer, "mse")
    assert model.layers[0].kernel.grad is not None
    assert kept_by_fit(model, x, y) == [True, True, False, False]


@pytest.mark.parametrize("first", ["compile", "fit"])
def test_layers_that_are_built_later_train_as_they_were_at_compile(first, data):
    x, _, y = data
    model = keras.Sequential([keras.layers.Dense(5), keras.layers.Dense(3, trainable=False)])
    model.compile("sgd", "mse")
    if first == "fit":
        model.fit(x, y, verbose=0)
    model.layers[0].trainable, model.layers[1].trainable = False, True
    model.fit(x, y, verbose=0, epochs=1)
    assert kept_by_fit(model, x, y) == [False, False, True, True]
    assert [layer.trainable for layer in model.layers] == [False, True]
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    model.compile("sgd", "mse")
    assert kept_by_fit(model, x, y) == [True, True, False, False]


def test_another_optimizer_set_later_is_used(data):
    x, _, y = data
    model = make()
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0)
    model.optimizer = keras.optimizers.Adam()
    model.fit(x, y, batch_size=BATCH, verbose=0)
    assert int(model.optimizer.iterations) == 3
    model.compile("rmsprop", "mae")
    assert type(model.optimizer) is keras.optimizers.RMSprop and model.loss == "mae"


def test_a_collection_of_torchmetrics(rng):
    torchmetrics = pytest.importorskip("torchmetrics")
    of = torchmetrics.classification
    x, y = rng.normal(size=(30, 4)).astype("float32"), rng.integers(0, 3, 30)
    parts = [of.MulticlassAccuracy(num_classes=3), of.MulticlassPrecision(num_classes=3)]
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    model.compile(
        keras.optimizers.SGD(0.0),
        "sparse_categorical_crossentropy",
        metrics=["accuracy", torchmetrics.MetricCollection(parts)],
    )
    history = model.fit(x, y, batch_size=7, epochs=2, verbose=0, validation_data=(x[:9], y[:9])).history
    outputs = torch.tensor(model.predict(x, verbose=0))
    for part in (of.MulticlassAccuracy(num_classes=3), of.MulticlassPrecision(num_classes=3)):
        name = type(part).__name__
        np.testing.assert_allclose(history[name], [float(part(outputs, torch.tensor(y)))] * 2, rtol=1e-5)
        part.reset()
        np.testing.assert_allclose(history[f"val_{name}"][0], float(part(outputs[:9], torch.tensor(y[:9]))), rtol=1e-5)
    assert set(model.evaluate(x, y, verbose=0, return_dict=True)) == {
        "loss",
        "accuracy",
        "MulticlassAccuracy",
        "MulticlassPrecision",
    }


@pytest.mark.parametrize("given", ["instance", "class"])
def test_a_step_in_torchs_words_with_a_compiled_torch_optimizer(given, rng):
    class Torchs(keras.Model):
        def train_step(self, data):
            x, y = data
            self.optimizer.zero_grad()
            loss = self.compute_loss(x, y, self(x, training=True))
            loss.backward()
            self.optimizer.step()
            return {"loss": loss}

    x, y = rng.normal(size=(12, 4)).astype("float32"), rng.normal(size=(12, 1)).astype("float32")
    found = []
    for cls in (Torchs, keras.Model):
        keras.utils.set_random_seed(3)
        inputs = keras.Input((4,))
        model = cls(inputs, keras.layers.Dense(1)(inputs))
        model.compile(torch.optim.Adam(model.parameters(), 0.1) if given == "instance" else torch.optim.Adam, "mse")
        history = model.fit(x, y, batch_size=5, epochs=2, shuffle=False, verbose=0).history
        found.append((history["loss"], model.get_weights(), int(model.optimizer.iterations)))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert found[0][2] == found[1][2] == 6
