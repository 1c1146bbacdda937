"""The last layer and its crossentropy in parts: the numbers of the plain path, without logits in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

import torchkeras as keras
from tests.training import recorded_graphs
from torchkeras.core.fast_paths.switch import use_fast_paths
from torchkeras.losses import chunked_crossentropy
from torchkeras.ops.nn.crossentropy import IGNORED_CLASS
from torchkeras.training import fused_head
from torchkeras.training.replay.graphs import GRAPHS
from torchkeras.training.state import state_of

L = keras.layers
ROWS, LENGTH, FEATURES, CLASSES = 10, 5, 4, 11


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    monkeypatch.setattr(fused_head, "LEAST_CLASSES", 8)
    monkeypatch.setattr(fused_head, "LEAST_BYTES", 0)
    monkeypatch.setattr(chunked_crossentropy, "CPU_BYTES", 7 * CLASSES * 4)  # seven rows at a time, of 20 and 10


def dense(x, table):
    return L.Dense(CLASSES)(x)


HEADS = {
    "dense": dense,
    "no bias": lambda x, table: L.Dense(CLASSES, use_bias=False)(x),
    "tied": lambda x, table: table(x, reverse=True),
    "frozen": lambda x, table: L.Dense(CLASSES, trainable=False)(x),
    "regularized": lambda x, table: L.Dense(CLASSES, kernel_regularizer="l2")(x),
}


def language_model(head=dense, mask_zero=False, dtype=None):
    tokens = keras.Input((LENGTH,), dtype="int32")
    table = L.ReversibleEmbedding(CLASSES, FEATURES, mask_zero=mask_zero, dtype=dtype)
    x = L.Dense(FEATURES, activation="tanh", dtype=dtype)(table(tokens))
    return keras.Model(tokens, head(x, table))


def train(model, data, loss, fused, **options):
    """Loss per epoch and weights, with the head computed in parts or plainly."""
    before = use_fast_paths(fused)
    try:
        optimizer = options.pop("optimizer", lambda: keras.optimizers.SGD(0.1))()
        model.compile(optimizer, loss(), **options.pop("compile", {}))
        history = model.fit(*data, batch_size=4, epochs=2, shuffle=False, verbose=0, **options).history
    finally:
        use_fast_paths(before)
    assert (state_of(model).train_step.head is not None) is fused
    return history, model.get_weights()


def compare(make, data, loss, tolerance, **options):
    plain, fused = make(), make()
    fused.set_weights(plain.get_weights())
    first = train(plain, data, loss, False, **options)
    second = train(fused, data, loss, True, **options)
    np.testing.assert_allclose(first[0]["loss"], second[0]["loss"], rtol=tolerance)
    for a, b in zip(first[1], second[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def crossentropy(**arguments):
    return lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True, **arguments)


@pytest.fixture
def data(rng):
    return rng.integers(0, CLASSES, (ROWS, LENGTH)), rng.integers(0, CLASSES, (ROWS, LENGTH))


@pytest.fixture
def float64():
    keras.config.set_floatx("float64")


@pytest.mark.parametrize("head", HEADS)
def test_every_head_trains_as_the_plain_path(head, data, float64):
    compare(lambda: language_model(HEADS[head]), data, crossentropy(), 1e-12)


CASES = {
    "sum": (crossentropy(reduction="sum"), {"optimizer": lambda: keras.optimizers.SGD(0.001)}),
    "ignored class": (crossentropy(ignore_class=3), {}),
    "torch's ignored class": (crossentropy(ignore_class=-100), {}),
    "weights": (crossentropy(), {"sample_weight": np.linspace(0, 2, ROWS)[:, None]}),
    "weighted mean": (
        crossentropy(reduction="mean_with_sample_weight"),
        {"sample_weight": np.linspace(0, 2, ROWS * LENGTH).reshape(ROWS, LENGTH)},
    ),
    "accumulation": (
        crossentropy(),
        {"optimizer": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2)},
    ),
    "scaled loss": (crossentropy(), {"optimizer": lambda: keras.optimizers.SGD(0.1, loss_scale_factor=8.0)}),
}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_every_reduction_trains_as_the_plain_path(case, masked, data, float64):
    loss, options = CASES[case]
    compare(lambda: language_model(mask_zero=masked), data, loss, 1e-11, **options)


def test_mixed_precision_is_as_near_to_float32_as_the_plain_path(data):
    exact, plain, fused = (language_model(dtype=d) for d in ("float32", "mixed_bfloat16", "mixed_bfloat16"))
    for model in (plain, fused):
        model.set_weights(exact.get_weights())
    wanted, *found = (train(m, data, crossentropy(), f)[1] for m, f in ((exact, False), (plain, False), (fused, True)))
    errors = [max(np.abs(a - b).max() for a, b in zip(wanted, weights, strict=True)) for weights in found]
    assert errors[1] <= 2 * errors[0] + 1e-3


class _Largest(TorchDispatchMode):
    """The largest number of bytes of a tensor's memory."""

    bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in keras.tree.flatten(result):
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return result


def test_no_tensor_is_as_large_as_the_logits(data):
    def largest(fused):
        model = language_model()
        before = use_fast_paths(fused)
        try:
            model.compile("sgd", crossentropy()())
            model.train_on_batch(*data)
            with _Largest() as found:
                model.train_on_batch(*data)
        finally:
            use_fast_paths(before)
        return found.bytes

    logits = ROWS * LENGTH * CLASSES * 4
    assert largest(False) >= logits
    assert largest(True) <= logits // 2


