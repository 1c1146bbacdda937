"""Messages between ranks that gradients pass through.

The ranks of a group compute one function together. Activations that all of them have count once: their gradient is the
same on every rank. Of a tensor in parts, each rank has the gradient of its part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import distributed

from torchkeras.distributed.rank_group import RankGroup, all_ranks

# torch 2.13 has new names for these two, and warns of the old ones, which the versions before have alone.
_all_gather = getattr(distributed, "all_gather_single", distributed.all_gather_into_tensor)
reduce_scatter = getattr(distributed, "reduce_scatter_single", distributed.reduce_scatter_tensor)


def sum_over(x: torch.Tensor, group: RankGroup) -> torch.Tensor:
    """The sum of the ranks' tensors, on every rank. The gradient passes unchanged."""
    return x if group.size == 1 else _Sum.apply(x, group)  # type: ignore[no-any-return, no-untyped-call]


def sum_of_shares(x: torch.Tensor, group: RankGroup | None) -> torch.Tensor:
    """The sum of the ranks' tensors where each rank has rows and a loss of its own: the gradient is the sum, too.

    Args:
        x: this rank's tensor.
        group: the ranks; `None`: all.
    """
    return _SumOfShares.apply(x, group or all_ranks())  # type: ignore[no-any-return, no-untyped-call]


def sum_gradients(x: torch.Tensor, group: RankGroup) -> torch.Tensor:
    """The tensor itself, which each rank uses for its part of a computation: its gradient is the sum of the ranks'."""
    return x if group.size == 1 else _SumGradients.apply(x, group)  # type: ignore[no-any-return, no-untyped-call]


def join(x: torch.Tensor, group: RankGroup, axis: int) -> torch.Tensor:
    """The ranks' parts, one behind the other along `axis`, on every rank; all parts are of one size."""
    return x if group.size == 1 else _Join.apply(x, group, axis % x.dim())  # type: ignore[no-any-return, no-untyped-call]


def part(x: torch.Tensor, group: RankGroup, axis: int) -> torch.Tensor:
    """This rank's part along `axis` of a tensor that all ranks have; its size must be a multiple of the ranks."""
    return x if group.size == 1 else _Part.apply(x, group, axis % x.dim())  # type: ignore[no-any-return, no-untyped-call]


def join_weight(
    x: torch.Tensor, group: RankGroup, axis: int, total: int, weigh: Callable[[], float] | None
) -> torch.Tensor:
    """A weight made of the ranks' parts, which may be of different sizes, as torch's `chunk` makes them.

    Args:
        x: this rank's part.
        group: the ranks.
        axis: the axis along which the weight is split.
        total: the size of the whole weight along it.
        weigh: by how much this rank's gradient counts in the sum over the ranks, if they have different rows of a
            batch. `None`: they have the same rows and the same gradient.
    """
    return _JoinWeight.apply(x, group, axis, total, weigh)  # type: ignore[no-any-return, no-untyped-call]


def _own_part(x: torch.Tensor, group: RankGroup, axis: int) -> torch.Tensor:
    size = x.shape[axis] // group.size
    return x.narrow(axis, group.rank * size, size).contiguous()


def _all_parts(x: torch.Tensor, group: RankGroup, axis: int) -> torch.Tensor:
    found = x.new_empty((group.size, *x.shape))
    _all_gather(found.view(-1, *x.shape[1:]) if x.dim() else found, x.contiguous(), group.handle)
    return torch.cat(found.unbind(0), dim=axis)


def _summed(x: torch.Tensor, group: RankGroup) -> torch.Tensor:
    x = x.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(x, group=group.handle)
    return x


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, group: RankGroup) -> torch.Tensor:
        return _summed(x, group)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[Any, ...]:
        return grads[0], None


class _SumOfShares(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, group: RankGroup) -> torch.Tensor:
        ctx.group = group
        return _summed(x, group)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[Any, ...]:
        return _summed(grads[0], ctx.group), None


class _SumGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, group: RankGroup) -> torch.Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[Any, ...]:
        return _summed(grads[0], ctx.group), None


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, group: RankGroup, axis: int) -> torch.Tensor:
        ctx.group, ctx.axis = group, axis
        return _all_parts(x, group, axis)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[Any, ...]:
        return _own_part(grads[0], ctx.group, ctx.axis), None, None


class _Part(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, group: RankGroup, axis: int) -> torch.Tensor:
        ctx.group, ctx.axis = group, axis
        return _own_part(x, group, axis)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[Any, ...]:
        return _all_parts(grads[0], ctx.group, ctx.axis), None, None


class _JoinWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, group: RankGroup, axis: int, total: int, weigh: Any) -> torch.Tensor:
        ctx.group, ctx.axis, ctx.rows, ctx.weigh = group, axis, x.shape[axis], weigh
        ctx.chunk = chunk = -(-total // group.size)
        return _all_parts(_padded(x, axis, chunk), group, axis).narrow(axis, 0, total)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[Any, ...]:
        group, axis = ctx.group, ctx.axis
        grad = _padded(grads[0], axis, ctx.chunk * group.size)
        if ctx.weigh is None:
            mine = grad.narrow(axis, group.rank * ctx.chunk, ctx.chunk)
        else:
            parts = torch.stack(grad.chunk(group.size, dim=axis)) * ctx.weigh()
            mine = parts.new_empty(parts.shape[1:])
            reduce_scatter(mine, parts.view(-1, *parts.shape[2:]), group=group.handle)
        return mine.narrow(axis, 0, ctx.rows).contiguous(), None, None, None, None


def _padded(x: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    missing = size - x.shape[axis]
    if not missing:
        return x
    shape = list(x.shape)
    shape[axis] = missing
    return torch.cat([x, x.new_zeros(shape)], dim=axis)
