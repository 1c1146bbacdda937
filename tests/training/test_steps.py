"""Steps that users write: `train_step` and its companions, as Keras's guides for torch have them."""

import numpy as np
import pytest
import torch

import torchkeras as keras

ROWS, BATCH = 20, 8


@pytest.fixture
def data(rng):
    x = rng.normal(size=(ROWS, 4)).astype("float32")
    return x, (x @ rng.normal(size=(4, 1))).astype("float32")


class Guided(keras.Model):
    """The guide's step: backward, gradients from `value.grad`, `optimizer.apply`."""

    def train_step(self, data):
        x, y = data
        self.zero_grad()
        y_pred = self(x, training=True)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        loss.backward()
        weights = list(self.trainable_weights)
        gradients = [v.value.grad for v in weights]
        with torch.no_grad():
            self.optimizer.apply(gradients, weights)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


class GuidedSequential(keras.Sequential):
    train_step = Guided.train_step


class GuidedSubclass(Guided):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, inputs):
        return self.dense(inputs)


def functional(cls):
    inputs = keras.Input((4,))
    return cls(inputs, keras.layers.Dense(1)(inputs))


KINDS = {
    "functional": lambda: functional(Guided),
    "sequential": lambda: GuidedSequential([keras.Input((4,)), keras.layers.Dense(1)]),
    "late sequential": lambda: GuidedSequential([keras.layers.Dense(1)]),
    "subclass": GuidedSubclass,
}


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_guides_train_step(kind, steps, data):
    model, reference = KINDS[kind](), functional(keras.Model)
    model(np.zeros((1, 4), "float32"))
    model.set_weights(reference.get_weights())
    batches = []
    note = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batches.append(dict(logs)))
    options = {"batch_size": 10, "epochs": 2, "shuffle": False, "verbose": 0}
    model.compile(keras.optimizers.SGD(0.05), "mse", metrics=["mae"], steps_per_execution=steps)
    reference.compile(keras.optimizers.SGD(0.05), "mse", metrics=["mae"])
    found = model.fit(*data, validation_data=data, callbacks=[note], **options).history
    wanted = reference.fit(*data, validation_data=data, **options).history
    assert list(found) == list(wanted)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5)
    assert len(batches) == 4 // steps and set(batches[0]) == {"loss", "mae"}
    assert batches[-1]["loss"] == pytest.approx(found["loss"][-1])
    assert set(model.train_on_batch(*data, return_dict=True)) == {"loss", "mae"}


