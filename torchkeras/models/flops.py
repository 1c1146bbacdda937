"""Floating point operations of the layers of a model, counted by running it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from torchkeras.core import tree
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors import dtypes


def flops_of(model: Any, layers: list[Any]) -> dict[int, int]:
    """Run a model on one sample of zeros and count the floating point operations of matrix products and convolutions.

    A multiplication with an addition counts as two, as in torch's own counter.

    Args:
        model: the model.
        layers: the layers.

    Returns:
        Counts by the `id` of a layer, and of the model. They are missing where the model's inputs are not known, and
        for layers that are no torch modules.
    """
    inputs = _one_sample(model)
    if inputs is None:
        return {}
    counter = FlopCounterMode(display=False)
    counts: dict[int, int] = {}
    starts: dict[int, list[int]] = {}

    def begin(module: nn.Module, _: Any) -> None:
        starts.setdefault(id(module), []).append(counter.get_total_flops())

    def end(module: nn.Module, *_: Any) -> None:
        done = counter.get_total_flops() - starts[id(module)].pop()
        counts[id(module)] = counts.get(id(module), 0) + done

    modules = {id(layer): layer for layer in [model, *layers] if isinstance(layer, nn.Module)}
    hooks = []
    for module in modules.values():
        hooks += [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
    try:
        with torch.no_grad(), counter:
            model(inputs, training=False)
    finally:
        for hook in hooks:
            hook.remove()
    return counts


def _one_sample(model: Any) -> Any:
    """Zeros in the form of a model's inputs, 1 in place of sizes that are not known; `None` if the inputs aren't."""
    graph = model.__dict__.get("_tk_graph")
    if graph is None:
        return None
    first = next(iter(model.parameters()), None)
    device = first.device if first is not None else None

    def zeros(symbol: KerasTensor) -> torch.Tensor:
        sizes = [size or 1 for size in symbol.shape]
        return torch.zeros(sizes, dtype=dtypes.torch_dtype(symbol.dtype), device=device)

    return tree.map_structure(zeros, graph.inputs_struct)
