"""Trainings that must come out the same on any number of ranks; each gives nested lists of numbers.

python equal_cases.py FOLDER SEED          (or under torchrun): writes FOLDER/<rank>.json
"""

from __future__ import annotations

import os

import numpy as np
import torch

import torchkeras as keras
from torchkeras import layers

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def data(samples, features=6, classes=2):
    x = np.random.normal(size=(samples, features)).astype("float32")
    return x, (x.sum(-1) > 0).astype("int32") if classes == 2 else np.random.randint(0, classes, samples)


def mlp(*more, units=1, activation="sigmoid", **kwargs):
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, activation="tanh", **kwargs), *more, layers.Dense(units, activation)]
    )


def adam(**options):
    """Adam whose steps do not depend on rounding.

    Some gradients are zero but for rounding, or come close to zero in the first steps (biases of keys, channels that
    relu cuts off). Adam divides them by their own size, so that a small epsilon makes whole steps of rounding errors.
    """
    return keras.optimizers.Adam(0.01, epsilon=1e-3, **options)


def trained(model, *args, **kwargs):
    history = model.fit(*args, epochs=3, verbose=0, **kwargs).history
    return {"history": history, "weights": [w.tolist() for w in model.get_weights()]}


# ---------------------------------------------------------------------------- sizes and sources


def sizes(samples):
    x, y = data(samples)
    model = mlp()
    metrics = ["accuracy", keras.metrics.AUC(), keras.metrics.Precision(), "mse"]
    model.compile(adam(), "binary_crossentropy", metrics=metrics)
    result = trained(model, x, y, batch_size=32, validation_data=(x[:33], y[:33]))
    return {
        **result,
        "evaluate": model.evaluate(x, y, verbose=0),
        "one": model.evaluate(x[:1], y[:1], verbose=0),
        "predict": model.predict(x, batch_size=32, verbose=0).tolist(),
        "predict one": model.predict(x[:1], verbose=0).tolist(),
        "predict on batch": model.predict_on_batch(x[:3]).tolist(),
    }


@case
def even_batches():
    return sizes(96)


@case
def odd_number_of_samples():
    return sizes(101)


@case
def last_batch_of_one_row():
    return sizes(97)


@case
def fewer_samples_than_ranks():
    return sizes(33)


@case
def steps_per_execution_and_validation_split():
    x, y = data(101)
    model = mlp()
    model.compile("sgd", "binary_crossentropy", steps_per_execution=3)
    return trained(model, x, y, batch_size=8, validation_split=0.3)


@case
def a_loader_that_shuffles():
    x, y = map(torch.as_tensor, data(70))
    set_ = torch.utils.data.TensorDataset(x, y)
    model = mlp()
    model.compile("sgd", "binary_crossentropy")
    first = trained(model, torch.utils.data.DataLoader(set_, batch_size=32, shuffle=True))
    own = torch.Generator().manual_seed(3 + 10 * int(os.environ.get("RANK", 0)))
    loader = torch.utils.data.DataLoader(set_, batch_size=32, shuffle=True, generator=own)
    return {"first": first, "own generator": trained(model, loader), "evaluate": model.evaluate(loader, verbose=0)}


@case
def a_dataset_with_steps():
    x, y = map(torch.as_tensor, data(70))
    model = mlp()
    model.compile("sgd", "binary_crossentropy")
    return trained(model, torch.utils.data.TensorDataset(x, y), batch_size=16, steps_per_epoch=3)


@case
def a_generator_that_draws():
    def batches():
        while True:
            rows = np.random.randint(9, 20)
            x, y = data(rows)
            yield x + torch.rand(rows, 1).numpy(), y

    model = mlp()
    model.compile("sgd", "binary_crossentropy")
    return trained(model, batches(), steps_per_epoch=4)


