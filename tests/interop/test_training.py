"""Training, evaluation and prediction give Keras's numbers and Keras's log names."""

import keras
import numpy as np
import pytest
import torch

import torchkeras

ROWS = 50  # with batches of 16 the last one is ragged


def single(k):
    x = k.Input((6,))
    h = k.layers.Dense(8, activation="tanh", kernel_regularizer="l2")(x)
    return k.Model(x, k.layers.Dense(3, activation="softmax", name="out")(h))


def double(k):
    x = k.Input((6,))
    h = k.layers.Dense(8, activation="tanh")(x)
    a = k.layers.Dense(3, activation="softmax", name="kind")(h)
    b = k.layers.Dense(1, name="size")(h)
    return k.Model(x, [a, b])


def by_name(k):
    x = k.Input((6,))
    h = k.layers.Dense(8, activation="tanh")(x)
    a = k.layers.Dense(3, activation="softmax", name="kind")(h)
    b = k.layers.Dense(1, name="size")(h)
    return k.Model(x, {"kind": a, "size": b})


@pytest.fixture
def data(rng):
    x = rng.normal(size=(ROWS, 6)).astype("float32")
    kinds = rng.integers(0, 3, ROWS)
    sizes = rng.normal(size=(ROWS, 1)).astype("float32")
    return x, kinds, sizes, rng.uniform(0.5, 2, ROWS).astype("float32")


def pair(make):
    """The same model with the same weights, of real Keras and ours."""
    theirs, ours = make(keras), make(torchkeras)
    ours.set_weights([w.numpy() if hasattr(w, "numpy") else w for w in theirs.get_weights()])
    return theirs, ours


def same_weights(ours, theirs, atol=1e-5):
    for left, right in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=atol)


def same_logs(ours, theirs):
    assert list(ours) == list(theirs)
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-5, err_msg=name)


CE, SCE = "categorical_crossentropy", "sparse_categorical_crossentropy"
# (model, compile arguments, which targets, fit arguments)
CASES = {
    "plain": (single, {"loss": SCE, "metrics": ["accuracy"]}, "kinds", {}),
    "sgd momentum": (single, {"loss": SCE, "optimizer": ("SGD", {"learning_rate": 0.1, "momentum": 0.9})}, "kinds", {}),
    "schedule": (single, {"loss": SCE, "optimizer": ("Adam", {"learning_rate": "decay"})}, "kinds", {}),
    "accumulation": (  # an even number of equal batches: what is left over, or ragged, Keras weighs otherwise
        single,
        {"loss": SCE, "optimizer": ("Adam", {"gradient_accumulation_steps": 2})}, "kinds", {"batch_size": 25},
    ),
    "ema": (single, {"loss": SCE, "optimizer": ("Adam", {"use_ema": True, "ema_momentum": 0.9})}, "kinds", {}),
    "clipping": (single, {"loss": SCE, "optimizer": ("Adam", {"global_clipnorm": 0.1})}, "kinds", {}),
    "split": (single, {"loss": SCE, "metrics": ["accuracy"]}, "kinds", {"validation_split": 0.3}),
    "class weight": (
        single, {"loss": SCE, "metrics": ["accuracy"]}, "kinds", {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}},
    ),
    "sample weight": (
        single,
        {"loss": SCE, "metrics": ["accuracy"], "weighted_metrics": ["accuracy"]}, "kinds", {"sample_weight": True},
    ),
    "steps": (single, {"loss": SCE}, "kinds", {"steps_per_epoch": 3}),
    "list": (
        double, {"loss": [SCE, "mse"], "loss_weights": [0.3, 2.0], "metrics": [["accuracy"], ["mae"]]}, "list", {},
    ),
    "dict": (
        by_name,
        {"loss": {"kind": SCE, "size": "mse"}, "loss_weights": {"kind": 0.3, "size": 2.0},
         "metrics": {"kind": ["accuracy"], "size": ["mae", "mse"]}},
        "dict", {"validation_split": 0.2},
    ),
}  # fmt: skip


def targets(kind, data):
    _, kinds, sizes, _ = data
    return {"kinds": kinds, "list": [kinds, sizes], "dict": {"kind": kinds, "size": sizes}}[kind]


def compile_both(models, arguments):
    for k, model in zip((keras, torchkeras), models, strict=True):
        name, options = arguments.get("optimizer", ("Adam", {"learning_rate": 0.01}))
        options = dict(options)
        if options.get("learning_rate") == "decay":
            options["learning_rate"] = k.optimizers.schedules.ExponentialDecay(0.05, 3, 0.7)
        model.compile(**{**arguments, "optimizer": getattr(k.optimizers, name)(**options)})


