"""torch's optimizers and schedulers behind the interface of ours."""

import numpy as np
import pytest
import torch
from torch import nn

from torchkeras import optimizers
from torchkeras.optimizers import TorchOptimizer

CLASSES = [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad]


def layer(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(3, 2)


def gradients(rng, model):
    return [torch.as_tensor(rng.normal(size=tuple(p.shape)), dtype=p.dtype) for p in model.parameters()]


def given(form, cls, model):
    if form == "instance":
        return cls(model.parameters(), lr=0.1)
    return (lambda parameters: cls(parameters, lr=0.1)) if form == "function" else cls


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("form", ["instance", "function", "class"])
def test_steps_are_torchs(form, cls, rng):
    mine, reference = layer(), layer()
    optimizer = optimizers.get(given(form, cls, mine))
    theirs = given(form, cls, reference)
    theirs = theirs if form == "instance" else theirs(list(reference.parameters()))
    for _ in range(5):
        grads = gradients(rng, mine)
        optimizer.apply([g.clone() for g in grads], list(mine.parameters()))
        for parameter, grad in zip(reference.parameters(), grads):
            parameter.grad = grad
        theirs.step()
    for a, b in zip(mine.parameters(), reference.parameters()):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert int(optimizer.iterations) == 5


@pytest.mark.parametrize("cls", CLASSES)
def test_state_goes_through_plain_arrays(cls, rng):
    mine, other = layer(), layer(1)
    optimizer, again = TorchOptimizer(cls), TorchOptimizer(cls)
    for _ in range(3):
        optimizer.apply(gradients(rng, mine), list(mine.parameters()))
    optimizer.learning_rate = 0.03
    store = {}
    optimizer.save_own_variables(store)
    assert all(isinstance(value, np.ndarray) and value.dtype != object for value in store.values())
    again.build(other.parameters())
    again.load_own_variables(store)
    other.load_state_dict(mine.state_dict())
    assert int(again.iterations) == 3 and again.learning_rate == pytest.approx(0.03)
    grads = gradients(rng, mine)
    optimizer.apply([g.clone() for g in grads], list(mine.parameters()))
    again.apply(grads, list(other.parameters()))
    for a, b in zip(mine.parameters(), other.parameters()):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_state_of_other_shapes_is_refused(rng):
    mine = layer()
    optimizer = TorchOptimizer(torch.optim.Adam)
    optimizer.apply(gradients(rng, mine), list(mine.parameters()))
    store = {}
    optimizer.save_own_variables(store)
    for key, value in [("state.0.exp_avg", np.zeros((7, 7))), ("state.9.exp_avg", np.zeros(3))]:
        with pytest.raises(ValueError, match="state"):
            optimizer.load_own_variables({**store, key: value})


@pytest.mark.parametrize("form", ["instance", "function"])
def test_scheduler_steps_after_each_update(form, rng):
    mine = layer()
    inner = torch.optim.SGD(mine.parameters(), lr=1.0)

    def halving(optimizer):
        return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    optimizer = TorchOptimizer(inner, scheduler=halving if form == "function" else halving(inner))
    for i in range(4):
        assert optimizer.learning_rate == 0.5**i
        optimizer.apply(gradients(rng, mine), list(mine.parameters()))


def test_learning_rate_reaches_all_groups(rng):
    mine = layer()
    groups = [{"params": [mine.weight]}, {"params": [mine.bias], "lr": 0.5}]
    optimizer = TorchOptimizer(torch.optim.SGD(groups, lr=0.1))
    optimizer.learning_rate = 0.25
    assert [group["lr"] for group in optimizer.optimizer.param_groups] == [0.25, 0.25]
    assert len(optimizer.variables) == 1
    late = TorchOptimizer(torch.optim.SGD)
    late.learning_rate = 0.125
    late.build(mine.parameters())
    assert late.learning_rate == 0.125


def test_config_is_plain():
    optimizer = TorchOptimizer(torch.optim.Adam(layer().parameters(), lr=0.1))
    config = optimizer.get_config()
    assert config["lr"] == 0.1 and config["torch_class"] == "Adam" and config["name"].startswith("adam")


def test_parameters_replaced_before_the_first_step(rng):
    mine, other = layer(), layer(1)
    optimizer = TorchOptimizer(torch.optim.SGD)
    optimizer.build(mine.parameters())
    before = other.weight.detach().clone()
    optimizer.apply(gradients(rng, other), list(other.parameters()))
    assert not torch.equal(before, other.weight)
    with pytest.raises(ValueError, match="Unknown variables"):
        optimizer.apply(gradients(rng, mine), list(mine.parameters()))


def test_errors(rng):
    mine, other = layer(), layer()
    with pytest.raises(ValueError, match="parameters"):
        TorchOptimizer(torch.optim.Adam(other.parameters())).build(mine.parameters())
    with pytest.raises(ValueError, match="torch optimizer"):
        TorchOptimizer(3)
    optimizer = TorchOptimizer(torch.optim.Adam)
    with pytest.raises(ValueError, match="built"):
        optimizer.load_own_variables({})
    with pytest.raises(ValueError, match="No gradients"):
        optimizer.apply([None, None], list(mine.parameters()))
    with pytest.raises(ValueError, match="gradient for each"):
        optimizer.apply([None], list(mine.parameters()))
