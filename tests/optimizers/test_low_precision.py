"""`low_precision_update`: bfloat16 and float16 weights learn what float32 weights do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchkeras as keras
from torchkeras.optimizers.replaying import ReplayedUpdates
from torchkeras.optimizers.wide_weights import round_at_random

O = keras.optimizers
MASTERS, ROUNDED = "master_weights", "stochastic_rounding"
RATE = 1e-3


class Own(O.Optimizer):
    """Keras's way of defining an algorithm."""

    def build(self, variables):
        super().build(variables)
        self.sums = self.add_optimizer_variables(variables, "sum")

    def update_step(self, gradient, variable, learning_rate):
        total = self.sums[self._get_variable_index(variable)]
        self.assign_add(total, gradient)
        self.assign_sub(variable, learning_rate * total)


OPTIMIZERS = {
    name: getattr(O, name)
    for name in ("SGD", "Adam", "AdamW", "Adamax", "Adagrad", "Adadelta", "RMSprop", "Nadam", "Ftrl", "Lion", "Lamb")
    + ("Muon", "Adafactor")
} | {"own": Own}
OPTIONS = {
    "plain": {},
    "all": {
        "use_ema": True,
        "ema_momentum": 0.5,
        "ema_overwrite_frequency": 3,
        "gradient_accumulation_steps": 2,
        "global_clipnorm": 1.0,
        "weight_decay": 0.01,
    },
}


def variables(rng, dtype, shapes=((5, 4), (3,))):
    return [keras.Variable(torch.tensor(rng.uniform(1, 2, shape)).bfloat16(), dtype=dtype) for shape in shapes]


def steps(make, rng_seed, dtype, mode, count=12, shapes=((5, 4), (3,)), **options):
    """The weights, as the updates see them, after steps by gradients that bfloat16 has."""
    rng = np.random.default_rng(rng_seed)
    weights = variables(rng, dtype, shapes)
    optimizer = make(RATE, **options, **({} if mode is None else {"low_precision_update": mode}))
    for _ in range(count):
        grads = [torch.tensor(rng.normal(1, 0.2, w.shape)).bfloat16().to(w.dtype) for w in weights]
        optimizer.apply(grads, weights)
    return optimizer, weights


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_masters_are_what_float32_weights_become(name, options, rng):
    seed = int(rng.integers(1 << 31))
    _, wanted = steps(OPTIMIZERS[name], seed, "float32", None, **OPTIONS[options])
    optimizer, weights = steps(OPTIMIZERS[name], seed, "bfloat16", MASTERS, **OPTIONS[options])
    masters = [v for v in optimizer.variables if "master_weight" in v.name]
    assert all(v.dtype in (torch.float32, torch.int32) for v in optimizer.variables)
    for want, master, weight in zip(wanted, masters, weights, strict=True):
        assert weight.dtype == torch.bfloat16
        torch.testing.assert_close(master.value, want.value.data, rtol=1e-6, atol=1e-6)
        assert (weight == want.bfloat16()).all() or options == "all"


def test_small_updates_are_lost_without_it(rng):
    seed = int(rng.integers(1 << 31))
    _, before = steps(O.SGD, seed, "bfloat16", None, count=0)
    _, lost = steps(O.SGD, seed, "bfloat16", None)
    assert all((a == b).all() for a, b in zip(before, lost, strict=True))
    _, kept = steps(O.SGD, seed, "bfloat16", MASTERS, count=40)
    assert all((a > b).all() for a, b in zip(before, kept, strict=True))


