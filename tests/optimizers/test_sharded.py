"""Optimizers on sharded parameters (DTensor), in a mesh of one process."""

import socket

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from torchkeras import optimizers

RULES = {
    "SGD": {"momentum": 0.9},
    "Adam": {"weight_decay": 0.1},
    "RMSprop": {"centered": True},
    "Lamb": {},
    "Adafactor": {},
    "Muon": {},
}
BASES = [{}, {"clipnorm": 0.5}, {"global_clipnorm": 0.5}, {"use_ema": True, "gradient_accumulation_steps": 2}]


@pytest.fixture(scope="module")
def mesh():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    dist.init_process_group("gloo", init_method=f"tcp://localhost:{port}", rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def shard(value, mesh, kind=nn.Parameter):
    return kind(distribute_tensor(value.detach().clone(), mesh, [Shard(0) if value.dim() else Replicate()]))


@pytest.mark.parametrize("base", BASES, ids=str)
@pytest.mark.parametrize("name", RULES)
def test_shards_give_the_whole_ones_numbers(name, base, mesh, rng):
    whole = [nn.Parameter(torch.as_tensor(rng.normal(size=s), dtype=torch.float32)) for s in [(3,), (4, 5)]]
    sharded = [shard(p, mesh) for p in whole]
    mine, reference = (getattr(optimizers, name)(0.05, **RULES[name], **base) for _ in range(2))
    for _ in range(4):
        grads = [torch.as_tensor(rng.normal(size=tuple(p.shape)), dtype=torch.float32) for p in whole]
        mine.apply([shard(g, mesh, kind=lambda t: t) for g in grads], sharded)
        reference.apply(grads, whole)
    for a, b in zip(sharded, whole, strict=True):
        torch.testing.assert_close(a.full_tensor(), b.detach(), rtol=1e-5, atol=1e-6)
    stores = {}, {}
    mine.save_own_variables(stores[0])
    reference.save_own_variables(stores[1])
    for key, value in stores[1].items():
        np.testing.assert_allclose(stores[0][key], value, rtol=1e-5, atol=1e-6)
    mine.load_own_variables(stores[1])


@pytest.mark.parametrize("name", RULES)
def test_sharding_after_training_has_begun_keeps_the_state(name, mesh, rng):
    whole = [nn.Parameter(torch.as_tensor(rng.normal(size=s), dtype=torch.float32)) for s in [(3,), (4, 5)]]
    grads = [torch.as_tensor(rng.normal(size=tuple(p.shape)), dtype=torch.float32) for p in whole]
    optimizer = getattr(optimizers, name)(0.1, **RULES[name])
    optimizer.apply(grads, whole)
    sharded = [shard(p, mesh) for p in whole]
    expected, _ = optimizer.stateless_apply(optimizer.variables, grads, whole)
    optimizer.apply([shard(g, mesh, kind=lambda t: t) for g in grads], sharded)
    for a, b in zip(sharded, expected, strict=True):
        torch.testing.assert_close(a.full_tensor(), b, rtol=1e-6, atol=1e-7)
    assert all(isinstance(v, DTensor) for v in optimizer.variables[2:] if v.is_floating_point())
