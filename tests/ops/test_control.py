"""Branches, loops, scans and own gradients: compiled, in layers, at the edges, refused."""

import operator

import keras
import numpy as np
import pytest
import torch

import torchkeras
from torchkeras import ops
from torchkeras.core.symbolic.keras_tensor import KerasTensor


def branch(k, x):
    return k.cond(x.sum() > 0, lambda: x * 2, lambda: x - 1)


def chosen(k, x):
    index = (x.sum() > 0).to(torch.int32) + (x.sum() > 1).to(torch.int32)
    return k.switch(index, [lambda y: y * 2, lambda y: y - 1, lambda y: y * y], x)


def halved(k, x):
    return k.while_loop(lambda y: (y * y).sum() > 0.1, lambda y: y / 2, x)


def halved_at_most_twice(k, x):
    return k.while_loop(lambda y, n: (y * y).sum() > 0.1, lambda y, n: (y / 2, n + 1), (x, 0), maximum_iterations=2)


def turned(k, x):
    return k.fori_loop(0, (x > 0).sum(), lambda i, y: y * 1.5 + i, x)


def sliced(k, x):
    return k.slice(x, (x > 0).sum().reshape(1) // 2, (2,))


def replaced(k, x):
    return k.slice_update(x, (x > 0).sum().reshape(1) // 2, x[:2] * 2)


DEPENDENT = [branch, chosen, halved, halved_at_most_twice, turned, sliced, replaced]
each = pytest.mark.parametrize("function", DEPENDENT, ids=lambda f: f.__name__)


def leaves(outputs):
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


@each
def test_what_depends_on_values_is_keras(function, rng):
    for _ in range(5):
        x = torch.from_numpy(rng.normal(size=4).astype("float32"))
        for ours, theirs in zip(leaves(function(ops, x)), leaves(function(keras.ops, x)), strict=True):
            torch.testing.assert_close(ours, theirs)


@each
def test_what_depends_on_values_is_one_graph(function, rng):
    torch.compiler.reset()
    compiled = torch.compile(lambda x: function(ops, x), fullgraph=True, backend="eager")
    for _ in range(5):
        x = torch.from_numpy(rng.normal(size=4).astype("float32"))
        for a, b in zip(leaves(compiled(x)), leaves(function(ops, x)), strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("function", [branch, chosen], ids=lambda f: f.__name__)
def test_gradients_through_compiled_branches(function, rng):
    torch.compiler.reset()
    compiled = torch.compile(lambda x: function(ops, x), fullgraph=True, backend="aot_eager")
    for _ in range(3):
        x = torch.from_numpy(rng.normal(size=4).astype("float32")).requires_grad_()
        (wanted,) = torch.autograd.grad(function(ops, x).sum(), x)
        (got,) = torch.autograd.grad(compiled(x).sum(), x)
        torch.testing.assert_close(got, wanted)


@each
def test_what_depends_on_values_lives_in_layers_of_functional_models(function, rng):
    class Own(torchkeras.layers.Layer):
        def call(self, x):
            return leaves(function(ops, x))[0]

    inputs = torchkeras.Input(batch_shape=(4,))
    outputs = Own()(inputs)
    x = torch.from_numpy(rng.normal(size=4).astype("float32"))
    torch.testing.assert_close(torchkeras.Model(inputs, outputs)(x), leaves(function(ops, x))[0])


# ---------------------------------------------------------------------------- symbols


def forms(k, structure):
    return k.tree.map_structure(lambda t: (t.shape, t.dtype), structure)


SYMBOLIC = {
    "map": lambda k, s: k.ops.map(lambda x: {"a": x * 2, "b": x[0]}, s((None, 3))),
    "map_pair": lambda k, s: k.ops.map(lambda x: x[0] + x[1], [s((5, 3)), s((5, 3))]),
    "vectorized_map": lambda k, s: k.ops.vectorized_map(lambda x: x * 2, s((None, 3))),
    "scan": lambda k, s: k.ops.scan(lambda c, x: (c + x, c * 2), s((3,)), s((None, 3))),
    "scan_length": lambda k, s: k.ops.scan(lambda c, _: (c, c), s((None,)), length=4),
    "associative_scan": lambda k, s: k.ops.associative_scan(operator.add, s((None, 3))),
    "while_loop": lambda k, s: k.ops.while_loop(lambda x, i: i < 3, lambda x, i: (x, i + 1), (s((None, 2)), s(()))),
    "fori_loop": lambda k, s: k.ops.fori_loop(0, 3, lambda i, x: x + i, s((None, 2))),
    "switch": lambda k, s: k.ops.switch(s((), "int32"), [lambda x: x[:, 0], lambda x: x[:, 1]], s((None, 2))),
    "cond": lambda k, s: k.ops.cond(s((), "bool"), lambda: k.ops.ones((2, 3)), lambda: k.ops.zeros((2, 3))),
    "slice": lambda k, s: k.ops.slice(s((None, 6)), (1, 1), (-1, -1)),
    "slice_tensor": lambda k, s: k.ops.slice(s((4, 6)), s((2,), "int32"), (-1, 2)),
    "scatter": lambda k, s: k.ops.scatter(s((5, 1), "int32"), s((5, 2), "int8"), (4, 2)),
    "unstack": lambda k, s: k.ops.unstack(s((None, 3)), num=2),
    "convert": lambda k, s: k.ops.convert_to_tensor(s((None, 3)), dtype="int32"),
}


@pytest.mark.parametrize("name", SYMBOLIC)
def test_symbols_are_keras(name):
    ours = forms(torchkeras, SYMBOLIC[name](torchkeras, torchkeras.KerasTensor))
    theirs = forms(keras, SYMBOLIC[name](keras, keras.KerasTensor))
    assert ours == theirs


def test_a_known_condition_leaves_the_branch_in_the_graph(rng):
    x = torchkeras.Input((3,))
    model = torchkeras.Model(x, ops.cond(True, lambda: x * 2, lambda: x + 1))
    value = torch.from_numpy(rng.normal(size=(2, 3)).astype("float32"))
    torch.testing.assert_close(model(value), value * 2)


# ---------------------------------------------------------------------------- edges


def test_scans_of_nothing_have_the_form_of_scans():
    carry, ys = ops.scan(lambda c, x: (c + x, {"y": c}), torch.zeros(3), torch.zeros(0, 3))
    assert carry.shape == (3,)
    assert ys["y"].shape == (0, 3)
    assert ops.map(lambda x: x.sum(), torch.zeros(0, 3)).shape == (0,)
    assert ops.associative_scan(operator.add, torch.zeros(0, 3)).shape == (0, 3)


def test_outputs_of_none_stay_none():
    assert ops.scan(lambda c, _: (c + 1, None), torch.zeros(()), length=3) == (torch.tensor(3.0), None)
    assert ops.cond(False, lambda: 1, lambda: None) is None


@pytest.mark.parametrize("many", [list, tuple])
def test_loop_variables_return_as_a_tuple(many):
    for k in (ops, keras.ops):
        outputs = k.while_loop(lambda i, x: i < 3, lambda i, x: many([i + 1, x * 2]), many([0, 1.0]))
        assert isinstance(outputs, tuple)
        assert [float(x) for x in outputs] == [3.0, 8.0]


def test_associative_scan_takes_any_associative_function(rng):
    matrices = torch.from_numpy(rng.normal(size=(9, 2, 2)))  # not commutative
    wanted = [matrices[0]]
    for matrix in matrices[1:]:
        wanted.append(wanted[-1] @ matrix)
    torch.testing.assert_close(ops.associative_scan(torch.matmul, matrices), torch.stack(wanted))


ERRORS = [
    (TypeError, "callable", lambda k, t: k.scan(3, t, t)),
    (ValueError, "unroll", lambda k, t: k.scan(operator.add, t, t, unroll=-1)),
    (ValueError, "unroll", lambda k, t: k.scan(operator.add, t, t, unroll=1.5)),
    (ValueError, "scan over", lambda k, t: k.scan(operator.add, t)),
    (TypeError, "callable", lambda k, t: k.associative_scan(3, t)),
    (ValueError, "first dimension", lambda k, t: k.associative_scan(lambda a, b: a, (t, t[1:]))),
    (RuntimeError, "ambiguous", lambda k, t: k.cond(t > 0, lambda: 1, lambda: 2)),
    (ValueError, "(?i)reduction", lambda k, t: k.scatter_update(t, [[1]], [2.0], reduction="most")),
    (IndexError, "out of bounds", lambda k, t: k.scatter([[9]], t[:1], (4,))),
    (IndexError, "", lambda k, t: k.scatter([[1.5]], t[:1], (4,))),
    (ValueError, "sparse", lambda k, t: k.convert_to_tensor(t, sparse=True)),
    (ValueError, "ragged", lambda k, t: k.convert_to_tensor(t, ragged=True)),
    (AttributeError, "shape", lambda k, t: k.shape(3)),
    (AttributeError, "dtype", lambda k, t: k.dtype(3)),
]


@pytest.mark.parametrize("kind, text, call", ERRORS)
def test_errors_are_keras(kind, text, call):
    for k in (ops, keras.ops):
        with pytest.raises(kind, match=text):
            call(k, torch.arange(4.0))


SYMBOLIC_ERRORS = [
    ("num", lambda k, s: k.ops.unstack(s((None, 3)))),
    ("out of bounds", lambda k, s: k.ops.unstack(s((2, 3)), axis=2)),
    ("must match", lambda k, s: k.ops.slice(s((2, 3)), (0, 0), (1,))),
    ("must match", lambda k, s: k.ops.slice(s((2, 3)), (0,), (1, 1))),
    ("same kind", lambda k, s: k.ops.cond(s((), "bool"), lambda: k.ops.ones(2), lambda: k.ops.ones(3))),
    ("same kind", lambda k, s: k.ops.cond(s((), "bool"), lambda: k.ops.ones(2), lambda: None)),
    ("first dimension", lambda k, s: k.ops.associative_scan(lambda a, b: a, (s((2,)), s((3,))))),
    ("value", lambda k, s: k.ops.convert_to_numpy(s((2,)))),
]


@pytest.mark.parametrize("text, call", SYMBOLIC_ERRORS)
def test_symbolic_errors_are_keras(text, call):
    for k in (torchkeras, keras):
        with pytest.raises(ValueError, match=text):
            call(k, k.KerasTensor)


def test_branches_of_a_symbolic_condition_take_no_symbols_from_outside():
    x = torchkeras.Input((3,))
    with pytest.raises(ValueError, match="where"):
        ops.cond(x[0, 0] > 0, lambda: x * 2, lambda: x + 1)


PATTERNS = [
    "a b c", "a b c -> a b -> c", "a b -> b a", "a b c -> a b", "a a b -> a b", "a b c -> a b d", "a (b c -> a b c",
    "a (b c d) e -> a b c d e", "a (b c) d -> a b c d", "a b) c -> a b c", "a b ? -> a b",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_that_can_not_be(pattern):
    for x in (torch.ones(2, 7, 4), KerasTensor((2, 7, 4))):
        with pytest.raises(ValueError, match="rearrange"):
            ops.rearrange(x, pattern, **({"b": 2} if "(b c) d" in pattern else {}))


# ---------------------------------------------------------------------------- own gradients


def log1pexp(k):
    @k.ops.custom_gradient
    def function(x):
        e = k.ops.exp(x)

        def grad(*args, upstream=None):
            return upstream * (1 - 1 / (1 + e))

        return k.ops.log(1 + e), grad

    return function


@pytest.mark.parametrize("compiled", [False, True])
def test_own_gradients_are_keras(compiled, rng):
    x = torch.from_numpy(np.append(rng.normal(size=3), 100.0).astype("float32"))
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    torch.compiler.reset()
    function = log1pexp(torchkeras)
    function = torch.compile(function, fullgraph=True, backend="eager") if compiled else function
    function(ours).sum().backward()
    log1pexp(keras)(theirs).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert ours.grad[-1] == 1


def test_own_gradients_of_several_arguments_and_outputs(rng):
    @ops.custom_gradient
    def function(x, factor, y, power=1):
        def grad(x, factor, y, upstream=None):
            return upstream[0] * factor, None, upstream[1] * 10

        return (x * factor, y**power), grad

    x, y = (torch.from_numpy(rng.normal(size=3)).requires_grad_() for _ in range(2))
    first, second = function(x, 3.0, y, power=2)
    torch.testing.assert_close((first, second), (x * 3, y**2))
    (first.sum() + 2 * second.sum()).backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 3))
    torch.testing.assert_close(y.grad, torch.full_like(y, 20))


def test_own_gradients_with_arguments_that_have_none(rng):
    """Keras's numbers where Keras takes the call: it fails on integers and on keywords."""

    def scaled(k):
        @k.ops.custom_gradient
        def function(x, mask, factor):
            def grad(*args, upstream):
                assert args[1] is None and len(args) == 3
                return upstream * factor, None, upstream * x

            return x * factor, grad

        return function

    values = [torch.from_numpy(rng.normal(size=3)) for _ in range(2)]
    grads = []
    for k in (torchkeras, keras):
        x, factor = (value.clone().requires_grad_() for value in values)
        scaled(k)(x, None, factor).sum().backward()
        grads.append((x.grad, factor.grad))
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("compiled", [False, True])
def test_own_gradients_of_integers_keywords_and_nests(compiled, rng):
    seen = []

    @ops.custom_gradient
    def function(pair, n, index, scale=2.0, *, power=1):
        def grad(pair, n, index, scale=2.0, upstream=None):
            if not compiled:
                seen.append((n, index.dtype, upstream["b"][1]))
            return [upstream["a"] * n, upstream["b"][0]], None, None, upstream["a"] * 5

        return {"a": pair[0] * n * scale, "b": [pair[1] ** power, index + 1]}, grad

    x, y, scale = (torch.from_numpy(rng.normal(size=3)).requires_grad_() for _ in range(3))
    torch.compiler.reset()
    call = torch.compile(function, fullgraph=True, backend="eager") if compiled else function
    result = call([x, y], 3, torch.arange(3), scale=scale, power=2)
    torch.testing.assert_close(result, {"a": x * 3 * scale, "b": [y**2, torch.arange(1, 4)]})
    (result["a"].sum() + 2 * result["b"][0].sum()).backward()
    for tensor, expected in ((x, 3.0), (y, 2.0), (scale, 5.0)):
        torch.testing.assert_close(tensor.grad, torch.full_like(tensor, expected))
    if not compiled:
        assert seen[0][:2] == (3, torch.int64) and not seen[0][2].any()


@pytest.mark.parametrize("returned", [1, 2, 4])
def test_own_gradients_are_counted(returned):
    @ops.custom_gradient
    def function(x, y, n):
        return x * y * n, lambda *args, upstream: tuple([upstream] * returned)

    x, y = (torch.ones(2, requires_grad=True) for _ in range(2))
    result = function(x, y, 2).sum()
    if returned == 2:  # one for each tensor
        result.backward()
        assert x.grad is not None and y.grad is not None
    else:
        with pytest.raises(ValueError, match="for each of the 3 arguments"):
            result.backward()


def test_a_keyword_only_tensor_has_no_gradient():
    @ops.custom_gradient
    def function(x, *, y):
        return x * y, lambda *args, upstream: upstream * y

    x = torch.ones(2, requires_grad=True)
    function(x, y=torch.full((2,), 3.0)).sum().backward()
    assert torch.equal(x.grad, torch.full((2,), 3.0))
    with pytest.raises(ValueError, match="'y' is keyword-only"):
        function(x, y=x)


def test_own_gradients_on_symbols_are_the_function(rng):
    x = torchkeras.Input((3,))
    model = torchkeras.Model(x, log1pexp(torchkeras)(x))
    value = torch.from_numpy(rng.normal(size=(2, 3)).astype("float32"))
    torch.testing.assert_close(model(value), torch.log1p(torch.exp(value)))