@case
def a_py_dataset():
    class Set(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return x[index::4], y[index::4]

    x, y = data(50)
    model = mlp()
    model.compile("sgd", "binary_crossentropy")
    return trained(model, Set(), class_weight={0: 1.0, 1: 3.0})


@case
def predictions_that_a_callback_sees():
    class Seen(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            seen.append(np.array(logs["outputs"]).tolist())

    seen = []
    x, y = map(torch.as_tensor, data(23))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=11)
    model = mlp()
    predicted = model.predict(loader, verbose=0, callbacks=[Seen()])
    return {"seen": seen, "predicted": predicted.tolist()}


# ---------------------------------------------------------------------------- losses


@case
def sample_weights():
    x, y = data(97)
    model = mlp()
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy", "mae"])
    weights = np.random.uniform(0, 2, 97)
    return [
        trained(model, x, y, sample_weight=weights),
        model.evaluate(x, y, sample_weight=weights, verbose=0),
        trained(model, x, y, class_weight={0: 0.3, 1: 2.0}),
    ]


@case
def sums():
    x, y = data(97)
    model = mlp(kernel_regularizer="l2", activity_regularizer="l1")
    model.compile(keras.optimizers.SGD(0.001), keras.losses.BinaryCrossentropy(reduction="sum"))
    return [trained(model, x, y), model.evaluate(x, y, verbose=0)]


@case
def means_by_sample_weight():
    x, y = data(97)
    model = mlp()
    model.compile("sgd", keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"))
    return trained(model, x, y[:, None], sample_weight=np.random.uniform(0, 2, 97))


@case
def masked_means():
    words = np.random.randint(0, 5, (33, 7)) * (np.arange(7) < np.random.randint(1, 8, (33, 1)))
    words[:, 0] = 1
    model = keras.Sequential(
        [
            keras.Input((7,), dtype="int32"),
            layers.Embedding(5, 4, mask_zero=True),
            layers.LSTM(6, return_sequences=True),
        ]
    )
    model.add(layers.Dense(5, activation="softmax"))
    model.compile(adam(), "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    return [trained(model, words, words), model.evaluate(words, words, verbose=0)]


@case
def added_losses():
    class Layer(layers.Layer):
        def call(self, x):
            self.add_loss(x.square().mean())
            return x

    x, y = data(97)
    model = mlp(Layer(), kernel_regularizer="l2")
    model.compile("sgd", "binary_crossentropy")
    return trained(model, x, y)


@case
def several_outputs():
    inputs = keras.Input((6,))
    hidden = layers.Dense(8, activation="relu")(inputs)
    outputs = {"a": layers.Dense(1, name="a")(hidden), "b": layers.Dense(3, activation="softmax", name="b")(hidden)}
    model = keras.Model(inputs, outputs)
    x, _ = data(97)
    y = {"a": np.random.normal(size=(97, 1)), "b": np.random.randint(0, 3, 97)}
    losses = {"a": keras.losses.MeanSquaredError(reduction="sum"), "b": "sparse_categorical_crossentropy"}
    model.compile(keras.optimizers.SGD(0.01), losses, loss_weights={"a": 0.1, "b": 2.0}, metrics={"b": ["accuracy"]})
    result = trained(model, x, y)
    predicted = model.predict(x[:5], batch_size=4, verbose=0)
    return [result, model.evaluate(x, y, verbose=0), {name: value.tolist() for name, value in predicted.items()}]


@case
def torch_losses():
    x, y = data(97)
    model = mlp()
    model.compile(keras.optimizers.SGD(0.001), torch.nn.MSELoss(reduction="sum"))
    return trained(model, x, y[:, None].astype("float32"))


# ---------------------------------------------------------------------------- optimizers, layers, metrics


@case
def clipping_and_accumulation():
    x, y = data(97)
    made = []
    for arguments in ({"global_clipnorm": 0.1}, {"clipnorm": 0.05}, {"gradient_accumulation_steps": 2}):
        model = mlp()
        model.compile(adam(**arguments), "binary_crossentropy")
        made.append(trained(model, x, y))
    return made


@case
def torch_optimizers():
    x, y = data(97)
    model = mlp()
    model.compile(lambda parameters: torch.optim.Adam(parameters, lr=0.01, eps=1e-3), "binary_crossentropy")
    return trained(model, x, y)


@case
def synchronized_batch_normalization():
    x, y = data(97)
    model = mlp(layers.BatchNormalization(synchronized=True, momentum=0.8))
    model.compile("sgd", "binary_crossentropy")
    return [trained(model, x, y), model.evaluate(x, y, verbose=0)]


@case
def frozen_layers():
    x, y = data(97)
    model = mlp()
    model.layers[0].trainable = False
    model.compile("sgd", "binary_crossentropy")
    return trained(model, x, y)


@case
def layers_that_are_not_always_used():
    class Branches(keras.Model):
        def __init__(self):
            super().__init__()
            self.ways = [layers.Dense(1), layers.Dense(1), layers.Dense(1)]

        def call(self, x, training=None):
            if not self.built:
                return sum(way(x) for way in self.ways[:2])
            # which one runs differs from batch to batch, and from rank to rank
            return self.ways[int(x[0, 0] > 0)](x) if training else self.ways[0](x)

        def build(self, shape):
            for way in self.ways:
                way.build(shape)

    x, y = data(97)
    x[:, 0] = -1  # one branch for all rows of a batch: what rank 1 runs is what one process runs
    x[32:64, 0] = 1
    model = Branches()
    model.compile("adam", "mse")
    return trained(model, x, y, shuffle=False)


@case
def torchmetrics():
    from torchmetrics.classification import BinaryAccuracy, BinaryAUROC

    x, y = data(97)
    model = mlp()
    model.compile("sgd", "binary_crossentropy", metrics=[BinaryAccuracy(), BinaryAUROC()])
    return trained(model, x, y[:, None])


@case
def a_collection_of_torchmetrics():
    from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection, PearsonCorrCoef

    x, y = data(97)
    model = mlp()
    same_state = {"mse": MeanSquaredError(), "root": MeanSquaredError(squared=False)}
    model.compile("sgd", "mse", metrics=[MetricCollection({**same_state, "r": PearsonCorrCoef()}), MeanAbsoluteError()])
    target = y[:, None].astype("float32")
    return trained(model, x, target, batch_size=32, validation_data=(x[:33], target[:33]))


@case
def single_batches():
    x, y = data(33)
    model = mlp()
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    made = [model.train_on_batch(x, y, return_dict=True) for _ in range(3)]
    return [
        made,
        model.train_on_batch(x[:1], y[:1]),
        model.test_on_batch(x, y),
        [w.tolist() for w in model.get_weights()],
    ]


# ---------------------------------------------------------------------------- steps of the user's


class Own(keras.Model):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def call(self, x):
        return self.net(x)


@case
def own_step_as_in_the_guides():
    class Guide(Own):
        def train_step(self, data):
            x, y = data
            self.zero_grad()
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            loss.backward()
            weights = list(self.trainable_weights)
            with torch.no_grad():
                self.optimizer.apply([v.value.grad for v in weights], weights)
            for metric in self.metrics:
                metric.update_state(loss) if metric.name == "loss" else metric.update_state(y, self(x))
            return {**{m.name: m.result() for m in self.metrics}, "other": loss}

    x, y = data(65)
    model = Guide(mlp())
    model.compile(adam(), "mse", metrics=["mae"])
    return trained(model, x, y[:, None].astype("float32"), batch_size=16)


@case
def own_step_on_parts_with_two_optimizers():
    class Two(Own):
        def compile(self, **kwargs):
            super().compile(**kwargs)
            self.opts = {
                "first": keras.optimizers.SGD(0.1),
                "second": torch.optim.SGD(self.net.layers[1].parameters(), 0.1),
            }
            self.loss_metric = keras.metrics.Mean(name="loss")

        def train_step(self, data):
            x, y = data
            first, second = self.net.layers
            self.zero_grad()
            loss = (second(first(x)) - y).square().mean()
            loss.backward()
            weights = first.trainable_weights
            self.opts["first"].apply([w.grad for w in weights], weights)
            self.opts["second"].step()
            self.zero_grad()
            loss = first(x).square().mean()
            loss.backward()
            self.opts["first"].apply([w.grad for w in weights], weights)
            self.loss_metric.update_state(loss, sample_weight=len(x))
            return {"loss": self.loss_metric.result()}

    x, y = data(97)
    model = Two(mlp())
    model.build((None, 6))
    model.compile()
    return trained(model, x, y[:, None].astype("float32"))


@case
def own_step_that_asks_the_library():
    class Super(Own):
        def train_step(self, data):
            return super().train_step(data)

        def test_step(self, data):
            return super().test_step(data)

    x, y = data(97)
    model = Super(mlp())
    model.compile("sgd", keras.losses.BinaryCrossentropy(reduction="sum"), metrics=["accuracy"])
    return [trained(model, x, y), model.evaluate(x, y, verbose=0)]


@case
def own_compute_loss():
    class Loss(Own):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return (y_pred - y).abs().mean() + 0.1 * super().compute_loss(x, y, y_pred, sample_weight)

    x, y = data(97)
    model = Loss(mlp())
    model.compile("sgd", "mse", metrics=["mae"])
    return trained(model, x, y[:, None].astype("float32"))


def plain(value):
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return float(value)


# Those in which the strategy matters; the others are about sources of batches.
UNDER_DISTRIBUTIONS = """odd_number_of_samples fewer_samples_than_ranks sample_weights sums masked_means added_losses
    several_outputs torch_losses clipping_and_accumulation torch_optimizers synchronized_batch_normalization
    layers_that_are_not_always_used torchmetrics single_batches own_step_as_in_the_guides
    own_step_on_parts_with_two_optimizers own_step_that_asks_the_library own_compute_loss""".split()


def run(seed, names=CASES):
    made = {}
    for name in names:
        function = CASES[name]
        keras.utils.clear_session()
        keras.utils.set_random_seed(seed)
        try:
            made[name] = plain(function())
        except Exception as error:
            error.add_note(f"in the case {name}")
            raise
    return made
