"""In which order a layer's weights stand in a legacy file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch

from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.weight_walk import own_weights


class OwnedWeight(NamedTuple):
    """A weight, the layer that owns it (within the layer in question), and the attribute that holds it there."""

    tensor: torch.Tensor
    owner: Layer
    name: str


# How Keras 1 calls weights.
_OLD_NAMES = {
    "W": "kernel",
    "b": "bias",
    "U": "recurrent_kernel",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",
    "alphas": "alpha",
}


def legacy_weights(layer: Layer) -> list[OwnedWeight]:
    """The weights as Keras writes them into these files: first those that train, then the others."""
    return _owned(layer, [*layer.trainable_weights, *layer.non_trainable_weights])


def own_legacy_weights(model: Layer) -> list[OwnedWeight]:
    """The weights of the model itself, without its layers'; first those that train."""
    own = [OwnedWeight(weight.tensor, model, weight.name) for weight in own_weights(model)]
    counted = {id(weight) for weight in model.weights}
    own = [weight for weight in own if id(weight.tensor) in counted]
    return sorted(own, key=lambda weight: not isinstance(weight.tensor, torch.nn.Parameter))


def orders(layer: Layer) -> list[list[OwnedWeight]]:
    """The orders that a file may have, that of the layer as it is first.

    The order depends on what was frozen when the file was written: a part that does not train keeps its weights
    together, at the end.
    """
    by_layer = list(layer.weights)
    trainable_first = sorted(by_layer, key=lambda weight: not isinstance(weight, torch.nn.Parameter))
    found = [legacy_weights(layer)]
    for candidate in (_owned(layer, trainable_first), _owned(layer, by_layer)):
        if all([id(w.tensor) for w in candidate] != [id(w.tensor) for w in known] for known in found):
            found.append(candidate)
    return found


def _owned(layer: Layer, tensors: Sequence[torch.Tensor]) -> list[OwnedWeight]:
    owners: dict[int, OwnedWeight] = {}
    for module in layer.modules():
        if isinstance(module, Layer):
            for weight in own_weights(module):
                owners.setdefault(id(weight.tensor), OwnedWeight(weight.tensor, module, weight.name))
    return [owners.get(id(tensor)) or OwnedWeight(tensor, layer, "") for tensor in tensors]


def agreement(weights: Sequence[OwnedWeight], names: Sequence[str]) -> int:
    """How many weights have the name that the file has at their place."""
    return sum(base_name(name) == weight.name for weight, name in zip(weights, names))


def base_name(name: str) -> str:
    """The name of a weight without its layer's: `dense_1/kernel:0`, `dense_1_W` and `kernel` have one."""
    last = name.rsplit("/", 1)[-1].split(":")[0]
    for old, new in _OLD_NAMES.items():
        if last.endswith("_" + old) or re.search(rf"_{old}_\d+$", last):
            return new
    return re.sub(r"_\d+$", "", last)
