"""Weights of which each rank has a part: what is known of them, and how a call reads them whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from torchkeras.core.state import state
from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.variables.described import VariableInfo
from torchkeras.core.variables.distributed_variable import as_distributed_variable
from torchkeras.distributed.differentiable import join_weight, sum_gradients
from torchkeras.distributed.process import RankError, is_single
from torchkeras.distributed.rank_group import along


class RankWeight:
    """By how much this rank's gradients count among those of the ranks that share a batch.

    It is the mean, unless the step in progress says otherwise.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.value = 1.0 / size

    def __call__(self) -> float:
        return self.value


class Sharding(NamedTuple):
    """How a weight in parts belongs to a strategy.

    Attributes:
        data_axes: the mesh axes along which the ranks have different rows of a batch.
        weigh: by how much this rank's gradients count along them.
        is_reduced: whether the gradient is reduced over them when backward has run.
    """

    data_axes: tuple[int, ...]
    weigh: Callable[[], float]
    is_reduced: bool


def describe(parameter: nn.Parameter, info: VariableInfo, sharding: Sharding) -> None:
    """Make a weight in parts a variable that knows how it belongs to a strategy."""
    as_distributed_variable(parameter, info)._tk_sharding = sharding


def sharding_of(parameter: Any) -> Sharding:
    """How a weight in parts belongs to a strategy. One that the user sharded: all ranks have rows of their own."""
    known = getattr(parameter, "_tk_sharding", None)
    if known is not None:
        return known  # type: ignore[no-any-return]
    mesh = parameter.device_mesh
    return Sharding(tuple(range(mesh.ndim)), RankWeight(mesh.size()), True)


def gathered(parameter: Any) -> torch.Tensor:
    """The whole weight as a plain tensor, from which gradients come back to the parts."""
    return gathered_but(parameter, None)


def gathered_but(parameter: Any, kept: set[int] | None) -> torch.Tensor:
    """The weight gathered along all axes of its mesh but some.

    Args:
        parameter: a weight in parts.
        kept: the mesh axes along which it stays in parts.
    """
    local, mesh, known = parameter.to_local(), parameter.device_mesh, sharding_of(parameter)
    for mesh_axis in known.data_axes if known.is_reduced else ():
        if not parameter.placements[mesh_axis].is_shard():  # copies of the parts
            local = sum_gradients(local, along(mesh, mesh_axis))
    for mesh_axis, placement in reversed(list(enumerate(parameter.placements))):
        if placement.is_shard() and (kept is None or mesh_axis not in kept):
            weigh = known.weigh if mesh_axis in known.data_axes else None
            axis = placement.dim % parameter.dim()
            local = join_weight(local, along(mesh, mesh_axis), axis, parameter.shape[axis], weigh)
    return local


class GatheredWeights:
    """The weights that a call in progress has gathered.

    Args:
        of_layer: whether layers within share them; a model lets each of its layers gather and forget.
    """

    def __init__(self, of_layer: bool) -> None:
        self.of_layer = of_layer
        self._found: dict[tuple[int, bool], torch.Tensor] = {}

    def read(self, parameter: Any) -> torch.Tensor:
        """The whole weight: gathered once per call."""
        key = (id(parameter), torch.is_grad_enabled())
        if key not in self._found:
            self._found[key] = gathered(parameter)
        return self._found[key]


def gather_in_calls(module: nn.Module) -> None:
    """Let calls of a layer, and of those within, read weights in parts as whole ones."""
    if "_tk_gathers" not in module.__dict__:
        module.__dict__["_tk_gathers"] = []
        module.register_forward_pre_hook(_begin)
        module.register_forward_hook(_end, always_call=True)


def _begin(module: nn.Module, args: Any) -> None:
    before = state.gathered
    module.__dict__["_tk_gathers"].append(before)
    is_layer = not hasattr(type(module), "fit")
    if before is None or not before.of_layer or not is_layer:
        state.set("gathered", GatheredWeights(is_layer))


def _end(module: nn.Module, args: Any, outputs: Any) -> None:
    state.set("gathered", module.__dict__["_tk_gathers"].pop())


def holds_parts(module: nn.Module) -> bool:
    """Whether a module, or one within it, has a weight in parts."""
    return any(is_sharded(parameter) for parameter in module.parameters())


def refuse_parts(module: nn.Module, work: str) -> None:
    """Refuse work that needs whole weights.

    Args:
        module: a layer or a model.
        work: the name of the work, for the message.

    Raises:
        RuntimeError: weights lie in parts on several ranks.
    """
    if holds_parts(module):
        raise RuntimeError(
            f"{work} needs whole weights; those of {getattr(module, 'name', type(module).__name__)!r} lie in parts on "
            "several ranks. Save the model on all ranks, and load it on one: `with "
            "keras.distributed.single_process(): model = keras.models.load_model(path)`."
        )


def refuse_parts_alone(module: nn.Module) -> None:
    """Refuse to compute with weights in parts where this rank works by itself.

    Raises:
        RankError: other ranks have parts of the weights.
    """
    if is_single() and holds_parts(module):
        raise RankError(
            f"{type(module).__name__} has weights in parts on several ranks, so that no rank can compute by itself in "
            "single_process(). Let all ranks make the call, or save the model and load it inside."
        )
