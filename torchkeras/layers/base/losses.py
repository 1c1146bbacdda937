"""Losses that layers add while they run, and those of regularizers.

The losses of a call stay until the outermost layer of that call is called again. Each layer notes the outermost layer
under which it added its losses, so that a layer shared by two models never shows one model's losses in the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

import torch
from torch import nn

from torchkeras.core import tree
from torchkeras.core.state import state
from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.types import Nest
from torchkeras.core.variables.variable import VariableInfo
from torchkeras.distributed.sharded_weights import gathered
from torchkeras.layers.base.values import read_weight
from torchkeras.layers.base.weight_walk import Attachments, layer_tree, own_weights

# Layers that hold losses of a call; none of them is kept alive.
_holders: WeakSet[nn.Module] = WeakSet()


def add(layer: nn.Module, loss: Nest[torch.Tensor]) -> None:
    """Add to the losses of the call in progress."""
    scope = state.stateless
    if state.symbolic or (scope is not None and scope.drops_losses):
        return
    own, outermost = layer.__dict__, layer if state.entry is None else state.entry
    for one in tree.flatten(loss):
        if scope is not None and scope.collect_losses:
            scope.add_loss(one)
        own["_tk_losses"].append(one)
    own["_tk_losses_under"] = id(outermost)
    outermost._tk_has_losses = True
    if not torch.compiler.is_compiling():
        _holders.add(layer)


def clear(layer: Any) -> None:
    """Forget the losses of the last call of an outermost layer."""
    layer._tk_has_losses = False
    for within in layer_tree(layer):
        forget(within)


def forget(layer: Any) -> None:
    """Forget a layer's own losses."""
    layer._tk_losses.clear()
    if not torch.compiler.is_compiling():
        _holders.discard(layer)


def forget_earlier(layer: Any) -> None:
    """Forget a layer's own losses where they are of an earlier call than the one in progress."""
    if state.entry is None or layer._tk_losses_under != id(state.entry):
        forget(layer)


def add_activity(layer: Any, outputs: Nest[torch.Tensor]) -> None:
    """Add the activity regularizer's loss of the outputs, per sample."""
    for tensor in tree.flatten(outputs):
        if isinstance(tensor, torch.Tensor):
            layer.add_loss(layer.activity_regularizer(tensor) / max(1, tensor.shape[0] if tensor.dim() else 1))


def may_exist(model: Any) -> bool:
    """Whether the model can have losses beside that of `compile()`: a quick look before `model.losses` walks it.

    The answer is cached in the model until any weight is given a regularizer or any layer is put into another.
    """
    if _holders or torch.compiler.is_compiling():
        return True
    version = (VariableInfo.regularizers_set, Attachments.count)
    known = model.__dict__.get("_tk_regularized")
    if known is None or known[0] != version:
        infos = (weight.info for module in model.modules() for weight in own_weights(module))
        found = any(info is not None and info.regularizer is not None for info in infos)
        known = model.__dict__["_tk_regularized"] = (version, found)
    return known[1]


def added(layer: Any) -> list[torch.Tensor]:
    """The losses that the layer and those within added in the last call."""
    return [loss for within in layer_tree(layer) for loss in within._tk_losses]


def of_regularizers(layer: Any) -> list[torch.Tensor]:
    """The losses of the regularizers of trainable weights, each weight once."""
    return [regularizer(weight) for regularizer, weight in _regularized_weights(layer)]


def _regularized_weights(layer: Any) -> Iterator[tuple[Any, torch.Tensor]]:
    seen = set()
    for within in layer.modules():  # torch modules under torch_view hold weights of layers
        for _, weight, info in own_weights(within):
            if info is None or info.regularizer is None or not info.trainable or not weight.requires_grad:
                continue
            if isinstance(weight, nn.Parameter) and id(weight) not in seen:
                seen.add(id(weight))
                yield info.regularizer, _value_of(weight, info)


def _value_of(weight: torch.Tensor, info: VariableInfo) -> torch.Tensor:
    if is_sharded(weight):
        return gathered(weight)
    return read_weight(weight, info) if state.special else weight
