"""BatchNormalization(synchronized=True): two ranks have the statistics and gradients of one process."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from torchkeras import layers

pytestmark = pytest.mark.slow


def run(x: torch.Tensor, cotangent: torch.Tensor, synchronized: bool) -> list[torch.Tensor]:
    layer = layers.BatchNormalization(momentum=0.5, synchronized=synchronized, dtype="float64")
    x = x.clone().requires_grad_()
    y = layer(x, training=True)
    (y * cotangent).sum().backward()
    return [t.detach().clone() for t in (y, x.grad, layer.moving_mean, layer.moving_variance)]


def rank_main(rank: int, folder: str, x: torch.Tensor, cotangent: torch.Tensor) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    share = slice(0, 3) if rank == 0 else slice(3, None)
    torch.save(run(x[share], cotangent[share], synchronized=True), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_are_one(tmp_path):
    x, cotangent = torch.randn(8, 5, 3, dtype=torch.float64) * 2 + 1, torch.randn(8, 5, 3, dtype=torch.float64)
    mp.spawn(rank_main, args=(str(tmp_path), x, cotangent), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    whole = run(x, cotangent, synchronized=False)
    for i in range(2):
        torch.testing.assert_close(torch.cat([first[i], second[i]]), whole[i])
    for got in (first, second):
        torch.testing.assert_close(got[2:], [t.as_subclass(torch.Tensor) for t in whole[2:]])