@pytest.mark.parametrize("case", CASES)
def test_fit_is_keras(case, data):
    make, arguments, kind, options = CASES[case]
    theirs, ours = models = pair(make)
    compile_both(models, arguments)
    x, y = data[0], targets(kind, data)
    options = {"batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0, **options}
    if options.get("sample_weight"):
        options["sample_weight"] = data[3]
    expected = theirs.fit(x, y, **options)
    found = ours.fit(x, y, **options)
    same_weights(ours, theirs)
    same_logs(found.history, expected.history)


@pytest.mark.parametrize("case", ["plain", "list", "dict"])
def test_evaluate_and_single_batches_are_keras(case, data):
    make, arguments, kind, _ = CASES[case]
    theirs, ours = models = pair(make)
    compile_both(models, arguments)
    x, y = data[0], targets(kind, data)
    wanted = theirs.evaluate(x, y, batch_size=16, verbose=0)
    np.testing.assert_allclose(ours.evaluate(x, y, batch_size=16, verbose=0), wanted, rtol=1e-5)
    same_logs(
        dict(sorted(ours.evaluate(x, y, batch_size=16, verbose=0, return_dict=True).items())),
        dict(sorted(theirs.evaluate(x, y, batch_size=16, verbose=0, return_dict=True).items())),
    )
    for model in models:
        model.reset_metrics()
    for _ in range(3):
        np.testing.assert_allclose(ours.train_on_batch(x, y), theirs.train_on_batch(x, y), rtol=1e-4)
    np.testing.assert_allclose(ours.test_on_batch(x, y), theirs.test_on_batch(x, y), rtol=1e-4)
    same_weights(ours, theirs)


@pytest.mark.parametrize("make", [single, double, by_name])
def test_predict_is_keras(make, data):
    theirs, ours = pair(make)
    wanted = theirs.predict(data[0], batch_size=16, verbose=0)
    found = ours.predict(data[0], batch_size=16, verbose=0)
    assert type(found) is type(wanted)
    for left, right in zip(torchkeras.tree.flatten(found), torchkeras.tree.flatten(wanted), strict=True):
        assert isinstance(left, np.ndarray)
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    one = ours.predict_on_batch(data[0])
    for left, right in zip(torchkeras.tree.flatten(one), torchkeras.tree.flatten(wanted), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)


def test_guide_step_runs_as_typed_in_both(data):
    """The step of Keras's guide for torch."""

    def subclass(k):
        class Custom(k.Model):
            def train_step(self, data):
                x, y = data
                self.zero_grad()
                y_pred = self(x, training=True)
                loss = self.compute_loss(y=y, y_pred=y_pred)
                loss.backward()
                trainable_weights = list(self.trainable_weights)
                gradients = [v.value.grad for v in trainable_weights]
                with torch.no_grad():
                    self.optimizer.apply(gradients, trainable_weights)
                for metric in self.metrics:
                    if metric.name == "loss":
                        metric.update_state(loss)
                    else:
                        metric.update_state(y, y_pred)
                return {m.name: m.result() for m in self.metrics}

        x = k.Input((6,))
        return Custom(x, k.layers.Dense(1)(k.layers.Dense(4, activation="tanh")(x)))

    theirs, ours = models = pair(subclass)
    compile_both(models, {"loss": "mse", "metrics": ["mae"]})
    options = {"batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0}
    expected, found = (m.fit(data[0], data[2], **options) for m in models)
    same_weights(ours, theirs)
    assert set(found.history) == set(expected.history)
    # Keras's loop logs what the last step returned, which are running means as well.
    np.testing.assert_allclose(found.history["loss"], expected.history["loss"], rtol=1e-4)


def test_own_metrics_and_loss_in_both(data):
    """A step with trackers of its own, and the `metrics` property that resets them."""

    def subclass(k):
        class Custom(k.Model):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.loss_tracker = k.metrics.Mean(name="loss")
                self.mae = k.metrics.MeanAbsoluteError(name="mae")
                self.loss_fn = k.losses.MeanSquaredError()

            def train_step(self, data):
                x, y = data
                self.zero_grad()
                y_pred = self(x, training=True)
                loss = self.loss_fn(y, y_pred)
                loss.backward()
                weights = list(self.trainable_weights)
                with torch.no_grad():
                    self.optimizer.apply([v.value.grad for v in weights], weights)
                self.loss_tracker.update_state(loss)
                self.mae.update_state(y, y_pred)
                return {"loss": self.loss_tracker.result(), "mae": self.mae.result()}

            @property
            def metrics(self):
                return [self.loss_tracker, self.mae]

        x = k.Input((6,))
        return Custom(x, k.layers.Dense(1)(x))

    theirs, ours = models = pair(subclass)
    for k, model in zip((keras, torchkeras), models, strict=True):
        model.compile(optimizer=k.optimizers.Adam(0.05))
    expected, found = (m.fit(data[0], data[2], batch_size=16, epochs=3, shuffle=False, verbose=0) for m in models)
    same_weights(ours, theirs)
    same_logs(dict(sorted(found.history.items())), dict(sorted(expected.history.items())))
