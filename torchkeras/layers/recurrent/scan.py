"""The loop over time, for cells that no kernel computes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.core import tree
from torchkeras.core.torch_internals import constant_result

_MANY = 50  # steps; a cell like a GRU's then compiles for more than a minute (torch 2.13)

logger = logging.getLogger("torchkeras")


def scan(
    step: Callable[[Tensor, list[Any]], tuple[Tensor, list[Any]]],
    inputs: Tensor,
    states: list[Any],
    mask: Tensor | None = None,
    zero_masked: bool = False,
    keep_all: bool = True,
    name: str = "the cell",
) -> tuple[Tensor, Tensor, list[Any]]:
    """Run `step(inputs_t, states) -> (output_t, states)` over axis 1 of `inputs`.

    A masked step leaves the states as they are; its output repeats the one before (zeros before the first), or is zero
    with `zero_masked`. In a graph that is being compiled, the loop is unrolled; for many steps of `name`, a line of log
    says so.

    Returns:
        The last output, all outputs `(batch, time, ...)` (only the last, without `keep_all`), the last states.
    """
    outputs: list[Tensor] = []
    previous = None
    kept = None if mask is None else mask.unbind(1)
    steps = inputs.unbind(1)
    if len(steps) >= _MANY and torch.compiler.is_compiling() and not torch.compiler.is_exporting():
        _report_unrolled(name, len(steps))
    for t, x in enumerate(steps):
        output, new_states = step(x, states)
        if kept is not None:
            previous = torch.zeros_like(output) if previous is None or zero_masked else previous
            output = _where(kept[t], output, previous)
            new_states = _keep_states(kept[t], new_states, states)
            previous = output
        states = new_states
        if keep_all:
            outputs.append(output)
    return output, torch.stack(outputs, 1) if keep_all else output.unsqueeze(1), states


@constant_result
def _report_unrolled(name: str, steps: int) -> None:
    logger.warning(
        "The compiler unrolls %s over %d steps, which may take minutes. LSTM, GRU and SimpleRNN with the default "
        "arguments compile in seconds on a CPU; jit_compile=False does without compilation.",
        name,
        steps,
    )


def _where(mask: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(mask.view(-1, *(1,) * (new.dim() - 1)), new, old)


def _keep_states(mask: Tensor, new: list, old: list) -> list:
    flat = [_where(mask, n, o) for n, o in zip(tree.flatten(new), tree.flatten(old), strict=True)]
    return tree.pack_sequence_as(new, flat)
