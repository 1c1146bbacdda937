"""Ops of neural networks: activations under the names that graphs in Keras's files give them."""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.core.op import op
from torchkeras.ops.promote import float_tensor, tensor


@op(file_module="keras.src.ops.nn")
def relu(x: Tensor) -> Tensor:
    """`max(x, 0)`."""
    return torch.relu(tensor(x))


@op(file_module="keras.src.ops.nn")
def gelu(x: Tensor, approximate: bool = True) -> Tensor:
    """`x * P(X <= x)` for a standard normal `X`; by default its tanh approximation (arXiv:1606.08415)."""
    return torch.nn.functional.gelu(float_tensor(x), approximate="tanh" if approximate else "none")
