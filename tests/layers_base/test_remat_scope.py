"""Which calls a `RematScope` has computed again, held against Keras, and what is kept of them."""

from __future__ import annotations

import threading

import keras as oracle
import pytest
import torch

import torchkeras as keras
from tests.layers_base.remat_cases import Deep, assert_equal, flat, made, packed
from torchkeras import RematScope, layers
from torchkeras.core.operations.remat import get_current_remat_mode

# ------------------------------------------------------------------ where and when, as Keras


def counting(library, names):
    class Noted(library.layers.Layer):
        def call(self, x):
            names.append(self.name)
            return x * x.sin()

        def compute_output_shape(self, input_shape):
            return input_shape

    return Noted


def made_inside(lib, layer):
    with lib.RematScope():
        return layer()


def called_inside(lib, layer):
    made = layer()

    def call(x):
        with lib.RematScope("full"):
            return made(x)

    return call


def innermost_counts(lib, layer):
    with lib.RematScope("full"):
        with lib.RematScope(None):
            first = layer()
        second = layer()
    return lambda x: second(first(x))


def by_name(lib, layer):
    with lib.RematScope("list_of_layers", layer_names=["chosen"]):
        first, second = layer(name="chosen"), layer(name="other")
    return lambda x: second(first(x))


def by_size(threshold):
    def by_size(lib, layer):
        with lib.RematScope("larger_than", output_size_threshold=threshold):
            made = layer()
        made.build((None, 3))
        return made

    return by_size


def whole_model(lib, layer):
    inputs = lib.Input((3,))
    outputs = layer()(layer()(inputs))
    with lib.RematScope("full"):
        return lib.Model(inputs, outputs)


def model_and_layers(lib, layer):
    with lib.RematScope("full"):
        inputs = lib.Input((3,))
        return lib.Model(inputs, layer()(layer()(inputs)))


def from_config(lib, layer):
    with lib.RematScope("full"):
        model = lib.Sequential([lib.Input((3,)), layer()])
    return type(model).from_config(model.get_config(), custom_objects={"Noted": layer})


def no_activation(lib, layer):
    with lib.RematScope("activations"):
        return layer()


WHERE = [made_inside, called_inside, innermost_counts, by_name, by_size(11), by_size(12), whole_model]
WHERE += [model_and_layers, from_config, no_activation]


@pytest.mark.parametrize("place", WHERE, ids=lambda place: place.__name__)
def test_calls_in_the_backward_pass_are_keras_s(place, rng):
    x = rng.normal(size=(4, 3)).astype("float32")
    found = []
    for library in (keras, oracle):
        names: list[str] = []
        call = place(library, counting(library, names))
        inputs = torch.from_numpy(x).requires_grad_()
        names.clear()
        outputs = call(inputs)
        forward = len(names)
        outputs.sum().backward()
        found.append([torch.tensor(len(names) - forward), inputs.grad])
    assert_equal(*found)


def test_operations_are_computed_again_and_ops_of_graphs_are_not(rng):
    calls = []

    class Noted(keras.Operation):
        def call(self, x):
            calls.append(self.name)
            return torch.sin(x)

        def compute_output_spec(self, x):
            return keras.KerasTensor(x.shape, x.dtype)

    with RematScope("full"):
        operation = Noted()
        inputs = keras.Input((3,))
        outputs = keras.ops.exp(operation(inputs))
    model = keras.Model(inputs, outputs)
    x = torch.from_numpy(rng.normal(size=(4, 3)).astype("float32")).requires_grad_()
    model(x).sum().backward()
    assert len(calls) == 2
    torch.testing.assert_close(x.grad, torch.exp(torch.sin(x)).mul(torch.cos(x)).detach())
    assert "call" not in outputs._keras_history.operation.__dict__


@pytest.mark.parametrize("arguments", [{}, {"mode": "activations"}, {"mode": None}, {"layer_names": ["a"]}])
def test_a_scope_tells_what_it_was_made_with(arguments):
    ours, theirs = RematScope(**arguments), oracle.RematScope(**arguments)
    for name in ("mode", "output_size_threshold", "layer_names"):
        assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.parametrize("mode", ["most", "", 1, True])
def test_an_unknown_mode_is_told_with_the_known_ones(mode):
    for library in (keras, oracle):
        with pytest.raises(ValueError):
            library.RematScope(mode)
    with pytest.raises(ValueError, match="'full', 'activations', 'larger_than', 'list_of_layers', None"):
        RematScope(mode)


def test_scopes_close_with_the_error_that_leaves_them():
    with pytest.raises(KeyError), RematScope("full"), RematScope("activations"):
        assert get_current_remat_mode().mode == "activations"
        raise KeyError
    assert get_current_remat_mode() is None


def test_a_scope_is_its_thread_s():
    seen = []
    with RematScope("full"):
        thread = threading.Thread(target=lambda: seen.append(get_current_remat_mode()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_layers_made_outside_are_left_alone():
    with RematScope("full"):
        inside = layers.Dense(2)
    outside = layers.Dense(2)
    assert "call" in inside.__dict__ and "_tk_remat_mode" in inside.__dict__
    assert not {"call", "_tk_remat_mode"} & set(outside.__dict__)
    assert outside.call.__func__ is layers.Dense.call
    same = {name: value for name, value in outside.get_config().items() if name != "name"}
    assert {name: value for name, value in inside.get_config().items() if name != "name"} == same


# ------------------------------------------------------------------ memory


@pytest.mark.parametrize(
    ("mode", "options", "saves"),
    [
        ("full", {}, True),
        ("larger_than", {"output_size_threshold": 64 * 100 - 1}, True),
        ("larger_than", {"output_size_threshold": 64 * 100}, False),
        ("list_of_layers", {"layer_names": ["deep"]}, True),
        ("list_of_layers", {"layer_names": ["shallow"]}, False),
        ("activations", {}, False),
        (None, {}, False),
    ],
)
def test_only_inputs_are_kept(mode, options, saves, rng):
    x = torch.from_numpy(rng.normal(size=(64, 100)).astype("float32")).requires_grad_()
    layer = made(lambda: Deep(name="deep"), mode, options)
    layer.build((None, 100))
    kept = packed(lambda: layer(x))
    plain = packed(lambda: type(layer).call(layer, x))
    assert plain >= 7 * x.nbytes
    assert kept <= x.nbytes if saves else kept == plain


def test_an_activation_keeps_its_input_alone(rng):
    x = torch.from_numpy(rng.normal(size=(64, 100)).astype("float32"))
    make = lambda: layers.Dense(50, activation=lambda y: y.sin().sin().sin())
    layer, plain = made(make, "activations"), made(make, None)
    layer.build((None, 100))
    plain.build((None, 100))
    results = 64 * 50 * 4
    assert packed(lambda: plain(x)) - packed(lambda: layer(x)) >= 2 * results
    assert layer.activation.__name__ == "<lambda>"


def test_nothing_is_kept_where_no_gradients_are_asked_for(rng):
    layer = made(Deep, "full")
    x = flat(rng)
    with torch.no_grad():
        assert packed(lambda: layer(x)) == 0
    assert not layer(x).detach().requires_grad
