"""Convolutional LSTMs against Keras on torch: configs, weights, outputs, states, masks, gradients, files."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchkeras as ours

SIZES = {1: (7,), 2: (6, 5), 3: (4, 5, 3)}
ARGUMENTS: list[dict[str, Any]] = [
    {"kernel_size": 3},
    {"kernel_size": 2, "padding": "same", "strides": 2, "unit_forget_bias": False, "bias_initializer": "ones"},
    {"kernel_size": 2, "dilation_rate": 2, "use_bias": False, "go_backwards": True},
    {"kernel_size": 3, "padding": "same", "data_format": "channels_first", "activation": "relu"},
    {"kernel_size": 3, "recurrent_activation": "hard_sigmoid"},
    {"kernel_size": 1, "kernel_regularizer": "l2", "recurrent_constraint": "max_norm", "dropout": 0.2, "seed": 3},
]  # fmt: skip
RETURNS = [{"return_sequences": s, "return_state": r} for s in (False, True) for r in (False, True)]


def plain(config: Any) -> Any:
    return json.loads(json.dumps(config))


def pair(rank: int, kwargs: dict[str, Any], rng: np.random.Generator) -> tuple[Any, Any, np.ndarray]:
    """Both layers with the same random weights, and inputs."""
    mine, theirs = (
        getattr(library.layers, f"ConvLSTM{rank}D")(filters=3, name="layer", **kwargs) for library in (ours, keras)
    )
    sizes = SIZES[rank]
    image = (2, *sizes) if kwargs.get("data_format") == "channels_first" else (*sizes, 2)
    x = rng.standard_normal((2, 4, *image)).astype("float32")
    for layer in (mine, theirs):
        layer.build(x.shape)
    values = [rng.normal(scale=0.4, size=tuple(w.shape)).astype("float32") for w in theirs.weights]
    mine.set_weights(values)
    theirs.set_weights(values)
    return mine, theirs, x


def flat(outputs: Any) -> list[np.ndarray]:
    return [t.detach().numpy() for t in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


def assert_close(mine: Any, theirs: Any) -> None:
    for got, wanted in zip(flat(mine), flat(theirs), strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


table = pytest.mark.parametrize(
    ("rank", "kwargs"), [(rank, kwargs) for rank in SIZES for kwargs in ARGUMENTS], ids=lambda v: str(v)[:60]
)


@table
def test_configs_and_weights(rank, kwargs, rng):
    mine, theirs, _ = pair(rank, kwargs, rng)
    assert plain(mine.get_config()) == plain(theirs.get_config())
    again = type(mine).from_config(plain(mine.get_config()))
    assert plain(again.get_config()) == plain(mine.get_config())
    facts = [[(w.name, w.path, tuple(w.shape)) for w in layer.weights] for layer in (mine, theirs)]
    assert facts[0] == facts[1]


@pytest.mark.parametrize("form", RETURNS, ids=str)
@table
def test_outputs(rank, kwargs, form, rng):
    mine, theirs, x = pair(rank, {**kwargs, **form}, rng)
    assert_close(mine(x), theirs(x))
    shapes = mine.compute_output_shape(x.shape), theirs.compute_output_shape(x.shape)
    assert plain(shapes[0]) == plain(shapes[1])
    spec = mine(ours.KerasTensor((None, *x.shape[1:])))
    wanted = theirs(keras.KerasTensor((None, *x.shape[1:])))
    for one, other in zip(ours.tree.flatten(spec), keras.tree.flatten(wanted), strict=True):
        assert tuple(one.shape) == tuple(other.shape)


@table
def test_masks_and_initial_states(rank, kwargs, rng):
    mine, theirs, x = pair(rank, {**kwargs, "return_sequences": True, "return_state": True}, rng)
    mask = torch.tensor([[True, False, True, True], [False, True, True, False]])
    assert_close(mine(x, mask=mask), theirs(x, mask=mask))
    states = [rng.standard_normal(tuple(mine(x)[1].shape)).astype("float32") for _ in range(2)]
    assert_close(mine(x, initial_state=states), theirs(x, initial_state=states))


@pytest.mark.parametrize("rank", SIZES)
def test_gradients(rank, rng):
    mine, theirs, x = pair(rank, {"kernel_size": 2, "padding": "same"}, rng)
    for layer in (mine, theirs):
        layer(torch.from_numpy(x)).square().sum().backward()
    for got, wanted in zip(mine.trainable_weights, theirs.trainable_weights, strict=True):
        np.testing.assert_allclose(got.grad, wanted.value.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rates", [(0.5, 0.0), (0.0, 0.5), (0.5, 0.5)])
def test_dropout(rates, rng):
    kwargs = {"kernel_size": 3, "dropout": rates[0], "recurrent_dropout": rates[1], "seed": 1}
    mine, _, x = pair(2, kwargs, rng)
    plain_outputs = mine(x)
    first, second = mine(x, training=True), mine(x, training=True)
    assert not torch.equal(first, plain_outputs)
    assert not torch.equal(first, second)
    torch.testing.assert_close(mine(x), plain_outputs)


def test_stateful(rng):
    mine, theirs, x = pair(2, {"kernel_size": 3, "stateful": True, "padding": "same"}, rng)
    for _ in range(3):
        assert_close(mine(x), theirs(x))
    mine.reset_state()
    theirs.reset_state()
    assert_close(mine(x), theirs(x))


@pytest.mark.parametrize("name", ["ours.keras", "theirs.keras", "ours.h5"])
def test_files(name, tmp_path, rng):
    library, other = (keras, ours) if name.startswith("theirs") else (ours, keras)
    inputs = library.Input((4, 6, 5, 2))
    model = library.Model(inputs, library.layers.ConvLSTM2D(3, 2)(inputs))
    model.save(tmp_path / name)
    x = rng.standard_normal((2, 4, 6, 5, 2)).astype("float32")
    assert_close(other.saving.load_model(tmp_path / name)(x), model(x))


def test_training_and_compilation(rng):
    x = rng.standard_normal((8, 4, 5, 5, 2)).astype("float32")
    model = ours.Sequential(
        [ours.Input(x.shape[1:]), ours.layers.ConvLSTM2D(3, 3), ours.layers.Flatten(), ours.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    losses = model.fit(x, x.mean((1, 2, 3, 4)), epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(torch.from_numpy(x)), model(x))


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"strides": 2, "dilation_rate": 2}, "`strides > 1` is not compatible"),
        ({"padding": "causal"}, "padding"),
        ({"kernel_size": (1, 2, 3)}, "kernel_size"),
    ],
)
def test_wrong_arguments(kwargs, words):
    with pytest.raises(ValueError, match=words):
        ours.layers.ConvLSTM2D(**{"filters": 2, "kernel_size": 2, **kwargs})
    with pytest.raises(ValueError, match="only support static input shapes"):
        ours.layers.ConvLSTM2D(2, 2)(ours.Input((4, None, 5, 2)))
