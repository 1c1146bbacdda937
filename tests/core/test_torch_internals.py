"""Torch's private functions and their replacements compute the same, and the package runs on either."""

from __future__ import annotations

import json
import textwrap

import numpy as np
import pytest
import torch
from scipy import stats

from tests import fresh_process
from torchkeras.core import torch_internals as internals
from torchkeras.core import torch_replacements as replacements

FOREACH = sorted(path for path in internals.PRIVATE if "_foreach_" in path)


@pytest.mark.parametrize("path", sorted(internals.PRIVATE))
def test_each_name_is_in_this_torch(path):
    """A failure names what torch has taken away: see that the replacement serves, then change the line."""
    private = internals.PRIVATE[path]
    assert private.found, f"torch {torch.__version__} has no {path}; it was seen in {private.seen}"
    assert internals.find(path) is not None
    assert private.reason


def test_a_missing_name_gets_its_replacement(monkeypatch):
    monkeypatch.setattr(internals, "PRIVATE", {})
    assert internals._private("torch._C._no_such_function", "2.13", 7, "a test") == 7
    assert not internals.PRIVATE["torch._C._no_such_function"].found
    with pytest.raises(AttributeError, match="has no torch._C._no_such_function"):
        internals.find("torch._C._no_such_function")


def _arguments(name, tensors):
    others = [torch.rand_like(t) + 0.5 for t in tensors]
    more = [torch.rand_like(t) + 0.5 for t in tensors]
    number = 0.75
    return {
        "add": [(others,), (number,), (torch.tensor(number),), (others, {"alpha": -2.0})],
        "sub": [(others,), (number,), (others, {"alpha": 3.0})],
        "mul": [(others,), (number,), (torch.tensor(number),), ([2.0, 3.0, 4.0],)],
        "div": [(others,), (number,), (torch.tensor(number),), ([2.0, 3.0, 4.0],)],
        "addcmul": [(others, more), (others, more, {"value": -0.5})],
        "addcdiv": [(others, more), (others, more, {"value": -0.5})],
        "clamp_max": [(number,), (others,)],
        "clamp_min": [(number,), (others,)],
        "maximum": [(others,)],
        "copy": [(others,)],
        "lerp": [(others, number), (others, more)],
        "norm": [(), (1,), (torch.inf,)],
        "pow": [(number,)],
    }.get(name.rstrip("_"), [()])


@pytest.mark.parametrize("path", FOREACH)
def test_loops_compute_what_foreach_does(path):
    name = path.removeprefix("torch._foreach_")
    tensors = [torch.rand(shape) + 0.1 for shape in ((), (3,), (2, 3))]
    if name.startswith(("abs", "sign")):
        tensors = [t - 0.6 for t in tensors]
    for case in _arguments(name, tensors):
        keywords = case[-1] if case and isinstance(case[-1], dict) else {}
        arguments = [a for a in case if not isinstance(a, dict)]
        first, second = [t.clone() for t in tensors], [t.clone() for t in tensors]
        ours = internals.PRIVATE[path].replacement(first, *arguments, **keywords)
        theirs = internals.find(path)(second, *arguments, **keywords)
        if name.endswith("_"):
            ours, theirs = first, second
        torch.testing.assert_close(list(ours), list(theirs))


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("found_inf", [None, 0.0, 1.0])
@pytest.mark.parametrize("momentum, nesterov, dampening", [(0.0, False, 0.0), (0.9, False, 0.3), (0.9, True, 0.0)])
def test_sgd_computes_what_the_fused_kernel_does(decay, found_inf, momentum, nesterov, dampening):
    options = {"weight_decay": decay, "momentum": momentum, "lr": 0.1, "dampening": dampening, "nesterov": nesterov}
    options |= {"maximize": False, "is_first_step": False}
    _compare_steps("torch._fused_sgd_", 1 if momentum else 0, options, found_inf)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("found_inf", [None, 0.0, 1.0])
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("path", ["torch._fused_adam_", "torch._fused_adamw_"])
def test_adam_computes_what_the_fused_kernels_do(path, decay, found_inf, amsgrad):
    options = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "weight_decay": decay, "eps": 1e-7, "amsgrad": amsgrad}
    _compare_steps(path, 3 if amsgrad else 2, options | {"maximize": False}, found_inf, steps=True)


