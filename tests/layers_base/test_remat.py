"""Rematerialization: the same numbers, draws and state as without; as a torch module, and compiled."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest
import torch
import torch._dynamo
import torch._functorch.config
import torch.utils.checkpoint
import torch.utils.flop_counter

import torchkeras as keras
from tests.layers_base.remat_cases import (
    COMPILED,
    LAYERS,
    LOUDEST,
    Counted,
    Deep,
    Residual,
    assert_equal,
    flat,
    images,
    made,
    packed,
    trained,
)
from torchkeras import layers, random, remat
from torchkeras.core.tensors.masks import get_mask

# ------------------------------------------------------------------ the same as without

# A check of torch 2.13 and later, which refuses buffers of a class of their own.
_CHECK = "check_custom_op_aliasing"
UNCHECKED = (
    torch._functorch.config.patch(_CHECK, False) if hasattr(torch._functorch.config, _CHECK) else lambda test: test
)


@pytest.mark.parametrize("mode", LOUDEST)
@pytest.mark.parametrize("name", LAYERS)
def test_steps_leave_the_same(name, mode, rng, seed):
    make, draw = LAYERS[name]
    inputs = draw(rng)
    layer, plain = made(make, mode, LOUDEST[mode]), made(make, None)
    for step in range(2):
        # The first call builds: what is drawn then must not shift what the call draws.
        assert_equal(trained(layer, inputs, seed + step), trained(plain, inputs, seed + step))
        layer.zero_grad()
        plain.zero_grad()
    again = layer(inputs), plain(inputs)
    assert_equal(*[[t for t in keras.tree.flatten(out) if t is not None] for out in again])


def test_torch_checkpoint_around_the_first_call_of_a_layer():
    for layer, x in ((layers.GRU(5), torch.randn(3, 4, 6)), (layers.Dense(512), torch.randn(128, 256))):
        x.requires_grad_()
        for _ in range(2):
            y = torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)
            again = torch.autograd.grad(y.sum(), x)[0]
            assert torch.equal(again, torch.autograd.grad(layer(x).sum(), x)[0])


def test_a_call_that_a_mode_follows_is_run_again_with_the_same_kernels():
    layer = made(lambda: layers.GRU(5), "full")
    x = torch.randn(3, 4, 6, requires_grad=True)
    layer(x)
    with torch.utils.flop_counter.FlopCounterMode(display=False):
        y = layer(x)
    torch.testing.assert_close(
        torch.autograd.grad(y.sum(), x)[0], torch.autograd.grad(layer(x).sum(), x)[0], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("seed_of", [None, 11])
def test_each_backward_pass_draws_what_the_forward_pass_drew(seed_of, rng):
    layer = made(lambda: layers.Dropout(0.5, noise_shape=(None, 6), seed=seed_of), "full")
    x = flat(rng).requires_grad_()
    y = layer(torch.exp(x), training=True).square()
    first, second = (torch.autograd.grad(y.sum(), x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(first != 0, y != 0)


def test_a_gradient_of_the_users_own(rng):
    @keras.ops.custom_gradient
    def doubled(x):
        return x.square(), lambda x, upstream: upstream * 4.0 * x

    x = torch.tensor(rng.normal(size=5), requires_grad=True)
    remat(lambda x: doubled(x).sum())(x).backward()
    assert torch.equal(x.grad, 4.0 * x.detach())


def test_functions_draw_again_what_they_drew(rng):
    generator = random.SeedGenerator(5)

    def noisy(x):
        x = torch.exp(x) * random.normal(x.shape, seed=generator)
        return x.square() * random.uniform(x.shape) * random.normal(x.shape, seed=generator)

    results = []
    for function in (noisy, remat(noisy)):
        keras.utils.set_random_seed(3)
        generator.state.assign([5, 0])
        x = torch.linspace(-1, 1, 12).requires_grad_()
        y = function(x)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        results.append([y, gradient, generator.state.detach().clone(), random.uniform((3,))])
    assert_equal(*results)


def test_a_backward_pass_in_another_thread(rng):
    def step(layer, x):
        torch.manual_seed(1)
        loss = layer(x, training=True).square().sum()
        thread = threading.Thread(target=loss.backward)
        thread.start()
        thread.join()
        return [p.grad for p in layer.parameters()]

    x = flat(rng)
    make = lambda: Residual(seed=3, dtype="mixed_bfloat16")
    assert_equal(step(made(make, "full"), x), step(made(make, None), x))


def test_masks_go_on(rng):
    tokens = torch.from_numpy(rng.integers(0, 3, size=(4, 7)))

    def make():
        return keras.Sequential([layers.Embedding(3, 5, mask_zero=True), layers.LSTM(4, return_sequences=True)])

    model, plain = made(make, "full"), made(make, None)
    outputs, wanted = model(tokens), plain(tokens)
    torch.testing.assert_close(outputs, wanted)
    assert torch.equal(get_mask(outputs), tokens != 0)
    outputs.sum().backward()
    wanted.sum().backward()
    assert_equal([p.grad for p in model.parameters()], [p.grad for p in plain.parameters()])


@pytest.mark.parametrize("mode", LOUDEST)
def test_fit_and_what_follows_are_the_same(mode, rng):
    x, y = rng.normal(size=(50, 6)).astype("float32"), rng.normal(size=(50, 1)).astype("float32")

    def make():
        inputs = keras.Input((6,))
        hidden = Residual(seed=2)(layers.Dense(6, activation="gelu")(inputs))
        return keras.Model(inputs, layers.Dense(1)(keras.ops.tanh(hidden)))

    results = []
    for model in (made(make, mode, LOUDEST[mode]), made(make, None)):
        model.compile("adam", "mse", metrics=["mae"])
        history = model.fit(x, y, epochs=2, batch_size=16, shuffle=False, validation_split=0.2, verbose=0).history
        results.append([torch.tensor(history[key]) for key in sorted(history)])
        results[-1] += [torch.from_numpy(model.predict(x, verbose=0)), *map(torch.from_numpy, model.get_weights())]
    assert_equal(*results)


# ------------------------------------------------------------------ functions


def test_a_function_s_arguments_arrive_as_they_are(rng):
    def function(a, b, *rest, scale, debug=False, preserve_rng_state=None):
        assert debug == "words" and preserve_rng_state == [1]
        return {"all": [a * b["b"] * scale + rest[0], rest[1]]}

    a, b, c = (flat(rng).requires_grad_() for _ in range(3))
    given = (a, {"b": b}, c, "text"), {"scale": c, "debug": "words", "preserve_rng_state": [1]}
    outputs = remat(function)(*given[0], **given[1])
    assert outputs["all"][1] == "text"
    torch.testing.assert_close(outputs["all"][0], a * b * c + c)
    gradients = torch.autograd.grad(outputs["all"][0].sum(), (a, b, c))
    assert_equal(gradients, [b * c, a * c, a * b + 1])


def test_functions_keep_their_names_and_signatures():
    def named(x, factor=2):
        """Words."""
        return x * factor

    assert (remat(named).__name__, remat(named).__doc__) == ("named", "Words.")
    assert torch.equal(remat(named)(torch.ones(2), factor=3), torch.full((2,), 3.0))


def test_a_function_in_a_lambda_of_a_graph(rng):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Lambda(remat(lambda x: x.sin().exp()))(inputs))
    x = flat(rng).requires_grad_()
    model(x).sum().backward()
    assert model.output_shape == (None, 6)
    torch.testing.assert_close(x.grad, (x.cos() * x.sin().exp()).detach())
    assert packed(lambda: model(x)) == x.nbytes


@pytest.mark.parametrize("wrapped", [remat, lambda f: f], ids=["remat", "plain"])
def test_a_layer_or_its_method_in_a_function(wrapped, rng):
    class Half(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = Counted()
            self.step = wrapped(self.inside)
            self.outer = wrapped(Counted(name="outer"))

        def inside(self, x):
            return self.inner(x).tanh()

        def call(self, x):
            return self.outer(self.step(x))

    layer = Half()
    x = flat(rng).requires_grad_()
    for _ in range(2):
        layer(x).sum().backward()
    assert float(layer.inner.assigned) == 3.0 and float(layer.inner.in_place) == 9.0
    assert len(layer.inner.losses) == 1


# ------------------------------------------------------------------ as a torch module


def test_lent_weights_are_those_of_the_backward_pass(rng):
    layer = made(Deep, "full")
    layer.build((None, 6))
    x, lent = flat(rng), torch.from_numpy(rng.uniform(1, 2, size=6).astype("float32")).requires_grad_()

    def formula(scale, x):
        for _ in range(6):
            x = torch.sin(x * scale)
        return x.sum()

    (wanted,) = torch.autograd.grad(formula(lent, x), lent)
    called = torch.func.functional_call(layer, {"scale": lent}, x).sum()
    stateless = layer.stateless_call([lent], [], x)[0].sum()
    assert_equal(torch.autograd.grad(called, lent), [wanted])
    assert_equal(torch.autograd.grad(stateless, lent), [wanted])
    transformed = torch.func.grad(lambda p: torch.func.functional_call(layer, p, x).sum())({"scale": lent})
    torch.testing.assert_close(transformed["scale"], wanted)
    rows = torch.func.vmap(torch.func.grad(lambda row: layer(row[None]).sum()))(x)
    plain = x.clone().requires_grad_()
    (by_row,) = torch.autograd.grad(formula(torch.ones(6), plain), plain)
    torch.testing.assert_close(rows, by_row)


def test_a_stateless_step_moves_no_variable(rng):
    x = images(rng)
    results = []
    for mode in ("full", None):
        layer = made(lambda: layers.BatchNormalization(momentum=0.5), mode)
        layer.build(x.shape)
        before = layer.get_weights()
        values = [torch.full((3,), 2.0).requires_grad_(), torch.zeros(3).requires_grad_()]
        outputs, after = layer.stateless_call(values, [torch.zeros(3), torch.ones(3)], x, training=True)
        outputs.pow(3).sum().backward()
        results.append([outputs, *after, *[v.grad for v in values]])
        for now, then in zip(layer.get_weights(), before, strict=True):
            np.testing.assert_array_equal(now, then)
    assert_equal(*results)


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))], ids=["copy", "pickle"]
)
def test_copies_are_rematerialized_with_their_own_weights(again, rng):
    layer = made(lambda: layers.Dense(6, activation="gelu"), "full")
    x = flat(rng).requires_grad_()
    layer(x)
    other = again(layer)
    other.kernel.assign(other.kernel * 2)
    assert packed(lambda: other(x)) < packed(lambda: layers.Dense.call(other, x))
    torch.testing.assert_close(other(x), layers.Dense.call(other, x))
    assert not torch.allclose(other(x), layer(x))


@pytest.mark.parametrize("mode", LOUDEST)
@pytest.mark.parametrize("name", COMPILED)
@UNCHECKED
def test_compiles_in_one_graph(name, mode, rng):
    torch._dynamo.reset()
    make, draw = COMPILED[name]
    x = draw(rng)
    layer, plain = made(make, mode, LOUDEST[mode]), made(make, None)
    for one in (layer, plain):
        one(x)
    for run, one in ((torch.compile(layer, fullgraph=True, backend="aot_eager"), layer), (plain, plain)):
        run(x, training=False).square().sum().backward()
        assert all(p.grad is not None for p in one.parameters())
    assert_equal([p.grad for p in layer.parameters()], [p.grad for p in plain.parameters()])


@UNCHECKED
def test_compiled_state_moves_once_and_draws_repeat(rng):
    torch._dynamo.reset()
    layer = made(lambda: layers.BatchNormalization(momentum=0.5), "full")
    plain = made(lambda: layers.BatchNormalization(momentum=0.5), None)
    x = images(rng)
    layer.build(x.shape)
    plain.build(x.shape)
    torch.compile(layer, fullgraph=True, backend="aot_eager")(x, training=True).sum().backward()
    plain(x, training=True)
    assert_equal(list(layer.buffers()), list(plain.buffers()))
    drop = made(lambda: layers.Dropout(0.5), "full")
    x = torch.ones(20, 20, requires_grad=True)
    y = torch.compile(lambda x: drop(torch.exp(x), training=True), fullgraph=True, backend="aot_eager")(x)
    y.sum().backward()
    assert torch.equal(y != 0, x.grad != 0)


def test_exported_programs_hold_the_plain_computation(rng):
    layer = made(lambda: Residual(penalty=None), "full")
    x = flat(rng)
    layer(x)
    program = torch.export.export(layer, (x,))
    torch.testing.assert_close(program.module()(x), layer(x))
    assert not [node for node in program.graph.nodes if "checkpoint" in str(node.target)]
