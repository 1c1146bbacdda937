"""A graph as one operation."""

import copy

import keras
import numpy as np
import pytest
import torch

import torchkeras

FORMS = {
    "list": (lambda x, y: [x, y], lambda a, b: [a, b]),
    "tuple of one": (lambda x, y: [x, y], lambda a, b: (a,)),
    "dict": (lambda x, y: {"x": x, "y": y}, lambda a, b: {"b": b, "a": a}),
    "nest": (lambda x, y: (x, {"y": y}), lambda a, b: [(a, b), {"again": a}]),
}


def made(k, form, symbols):
    inputs, outputs = FORMS[form]
    x, y = symbols(k), symbols(k)
    return k.Function(inputs(x, y), outputs(k.ops.add(x, y) * 3, x**2 - y), name="function")


@pytest.mark.parametrize(
    "symbols", [lambda k: k.Input((3,)), lambda k: k.KerasTensor((None, 3))], ids=["Input", "bare"]
)
@pytest.mark.parametrize("form", FORMS)
def test_outputs_specs_and_shapes_are_keras(form, symbols, rng):
    ours, theirs = made(torchkeras, form, symbols), made(keras, form, symbols)
    values = FORMS[form][0](*(rng.normal(size=(2, 3)).astype("float32") for _ in range(2)))
    got, wanted = ours(values), theirs(values)
    torchkeras.tree.assert_same_structure(got, wanted)
    for a, b in zip(torchkeras.tree.flatten(got), torchkeras.tree.flatten(wanted), strict=True):
        torch.testing.assert_close(a, b)
    shapes = FORMS[form][0]((5, 3), (5, 3))
    assert ours.compute_output_shape(shapes) == theirs.compute_output_shape(shapes)
    assert ours.name == theirs.name == "function"
    again = copy.deepcopy(ours)
    torch.testing.assert_close(again(values), got)


@pytest.mark.parametrize("form", FORMS)
def test_called_on_symbols_it_is_an_operation(form, rng):
    function = made(torchkeras, form, lambda k: k.Input((3,)))
    x, y = torchkeras.Input((3,)), torchkeras.Input((3,))
    model = torchkeras.Model([x, y], function(FORMS[form][0](x, y)))
    values = [torch.from_numpy(rng.normal(size=(2, 3)).astype("float32")) for _ in range(2)]
    got, wanted = (torchkeras.tree.flatten(out) for out in (model(values), function(FORMS[form][0](*values))))
    torch.testing.assert_close(got, wanted)


def test_it_may_begin_in_the_middle(rng):
    for k in (torchkeras, keras):
        x = k.Input((3,))
        middle = x * 2 + 1
        function = k.Function(middle, middle**2)
        assert [type(operation).__name__ for operation in function.operations if "power" in operation.name] == ["Power"]
        assert not any("add" in operation.name or "multiply" in operation.name for operation in function.operations)
        value = torch.from_numpy(rng.normal(size=(2, 3)).astype("float32"))
        torch.testing.assert_close(function(value), value**2)


ERRORS = [
    ("cannot be empty", lambda k, x: k.Function([], x)),
    ("cannot be empty", lambda k, x: k.Function(x, [])),
    ("not connected", lambda k, x: k.Function(k.Input((3,)), x * 2)),
    ("not connected", lambda k, x: k.Function(x, x + k.Input((3,)))),
    ("invalid input structure", lambda k, x: k.Function(x, x * 2)([np.ones((2, 3))])),
    ("invalid input structure", lambda k, x: k.Function([x], x * 2)(np.ones((2, 3)))),
    ("incompatible inputs", lambda k, x: k.Function(x, x * 2)(np.ones((2, 3, 1)))),
    ("incompatible inputs", lambda k, x: k.Function(x, x * 2)(np.ones((2, 4)))),
]


@pytest.mark.parametrize("text, call", ERRORS)
def test_errors_are_keras(text, call):
    for k in (torchkeras, keras):
        with pytest.raises(ValueError, match=text):
            call(k, k.Input((3,)))


def test_it_has_no_config():
    for k in (torchkeras, keras):
        x = k.Input((3,))
        with pytest.raises(NotImplementedError):
            k.Function(x, x * 2).get_config()
