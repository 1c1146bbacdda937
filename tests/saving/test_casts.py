"""A file whose types are wider than the model's: rounded values are named, others are refused."""

import warnings

import numpy as np
import pytest
import torch

import torchkeras as keras

FORMATS = [".weights.h5", ".safetensors", ".keras", ".h5"]


class Numbers(keras.layers.Layer):
    """A layer with one weight of a type of its own."""

    def __init__(self, dtype, values=None):
        super().__init__(name="numbers")
        self.kind, self.values = dtype, values

    def build(self, shape):
        self.numbers = self.add_weight(shape=(3,), dtype=self.kind, initializer="zeros", trainable=False)
        if self.values is not None:
            self.numbers.assign(torch.tensor(self.values, dtype=getattr(torch, self.kind)))

    def call(self, x):
        return x

    def get_config(self):
        return {}


def model_of(dtype, values=None):
    return keras.Sequential([keras.Input((3,)), Numbers(dtype, values)])


# (type in the file, its values, type of the model, outcome: "same", "rounded" or the words of the refusal)
CASES = [
    ("float64", [0.5, 1.0, 2.0], "float32", "same"),
    ("float64", [0.1, 1.0, np.nan], "float32", "rounded"),
    ("float64", [1e300, 1.0, 2.0], "float32", r"float32 and can't hold the file's float64 values, such as 1e\+300"),
    ("float32", [70000.0, 1.0, 2.0], "float16", "float16 and can't hold .* 70000"),
    ("float32", [np.inf, -np.inf, 2.0], "float16", "same"),
    ("float32", [0.1, 1.0, 2.0], "bfloat16", "rounded"),
    ("float16", [0.1, 65504.0, 2.0], "bfloat16", "rounded"),
    ("bfloat16", [1e30, 1.0, 2.0], "float16", "can't hold"),
    ("float16", [0.1, 1.0, 2.0], "float32", "same"),
    ("float32", [1.0, 2.0, 3.0], "int32", "same"),
    ("float32", [1.5, 2.0, 3.0], "int32", "int32 and can't hold .* 1.5"),
    ("float32", [np.nan, 2.0, 3.0], "int64", "can't hold"),
    ("int64", [2**40, 1, 2], "int32", "can't hold .* 1099511627776"),
    ("int32", [7, 1, 2], "int8", "same"),
    ("int32", [300, 1, 2], "int8", "can't hold .* 300"),
    ("int64", [2**53 + 1, 1, 2], "float64", "rounded"),
    ("complex64", [1 + 2j, 1, 2], "float32", "complex numbers"),
    ("complex64", [1, 1, 2], "float32", "same"),
]


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize(("found", "values", "wanted", "outcome"), CASES)
def test_types(found, values, wanted, outcome, ending, tmp_path):
    if ending == ".h5" and found in ("bfloat16", "complex64"):
        pytest.skip("these files hold no such type")
    path = tmp_path / f"m{ending}"
    source, model = model_of(found, values), model_of(wanted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source.save(path) if ending in (".keras", ".h5") else source.save_weights(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if outcome in ("same", "rounded"):
            model.load_weights(path)
        else:
            with pytest.raises(ValueError, match=outcome):
                model.load_weights(path)
    said = [str(one.message) for one in caught if "were rounded" in str(one.message)]
    assert bool(said) is (outcome == "rounded")
    for message in said:
        assert "Values of 1 weights" in message and f"({'float32' if found == 'bfloat16' else found} to " in message
    expected = torch.tensor(values if outcome in ("same", "rounded") else [0, 0, 0], dtype=getattr(torch, found))
    expected = expected.real if expected.is_complex() else expected
    got = model.layers[0].numbers.detach().as_subclass(torch.Tensor)
    torch.testing.assert_close(got, expected.to(got.dtype), rtol=0, atol=0, equal_nan=True)


def test_a_model_of_another_policy_says_it_once(tmp_path, rng):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, dtype="float64"), keras.layers.Dense(2)])
    model.save_weights(tmp_path / "m.weights.h5")
    narrow = keras.Sequential([keras.Input((3,)), *(keras.layers.Dense(n, dtype="float16") for n in (4, 2))])
    with pytest.warns(UserWarning, match=r"(?s)Values of 2 weights.*rounded.*float64 to float16.*kernel") as caught:
        narrow.load_weights(tmp_path / "m.weights.h5")
    assert sum("rounded" in str(one.message) for one in caught) == 1
    with pytest.warns(UserWarning, match="They keep their values"):
        model.layers[0].kernel.assign(np.full((3, 4), 1e9))
        model.layers[1].kernel.assign(np.zeros((4, 2)))
        model.save_weights(tmp_path / "m.weights.h5")
        before = narrow.layers[0].get_weights()
        narrow.load_weights(tmp_path / "m.weights.h5", skip_mismatch=True)
    np.testing.assert_array_equal(narrow.layers[0].get_weights()[0], before[0])


class Reads(Numbers):
    """A layer that reads its weights itself."""

    def save_own_variables(self, store):
        store["numbers"] = self.numbers

    def load_own_variables(self, store):
        self.numbers.assign(store["numbers"])


@pytest.mark.parametrize(("found", "values", "wanted", "outcome"), [CASES[i] for i in (0, 1, 2, 3, 12, 13)])
def test_types_of_a_layer_that_reads_its_weights_itself(found, values, wanted, outcome, tmp_path):
    path = tmp_path / "m.weights.h5"
    keras.Sequential([keras.Input((3,)), Reads(found, values)]).save_weights(path)
    model = keras.Sequential([keras.Input((3,)), Reads(wanted)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if outcome in ("same", "rounded"):
            model.load_weights(path)
        else:
            with pytest.raises(ValueError, match=outcome):
                model.load_weights(path)
            assert not model.layers[0].numbers.any()
    assert any("were rounded" in str(one.message) for one in caught) is (outcome == "rounded")


def test_an_optimizer_of_narrower_variables_says_so(tmp_path, rng):
    def compiled(dtype):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype=dtype)])
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)
        return model

    wide, narrow = compiled("float64"), compiled("float32")
    for variable in wide.optimizer.variables[2:]:
        variable.assign(rng.random(tuple(variable.shape)))
    wide.save_weights(tmp_path / "m.weights.h5")
    with pytest.warns(UserWarning, match="were rounded.*adam.*float64 to float32|were rounded.*kernel_momentum"):
        narrow.load_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="can't hold"):
        wide.optimizer.variables[3].assign(np.full(wide.optimizer.variables[3].shape, 1e300))
        wide.save_weights(tmp_path / "m.weights.h5")
        narrow.load_weights(tmp_path / "m.weights.h5")
