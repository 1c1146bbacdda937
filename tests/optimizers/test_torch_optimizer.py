"""torch's optimizers and schedulers behind the interface of ours."""

import json
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from torchkeras import optimizers
from torchkeras.optimizers import TorchOptimizer, torch_config

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
    for group in theirs.param_groups:  # the kernel that is taken here; torch's other way differs by rounding
        group.update(fused=True if cls in (torch.optim.Adam, torch.optim.AdamW) else group.get("fused"))
    for _ in range(5):
        grads = gradients(rng, mine)
        optimizer.apply([g.clone() for g in grads], list(mine.parameters()))
        for parameter, grad in zip(reference.parameters(), grads, strict=True):
            parameter.grad = grad
        theirs.step()
    for a, b in zip(mine.parameters(), reference.parameters(), strict=True):
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
    for a, b in zip(mine.parameters(), other.parameters(), strict=True):
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


SCHEDULERS = {
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [1, 3, 3]},
    "ConstantLR": {"total_iters": 2},
    "LinearLR": {"total_iters": 4},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingLR": {"T_max": 5},
    "CosineAnnealingWarmRestarts": {"T_0": 2, "T_mult": 2},
    "OneCycleLR": {"max_lr": 1.0, "total_steps": 20},
    "PolynomialLR": {"total_iters": 6, "power": 2.0},
}


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_configs_make_the_same_optimizer_again(name, steps, rng):
    """Class, groups, hyperparameters and the scheduler's state, through JSON; the tensors come as arrays."""
    mine, other = layer(), layer()
    groups = [{"params": [mine.bias], "lr": 0.5}, {"params": [mine.weight], "betas": (0.7, 0.8)}]
    make = getattr(torch.optim.lr_scheduler, name)
    optimizer = TorchOptimizer(torch.optim.Adam(groups, lr=0.1), lambda inner: make(inner, **SCHEDULERS[name]))
    optimizer.build(mine.parameters())
    for _ in range(steps):
        optimizer.apply(gradients(rng, mine), list(mine.parameters()))
    again = optimizers.deserialize(json.loads(json.dumps(optimizers.serialize(optimizer))))
    assert again.get_config() == optimizer.get_config()
    store = {}
    optimizer.save_own_variables(store)
    again.build(other.parameters())
    again.load_own_variables(store)
    other.load_state_dict(mine.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            rates = [[group["lr"] for group in o.optimizer.param_groups] for o in (optimizer, again)]
            assert rates[0] == pytest.approx(rates[1])
            grads = gradients(rng, mine)
            optimizer.apply([g.clone() for g in grads], list(mine.parameters()))
            again.apply(grads, list(other.parameters()))
    for a, b in zip(mine.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    "name",
    ["Adadelta", "Adafactor", "Adam", "AdamW", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop"],
)
def test_every_optimizer_of_torchs_goes_on_from_its_state(name, rng):
    cls = getattr(torch.optim, name)
    mine, other = layer(), layer()
    optimizer = TorchOptimizer(lambda parameters: cls(parameters, lr=0.05))
    for _ in range(3):
        optimizer.apply(gradients(rng, mine), list(mine.parameters()))
    again = TorchOptimizer.from_config(optimizer.get_config())
    store = {}
    optimizer.save_own_variables(store)
    again.build(other.parameters())
    again.load_own_variables(store)
    other.load_state_dict(mine.state_dict())
    for _ in range(2):
        grads = gradients(rng, mine)
        optimizer.apply([g.clone() for g in grads], list(mine.parameters()))
        again.apply(grads, list(other.parameters()))
    for a, b in zip(mine.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b)


class Halved(torch.optim.SGD):
    """A class of the user's."""


def test_a_users_class_is_a_custom_object(rng):
    optimizer = TorchOptimizer(Halved)
    data = optimizers.serialize(optimizer)
    with pytest.raises(ValueError, match="custom_objects.*Halved"):
        optimizers.deserialize(data)
    again = optimizers.deserialize(data, custom_objects={"Halved": Halved})
    again.build(layer().parameters())
    assert type(again.optimizer) is Halved


REFUSED = {
    "function": (lambda: TorchOptimizer(lambda p: torch.optim.SGD(p)).get_config(), "a function makes it"),
    "class": (lambda: torch_config.optimizer_class("Module"), "Unknown torch optimizer 'Module'"),
    "no optimizer": (lambda: torch_config.optimizer_class("lr_scheduler"), "Unknown torch optimizer"),
    "scheduler": (lambda: torch_config.make_scheduler({"class_name": "os"}, None), "Unknown torch scheduler 'os'"),
    "parameters": (
        lambda: torch_config.DescribedOptimizer("SGD", {}, [{"parameters": [2]}])([1, 2]),
        r"name the parameters \[2\]; there are 2",
    ),
    "interval": (lambda: TorchOptimizer(torch.optim.SGD, interval="step"), "interval must be"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    call, said = REFUSED[case]
    with pytest.raises(ValueError, match=said):
        call()


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