def _compare_steps(path, slots, options, found_inf, steps=False):
    shapes = ((3,), (2, 3))
    given = [[torch.rand(shape) for shape in shapes] for _ in range(2 + slots)]
    results = []
    for function in (internals.PRIVATE[path].replacement, internals.find(path)):
        parameters, grads, *state = [[t.clone() for t in tensors] for tensors in given]
        state += [[]] * ((3 if steps else 1) - len(state))
        if steps:
            state.append([torch.tensor(3.0)] * len(shapes))
        function(parameters, grads, *state, **options, found_inf=None if found_inf is None else torch.tensor(found_inf))
        results.append((parameters, state))
    torch.testing.assert_close(*results)
    assert torch.equal(results[0][0][0], given[0][0]) == (found_inf == 1.0)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "binary_cross_entropy"])
@pytest.mark.parametrize("reduction", [0, 1, 2])
def test_losses(name, reduction):
    x, y = torch.rand(4, 3), torch.rand(4, 3)
    arguments = (x, y, None, reduction) if name == "binary_cross_entropy" else (x, y, reduction)
    private = internals.PRIVATE[f"torch._C._nn.{name}"]
    torch.testing.assert_close(private.replacement(*arguments), internals.find(private.path)(*arguments))


def test_questions_outside_of_everything():
    assert internals.onednn_enabled() is replacements.onednn_enabled()
    assert internals.tracing_state() is None and replacements.tracing_state() is None
    assert internals.count_function_modes() == 0 and internals.count_dispatch_modes() == 0
    assert not internals.in_functorch_transform() and not internals.has_any_global_hook()
    assert not internals.is_functorch_wrapped(torch.ones(2))


def test_questions_inside():
    seen = []

    def function(x):
        seen.append((internals.in_functorch_transform(), internals.is_functorch_wrapped(x)))
        return x.sum()

    torch.func.grad(function)(torch.ones(2))
    assert seen == [(True, True)]
    with torch.device("meta"):
        assert internals.count_function_modes() == 1
    with torch.nn.modules.module.register_module_forward_hook(lambda *args: None):
        assert internals.has_any_global_hook()


def test_what_is_unknown_is_answered_with_perhaps():
    assert replacements.unknown(True)(torch.ones(2)) is True


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.5])
def test_draws_of_the_gamma_distribution(alpha, seed):
    generator = torch.Generator().manual_seed(seed)
    for draw in (internals.standard_gamma, replacements.standard_gamma):
        draws = draw(torch.full((4000,), alpha, dtype=torch.float64), generator=generator)
        assert stats.kstest(draws.numpy(), stats.gamma(alpha).cdf).pvalue > 1e-7


def test_draws_of_the_dirichlet_distribution(seed):
    generator = torch.Generator().manual_seed(seed)
    alpha = torch.tensor([0.5, 1.0, 2.5], dtype=torch.float64)
    for draw in (internals.sample_dirichlet, replacements.sample_dirichlet):
        draws = draw(alpha.expand(4000, 3), generator=generator)
        torch.testing.assert_close(draws.sum(-1), torch.ones(4000, dtype=torch.float64))
        for i in range(3):  # each part is of a Beta distribution
            part = stats.beta(alpha[i], alpha.sum() - alpha[i])
            assert stats.kstest(draws[:, i].numpy(), part.cdf).pvalue > 1e-7


def test_a_subclass_shares_the_storage():
    x = torch.ones(3)
    for make in (internals.make_subclass, replacements.make_subclass):
        made = make(torch.nn.Parameter, x, True)
        assert type(made) is torch.nn.Parameter and made.requires_grad and made.data_ptr() == x.data_ptr()


def test_loops():
    result = replacements.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (torch.tensor(0), torch.ones(2)))
    assert result[0] == 3 and torch.equal(result[1], torch.full((2,), 8.0))


def test_the_mark_of_a_constant_is_the_compilers_own():
    ours = internals.constant_result(lambda: 1)
    theirs = torch.compiler.assume_constant_result(lambda: 1)
    assert vars(ours) == vars(theirs)


