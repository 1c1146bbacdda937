"""Data parallel training: each rank takes its share of the global batch, gradients and metrics are put together."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from torchkeras.core import tree
from torchkeras.distributed import process


class Share(NamedTuple):
    """This rank's rows of a global batch."""

    start: int
    stop: int
    total: int

    @property
    def rows(self) -> int:
        return self.stop - self.start

    @property
    def weight(self) -> float:
        """The part of the global batch that lies here."""
        return self.rows / self.total if self.total else 0.0


def share_of(total: int, rank: int, world: int) -> Share:
    """Contiguous rows as even as can be; the first ranks take one more where it does not come out even."""
    size, rest = divmod(total, world)
    start = rank * size + min(rank, rest)
    return Share(start, start + size + (1 if rank < rest else 0), total)


def take_share(data: Any) -> tuple[Any, Share]:
    """This rank's rows of a batch. Where there are none it takes the first row, which then counts nothing."""
    leaves = [leaf for leaf in tree.flatten(data) if isinstance(leaf, torch.Tensor) and leaf.dim() > 0]
    total = leaves[0].shape[0] if leaves else 0
    share = share_of(total, process.rank(), process.world_size())
    start, stop = (share.start, share.stop) if share.rows else (0, min(1, total))

    def rows(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor) and leaf.dim() > 0 and leaf.shape[0] == total:
            return leaf[start:stop]
        return leaf

    return tree.map_structure(rows, data), share


class _Forward(nn.Module):
    """What DistributedDataParallel wraps: the model, called in training mode."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Any) -> Any:
        return self.model(x, training=True)


def wrap(model: nn.Module) -> DistributedDataParallel:
    """The model under torch's DDP; weights are rank 0's from now on."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    ids = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(
        _Forward(model), device_ids=ids, broadcast_buffers=False, find_unused_parameters=True, gradient_as_bucket_view=True
    )


def broadcast_weights(tensors: Iterable[torch.Tensor]) -> None:
    """Give all ranks rank 0's values."""
    if process.is_joined():
        with torch.no_grad():
            for tensor in tensors:
                _communicate(tensor.data, lambda t: distributed.broadcast(t, src=0))


def reduce_gradients(gradients: list, scale: float) -> list:
    """The sum over the ranks of gradients times `scale`, in one message a type. `None` counts as zero elsewhere."""
    present = [g for g in gradients if g is not None]
    groups: dict[torch.dtype, list[torch.Tensor]] = {}
    for gradient in present:
        groups.setdefault(gradient.dtype, []).append(gradient)
    with torch.no_grad():
        for group in groups.values():
            flat = torch._utils._flatten_dense_tensors([g.contiguous() for g in group])
            flat.mul_(scale)
            _communicate(flat, distributed.all_reduce)
            for gradient, value in zip(group, torch._utils._unflatten_dense_tensors(flat, group)):
                gradient.copy_(value)
    return gradients


def _communicate(tensor: torch.Tensor, how: Any) -> None:
    """NCCL knows CUDA tensors alone: what lies elsewhere travels by way of the GPU."""
    if distributed.get_backend() == "nccl" and tensor.device.type != "cuda":
        moved = tensor.cuda()
        how(moved)
        tensor.copy_(moved)
    else:
        how(tensor)


@contextmanager
def reduced(metrics: Iterable[Any]) -> Any:
    """Inside, the metrics' state is the sum over all ranks; afterwards each rank has its own again."""
    variables = [v for metric in metrics for v in metric.variables]
    if not process.is_joined() or not variables:
        yield
        return
    own = [v.detach().clone() for v in variables]
    with torch.no_grad():
        for variable in variables:
            value = variable.detach().as_subclass(torch.Tensor)
            _communicate(value, distributed.all_reduce)
    try:
        yield
    finally:
        with torch.no_grad():
            for variable, value in zip(variables, own):
                variable.copy_(value)


def gather_rows(outputs: Any, share: Share) -> Any:
    """The outputs of all ranks' shares, in order, on every rank."""
    world = process.world_size()
    shares = [share_of(share.total, r, world) for r in range(world)]
    most = max(one.rows for one in shares)

    def gathered(leaf: torch.Tensor) -> torch.Tensor:
        local = leaf[: share.rows]
        padded = local.new_zeros((most, *leaf.shape[1:]))
        padded[: local.shape[0]] = local
        parts = [torch.empty_like(padded) for _ in shares]
        if distributed.get_backend() == "nccl" and padded.device.type != "cuda":
            raise ValueError("NCCL gathers CUDA tensors alone; predict() must run on the GPU under torchrun.")
        distributed.all_gather(parts, padded.contiguous())
        return torch.cat([part[: one.rows] for part, one in zip(parts, shares)])

    return tree.map_structure(gathered, outputs)
