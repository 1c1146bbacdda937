"""Layers that compute on their parts of a weight, instead of gathering it.

A layer says for each axis of its weight where the axis meets the inputs and the outputs (`Split`). From that follow the
messages: a rank takes the part of the inputs that its part of the weight is multiplied with and the products are
summed, or it computes a part of the outputs and these are joined.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from torchkeras.core.state import state
from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.distributed.differentiable import join, part, sum_gradients, sum_over
from torchkeras.distributed.rank_group import RankGroup, along
from torchkeras.distributed.sharded_weights import gathered_but, sharding_of
from torchkeras.ops.numpy.indexing import from_the_front


class Split(NamedTuple):
    """Where an axis of a layer's weight is found in the inputs and in the outputs.

    Attributes:
        inputs: the inputs' axis that it meets. Without `outputs` the product is summed over it.
        outputs: the outputs' axis that it gives.
        is_lookup: whether the inputs are indices into it.
    """

    inputs: int | None = None
    outputs: int | None = None
    is_lookup: bool = False


class SplitLayer(Protocol):
    """A layer whose weight can be used in parts."""

    _tk_split_weight: str
    """The attribute of the weight."""
    _parameters: dict[str, Any]
    call: Any

    def _tk_splits(self) -> Sequence[Split | None] | None:
        """The role of each axis of the weight; `None` where a part is of no use, for an axis or for all."""

    def _tk_product(self, inputs: Tensor, weight: Tensor, **kwargs: Any) -> Tensor:
        """The outputs without bias and activation, for a part of the weight."""

    def _tk_finish(self, outputs: Tensor, bias: Tensor | None) -> Tensor:
        """Bias and activation, for whole outputs."""


class _SplitAxis(NamedTuple):
    mesh_axis: int
    group: RankGroup
    axis: int
    split: Split


class SplitCall:
    """Takes the place of a layer's `call` where its weight is in parts that it can use.

    Args:
        layer: the layer.
        axes: the axes by which it computes in parts.
    """

    def __init__(self, layer: SplitLayer, axes: list[_SplitAxis]) -> None:
        self.layer = layer
        self.axes = axes
        self.takes_parts = False
        """Whether the inputs are in parts already, along the axis that the product is summed over."""
        self.gives_parts = False
        """Whether the outputs stay in parts, since the layer behind takes them so."""

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        layer: Any = self.layer
        if state.symbolic:
            return type(layer).call(layer, inputs, *args, **kwargs)  # type: ignore[no-any-return]
        parameter = layer._parameters[layer._tk_split_weight]
        weight = gathered_but(parameter, {one.mesh_axis for one in self.axes})
        if state.autocast is not None and parameter._info.autocast:
            weight = weight.to(state.autocast)
        inside = None
        for one in self.axes:
            if one.split.is_lookup:
                inputs, inside = _own_indices(inputs, one, parameter.shape[one.axis])
            elif one.split.inputs is None:
                inputs = sum_gradients(inputs, one.group) if inputs.requires_grad else inputs
        for one in self.axes:
            if one.split.inputs is not None and not one.split.is_lookup and not self.takes_parts:
                inputs = part(inputs, one.group, one.split.inputs)
        kwargs.pop("training", None)
        outputs = layer._tk_product(inputs, weight, **kwargs)
        if inside is not None:
            outputs = outputs * inside.unsqueeze(-1).to(outputs.dtype)
        for one in self.axes:
            if one.split.outputs is None:
                outputs = sum_over(outputs, one.group)
            elif not self.gives_parts:
                outputs = join(outputs, one.group, one.split.outputs)
        return layer._tk_finish(outputs, self._bias())  # type: ignore[no-any-return]

    def _bias(self) -> Tensor | None:
        bias = getattr(self.layer, "bias", None)
        if bias is None or not self.gives_parts:
            return bias
        (one,) = self.axes  # heads, the first axis of the bias
        return part(bias, one.group, 0)


def _own_indices(indices: Tensor, one: _SplitAxis, total: int) -> tuple[Tensor, Tensor]:
    """The indices counted from the first row that lies here, and which of them lie here; the others are 0."""
    indices = from_the_front(indices, total)
    looks = indices.device.type == "cpu" and indices.numel() and not torch.compiler.is_compiling()
    if looks and not 0 <= int(indices.min()) <= int(indices.max()) < total:
        raise IndexError(
            f"Indices must be in [-{total}, {total}); counted from the front, the smallest is {int(indices.min())} and "
            f"the largest {int(indices.max())}."
        )
    rows = total // one.group.size
    own = indices - one.group.rank * rows
    inside = (own >= 0) & (own < rows)
    return torch.where(inside, own, 0), inside


def split_call(module: nn.Module) -> SplitCall | None:
    """The call of a layer that computes on its part of a weight; `None` for one that can't, or need not."""
    layer: Any = module
    name = getattr(type(module), "_tk_split_weight", None)
    parameter: Any = None if name is None else module._parameters.get(name)
    if parameter is None or not is_sharded(parameter):
        return None
    splits = layer._tk_splits()
    if splits is None:
        return None
    axes = []
    data_axes = sharding_of(parameter).data_axes
    for mesh_axis, placement in enumerate(parameter.placements):
        if placement.is_shard() and mesh_axis not in data_axes and (split := splits[placement.dim]) is not None:
            axes.append(_SplitAxis(mesh_axis, along(parameter.device_mesh, mesh_axis), placement.dim, split))
    return SplitCall(layer, axes) if axes else None


# ---------------------------------------------------------------------------- attention


class Heads(NamedTuple):
    """The projections of an attention layer, each with the axis of its kernel that counts heads."""

    to_heads: list[tuple[nn.Module, int]]
    from_heads: tuple[nn.Module, int]


class HeadsCall:
    """Takes the place of an attention layer's `call` where each rank has some of the heads.

    Args:
        layer: the layer.
        group: the ranks that share the heads.
    """

    def __init__(self, layer: Any, group: RankGroup) -> None:
        self.layer = layer
        self.group = group
        self._signature = inspect.signature(type(layer).call)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        arguments = self._signature.bind(self.layer, *args, **kwargs).arguments
        mask = arguments.get("attention_mask")
        if mask is not None and mask.dim() > 3 and mask.shape[-3] > 1 and not state.symbolic:
            arguments["attention_mask"] = mask.chunk(self.group.size, dim=-3)[self.group.rank]
        arguments.pop("self")
        found = type(self.layer).call(self.layer, **arguments)
        if state.symbolic or not isinstance(found, tuple) or found[1] is None:
            return found
        outputs, scores = found
        return outputs, join(scores, self.group, scores.dim() - 2 * len(self.layer._attention_axes) - 1)


def heads_call(module: nn.Module) -> HeadsCall | None:
    """The call of an attention layer whose projections are all split by heads over the same ranks, else `None`."""
    find = getattr(module, "_tk_heads", None)
    heads: Heads | None = None if find is None else find()
    if heads is None:
        return None
    calls = [(dense.__dict__.get("call"), axis) for dense, axis in (*heads.to_heads, heads.from_heads)]
    if not all(isinstance(call, SplitCall) and [one.axis for one in call.axes] == [axis] for call, axis in calls):
        return None
    if len({call.axes[0].mesh_axis for call, _ in calls}) > 1:
        return None
    for call, _ in calls[:-1]:
        call.gives_parts = True
    calls[-1][0].takes_parts = True
    return HeadsCall(module, calls[0][0].axes[0].group)
