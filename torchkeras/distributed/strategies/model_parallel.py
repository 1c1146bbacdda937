"""Model parallel training: weights lie in parts on several ranks, as a `LayoutMap` says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from torchkeras.core.tensors.sharded import dtensors
from torchkeras.core.user_warnings import warn_user
from torchkeras.core.variables.variable import Variable
from torchkeras.distributed import collectives, distributions, process
from torchkeras.distributed.mesh import LayoutMap, TensorLayout
from torchkeras.distributed.rank_group import RankGroup, along
from torchkeras.distributed.rank_share import RankBatch
from torchkeras.distributed.sharded_weights import (
    RankWeight,
    Sharding,
    describe,
    gather_in_calls,
    holds_parts,
)
from torchkeras.distributed.split_layers import heads_call, split_call
from torchkeras.distributed.strategies.base import Step, TrainedModel
from torchkeras.distributed.strategies.data_parallel import DataParallel


class ModelParallel(DataParallel):
    """Weights in parts along some axes of a mesh, batches along another one.

    Between layers every rank has whole activations of its rows, so that ranks along the axes of the model do the same
    wherever a layer does not compute in parts. Weights that are whole are reduced like those of data parallel ranks,
    in one message after the backward pass.
    """

    @classmethod
    def is_wanted(cls) -> bool:
        chosen = distributions.distribution()
        return process.is_joined() and isinstance(chosen, distributions.ModelParallel)

    def __init__(self) -> None:
        super().__init__()
        self.distribution: Any = distributions.distribution()
        mesh = self.distribution.device_mesh
        self.mesh = mesh.backend_mesh
        self.data_axis = mesh.axis_index(self.distribution.batch_dim_name)
        self.rank_weight = rank_weight_of(mesh, self.group.size)

    def _group(self) -> RankGroup:
        chosen: Any = distributions.distribution()
        mesh = chosen.device_mesh
        return along(mesh.backend_mesh, mesh.axis_index(chosen.batch_dim_name))

    # -- weights

    def place(self, model: nn.Module) -> dict[int, torch.Tensor]:
        wanted = find_layouts(self.distribution, model)
        replaced: dict[int, torch.Tensor] = {}
        for variable, layout in wanted:
            replaced[id(variable)] = self._in_parts(variable, layout)
        if replaced:
            put_in_place(model, replaced)
        if replaced or holds_parts(model):
            for module in model.modules():
                if holds_parts(module):
                    gather_in_calls(module)
                    _compute_in_parts(module)
        return replaced

    def _in_parts(self, variable: Variable, layout: TensorLayout) -> nn.Parameter:
        module, placements = dtensors(), layout.placements()
        local = collectives.plain(variable)
        for axis, placement in enumerate(placements):
            if placement.is_shard():
                local = local.chunk(self.mesh.size(axis), dim=placement.dim)[self.mesh.get_local_rank(axis)]
        local = local.clone(memory_format=torch.contiguous_format)
        parameter = nn.Parameter(
            module.DTensor.from_local(local, self.mesh, placements, run_check=False),
            requires_grad=variable.requires_grad,
        )
        is_reduced = placements[self.data_axis].is_shard()
        describe(parameter, variable.info, Sharding((self.data_axis,), self.rank_weight, is_reduced))
        return parameter

    # -- steps

    def compiles_steps(self, model: nn.Module) -> bool:
        return True

    def trained(self, model: nn.Module, weights: Sequence[Any]) -> TrainedModel:
        return ShardedModel(model, weights, self.group)

    def runner(self, step: Step, metrics: Callable[[], Iterable[Any]]) -> Callable[[RankBatch], Any]:
        return weighing(self.rank_weight, step, super().runner(step, metrics))


def find_layouts(distribution: distributions.ModelParallel, model: nn.Module) -> list[tuple[Variable, TensorLayout]]:
    """The weights that are to be split and are whole yet.

    Raises:
        ValueError: an axis can't be split as the layout says.
    """
    found: list[tuple[Variable, TensorLayout]] = []
    problems: list[str] = []
    variables = {id(v): v for v in _variables(model)}.values()
    for variable in variables:
        layout = distribution.get_variable_layout(variable)
        if not any(layout.axes):
            continue
        wrong = _problems(variable, layout)
        problems += wrong
        if not wrong:
            found.append((variable, layout))
    if problems:
        raise ValueError("The layout map can't be applied to the model:\n" + "\n".join(problems))
    _warn_of_unused(distribution.layout_map, model, list(variables))
    return found


def _warn_of_unused(layouts: LayoutMap, model: nn.Module, variables: list[Variable]) -> None:
    if not variables or model.__dict__.get("_tk_layouts_checked"):
        return
    model.__dict__["_tk_layouts_checked"] = True
    used = {id(layouts[v.path]) for v in variables}
    unused = [key for key in layouts if id(layouts.get(key)) not in used and not key.endswith("output")]
    if unused and process.is_main_process():
        warn_user(
            f"No weight has a path that the layout map's keys {unused} match. A key is a regular expression for a "
            f"whole path, such as {variables[0].path!r}: begin it with '.*' to match the end of paths."
        )


def weighing(weight: RankWeight, step: Step, run: Callable[[RankBatch], Any]) -> Callable[[RankBatch], Any]:
    """A step in which this rank's gradients count by its rows; the library's step weighs its loss instead."""
    if not step.is_own:
        return run

    def run_weighed(batch: RankBatch) -> Any:
        weight.value = batch.share.fraction
        try:
            return run(batch)
        finally:
            weight.value = 1.0 / weight.size

    return run_weighed


def rank_weight_of(mesh: Any, size: int) -> RankWeight:
    """The weight of this rank's gradients: one object per mesh, which the weights in parts refer to."""
    known = mesh.__dict__.get("_rank_weight")
    if known is None:
        known = mesh.__dict__["_rank_weight"] = RankWeight(size)
    return known  # type: ignore[no-any-return]


