"""The functions of `torch.nn.init` where Keras takes an initializer."""

import functools

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import init

import torchkeras as keras
from torchkeras import initializers

partial = functools.partial
ROWS = {
    "zeros": (init.zeros_, "Zeros"),
    "ones": (init.ones_, "Ones"),
    "constant": (partial(init.constant_, val=0.3), "Constant"),
    "eye": (init.eye_, "Identity"),
    "uniform": (partial(init.uniform_, a=-0.2, b=0.7), "RandomUniform"),
    "normal": (partial(init.normal_, mean=0.1, std=0.3), "RandomNormal"),
    "truncated normal": (init.trunc_normal_, "TruncatedNormal"),
    "truncated normal scaled": (partial(init.trunc_normal_, std=0.5, a=-1.0, b=1.0), "TruncatedNormal"),
    "xavier uniform": (init.xavier_uniform_, "VarianceScaling"),
    "xavier normal": (partial(init.xavier_normal_, gain=2.0), "VarianceScaling"),
    "kaiming uniform": (partial(init.kaiming_uniform_, a=0.2), "VarianceScaling"),
    "kaiming normal": (partial(init.kaiming_normal_, mode="fan_out", nonlinearity="relu"), "VarianceScaling"),
    "orthogonal": (partial(init.orthogonal_, gain=1.5), "Orthogonal"),
}
WITHOUT = {
    "sparse": partial(init.sparse_, sparsity=0.3),
    "cut elsewhere": partial(init.trunc_normal_, a=-0.5, b=1.0),
    "generator": partial(init.normal_, generator=torch.Generator()),
    "own": lambda tensor: tensor.fill_(2.0),
}


def torch_layout(value):
    """`(*window, inputs, outputs)` as `(outputs, inputs, *window)`."""
    return value.movedim((-1, -2), (0, 1)) if value.dim() > 1 else value


@pytest.mark.parametrize("shape", [(40, 50), (3, 2, 20, 30)])
@pytest.mark.parametrize("row", [*ROWS, "cut elsewhere"])
def test_torch_fills_the_weight_in_its_own_layout(row, shape, seed):
    function = ROWS[row][0] if row in ROWS else WITHOUT[row]
    if row == "eye" and len(shape) > 2:
        pytest.skip("matrices alone")
    torch.manual_seed(seed)
    value = initializers.get(function)(shape, dtype="float32")
    expected = torch.empty(torch_layout(value).shape)
    torch.manual_seed(seed)
    function(expected)
    assert tuple(value.shape) == shape and value.is_contiguous()
    assert torch.equal(torch_layout(value), expected)


@pytest.mark.parametrize("row", ROWS)
def test_files_have_kerass_initializer_of_the_same_distribution(row):
    function, name = ROWS[row]
    initializer = initializers.get(function)
    data = initializers.serialize(initializer)
    assert (data["module"], data["class_name"]) == ("keras.initializers", name)
    again = initializers.deserialize(data)
    shape = (300, 400)
    mine, theirs = (np.asarray(i(shape, dtype="float64")) for i in (initializer, again))
    assert stats.ks_2samp(mine.ravel(), theirs.ravel()).pvalue > 1e-7
    np.testing.assert_allclose(mine.std(), theirs.std(), rtol=0.02)  # seven standard errors, if there is any


@pytest.mark.parametrize("row", WITHOUT)
def test_what_no_file_can_describe_is_told(row):
    initializer = initializers.get(WITHOUT[row])
    with pytest.raises(ValueError, match=rf"{initializer.name}.*no initializer that files can name"):
        initializers.serialize(initializer)
    assert initializer.name in repr(initializer)


def test_a_model_goes_through_a_file(rng, tmp_path):
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(3, 2, kernel_initializer=init.kaiming_normal_, bias_initializer=init.zeros_)(inputs)
    x = keras.layers.Dense(4, kernel_initializer=partial(init.normal_, std=0.02))(keras.layers.Flatten()(x))
    model = keras.Model(inputs, x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    data = rng.normal(size=(3, 6, 6, 2)).astype("float32")
    np.testing.assert_array_equal(loaded.predict(data, verbose=0), model.predict(data, verbose=0))
    assert loaded.layers[-1].kernel_initializer.stddev == 0.02


def test_clones_are_apart():
    initializer = initializers.get(init.normal_)
    copy = initializer.clone()
    assert copy is not initializer and copy.function is initializer.function
