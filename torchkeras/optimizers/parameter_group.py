"""Lists of parameters and of their state that one kernel can update together."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

import torch

from torchkeras.core.tensors.sharded import dtensors, is_sharded
from torchkeras.optimizers.wide_weights import WideWeights

_FUSED_DTYPES = (torch.float32, torch.float64)
_FUSED_DEVICES = ("cpu", "cuda")

CPU_GROUP_BYTES = 4 * 2**20
DEVICE_GROUP_BYTES = 64 * 2**20
"""Of the parameters that are updated together, since many updates make tensors of the size of their parameters. Kernels
of lists of tensors take about as many bytes in one launch on a GPU; on a CPU they are a loop over the tensors."""


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

    __slots__ = (
        "indices",
        "positions",
        "parameters",
        "slots",
        "decayed",
        "all_decay",
        "kind",
        "fusible",
        "is_large",
        "accumulators",
        "averages",
        "averaged",
        "constrained",
        "part",
    )

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
        # The CPU kernels walk memory in order, whatever the strides say.
        is_contiguous = not is_sharded(first) and all(
            t.is_contiguous() for row in (parameters, *slots.values()) for t in row if t is not None
        )
        self.fusible = is_contiguous and first.dtype in _FUSED_DTYPES and first.device.type in _FUSED_DEVICES
        self.is_large = is_contiguous and len(parameters) == 1 and _bytes(first) > group_bytes(first.device)
        """Whether it is one parameter of more bytes than a group has, which `parts` can cut."""
        self.accumulators: list = []
        """Where gradients are added up, with `gradient_accumulation_steps`."""
        self.averages: list = []
        """The moving averages, with `use_ema`."""
        self.averaged: list = []
        """The values that they are the averages of."""
        self.constrained: list = []
        """Pairs of a variable and its constraint."""
        self.part: slice | None = None
        """Of the numbers of the only parameter, the part that this group is."""

    def parts(self) -> Iterator[ParameterGroup]:
        """Groups of the parts of the only parameter of a large group.

        The parts are made for one update, since a parameter may get other memory after it (`weight.data = ...`).
        """
        first = self.parameters[0]
        count = group_bytes(first.device) // first.element_size()
        for start in range(0, first.numel(), count):
            part = slice(start, min(start + count, first.numel()))
            slots = {
                name: [slot if slot is None or slot.shape != first.shape else _flat(slot)[part] for slot in row]
                for name, row in self.slots.items()
            }
            cut = ParameterGroup(self.indices, self.positions, [_flat(first)[part]], slots, [self.all_decay], self.kind)
            cut.part = part
            yield cut


class Plan:
    """How the gradients of a set of variables are applied; made once per set, so that a step loops over no variables.

    It holds the local shards of sharded variables; an algorithm that is not elementwise gets the whole from `whole`.
    """

    __slots__ = (
        "indices",
        "variables",
        "groups",
        "wholes",
        "shapes",
        "dtypes",
        "device",
        "sharded",
        "accumulators",
        "all_accumulators",
        "idle",
        "wide",
    )

    def __init__(self, indices: tuple[int, ...], variables: list, groups: list[ParameterGroup]) -> None:
        self.indices = indices
        self.variables = variables
        self.groups = groups
        self.wholes = groups
        """The groups where nothing of the size of a group is computed on the way: all parameters of a kernel's."""
        self.sharded = any(is_sharded(v) for v in variables)
        self.shapes = [v.shape for v in variables]
        self.dtypes = [v.dtype for v in variables]
        self.device = variables[0].device if variables else None
        self.wide: WideWeights | None = None
        self.accumulators: list = []
        self.all_accumulators: list = []
        self.idle: list[ParameterGroup] = []
        """The variables that are not updated and whose averages move all the same."""

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


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().view(-1)


def group_bytes(device: torch.device) -> int:
    """How many bytes of parameters are updated together on a device."""
    return CPU_GROUP_BYTES if device.type == "cpu" else DEVICE_GROUP_BYTES


def cut_by_bytes(positions: Sequence[int], variables: Sequence[torch.Tensor]) -> list[list[int]]:
    """Positions in groups of at most `group_bytes`; a variable of more bytes is a group of its own.

    It is the same on all ranks, whatever rows of a distributed variable lie on each.
    """
    groups: list[list[int]] = []
    room = 0
    for position in positions:
        size = _bytes(variables[position])
        if size > room:
            groups.append([])
            room = group_bytes(variables[position].device)
        groups[-1].append(position)
        room -= size
    return groups


def _bytes(variable: torch.Tensor) -> int:
    """The bytes of a variable, of a distributed one the mean over its parts."""
    parts = 1
    if is_sharded(variable):
        mesh, placements = variable.device_mesh, variable.placements  # type: ignore[attr-defined]
        parts = math.prod(mesh.size(axis) for axis, placement in enumerate(placements) if placement.is_shard())
    return variable.numel() * variable.element_size() // parts


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
