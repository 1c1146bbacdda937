"""Images whose channels lie side by side in memory, in graphs that torch compiles.

Torch's compiler changes how all tensors of four dimensions around convolutions lie in memory: the values along the
second dimension side by side, as convolutions read `(N, C, H, W)` fastest. The images of this library are
`(N, H, W, C)`, and only a convolution sees them as `(N, C, H, W)`. Between convolutions their second dimension is the
height, so the compiler would have each activation write a turned image, and turn it back for the next convolution. The
channels lie side by side already, and the compiler is asked to leave that as it is. A training step of a small ResNet
then takes half the time (torch 2.13, one core).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from torchkeras.core.fast_paths.switch import fast_paths_enabled

_CONVOLUTIONS = {torch.conv1d, torch.conv2d, torch.conv_transpose1d, torch.conv_transpose2d, torch.convolution}


def layout_options(graph: fx.GraphModule) -> dict[str, Any]:
    """Options by which torch's compiler leaves layouts alone; none for a graph whose images need another layout.

    Args:
        graph: the graph of torch's functions, whose nodes have examples of their results.
    """
    if not fast_paths_enabled():
        return {}
    images = [
        node.args[0].meta.get("example_value") if node.args and isinstance(node.args[0], fx.Node) else None
        for part in graph.modules()
        if isinstance(part, fx.GraphModule)
        for node in part.graph.nodes
        if node.op == "call_function" and node.target in _CONVOLUTIONS
    ]
    if images and all(isinstance(x, Tensor) and _has_channels_last(x) for x in images):
        return {"layout_optimization": False}
    return {}


def _has_channels_last(x: Tensor) -> bool:
    """Whether the values along the second dimension of a tensor lie side by side."""
    stride, size = x.stride(1), x.shape[1]
    return (type(stride) is int and stride == 1) or (type(size) is int and size == 1)  # to compare others fixes them
