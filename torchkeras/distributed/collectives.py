"""Messages between the ranks: weights, gradients, numbers, outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import distributed, nn

from torchkeras.core import tree
from torchkeras.core.accelerators import ACCELERATORS, current_of
from torchkeras.core.tensors.numbers import as_float
from torchkeras.core.tensors.sharded import dtensors, is_sharded
from torchkeras.core.torch_internals import foreach_add_, foreach_copy_, foreach_div_, foreach_mul, foreach_sub_
from torchkeras.distributed import process
from torchkeras.distributed.rank_group import RankGroup, all_ranks
from torchkeras.distributed.rank_share import RankShare, share_of
from torchkeras.distributed.sharded_weights import sharding_of

LARGEST_MESSAGE = 25 << 20
"""Bytes; a larger tensor travels by itself. It is the size of the messages of torch's DistributedDataParallel."""


def communicate(tensor: torch.Tensor, how: Callable[[torch.Tensor], Any]) -> None:
    """Apply a collective in place. A backend knows one kind of device: what lies elsewhere travels by way of it."""
    home = _home()
    if tensor.device.type != home.type:
        moved = tensor.to(home)
        how(moved)
        tensor.copy_(moved)
    else:
        how(tensor)


def _home() -> torch.device:
    """The device that tensors of messages lie on."""
    backend = distributed.get_backend()
    kind = next((row for row in ACCELERATORS.values() if row.backend == backend), ACCELERATORS["cpu"])
    return torch.device("cpu") if kind.messages_on == "cpu" else current_of(kind)


def by_message(tensors: Iterable[torch.Tensor]) -> list[list[torch.Tensor]]:
    """The tensors in groups that can travel in one message: of one kind, and up to 25 MB, since they are copied."""
    groups: dict[tuple[torch.dtype, torch.device], list[list[torch.Tensor]]] = {}
    sizes: dict[tuple[torch.dtype, torch.device], int] = {}
    for tensor in tensors:
        kind = (tensor.dtype, tensor.device)
        size = tensor.numel() * tensor.element_size()
        if kind not in groups or sizes[kind] + size > LARGEST_MESSAGE:
            groups.setdefault(kind, []).append([])
            sizes[kind] = 0
        groups[kind][-1].append(tensor)
        sizes[kind] += size
    return [group for of_kind in groups.values() for group in of_kind]


def in_few_messages(tensors: list[torch.Tensor], how: Callable[[torch.Tensor], Any]) -> None:
    """Apply a collective to all the tensors, in place."""
    for group in by_message(tensors):
        if len(group) == 1 and group[0].is_contiguous():
            communicate(group[0], how)
            continue
        flat = torch.cat([t.reshape(-1) for t in group])
        communicate(flat, how)
        parts = flat.split([t.numel() for t in group])
        foreach_copy_(group, [part.view(t.shape) for part, t in zip(parts, group)])


# ---------------------------------------------------------------------------- weights


def broadcast_weights(tensors: Iterable[torch.Tensor]) -> None:
    """Give all ranks rank 0's values. Sharded tensors stay: each rank has a part of its own."""
    own = [plain(t) for t in tensors if not is_sharded(t)]
    with torch.no_grad():
        in_few_messages(own, lambda flat: distributed.broadcast(flat, src=0))


def average_buffers(model: nn.Module) -> None:
    """Give all ranks the mean of their float buffers, such as the statistics of batch normalization."""
    own = [plain(b) for b in model.buffers() if b.is_floating_point() and not is_sharded(b)]
    if own:
        with torch.no_grad():
            first = [b.clone() for b in own]
            in_few_messages(first, lambda flat: distributed.broadcast(flat, src=0))
            foreach_sub_(own, first)  # what is the same everywhere stays so, to the last bit
            in_few_messages(own, distributed.all_reduce)
            foreach_div_(own, process.world_size())
            foreach_add_(own, first)


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """The same memory as a tensor of torch's own class."""
    return tensor.detach().as_subclass(torch.Tensor)


# ---------------------------------------------------------------------------- gradients


