"""torch's optimizers are run by their fused kernels on a CPU, with the numbers of torch's own choice."""

from __future__ import annotations

import copy

import pytest
import torch

import torchkeras as keras
from torchkeras.core.fast_paths.switch import use_fast_paths

ROWS = {
    "Adam": (torch.optim.Adam, {"weight_decay": 0.1, "amsgrad": True}),
    "AdamW": (torch.optim.AdamW, {"lr": 0.1, "maximize": True}),
    "SGD": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
}


def steps(module, make, wrapped):
    """The fused flags seen in three steps; a weight has no gradient in the second."""
    optimizer, seen = make(module.parameters()), []
    optimizer.register_step_pre_hook(lambda opt, *_: seen.append(opt.param_groups[0]["fused"]))
    ours = keras.optimizers.TorchOptimizer(optimizer) if wrapped else None
    if ours is not None:
        ours.build(list(module.parameters()))
    for i in range(3):
        optimizer.zero_grad()
        module(torch.linspace(-1, 1, 12).view(3, 4) * (i + 1)).square().sum().backward()
        if i == 1:
            module[0].bias.grad = None
        if ours is None:
            optimizer.step()
        else:
            ours.step()
    return seen, optimizer


def network(dtype=torch.float32):
    return torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)).to(dtype)


@pytest.mark.parametrize("name", ROWS)
def test_numbers_are_those_of_the_plain_step(name):
    cls, options = ROWS[name]
    one = network()
    other = copy.deepcopy(one)
    fused, ours = steps(one, lambda p: cls(p, **options), wrapped=True)
    plain, theirs = steps(other, lambda p: cls(p, **options), wrapped=False)
    assert fused == [True] * 3 and plain == [None] * 3
    torch.testing.assert_close(list(one.parameters()), list(other.parameters()), rtol=1e-4, atol=1e-5)
    found, expected = ours.state_dict(), theirs.state_dict()
    assert found["param_groups"] == expected["param_groups"]
    torch.testing.assert_close(found["state"], expected["state"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"foreach": False}, {"fused": False}, {"lr": torch.tensor(0.1)}], ids=str)
def test_what_the_user_chose_stays(options):
    fused, _ = steps(network(), lambda p: torch.optim.Adam(p, **options), wrapped=True)
    assert not any(fused)


def test_other_cases_stay_with_torch():
    class Own(torch.optim.Adam):
        pass

    assert steps(network(), Own, wrapped=True)[0] == [None] * 3
    before = use_fast_paths(False)
    assert steps(network(), torch.optim.Adam, wrapped=True)[0] == [None] * 3
    use_fast_paths(before)
    strided = network()
    strided[0].weight = torch.nn.Parameter(torch.randn(4, 5).t())
    assert steps(strided, torch.optim.Adam, wrapped=True)[0] == [None] * 3
