"""Lists of parameters and of their state that one kernel can update together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import torch

from torchkeras.core.tensors.sharded import dtensors, is_sharded
from torchkeras.optimizers.wide_weights import WideWeights

_FUSED_DTYPES = (torch.float32, torch.float64)
_FUSED_DEVICES = ("cpu", "cuda")


class ParameterGroup:
    """Parameters of one device, one dtype and one case of the algorithm, with their slots.

    Args:
        indices: of the parameters among the variables that the optimizer was built with.
        positions: of the parameters in the list of gradients.
        parameters: the tensors that training changes.
        slots: the state by name, each a list as long as `parameters`.
        decayed: those of the parameters that weight decay shrinks.
        kind: the case of the algorithm, as `Optimizer._tk_kind_of` says.
    """

    __slots__ = ("indices", "positions", "parameters", "slots", "decayed", "all_decay", "kind", "fusible")

    def __init__(
        self,
        indices: list[int],
        positions: list[int],
        parameters: list,
        slots: dict[str, list],
        decays: list[bool],
        kind: Hashable,
    ) -> None:
        self.indices = indices
        self.positions = positions
        self.parameters = parameters
        self.slots = slots
        self.all_decay = all(decays)
        self.decayed = [p for p, decay in zip(parameters, decays) if decay]
        self.kind = kind
        first = parameters[0]
        self.fusible = (
            first.dtype in _FUSED_DTYPES
            and first.device.type in _FUSED_DEVICES
            and not is_sharded(first)
            # The CPU kernels walk memory in order, whatever the strides say.
            and all(t.is_contiguous() for row in (parameters, *slots.values()) for t in row if t is not None)
        )


class Plan:
    """How the gradients of a set of variables are applied; made once per set, so that a step loops over no variables.

    It holds the local shards of sharded variables; an algorithm that is not elementwise gets the whole from `whole`.
    """

    __slots__ = (
        "indices",
        "variables",
        "groups",
        "shapes",
        "dtypes",
        "device",
        "sharded",
        "accumulators",
        "constrained",
        "all_accumulators",
        "averages",
        "averaged",
        "wide",
    )

    def __init__(self, indices: tuple[int, ...], variables: list, groups: list[ParameterGroup]) -> None:
        self.indices = indices
        self.variables = variables
        self.groups = groups
        self.sharded = any(is_sharded(v) for v in variables)
        self.shapes = [v.shape for v in variables]
        self.dtypes = [v.dtype for v in variables]
        self.device = variables[0].device if variables else None
        self.wide: WideWeights | None = None
        self.constrained = [(v, v.constraint) for v in variables if getattr(v, "constraint", None) is not None]
        self.accumulators: list = []
        self.all_accumulators: list = []
        self.averages: list = []
        self.averaged: list = []

    def fits(self, grads: list) -> bool:
        """Whether the kernels can take these gradients as they are: none missing, right shapes, types and strides.

        torch's fused kernels check none of this but the type, and read past the end of what is too small.
        """
        if self.sharded:
            return False
        for grad, shape, dtype in zip(grads, self.shapes, self.dtypes):
            if not isinstance(grad, torch.Tensor) or grad.is_sparse:
                return False
            if grad.shape != shape or grad.dtype != dtype or not grad.is_contiguous():
                return False
        return len(grads) == len(self.shapes)

    def is_current(self) -> bool:
        """Whether the variables are still where, and of the type that, they were when the plan was made."""
        if not self.variables:
            return True
        first = self.variables[0]
        return first.device == self.device and first.dtype == self.dtypes[0]

    def whole(self, shards: list, like: list) -> list:
        """Local shards as the distributed tensors that they are parts of."""
        return [_rewrap(shard, v) if is_sharded(v) else shard for shard, v in zip(shards, like)]


def local(tensor: Any) -> Any:
    """The part of a distributed tensor that lies here; other tensors as they are."""
    return tensor.to_local() if is_sharded(tensor) else tensor


def _rewrap(shard: torch.Tensor, like: Any) -> Any:
    return dtensors().DTensor.from_local(
        shard, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )


def group_by_kernel(variables: Iterable[torch.Tensor], kind: Callable[[int], Hashable]) -> list[list[int]]:
    """The positions of the variables, grouped by device, dtype, sharding and case of the algorithm."""
    groups: dict[Any, list[int]] = {}
    for position, v in enumerate(variables):
        mesh = (v.device_mesh, v.placements) if is_sharded(v) else None
        groups.setdefault((v.device, v.dtype, mesh, kind(position)), []).append(position)
    return list(groups.values())


def to_parameter(grad: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """A gradient in the type, place and memory order of its parameter: of a sharded one, the local shard.

    Raises:
        ValueError: the shapes differ.
    """
    if not isinstance(grad, torch.Tensor):
        grad = torch.as_tensor(grad)
    if grad.is_sparse:
        grad = grad.to_dense()
    if grad.shape != parameter.shape:
        name = getattr(parameter, "path", None) or "a parameter"
        raise ValueError(
            f"A gradient must have the shape of its variable; {name} has {tuple(parameter.shape)}, "
            f"its gradient {tuple(grad.shape)}."
        )
    if is_sharded(parameter) and is_sharded(grad):
        if grad.placements != parameter.placements:
            grad = grad.redistribute(placements=parameter.placements)
        grad = grad.to_local()
    return grad.to(device=parameter.device, dtype=parameter.dtype).contiguous()
