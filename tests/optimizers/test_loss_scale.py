"""Loss scales, and steps on a device: nobody waits for it, steps that are taken back leave nothing behind."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.optimizers.optimizer_cases import (
    BASE_ARGUMENTS,
    NAMES,
    assert_equal,
    gradients,
    make,
    variables,
)
from torchkeras import optimizers
from torchkeras.core.variables.variable import Variable
from torchkeras.optimizers import loss_scale


def test_loss_scale_skips_and_halves_then_grows():
    variable = Variable(torch.zeros(()))
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(1.0), initial_scale=8.0, dynamic_growth_steps=2)
    assert float(optimizer.scale_loss(1.0)) == 8.0
    seen = []
    for grad in (torch.inf, 4.0, torch.nan, 2.0, 2.0, 4.0):
        optimizer.apply([torch.tensor(grad)], [variable])
        seen.append((float(variable), float(optimizer.scale_loss(1.0)), int(optimizer.iterations)))
    assert seen == [(0, 4, 0), (-1, 4, 1), (-1, 2, 1), (-2, 2, 2), (-3, 4, 3), (-4, 4, 4)]


@pytest.fixture
def as_on_a_device(monkeypatch):
    """No device counts as one whose values Python may read."""
    monkeypatch.setattr(loss_scale, "_HOSTS", ())


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("base", BASE_ARGUMENTS)
@pytest.mark.parametrize("name", [*NAMES, "plain SGD", "MultiOptimizer"])
def test_steps_that_are_taken_back_leave_nothing_behind(name, base, on_device, rng, request):
    """Scaled gradients, some of them not finite, do what the finite ones do by themselves."""
    if on_device:
        request.getfixturevalue("as_on_a_device")
    mine = variables(rng)
    theirs = [Variable(v.detach().clone(), name=v.name) for v in mine]
    if name == "MultiOptimizer":
        pair = [
            optimizers.MultiOptimizer(
                optimizers.OptimizerMap(
                    make("Adam", **BASE_ARGUMENTS[base]), {".*v2": make("Nadam", **BASE_ARGUMENTS[base])}
                )
            )
            for _ in range(2)
        ]
    else:
        pair = [make(name, **BASE_ARGUMENTS[base]) for _ in range(2)]
    scaled = optimizers.LossScaleOptimizer(pair[0], initial_scale=4.0)
    for step in range(8):
        grads = gradients(rng, mine)
        scale = float(scaled.scale_loss(1.0))
        spoilt = [g * scale for g in grads]
        if step in (0, 3, 6):
            spoilt[1][0] = [torch.inf, torch.nan, -torch.inf][step // 3]
        else:
            pair[1].apply(grads, theirs)
        scaled.apply(spoilt, mine)
    assert_equal(mine, theirs, rtol=1e-5, atol=1e-6)
    assert_equal(pair[0].variables, pair[1].variables, rtol=1e-5, atol=1e-6)
    assert int(pair[0].iterations) == int(pair[1].iterations)


class Reads(TorchDispatchMode):
    """Note the sizes and types of tensors whose values Python reads."""

    def __init__(self, *allowed):
        super().__init__()
        self.allowed = {tensor.data_ptr() for tensor in allowed}
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        if name in ("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select"):
            if args[0].data_ptr() not in self.allowed:
                self.names.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("base", BASE_ARGUMENTS)
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_step_waits_for_no_device(name, scaled, base, rng, as_on_a_device):
    """Python reads the rate and the count, which lie on the CPU; with a loss scale the rate alone."""
    mine = variables(rng)
    inner = make(name, **BASE_ARGUMENTS[base])
    optimizer = optimizers.LossScaleOptimizer(inner) if scaled else inner
    optimizer.apply(gradients(rng, mine), mine)
    on_cpu = [inner._learning_rate] if scaled else [inner._learning_rate, inner._iterations]
    if name == "Nadam" and not scaled:
        on_cpu.append(inner._u_product)
    grads = gradients(rng, mine)
    with Reads(*on_cpu) as reads:
        loss = optimizer.scale_loss(torch.ones(()))
        optimizer.apply(grads, mine)
    assert reads.names == [] and loss.dim() == 0


@pytest.mark.parametrize("schedule", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_rates_and_counts_on_a_device_give_the_same_numbers(name, schedule, rng):
    mine, theirs = variables(rng), None
    theirs = [Variable(v.detach().clone()) for v in mine]
    rate = optimizers.schedules.ExponentialDecay(0.05, 2, 0.5) if schedule else 0.05
    pair = [getattr(optimizers, name)(rate) for _ in range(2)]
    for optimizer, own in zip(pair, (mine, theirs), strict=True):
        optimizer.build(own)
    pair[1]._tk_count_on(theirs[0].device)
    for _ in range(4):
        grads = gradients(rng, mine)
        for optimizer, own in zip(pair, (mine, theirs), strict=True):
            optimizer.apply(grads, own)
    assert_equal(mine, theirs, rtol=1e-5, atol=1e-6)
