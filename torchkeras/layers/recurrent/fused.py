"""What the calls of torch's recurrent kernels share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from torchkeras.layers.recurrent.packed import Packed

Result = tuple[Tensor, Tensor, list[Tensor]]


def adjacent(weights: list[Tensor]) -> list[Tensor]:
    """On CUDA, the weights as pieces of one new tensor, as cuDNN takes them without a copy (and a warning)."""
    if weights[0].device.type != "cuda":
        return weights
    flat = torch.cat([weight.reshape(-1) for weight in weights])
    pieces = flat.split([weight.numel() for weight in weights])
    return [piece.view(weight.shape) for piece, weight in zip(pieces, weights, strict=True)]


def run_outputs_as_states(
    kernel: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    inputs: Tensor,
    states: list[Tensor],
    mask: Tensor | None,
    zero_masked: bool,
    keep_all: bool,
) -> Result:
    """A whole sequence of a cell whose state is its output: the last output, all outputs, the last states."""
    if mask is None:
        outputs, h = kernel(inputs, states[0])
        return outputs[:, -1], outputs, [h]
    packed = Packed(inputs, mask)
    outputs, _ = kernel(packed.sequences, states[0])
    return (*unpacked(packed, outputs, zero_masked, keep_all), [packed.final(outputs, states[0])])


def unpacked(packed: Packed, outputs: Tensor, zero_masked: bool, keep_all: bool) -> tuple[Tensor, Tensor]:
    """The last output and all outputs (or only the last) of a masked sequence, from those of the packed one."""
    if not keep_all:
        last = packed.unpack_last(outputs, zero_masked)
        return last, last.unsqueeze(1)
    outputs = packed.unpack(outputs, zero_masked)
    return outputs[:, -1], outputs
