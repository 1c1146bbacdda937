"""Losses, weights and metrics for nested outputs: names and values as real Keras has them."""

from collections import namedtuple

import keras as real
import numpy as np
import pytest

import torchkeras

Pair = namedtuple("Pair", ["first", "second"])
A, B = "mean_squared_error", "mean_absolute_error"


def sum_of(y_true, y_pred):
    """A loss of several outputs at once."""
    pairs = zip(*(list(y.values() if isinstance(y, dict) else y) for y in (y_true, y_pred)), strict=True)
    return sum(abs(true - pred) for true, pred in pairs)


LIST, TUPLE, DICT = (lambda a, b: [a, b]), (lambda a, b: (a, b)), (lambda a, b: {"a": a, "b": b})
DEEP = lambda a, b: {"a": (a, b), "b": {"c": b}}

# The nest of the outputs, and the arguments of compile().
CASES = {
    "one for all": (LIST, {"loss": A, "metrics": [[B], [B]]}),
    "list": (LIST, {"loss": [A, B], "loss_weights": [0.5, 2.0]}),
    "tuple": (TUPLE, {"loss": (A, None)}),
    "dict": (DICT, {"loss": {"a": A, "b": B}, "metrics": {"b": [A, B]}}),
    "dict of lists": (DICT, {"loss": {"a": [A, B], "b": [B]}, "loss_weights": {"a": [0.5, 3.0], "b": [2.0]}}),
    "part of a dict": (DICT, {"loss": {"b": B}}),
    "names of the layers": (LIST, {"loss": {"y1": A, "y2": B}, "loss_weights": {"y1": 3.0, "y2": 0.5}}),
    "list for a dict": (DICT, {"loss": [A, B]}),
    "several losses of one output": (LIST, {"loss": [A, [B]]}),
    "a loss of all outputs": (LIST, {"loss": (sum_of, [A, B])}),
    "a loss of all, weighted": (LIST, {"loss": (sum_of, [A, B]), "loss_weights": (0.1, [0.2, 0.3])}),
    "a loss of a dict": (DICT, {"loss": [sum_of, {"a": A, "b": B}]}),
    "a loss of a named tuple": (Pair, {"loss": [sum_of, Pair(A, B)]}),
    "deep": (DEEP, {"loss": {"a": (A, B), "b": {"c": B}}, "metrics": {"a": ([A], [B]), "b": {"c": [A]}}}),
    "deep, in parts": (DEEP, {"loss": {"a": [sum_of, (None, B)], "b": {"c": A}}}),
    "deep, weighted": (
        DEEP,
        {"loss": {"a": (A, B), "b": {"c": B}}, "loss_weights": {"a": (1.0, 2.0), "b": {"c": 3.0}}},
    ),
}


def evaluated(keras, wrap, arguments, weights, x, y):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, wrap(*(keras.layers.Dense(1, name=name)(inputs) for name in ("y1", "y2"))))
    model.set_weights(weights)
    model.compile("sgd", **arguments)
    return model.evaluate(x, y, verbose=0, return_dict=True)


@pytest.mark.parametrize("case", CASES)
def test_names_and_values(case, rng):
    wrap, arguments = CASES[case]
    x, y = rng.normal(size=(4, 3)).astype("f4"), wrap(*rng.normal(size=(2, 4, 1)).astype("f4"))
    weights = [rng.normal(size=shape).astype("f4") for shape in ((3, 1), (1,)) * 2]
    wanted = evaluated(real, wrap, arguments, weights, x, y)
    found = evaluated(torchkeras, wrap, arguments, weights, x, y)
    # Keras numbers metrics of one name by all that came before; the values are the same.
    assert sorted(found) == sorted(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


# The arguments of compile() and the type and words of Keras's error.
REFUSED = {
    "no such key": (DICT, {"loss": {"a": A, "c": B}}, KeyError, "in the `loss` argument, can't be found"),
    "no such place": (LIST, {"loss": [A, A, A]}, KeyError, r"path: \(2,\)"),
    "no such name": (LIST, {"loss": {"y1": A, "y3": B}}, ValueError, "Expected keys .* in loss dict"),
    "weights": (LIST, {"loss": [A, B], "loss_weights": [1.0, 2.0, 3.0]}, ValueError, "got 2 losses and 3 weights"),
    "metrics": (LIST, {"loss": A, "metrics": {"y3": [A]}}, ValueError, "(?s)Invalid `metrics`.*y3"),
    "metrics of a nest": (DEEP, {"loss": A, "metrics": {"a": [A]}}, ValueError, "Invalid `metrics`"),
}


@pytest.mark.parametrize("keras", [real, torchkeras], ids=["keras", "torchkeras"])
@pytest.mark.parametrize("case", REFUSED)
def test_errors(case, keras, rng):
    wrap, arguments, kind, words = REFUSED[case]
    x, y = rng.normal(size=(4, 3)).astype("f4"), wrap(*rng.normal(size=(2, 4, 1)).astype("f4"))
    weights = [np.zeros(shape, "f4") for shape in ((3, 1), (1,)) * 2]
    with pytest.raises(kind, match=words):
        evaluated(keras, wrap, arguments, weights, x, y)


def test_a_model_that_is_not_compiled_has_no_optimizer():
    for keras in (real, torchkeras):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        assert not hasattr(model, "optimizer")
        with pytest.raises(AttributeError, match="optimizer"):
            model.optimizer  # noqa: B018
        with pytest.raises(TypeError, match="unexpected keyword argument 'unknown'"):
            model.compile(unknown=1)
        model.compile("adam")
        assert model.optimizer.name == "adam"


def test_words_of_functional_models(rng):
    for keras in (real, torchkeras):
        a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
        model = keras.Model({"a": a, "b": b}, keras.layers.Dense(2)(a + b))
        x = rng.normal(size=(2, 4))
        with pytest.raises(ValueError, match=r"expects 2 named input\(s\) with keys \['a', 'b'\], but it received 1"):
            model(x)
        with pytest.raises(ValueError, match='Missing data for input "b"'):
            model({"a": x})
        with pytest.raises(ValueError, match="Output with path `second` is not connected"):
            keras.Model(a, {"first": a * 2, "second": b * 3})
        with pytest.raises(ValueError, match="name 'a' and path 'x.0'"):
            keras.Model({"x": [a]}, a * 2)({"x": [rng.normal(size=(2, 4, 5))]})

        class NeedsMore(keras.layers.Layer):
            def call(self, inputs, training):
                return inputs

        with pytest.raises(ValueError, match="can only have a single required positional argument"):
            keras.Sequential([NeedsMore()]).build((None, 2))

        class FromInputs(keras.Model):
            def __init__(self):
                inputs = keras.Input((3,))
                super().__init__(inputs=inputs, outputs=keras.layers.Dense(1)(inputs))

        functional = type(keras.Model(a, a * 2))
        assert isinstance(FromInputs(), functional)
        assert not isinstance(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]), functional)
