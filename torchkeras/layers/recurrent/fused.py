"""Steps that the calls of torch's recurrent kernels share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from torchkeras.layers.recurrent.left_aligned import LeftAligned
from torchkeras.layers.recurrent.recurrence import Weights

Result = tuple[Tensor, Tensor, list[Tensor]]


def adjacent(weights: list[Tensor]) -> list[Tensor]:
    """On CUDA, the weights as pieces of one new tensor, as cuDNN takes them without a copy (and a warning)."""
    if weights[0].device.type != "cuda":
        return weights
    flat = torch.cat([weight.reshape(-1) for weight in weights])
    pieces = flat.split([weight.numel() for weight in weights])
    return [piece.view(weight.shape) for piece, weight in zip(pieces, weights, strict=True)]


def run_outputs_as_states(
    run: Callable[[Tensor, Tensor, Weights, bool], tuple[Tensor, Tensor]],
    weights: Weights,
    inputs: Tensor,
    states: list[Tensor],
    mask: Tensor | None,
    zero_masked: bool,
    keep_all: bool,
) -> Result:
    """Run a whole sequence of a cell whose state is its output; returns last output, all outputs, last states."""
    if mask is None:
        outputs, h = run(inputs, states[0], weights, keep_all)
        return (h if keep_all else outputs[:, -1]), outputs, [h]
    aligned = LeftAligned(inputs, mask)
    outputs, _ = run(aligned.sequences, states[0], weights, True)
    return (*restored(aligned, outputs, zero_masked, keep_all), [aligned.final(outputs, states[0])])


def restored(aligned: LeftAligned, outputs: Tensor, zero_masked: bool, keep_all: bool) -> tuple[Tensor, Tensor]:
    """The last output and all outputs (or only the last) of a masked sequence, from those of the aligned one."""
    if not keep_all:
        last = aligned.restore_last(outputs, zero_masked)
        return last, last.unsqueeze(1)
    outputs = aligned.restore(outputs, zero_masked)
    return outputs[:, -1], outputs