def reduce_gradients(
    gradients: list[Any], variables: Sequence[Any], scale: float, group: RankGroup | None = None
) -> tuple[list[Any], torch.Tensor | None]:
    """The sums over the ranks of gradients times `scale`, and on how many ranks each gradient exists.

    A gradient that some ranks lack counts as zero there; one that no rank has stays `None`. Gradients that were reduced
    in the backward pass stay as they are; where there are no others the second value is `None`.

    Args:
        gradients: the gradients of this rank.
        variables: their variables.
        scale: by how much this rank's gradients count.
        group: the ranks that have different rows. Default: all.
    """
    here = [i for i, v in enumerate(variables) if not is_sharded(v) or not sharding_of(v).is_reduced]
    if not here:
        return gradients, None
    missing = [i for i in here if gradients[i] is None]
    values = [_local(torch.zeros_like(variables[i]) if gradients[i] is None else gradients[i]) for i in here]
    counts = torch.tensor([float(gradients[i] is not None) for i in here]).to(values[0].device)
    with torch.no_grad():
        values = list(foreach_mul([v.contiguous() for v in values], scale))
        in_few_messages([*values, counts], summing(group))
    result = list(gradients)
    for i, value in zip(here, values):
        result[i] = _as_part_of(variables[i], value) if is_sharded(variables[i]) else value
    if missing:  # only then is the device waited for
        found = dict(zip(here, counts.tolist()))
        for i in missing:
            result[i] = result[i] if found[i] else None
    return result, counts


def summing(group: RankGroup | None) -> Callable[[torch.Tensor], Any]:
    """The collective that sums a tensor over a group of ranks, in place."""
    return lambda tensor: distributed.all_reduce(tensor, group=None if group is None else group.handle)


def _local(tensor: Any) -> torch.Tensor:
    with torch.no_grad():
        return plain(tensor.to_local() if is_sharded(tensor) else tensor)


def _as_part_of(variable: Any, part: torch.Tensor) -> Any:
    """A part of a tensor that lies as the variable does."""
    known = {"run_check": False, "shape": variable.shape, "stride": variable.stride()}
    return dtensors().DTensor.from_local(part, variable.device_mesh, variable.placements, **known)


# ---------------------------------------------------------------------------- numbers


def weighted_mean(values: dict[str, Any], weight: float, group: RankGroup | None = None) -> dict[str, Any]:
    """The mean over the ranks of numbers that each rank has for its share, weighted; what is no number is rank 0's."""
    if not values:
        return values
    shared = process.broadcast_object({name: _number(value) for name, value in values.items()})
    numbers = [_number(values.get(name)) for name, value in shared.items() if isinstance(value, float)]
    sums = [weight * n if isinstance(n, float) and weight else 0.0 for n in numbers]
    total = torch.tensor([*sums, weight], dtype=torch.float64)
    communicate(total, summing(group))
    *sums, weight = total.tolist()
    means = iter([s / weight if weight else float("nan") for s in sums])
    return {name: next(means) if isinstance(value, float) else value for name, value in shared.items()}


def _number(value: Any) -> Any:
    value = as_float(value)
    return value.cpu() if isinstance(value, torch.Tensor) else value


# ---------------------------------------------------------------------------- outputs


def gather_rows(outputs: list[Any], shares: list[RankShare], group: RankGroup | None = None) -> Any:
    """The outputs of all ranks' shares of some batches, in order, on every rank: one message per output."""
    group = group or all_ranks()
    world = group.size
    rows = [[share_of(share.total, rank, world).rows for share in shares] for rank in range(world)]
    most = max(map(sum, rows))

    def gathered(*leaves: Any) -> torch.Tensor:
        tensors = [leaf if isinstance(leaf, torch.Tensor) else torch.as_tensor(leaf) for leaf in leaves]
        if tensors[0].dim() == 0:
            return torch.stack(tensors)
        local = torch.cat([plain(tensor)[: share.rows] for tensor, share in zip(tensors, shares)])
        padded = local.new_zeros((most, *local.shape[1:]))
        padded[: local.shape[0]] = local
        parts = [part[: sum(own)].split(own) for part, own in zip(_all_gather(padded, group), rows)]
        return torch.cat([parts[rank][batch] for batch in range(len(shares)) for rank in range(world)])

    return tree.map_structure(gathered, *outputs)


def _all_gather(tensor: torch.Tensor, group: RankGroup) -> list[torch.Tensor]:
    device = tensor.device
    tensor = tensor.to(_home())
    parts = [torch.empty_like(tensor) for _ in range(group.size)]
    distributed.all_gather(parts, tensor, group=group.handle)
    return [part.to(device) for part in parts]