def test_another_connection_reaches_the_same_store(monkeypatch):
    host = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(host.port))
    replacements.store().set("key", "value")
    assert host.get("key") == b"value"


SIZES = {
    "zeros": (lambda: torch.zeros(2, 3), [(2, 3)]),
    "zeros of a tuple": (lambda: torch.zeros((2, 3)), [(2, 3)]),
    "full": (lambda: torch.full((2, 3), 1.0), [(2, 3)]),
    "new_zeros": (lambda: torch.ones(1).new_zeros(2, 3), [(2, 3)]),
    "repeat": (lambda: torch.ones(1).repeat(2, 3), [(2, 3)]),
    "eye": (lambda: torch.eye(3), [3]),
    "arange": (lambda: torch.arange(6), [6]),
    "linspace": (lambda: torch.linspace(0, 1, 6), [6]),
    "randint": (lambda: torch.randint(9, (2, 3)), [(2, 3)]),
}
NAMES = {"eye": "n", "arange": "end", "linspace": "steps", "repeat": "repeats"}


@pytest.mark.parametrize("case", list(SIZES))
@pytest.mark.parametrize("mode", [internals.DispatchMode, replacements.FunctionMode])
def test_modes_see_the_sizes_that_are_asked_for(case, mode):
    make, expected = SIZES[case]
    name = case.split()[0]
    seen = []

    class Watch(mode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func.__name__.split(".")[0] == name:
                given = dict(zip(internals.argument_names(func, args), args, strict=False))
                seen.append(given[NAMES.get(name, "size")])
            return func(*args, **(kwargs or {}))

    with Watch():
        result = make()
    assert [tuple(s) if isinstance(s, (list, tuple)) else s for s in seen] == expected
    assert result.numel() in (6, 9)


SCRIPT = """
    import json, os, sys, tempfile
    import numpy as np
    import torchkeras as keras
    from torchkeras.core import torch_internals

    found = [p.found for p in torch_internals.PRIVATE.values()]
    assert not any(found) if os.environ["TORCHKERAS_TORCH_INTERNALS"] == "0" else all(found)
    results = {}
    rng = np.random.default_rng(0)
    x, y = rng.random((64, 8, 4), dtype="float32"), rng.integers(0, 2, (64, 1)).astype("float32")
    for name in ("sgd", "adam", "adamw", "rmsprop", "ftrl", "lamb", "lion", "adafactor", "adagrad", "adamax"):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([
            keras.Input((8, 4)), keras.layers.Reshape((8, 4, 1)), keras.layers.ZeroPadding2D(1),
            keras.layers.Conv2D(3, 3), keras.layers.BatchNormalization(), keras.layers.Reshape((8, 12)),
            keras.layers.LSTM(5), keras.layers.Dense(1, activation="sigmoid"),
        ])
        optimizer = keras.optimizers.get(name)
        optimizer.global_clipnorm, optimizer.weight_decay = 1.0, 0.01
        model.compile(optimizer, loss="binary_crossentropy" if name == "sgd" else "mse")
        history = model.fit(x, y, epochs=2, batch_size=16, shuffle=False, verbose=0)
        results[name] = history.history["loss"] + model.predict(x[:4], verbose=0).ravel().tolist()
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder + "/m.keras")
        loaded = keras.saving.load_model(folder + "/m.keras")
    results["loaded"] = loaded.predict(x[:4], verbose=0).ravel().tolist()
    assert keras.random.gamma((3,), 2.0, seed=1).shape == (3,)
    assert keras.random.beta((3,), 2.0, 1.0, seed=1).shape == (3,)
    print(json.dumps(results))
"""


@pytest.mark.slow
def test_the_package_computes_the_same_on_replacements():
    results = []
    for allowed in "10":
        done = fresh_process.run(textwrap.dedent(SCRIPT), TORCHKERAS_TORCH_INTERNALS=allowed)
        assert done.returncode == 0, done.stderr
        results.append(json.loads(done.stdout.splitlines()[-1]))
    native, replaced = results
    assert native.keys() == replaced.keys() and len(native) == 11
    for name in native:
        np.testing.assert_allclose(replaced[name], native[name], rtol=2e-4, atol=1e-5, err_msg=name)
