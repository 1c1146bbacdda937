"""Small trainings on the current device, rows by name: kinds of models, of data, of compile() and of precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

import torchkeras as keras

ROWS = 48
BATCH = 8
_rng = np.random.default_rng(0)
X = _rng.normal(size=(ROWS, 6)).astype("float32")
Y = _rng.integers(0, 3, ROWS)
ONE_HOT = np.eye(3, dtype="float32")[Y]
IMAGES = _rng.normal(size=(ROWS, 8, 8, 3)).astype("float32")
TOKENS = _rng.integers(1, 11, (ROWS, 6)).astype("int32")
SEQUENCES = _rng.normal(size=(ROWS, 5, 4)).astype("float32")
WEIGHTS = _rng.uniform(0.5, 1.5, ROWS).astype("float32")


class Fit(NamedTuple):
    """A training.

    Attributes:
        make: makes the model.
        x, y: arrays.
        optimizer: makes the optimizer.
        loss: makes the loss; default: the crossentropy of classes and logits.
        compile: makes further arguments of `compile()`.
        options: makes further arguments of `fit()`, for a number of samples.
        source: makes what `fit()` gets in the place of the arrays, for a number of samples.
        policy: the dtype policy of the model.
        tolerance: how far losses and metrics may be from those of another device.
    """

    make: Callable[[], Any]
    x: np.ndarray = X
    y: np.ndarray = Y
    optimizer: Callable[[], Any] = lambda: keras.optimizers.Adam(0.01)
    loss: Callable[[], Any] = lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    compile: Callable[[], dict[str, Any]] = lambda: {"metrics": ["accuracy"]}
    options: Callable[[int], dict[str, Any]] = lambda samples: {}
    source: Callable[[int], Any] | None = None
    policy: str = "float32"
    tolerance: float = 1e-4

    def train(self, samples: int = ROWS, epochs: int = 2, **options: Any) -> tuple[Any, dict[str, list[float]]]:
        """The trained model and its history.

        Args:
            samples: how many samples to train on.
            epochs: how often.
            **options: arguments of `compile()`.
        """
        model = self.compiled(**options)
        return model, self.fit(model, samples, epochs)

    def compiled(self, **options: Any) -> Any:
        """The model, compiled; `options` are further arguments of `compile()`."""
        keras.backend.clear_session()
        keras.utils.set_random_seed(3)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.policy)
        try:
            model = self.make()
        finally:
            keras.config.set_dtype_policy(before)
        model.compile(self.optimizer(), self.loss(), **{**self.compile(), **options})
        return model

    def fit(
        self, model: Any, samples: int = ROWS, epochs: int = 1, callbacks: Sequence[Any] = ()
    ) -> dict[str, list[float]]:
        """Train the model; the history."""
        arguments: dict[str, Any] = {"epochs": epochs, "verbose": 0, **self.options(samples)}
        arguments["callbacks"] = [*arguments.get("callbacks", ()), *callbacks]
        if self.source is not None:
            return model.fit(self.source(samples), **arguments).history
        arguments.setdefault("batch_size", BATCH)
        return model.fit(self.x[:samples], self.y[:samples], **arguments).history


def dense(*inner: Callable[[], Any]) -> Callable[[], Any]:
    layers = keras.layers

    def make() -> Any:
        between = [one() for one in inner]
        return keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="tanh"), *between, layers.Dense(3)])

    return make


def convolutions() -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling([0.5, 1.0, 2.0]),
            layers.Normalization(mean=[0.0, 0.1, 0.2], variance=[1.0, 1.0, 2.0]),
            layers.Conv2D(4, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


def augmented() -> Any:
    layers = keras.layers
    first = [layers.RandomFlip(seed=1), layers.RandomRotation(0.1, seed=2), layers.RandomContrast(0.2, seed=3)]
    return keras.Sequential([keras.Input((8, 8, 3)), *first, layers.Flatten(), layers.Dropout(0.2), layers.Dense(3)])


def text() -> Any:
    layers = keras.layers
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(11, 8, mask_zero=True)(inputs)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)])
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(3)(layers.GRU(4)(x)))


def large_vocabulary() -> Any:
    """A model whose last layer and loss are computed a few rows at a time."""
    layers = keras.layers
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(11, 8)(inputs)
    x = layers.RMSNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    return keras.Model(inputs, layers.Dense(4200)(x))


def recurrent() -> Any:
    layers = keras.layers
    cells = [layers.SimpleRNN(4, return_sequences=True), layers.LSTM(4, return_sequences=True), layers.GRU(4)]
    return keras.Sequential([keras.Input((5, 4)), layers.Masking(), *cells, layers.Dense(3)])


class WithTorchModule(keras.Model):
    """A model that holds a module of torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.LayerNorm(8), torch.nn.ReLU())
        with torch.no_grad():  # torch draws initial weights on the device
            for index, weight in enumerate(self.inner.parameters()):
                weight.copy_(torch.from_numpy(np.random.default_rng(index).normal(size=tuple(weight.shape))))
        self.last = keras.layers.Dense(3)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.last(self.inner(inputs))