def test_rounding_at_random_is_exact_in_the_mean(rng):
    values = torch.tensor(rng.normal(size=8)).float()
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 31)))
    rounded = round_at_random(values.expand(20000, 8).contiguous(), generator)
    nearest = values.bfloat16().float()
    step = (nearest.abs() * 2**-7).clamp(min=1e-30)
    assert ((rounded.float() - values).abs() <= step).all() and rounded.dtype == torch.bfloat16
    assert ((rounded.double().mean(0) - values).abs() < 6 * step / 2 / 20000**0.5 + 1e-7).all()
    special = torch.tensor([np.inf, -np.inf, np.nan, 0.0, -0.0, 1.5, 3e38])
    special = torch.cat([special, torch.tensor([0x7FFFFFFF], dtype=torch.int32).view(torch.float32)])
    found = round_at_random(special, generator).float()
    assert found[:2].equal(special[:2]) and found[2].isnan() and found[7].isnan() and found[3:6].equal(special[3:6])


@pytest.mark.parametrize("name", ["SGD", "Adam", "own"])
def test_random_rounding_follows_float32(name, rng):
    seed = int(rng.integers(1 << 31))
    many = ((20, 10), (150,))  # the mean of a hundred roundings of each has a deviation of 0.02 of the way
    _, start = steps(OPTIMIZERS[name], seed, "float32", None, count=0, shapes=many)
    _, wanted = steps(OPTIMIZERS[name], seed, "float32", None, count=100, shapes=many)
    optimizer, weights = steps(OPTIMIZERS[name], seed, "bfloat16", ROUNDED, count=100, shapes=many)
    again = steps(OPTIMIZERS[name], seed, "bfloat16", ROUNDED, count=100, shapes=many)[1]
    assert not any("master" in v.name for v in optimizer.variables)
    for want, weight, first, same in zip(wanted, weights, start, again, strict=True):
        assert (weight == same).all()  # all ranks, and a second run, round alike
        moved = (weight.float() - first).mean() / (want - first).mean()
        assert 0.85 < moved < 1.15


def test_a_weight_that_is_set_leaves_its_master_behind():
    weight = keras.Variable(torch.ones(2), dtype="bfloat16")
    optimizer = O.SGD(RATE, low_precision_update=MASTERS)
    one = [torch.ones(2, dtype=torch.bfloat16)]
    optimizer.apply(one, [weight])
    weight.assign([1.0, 4.0])  # the first is what it was
    optimizer.apply(one, [weight])
    (master,) = [v for v in optimizer.variables if "master" in v.name]
    torch.testing.assert_close(master.value, torch.tensor([1 - 2 * RATE, 4 - RATE]))


def test_training_and_files(tmp_path, rng):
    def fit(model, epochs):
        model.fit(x, y, epochs=epochs, shuffle=False, verbose=0)

    x, y = rng.normal(size=(32, 4)).astype("float32"), rng.normal(size=(32, 1)).astype("float32")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1, dtype="bfloat16", kernel_constraint="non_neg")(inputs))
    model.compile(O.Adam(RATE, low_precision_update=MASTERS), "mse")
    fit(model, 2)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.optimizer.low_precision_update == MASTERS
    for one in (model, again):
        fit(one, 3)
    pairs = [*zip(model.variables, again.variables, strict=True)]
    pairs += zip(model.optimizer.variables, again.optimizer.variables, strict=True)
    for a, b in pairs:
        assert torch.equal(a.value.float(), b.value.float())


def test_unknown_words_and_types_are_refused():
    with pytest.raises(ValueError, match="low_precision_update.*'master'"):
        O.SGD(low_precision_update="master")
    with pytest.raises(ValueError, match="bfloat16 weights.*master_weights"):
        weight = keras.Variable(torch.ones(2), dtype="float16")
        O.SGD(low_precision_update=ROUNDED).apply([torch.ones(2, dtype=torch.float16)], [weight])


@pytest.mark.parametrize("mode, reason", [(MASTERS, "whether a weight was set"), (ROUNDED, "seeds on the host")])
def test_why_steps_are_not_replayed(mode, reason):
    said = ReplayedUpdates.obstacle(O.Adam(low_precision_update=mode))
    assert said.startswith("the optimizer Adam ") and reason in said