class OwnTrackers(keras.Model):
    """No loss in compile: the metrics, the loss and their reset are the model's."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.mae_metric = keras.metrics.MeanAbsoluteError(name="mae")
        self.loss_fn = keras.losses.MeanSquaredError()
        self.resets = 0

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self.zero_grad()
        y_pred = self(x, training=True)
        loss = self.loss_fn(y, y_pred, sample_weight=sample_weight)
        loss.backward()
        weights = self.trainable_weights
        with torch.no_grad():
            self.optimizer.apply([v.value.grad for v in weights], weights)
        self.loss_tracker.update_state(loss)
        self.mae_metric.update_state(y, y_pred)
        return {"loss": self.loss_tracker.result(), "mae": self.mae_metric.result()}

    def test_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        self.loss_tracker.update_state(self.loss_fn(y, y_pred))
        self.mae_metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}

    @property
    def metrics(self):
        return [self.loss_tracker, self.mae_metric]

    def reset_metrics(self):
        self.resets += 1
        super().reset_metrics()


def test_own_metrics_start_anew_each_epoch(data):
    model = functional(OwnTrackers)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    history = model.fit(*data, epochs=3, batch_size=10, verbose=0, validation_data=data).history
    error = model.predict(data[0], verbose=0).astype("float64") - data[1]
    for name, value in (("loss", (error**2).mean()), ("mae", np.abs(error).mean())):
        np.testing.assert_allclose(history[name], [value] * 3, rtol=1e-5)
        np.testing.assert_allclose(history[f"val_{name}"], [value] * 3, rtol=1e-5)
    assert model.resets == 6
    found = model.evaluate(*data, verbose=0)
    np.testing.assert_allclose(found, [(error**2).mean(), np.abs(error).mean()], rtol=1e-5)
    assert model.fit(*data, sample_weight=np.zeros(ROWS), verbose=0).history["loss"] == [0.0]


def test_a_step_may_return_what_is_no_metric(data):
    class Plain(keras.Model):
        def train_step(self, batch):
            logs = super().train_step(batch)
            return {**logs, "rows": len(batch[0]), "nested": {"norm": torch.tensor(2.0)}}

    model = functional(Plain)
    model.compile("sgd", "mse")
    history = model.fit(*data, batch_size=BATCH, verbose=0).history
    assert history["rows"] == [4.0] and history["norm"] == [2.0]


def test_test_step_and_predict_step(data):
    class Doubled(keras.Model):
        def test_step(self, batch):
            x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
            y_pred = 2 * self(x, training=False)
            loss = self.compute_loss(y=y, y_pred=y_pred, training=False)
            for metric in self.metrics:
                metric.update_state(loss) if metric.name == "loss" else metric.update_state(y, y_pred)
            return {metric.name: metric.result() for metric in self.metrics}

        def predict_step(self, batch):
            x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
            return {"twice": 2 * self(x, training=False), "rows": x[:, 0]}

    model = functional(Doubled)
    model.compile("sgd", "mse", metrics=["mae"])
    found = model.predict(data[0], batch_size=BATCH, verbose=0)
    np.testing.assert_allclose(found["twice"], 2 * model(data[0]).detach().numpy(), rtol=1e-5)
    np.testing.assert_array_equal(found["rows"], data[0][:, 0])
    error = found["twice"].astype("float64") - data[1]
    np.testing.assert_allclose(
        model.evaluate(*data, batch_size=10, verbose=0), [(error**2).mean(), np.abs(error).mean()], rtol=1e-5
    )


def test_compute_loss(data):
    class Penalized(keras.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.tracker = keras.metrics.Mean(name="penalty")

        def compute_loss(self, x, y, y_pred, sample_weight, training=True):
            penalty = 0.1 * (y_pred**2).mean()
            self.tracker.update_state(penalty)
            return super().compute_loss(x, y, y_pred, sample_weight, training) + penalty

    model = functional(Penalized)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    history = model.fit(*data, batch_size=ROWS, epochs=2, verbose=0, validation_data=data).history
    outputs = model.predict(data[0], verbose=0).astype("float64")
    penalty = 0.1 * (outputs**2).mean()
    for name in ("", "val_"):
        np.testing.assert_allclose(history[f"{name}penalty"], [penalty] * 2, rtol=1e-5)
        np.testing.assert_allclose(history[f"{name}loss"], [((outputs - data[1]) ** 2).mean() + penalty] * 2, rtol=1e-5)


def test_compute_loss_may_take_no_training_flag(data):
    class Doubled(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return 2 * super().compute_loss(x, y, y_pred, sample_weight)

    model = functional(Doubled)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    history = model.fit(*data, batch_size=ROWS, verbose=0, validation_data=data).history
    expected = 2 * ((model.predict(data[0], verbose=0).astype("float64") - data[1]) ** 2).mean()
    np.testing.assert_allclose([history["loss"][0], history["val_loss"][0]], [expected] * 2, rtol=1e-5)


def test_compute_loss_without_a_loss_in_compile(data):
    class Own(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return (y_pred - y).abs().mean()

    model = functional(Own)
    model.compile(keras.optimizers.SGD(0.01))
    assert model.fit(*data, batch_size=ROWS, epochs=5, verbose=0).history["loss"][-1] < model.history.history["loss"][0]


def test_compute_metrics(data):
    class Own(keras.Model):
        def compute_metrics(self, x, y, y_pred, sample_weight):
            results = super().compute_metrics(x, y, y_pred, sample_weight)
            self.top.update_state(y_pred.max())
            return {**results, "top": self.top.result()}

    model = functional(Own)
    model.top = keras.metrics.Mean(name="top")
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
    history = model.fit(*data, batch_size=ROWS, epochs=2, verbose=0).history
    np.testing.assert_allclose(history["top"], [model.predict(data[0], verbose=0).max()] * 2, rtol=1e-5)
    assert list(history) == ["loss", "mae", "top"]


def test_logs_are_what_compute_metrics_returns(data):
    class Own(keras.Model):
        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            found = super().compute_metrics(x, y, y_pred, sample_weight)
            return {"loss": found["loss"], "rows": float(len(y))}

    model = functional(Own)
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
    history = model.fit(*data, batch_size=5, shuffle=False, validation_data=data, verbose=0).history
    assert list(history) == ["loss", "rows", "val_loss", "val_rows"] and history["rows"] == [ROWS % 5 or 5]
    np.testing.assert_allclose(history["loss"], history["val_loss"], rtol=1e-5)
    np.testing.assert_allclose(model.train_on_batch(*data), [history["loss"][0], ROWS], rtol=1e-5)


@pytest.mark.parametrize("wrong", [None, 0.5])
def test_a_loss_that_is_no_tensor(data, wrong):
    class Own(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return wrong

    model = functional(Own)
    model.compile("sgd")
    with pytest.raises(ValueError, match=f"one number per batch.*received {wrong}.*compute_loss"):
        model.fit(*data, verbose=0)


class GAN(keras.Model):
    """Two networks, two optimizers, a `compile` of its own."""

    def __init__(self, discriminator, generator, latent):
        super().__init__()
        self.discriminator, self.generator, self.latent = discriminator, generator, latent
        self.d_loss_tracker = keras.metrics.Mean(name="d_loss")
        self.g_loss_tracker = keras.metrics.Mean(name="g_loss")
        self.seed_generator = keras.random.SeedGenerator(1337)
        self.built = True

    @property
    def metrics(self):
        return [self.d_loss_tracker, self.g_loss_tracker]

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

    def train_step(self, real):
        if isinstance(real, tuple):
            real = real[0]
        rows = real.shape[0]
        noise = keras.random.normal(shape=(rows, self.latent), seed=self.seed_generator)
        both = torch.concat([self.generator(noise), torch.as_tensor(real)], axis=0)
        labels = torch.concat([torch.ones((rows, 1)), torch.zeros((rows, 1))], axis=0)
        d_loss = self._update(
            self.discriminator, self.d_optimizer, lambda: self.loss_fn(labels, self.discriminator(both))
        )
        noise = keras.random.normal(shape=(rows, self.latent), seed=self.seed_generator)
        g_loss = self._update(
            self.generator,
            self.g_optimizer,
            lambda: self.loss_fn(torch.zeros((rows, 1)), self.discriminator(self.generator(noise))),
        )
        self.d_loss_tracker.update_state(d_loss)
        self.g_loss_tracker.update_state(g_loss)
        return {"d_loss": self.d_loss_tracker.result(), "g_loss": self.g_loss_tracker.result()}

    def _update(self, network, optimizer, loss):
        self.zero_grad()
        value = loss()
        value.backward()
        weights = network.trainable_weights
        with torch.no_grad():
            optimizer.apply([v.value.grad for v in weights], weights)
        return value


@pytest.mark.parametrize("optimizers", ["keras", "torch"])
def test_a_gan_with_two_optimizers(optimizers, rng):
    make = {
        "keras": lambda network: keras.optimizers.Adam(0.01),
        "torch": lambda network: keras.optimizers.TorchOptimizer(torch.optim.Adam(network.parameters(), 0.01)),
    }[optimizers]
    discriminator = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
    generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)])
    gan = GAN(discriminator, generator, latent=3)
    gan.compile(
        d_optimizer=make(discriminator),
        g_optimizer=make(generator),
        loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    before = [w.copy() for w in gan.get_weights()]
    x = rng.normal(3, 1, size=(32, 2)).astype("float32")
    history = gan.fit(x, batch_size=8, epochs=2, verbose=0).history
    assert list(history) == ["d_loss", "g_loss"] and all(np.isfinite(v) for v in history["d_loss"])
    assert int(gan.d_optimizer.iterations) == int(gan.g_optimizer.iterations) == 8
    weights = discriminator.trainable_weights + generator.trainable_weights
    assert len(weights) == 8 and len(gan.trainable_weights) == 8
    changed = [not np.array_equal(a, b) for a, b in zip(before, gan.get_weights(), strict=True)]
    assert all(changed[: len(weights)])


def test_the_librarys_step_is_there_for_super(data):
    class Counted(keras.Model):
        steps = 0

        def train_step(self, batch):
            type(self).steps += 1
            return super().train_step(batch)

    model, reference = functional(Counted), functional(keras.Model)
    model.set_weights(reference.get_weights())
    for one in (model, reference):
        one.compile(keras.optimizers.SGD(0.05), "mse", metrics=["mae"])
    options = {"batch_size": BATCH, "epochs": 2, "shuffle": False, "verbose": 0}
    found, wanted = model.fit(*data, **options).history, reference.fit(*data, **options).history
    assert Counted.steps == 6
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5)


def test_a_step_without_call_or_loss():
    """A model may be nothing but its step."""

    class Scalar(keras.Model):
        def __init__(self):
            super().__init__()
            self.value = self.add_weight(name="value", shape=(), initializer="ones")

        def train_step(self, batch):
            loss = (self.value - 3.0) ** 2
            self.zero_grad()
            loss.backward()
            self.optimizer.apply([self.value.grad], [self.value])
            return {"distance": loss}

    model = Scalar()
    model.compile(keras.optimizers.SGD(0.5))
    assert model.fit(np.ones((4, 1)), epochs=2, verbose=0).history["distance"] == [4.0, 0.0]


@pytest.mark.parametrize("jit", [False, True])
def test_gradients_of_the_step_before_are_freed_before_the_forward_pass(jit, monkeypatch):
    """Else they lie beside the activations, where memory is scarcest."""
    watched, seen = [], []

    class Looks(keras.layers.Layer):
        def call(self, inputs):
            if not torch.compiler.is_compiling():
                seen.extend(weight.grad is None for model in watched for weight in model.trainable_weights)
            return inputs

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), Looks(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    if jit:
        real = torch.compile
        monkeypatch.setattr(torch, "compile", lambda f, **kwargs: real(f, **{**kwargs, "backend": "eager"}))
        model.compile("sgd", "mse", jit_compile=True)
    watched.append(model)
    model.fit(np.ones((10, 4)), np.ones((10, 1)), batch_size=4, epochs=2, verbose=0)
    assert seen and all(seen)
    assert all(weight.grad is not None for weight in model.trainable_weights)