class OwnStep(keras.Model):
    """A model with a training step of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.last = keras.layers.Dense(3)

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.last(inputs)

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        outputs = self(x, training=True)
        loss = self.compute_loss(x, y, outputs)
        self.zero_grad()
        loss.backward()
        with torch.no_grad():
            self.optimizer.apply([weight.grad for weight in self.trainable_weights], self.trainable_weights)
        for metric in self.metrics:
            metric.update_state(loss) if metric.name == "loss" else metric.update_state(y, outputs)
        return {metric.name: metric.result() for metric in self.metrics}


class Batches(keras.utils.PyDataset):
    """Batches of NumPy arrays."""

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.samples = samples

    def __len__(self) -> int:
        return self.samples // BATCH

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = slice(index * BATCH, (index + 1) * BATCH)
        return X[rows], Y[rows]


def loader(samples: int, **options: Any) -> torch.utils.data.DataLoader:
    data = torch.utils.data.TensorDataset(torch.from_numpy(X[:samples]), torch.from_numpy(Y[:samples]))
    return torch.utils.data.DataLoader(data, BATCH, **options)


def many_metrics() -> dict[str, Any]:
    metrics = keras.metrics
    made = [
        metrics.AUC(),
        metrics.Precision(thresholds=[0.3, 0.6]),
        metrics.R2Score(),
        metrics.F1Score(),
        metrics.TopKCategoricalAccuracy(2),
        metrics.OneHotMeanIoU(3),
        metrics.RecallAtPrecision(0.5),
    ]
    return {"metrics": made, "weighted_metrics": ["mae"]}


def regularized() -> Any:
    limits = {"kernel_constraint": keras.constraints.MaxNorm(0.5), "bias_constraint": "unit_norm"}
    return keras.layers.Dense(4, kernel_regularizer="l2", activity_regularizer="l1", **limits)


def validated(samples: int) -> dict[str, Any]:
    stop = keras.callbacks.EarlyStopping("loss", patience=5, restore_best_weights=True)
    rate = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    return {"validation_split": 0.25, "callbacks": [stop, rate]}


_O = keras.optimizers
FITS: dict[str, Fit] = {
    "dense": Fit(dense(keras.layers.BatchNormalization)),
    "convolutions": Fit(convolutions, IMAGES),
    "augmented": Fit(augmented, IMAGES),
    "text": Fit(text, TOKENS),
    "large vocabulary": Fit(large_vocabulary, TOKENS, TOKENS, compile=dict),
    "recurrent": Fit(recurrent, SEQUENCES),
    "regularized": Fit(dense(regularized, lambda: keras.layers.GaussianNoise(0.1))),
    "torch module": Fit(WithTorchModule),
    "own step": Fit(OwnStep),
    "class weights": Fit(dense(), options=lambda samples: {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}),
    "sample weights": Fit(dense(), options=lambda samples: {"sample_weight": WEIGHTS[:samples]}),
    "validation, callbacks": Fit(dense(), options=validated),
    "ragged": Fit(dense(), options=lambda samples: {"batch_size": 7}),
    "many metrics": Fit(dense(), y=ONE_HOT, loss=lambda: "mse", compile=many_metrics),
    "PyDataset": Fit(dense(), source=Batches),
    "loader": Fit(dense(), source=loader),
    "schedule, averages": Fit(
        dense(), optimizer=lambda: _O.Adam(_O.schedules.CosineDecay(0.05, 20), use_ema=True, ema_overwrite_frequency=3)
    ),
    "accumulation": Fit(dense(), optimizer=lambda: _O.Adam(0.01, gradient_accumulation_steps=3)),
    "clipping": Fit(dense(), optimizer=lambda: _O.SGD(0.1, momentum=0.9, global_clipnorm=0.1)),
    "two optimizers": Fit(
        dense(), optimizer=lambda: _O.MultiOptimizer(_O.OptimizerMap(_O.Adam(0.01), {".*bias": _O.SGD(0.1)}))
    ),
    "mixed_bfloat16": Fit(convolutions, IMAGES, policy="mixed_bfloat16", tolerance=2e-2),
    "mixed_float16": Fit(dense(), policy="mixed_float16", tolerance=1e-2),
    "mixed_bfloat16, torch module": Fit(WithTorchModule, policy="mixed_bfloat16", tolerance=2e-2),
    "master weights": Fit(
        dense(), policy="bfloat16", optimizer=lambda: _O.Adam(low_precision_update="master_weights"), tolerance=5e-2
    ),
    "float64": Fit(dense(), policy="float64", tolerance=1e-6),
}
