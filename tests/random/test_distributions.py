"""Random tensors: the numbers are Keras's for the same seed, the distributions are scipy's, and seeds repeat."""

import keras
import numpy as np
import pytest
import torch
from scipy import stats

import torchkeras
from torchkeras import ops, random
from torchkeras.core.variables.seeds import global_seed_generator

# (function, arguments, keyword arguments)
CALLS = [
    ("normal", ((3, 2),), {}),
    ("normal", ((4,), 5.0, 2.0), {"dtype": "float16"}),
    ("normal", ((),), {}),
    ("uniform", ((3, 2), -1.0, 2.0), {}),
    ("uniform", ((),), {}),
    ("uniform", ((4,),), {"dtype": "bfloat16"}),
    ("truncated_normal", ((3, 2), 1.0, 3.0), {}),
    ("randint", ((5,), -3, 9), {}),
    ("randint", ((5,), 0, 2**40), {"dtype": "int64"}),
    ("randint", ((5,), 0, 9), {"dtype": "uint16"}),
    ("categorical", ([[0.0, 1.0, -2.0], [3.0, 0.0, 0.0]], 7), {}),
    ("gamma", ((3,), 2.0), {}),
    ("gamma", ((2, 3), np.array([0.5, 1.0, 4.0])), {"dtype": "bfloat16"}),
    ("beta", ((3,), 2.0, 0.5), {}),
    ("beta", ((2, 3), np.ones(3), np.full((2, 1), 3.0)), {"dtype": "float64"}),
    ("binomial", ((3,), 10.0, 0.3), {}),
    ("binomial", ((3,), 10, 0.3), {"dtype": "int32"}),
    ("binomial", ((2, 2), [[5e4, 10.0], [3.0, 1.0]], [[0.1, 0.2], [0.3, 0.4]]), {"dtype": "float16"}),
    ("shuffle", (np.arange(9),), {}),
    ("shuffle", (np.arange(24).reshape(2, 3, 4), 1), {}),
    ("dropout", (torch.ones(3, 4), 0.4), {}),
    ("dropout", (torch.ones(3, 4), 0.4), {"noise_shape": (None, 1)}),
    ("dropout", (torch.ones(3, 4, dtype=torch.float16), 0.4), {}),
]
calls = pytest.mark.parametrize("name, args, kwargs", CALLS, ids=lambda v: v if isinstance(v, str) else "")
UNSEEDED = [call for call in CALLS if call[0] != "dropout"]  # without a seed dropout is torch's, in both


