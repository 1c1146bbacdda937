"""The properties of arguments for which `torch.compile` makes a graph of its own."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch

from torchkeras.core import tree


def kind_of(arguments: Any) -> Hashable:
    """Shapes, types and devices of the tensors in a nest, the plain values in it, and torch's gradient mode."""
    described = [
        (leaf.shape, leaf.dtype, leaf.device, leaf.requires_grad) if isinstance(leaf, torch.Tensor) else _plain(leaf)
        for leaf in tree.flatten(arguments)
    ]
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), *described


def _plain(leaf: Any) -> Hashable:
    if isinstance(leaf, (bool, int, float, str)):
        return leaf
    return type(leaf).__name__