class _Alive(TorchDispatchMode):
    """The largest number of tensors of some logits' size that are in memory at the same time."""

    most, seen = 0, ()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.shape[-1:] == (CLASSES,) and result.dim() == 2:
            self.seen = {*self.seen, StorageWeakRef(result.untyped_storage())}
        self.seen = {storage for storage in self.seen if not storage.expired()}
        self.most = max(self.most, len(self.seen))
        return result


@pytest.mark.parametrize("rows", [21, 8, 1])
def test_parts_of_the_logits_are_freed_before_the_next_ones(rows):
    """In memory are logits and their softmax, and the gradient of the kernel."""
    inputs, kernel = torch.randn(21, FEATURES), torch.randn(FEATURES, CLASSES, requires_grad=True)
    target = torch.randint(0, CLASSES, (21,))
    with _Alive() as alive:
        chunked_crossentropy._CrossentropyOfProduct.apply(inputs, kernel, None, target, torch.mean, torch.float32, rows)
    assert alive.most == 3


def test_the_gradient_of_the_logits_is_that_of_the_crossentropy():
    logits, factors = torch.randn(6, CLASSES, dtype=torch.float64, requires_grad=True), torch.rand(6).double()
    target = torch.tensor([0, 3, CLASSES - 1, IGNORED_CLASS, 3, 1])
    values = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    (wanted,) = torch.autograd.grad(values, logits, factors)
    logs = torch.log_softmax(logits.detach(), -1)
    found = chunked_crossentropy._gradient(logs, target, factors)
    torch.testing.assert_close(found, wanted)
    assert found.data_ptr() == logs.data_ptr()


def _op_behind(tokens):
    x = L.Dense(FEATURES)(L.Embedding(CLASSES, FEATURES)(tokens))
    layer = L.Dense(CLASSES)
    return keras.Model(tokens, layer(x) + 1)


PLAIN = {
    "a metric": (lambda tokens: language_model(), {"metrics": ["accuracy"]}),
    "probabilities": (lambda tokens: language_model(), {"loss": keras.losses.SparseCategoricalCrossentropy()}),
    "an activation": (lambda tokens: language_model(lambda x, _: L.Dense(CLASSES, "relu")(x)), {}),
    "an op behind": (_op_behind, {}),
    "a compiled step": (lambda tokens: language_model(), {"jit_compile": True}),
}


@pytest.mark.parametrize("case", PLAIN)
def test_where_somebody_sees_the_logits_they_are_made(case, data, monkeypatch):
    make, options = PLAIN[case]
    monkeypatch.setattr(chunked_crossentropy.Product, "stand_in", lambda self: pytest.fail("computed in parts"))
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    model = make(keras.Input((LENGTH,), dtype="int32"))
    model.compile("sgd", **{"loss": crossentropy()(), **options})
    model.train_on_batch(*data)


def test_a_hook_or_a_small_batch_gets_the_logits(data, monkeypatch):
    model = language_model()
    model.compile("sgd", crossentropy()())
    seen = []
    handle = model.layers[-1].register_forward_hook(lambda layer, args, output: seen.append(output.isnan().any()))
    model.train_on_batch(*data)
    handle.remove()
    monkeypatch.setattr(chunked_crossentropy.Product, "stand_in", lambda self: pytest.fail("not a large batch"))
    monkeypatch.setattr(fused_head, "LEAST_BYTES", 10**6)
    model.train_on_batch(*data)
    assert [bool(flag) for flag in seen] == [False]


def test_a_layer_that_is_also_called_within_is_refused(data):
    class Twice(L.Layer):
        def __init__(self, layer):
            super().__init__()
            self.calls = [lambda x: layer(x)]  # hidden from the walk over layers

        def call(self, inputs):
            return inputs + 0 * self.calls[0](inputs).sum()

    tokens, layer = keras.Input((LENGTH,), dtype="int32"), L.Dense(CLASSES)
    layer.build((None, LENGTH, FEATURES))
    model = keras.Model(tokens, layer(Twice(layer)(L.Embedding(CLASSES, FEATURES)(tokens))))
    model.compile("sgd", crossentropy()())
    with pytest.raises(RuntimeError, match="other places than at the model's end"):
        model.train_on_batch(*data)


def test_wrong_class_numbers_are_named(data):
    model = language_model()
    model.compile("sgd", crossentropy()())
    with pytest.raises((IndexError, ValueError), match="class"):
        model.train_on_batch(data[0], data[1] + CLASSES)


def test_replayed_steps_are_those_of_eager_mode(data, monkeypatch):
    monkeypatch.setitem(GRAPHS, "cpu", recorded_graphs.RecordedGraphs)
    eager, replayed = language_model(), language_model()
    replayed.set_weights(eager.get_weights())
    x, y = (np.tile(part, (4, 1)) for part in data)
    found = [
        train(model, (x, y), crossentropy(), True, compile={"jit_compile": jit})
        for model, jit in ((eager, False), (replayed, "auto"))
    ]
    assert state_of(replayed).replayers["train"].replays > 0
    assert found[0][0] == found[1][0]
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_array_equal(a, b)