@calls
@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, 2**31 + 5, 2**32 - 1, -3])
def test_numbers_are_keras(name, args, kwargs, seed):
    ours = getattr(random, name)(*args, **kwargs, seed=seed)
    theirs = getattr(keras.random, name)(*args, **kwargs, seed=seed)
    assert ours.dtype == theirs.dtype
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("name, args, kwargs", UNSEEDED, ids=lambda v: v if isinstance(v, str) else "")
def test_numbers_without_a_seed_are_keras(name, args, kwargs, seed):
    drawn = []
    for package in (torchkeras, keras):
        package.utils.set_random_seed(seed)
        drawn.append([getattr(package.random, name)(*args, **kwargs) for _ in range(3)])
    for ours, theirs in zip(*drawn, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@calls
def test_a_seed_repeats_and_a_generator_goes_on(name, args, kwargs, rng):
    seed = int(rng.integers(2**31))
    draw = getattr(random, name)
    assert torch.equal(draw(*args, **kwargs, seed=seed), draw(*args, **kwargs, seed=seed))
    first, second = (random.SeedGenerator(seed) for _ in range(2))
    theirs = keras.random.SeedGenerator(seed)
    for _ in range(3):
        one = draw(*args, **kwargs, seed=first)
        assert torch.equal(one, draw(*args, **kwargs, seed=second))
        assert torch.equal(one, getattr(keras.random, name)(*args, **kwargs, seed=theirs))


@calls
@pytest.mark.parametrize("kind", ["integer", "generator", "global"])
def test_compiled_code_draws_the_eager_numbers(name, args, kwargs, kind, rng):
    if kind == "global" and name == "dropout" and "noise_shape" not in kwargs:
        pytest.skip("without a seed dropout is torch's own, which compiled code draws otherwise")
    start = int(rng.integers(2**31))

    def draws(compiled):
        torchkeras.utils.set_random_seed(start)
        seed = {"integer": start, "generator": random.SeedGenerator(start), "global": None}[kind]
        draw = lambda: [getattr(random, name)(*args, **kwargs, seed=seed) for _ in range(2)]
        torch.compiler.reset()
        draw = torch.compile(draw, fullgraph=True, backend="aot_eager") if compiled else draw
        return [*draw(), *draw()]

    for ours, eager in zip(draws(True), draws(False), strict=True):
        torch.testing.assert_close(ours, eager, rtol=0, atol=0)


N = 20_000
CONTINUOUS = [
    (lambda seed: random.normal((N,), 2.0, 3.0, seed=seed), stats.norm(2, 3)),
    (lambda seed: random.uniform((N,), -1.0, 4.0, seed=seed), stats.uniform(-1, 5)),
    (lambda seed: random.truncated_normal((N,), 1.0, 2.0, seed=seed), stats.truncnorm(-2, 2, 1, 2)),
    (lambda seed: random.gamma((N,), 0.7, seed=seed), stats.gamma(0.7)),
    (lambda seed: random.gamma((N,), 6.0, seed=seed), stats.gamma(6)),
    (lambda seed: random.beta((N,), 2.0, 0.6, seed=seed), stats.beta(2, 0.6)),
]


@pytest.mark.parametrize("draw, distribution", CONTINUOUS, ids=[d.dist.name for _, d in CONTINUOUS])
def test_distributions_are_scipys(draw, distribution, rng):
    values = ops.convert_to_numpy(draw(int(rng.integers(2**31)))).astype("float64")
    assert stats.kstest(values, distribution.cdf).pvalue > 1e-7
    assert_moments(values, distribution)


def assert_moments(values, distribution):
    """Mean and variance within six standard errors."""
    mean, variance, kurtosis = (float(x) for x in distribution.stats(moments="mvk"))
    assert abs(values.mean() - mean) < 6 * np.sqrt(variance / len(values))
    assert abs(values.var() - variance) < 6 * variance * np.sqrt((kurtosis + 2) / len(values))


DISCRETE = [
    (lambda seed: random.binomial((N,), 12.0, 0.3, seed=seed), stats.binom(12, 0.3), range(13)),
    (lambda seed: random.binomial((N,), 400, 0.5, dtype="int32", seed=seed), stats.binom(400, 0.5), range(401)),
    (lambda seed: random.randint((N,), -2, 7, seed=seed), stats.randint(-2, 7), range(-2, 7)),
    (
        lambda seed: random.categorical(np.log([[0.1, 0.6, 0.3]]), N, seed=seed)[0],
        stats.rv_discrete(values=([0, 1, 2], [0.1, 0.6, 0.3])),
        range(3),
    ),
]


@pytest.mark.parametrize(
    "draw, distribution, support", DISCRETE, ids=["binomial", "binomial400", "randint", "categorical"]
)
def test_frequencies_are_scipys(draw, distribution, support, rng):
    values = ops.convert_to_numpy(draw(int(rng.integers(2**31))))
    expected = N * distribution.pmf(np.array(support))
    counts = np.array([np.sum(values == k) for k in support])
    assert counts.sum() == N
    often = expected > 5
    assert stats.chisquare(counts[often], expected[often] * counts[often].sum() / expected[often].sum()).pvalue > 1e-7


def test_dropout_keeps_its_share_and_scale(rng):
    kept = random.dropout(torch.ones(N), 0.3, seed=int(rng.integers(2**31)))
    assert set(kept.unique().tolist()) == {0.0, float(torch.tensor(1.0) / 0.7)}
    assert stats.binomtest(int((kept > 0).sum()), N, 0.7).pvalue > 1e-7


@pytest.mark.parametrize("axis", [0, 1, -1, -3])
def test_shuffle_keeps_what_it_moves(axis, rng):
    x = rng.normal(size=(20, 21, 22))  # so long that no order stays as it was
    shuffled = ops.convert_to_numpy(random.shuffle(x, axis=axis, seed=int(rng.integers(2**31))))
    assert (shuffled != x).any()
    np.testing.assert_array_equal(np.sort(shuffled, axis), np.sort(x, axis))


ERRORS = [
    (ValueError, "floating point", lambda r: r.uniform((2,), dtype="int32")),
    (ValueError, "integer", lambda r: r.randint((2,), 0, 3, dtype="float32")),
    (ValueError, "logits|shape", lambda r: r.categorical([1.0, 2.0], 3)),
    (ValueError, "logits|shape", lambda r: r.categorical([[[1.0, 2.0]]], 3)),
    (ValueError, "seed", lambda r: r.normal((2,), seed="one")),
    (ValueError, "seed", lambda r: r.normal((2,), seed=1.5)),
    (ValueError, "seed", lambda r: r.SeedGenerator("one")),
    (ValueError, "keyword", lambda r: r.SeedGenerator(1, wrong=2)),
    (IndexError, "", lambda r: r.shuffle(torch.ones(2, 3), axis=5)),
    (RuntimeError, "", lambda r: r.gamma((2, 3), np.ones(4))),
]


@pytest.mark.parametrize("kind, text, call", ERRORS)
def test_errors_are_keras(kind, text, call):
    for package in (torchkeras, keras):
        with pytest.raises(kind, match=text):
            call(package.random)


@pytest.mark.parametrize("ordered", [True, False])
def test_states_are_keras(ordered, rng):
    seed = int(rng.integers(2**31))
    ours, theirs = random.SeedGenerator(seed), keras.random.SeedGenerator(seed)
    for _ in range(5):
        assert ours.next(ordered=ordered).tolist() == theirs.next(ordered=ordered).tolist()
        assert ours.state.tolist() == theirs.state.numpy().tolist()
    assert random.SeedGenerator.from_config(ours.get_config()).get_config() == ours.get_config()


def test_the_global_generator_starts_again_with_the_seed(seed):
    torchkeras.utils.set_random_seed(seed)
    first = global_seed_generator()
    values = random.normal((3,))
    assert global_seed_generator() is first
    torchkeras.utils.set_random_seed(seed)
    assert torch.equal(random.normal((3,)), values)


NO_DISTRIBUTION = [
    ("gamma", (0.0,)),
    ("gamma", (np.array([1.0, -1.0]),)),
    ("beta", (1.0, 0.0)),
    ("binomial", (5, 1.5)),
    ("binomial", (np.array([1.0, 2.5]), 0.5)),
    ("binomial", (-1, 0.5)),
]


@pytest.mark.parametrize("name, parameters", NO_DISTRIBUTION, ids=str)
def test_parameters_without_a_distribution_are_refused(name, parameters):
    with pytest.raises(ValueError, match="must be"):  # Keras refuses them too, until torch.compile turns its checks off
        getattr(random, name)((2,), *parameters, seed=1)