def _variables(model: nn.Module) -> Iterator[Variable]:
    """The trained weights that are whole; buffers, which layers change in place, stay so."""
    for module in model.modules():
        for parameter in module._parameters.values():
            if isinstance(parameter, Variable):
                yield parameter


def _problems(variable: Variable, layout: TensorLayout) -> list[str]:
    mesh, shape = layout.device_mesh, tuple(variable.shape)
    assert mesh is not None
    head = f"- {variable.path} of shape {shape}, layout {layout.axes}"
    if len(layout.axes) != len(shape):
        return [f"{head}: a layout must have an entry for each of the {len(shape)} axes."]
    named = [name for name in layout.axes if name is not None]
    if len(set(named)) < len(named):
        return [f"{head}: only one axis can be split over a mesh axis."]
    return [
        f"{head}: axis {axis} of size {size} can't be split evenly over the {ranks} ranks of {name!r}."
        for axis, (size, name) in enumerate(zip(shape, layout.axes))
        if name is not None and size % (ranks := mesh.shape[mesh.axis_index(name)])
    ]


def put_in_place(model: nn.Module, replaced: dict[int, torch.Tensor]) -> None:
    """Let every module hold the new tensors in the places of the old ones."""
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and id(parameter) in replaced:
                mark_replaced(parameter)
                module._parameters[name] = replaced[id(parameter)]  # type: ignore[assignment]


def mark_replaced(parameter: torch.Tensor) -> None:
    """Note that a weight is no longer the model's, for optimizers that hold it."""
    parameter._tk_replaced = True  # type: ignore[attr-defined]


def _compute_in_parts(module: nn.Module) -> None:
    """Let a layer that can compute on its part of a weight do so."""
    if "call" in module.__dict__:
        return
    for within in module.children():
        _compute_in_parts(within)  # an attention layer asks how its projections compute
    call = split_call(module) or heads_call(module)
    if call is not None:
        module.__dict__["call"] = call


class ShardedModel(TrainedModel):
    """The forward pass of a model with weights in parts, and the gradients of the global batch.

    Args:
        model: the model.
        weights: the weights that train.
        group: the ranks that have different rows.
    """

    def __init__(self, model: nn.Module, weights: Sequence[Any], group: RankGroup) -> None:
        super().__init__(model, weights)
        self.group = group

    def backward(self, loss: torch.Tensor, batch: RankBatch) -> None:
        # Gradients are averaged over the ranks; a rank's must count by its rows.
        super().backward(loss * (batch.share.fraction * self.group.size), batch)

    def gradients(self) -> list[torch.Tensor | None]:
        return collectives.reduce_gradients(super().gradients(), self.weights, 1.0 / self.group.size, self.group)[0]
