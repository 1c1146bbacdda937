"""A GRU and a SimpleRNN as operators of graphs that `torch.compile` makes for a CPU, with their gradients.

The compiler takes torch's functions apart into the operations of each step: a GRU of 64 steps compiled for 135 CPU
seconds (torch 2.13). As operators, they run the steps of `recurrence.py`, in any floating type.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.torch_internals import constant_result, forward_ad, in_functorch_transform
from torchkeras.layers.recurrent.recurrence import Recurrence, Weights, differentiable_gradients, run

_ARGUMENTS = "Tensor inputs, Tensor state, Tensor kernel, Tensor recurrent, Tensor? bias"


def may_hold_operator(inputs: Tensor) -> bool:
    """Whether a graph that is being made may hold an operator of ours for these inputs."""
    return (
        torch.compiler.is_compiling()
        and not torch.compiler.is_exporting()  # a program must run where this package is not
        and inputs.device.type == "cpu"
        and not _is_transformed()
    )


@constant_result
def _is_transformed() -> bool:
    """Whether the code that is being compiled stands in a transform of `torch.func` or has forward-mode gradients."""
    return in_functorch_transform() or getattr(forward_ad, "_current_level", 0) >= 0


class RecurrenceRunner:
    """Runs a recurrence: as one operator in a graph that is being made for a CPU, else step by step or by torch.

    Args:
        recurrence: the cell.
    """

    def __init__(self, recurrence: Recurrence) -> None:
        self._recurrence = recurrence
        name, count = recurrence.name, len(recurrence.kept)
        library = self._library = torch.library.Library("torchkeras", "FRAGMENT")
        kept = "".join(f", Tensor kept_{i}" for i in range(count))
        library.define(f"{name}({_ARGUMENTS}, bool train) -> ({', '.join(['Tensor'] * (2 + count))})")
        library.define(
            f"{name}_backward({_ARGUMENTS}, Tensor states{kept}, Tensor? grad, Tensor? grad_last, bool[] needed) "
            "-> (Tensor, Tensor, Tensor, Tensor, Tensor)"
        )
        library.impl(name, self._forward, "CPU")
        library.impl(f"{name}_backward", self._backward, "CPU")
        torch.library.register_fake(f"torchkeras::{name}", self._fake_forward, lib=library)
        torch.library.register_fake(f"torchkeras::{name}_backward", self._fake_backward, lib=library)
        torch.library.register_autograd(f"torchkeras::{name}", self._gradients, setup_context=self._keep, lib=library)
        self._operator = getattr(torch.ops.torchkeras, name)
        self._operator_of_backward = getattr(torch.ops.torchkeras, f"{name}_backward")

    def _fits(self, inputs: Tensor, state: Tensor, weights: Weights) -> bool:
        """Whether a graph is being made that may hold the operator for these tensors."""
        return (
            may_hold_operator(inputs)
            and fast_paths_enabled()
            and inputs.is_floating_point()
            and all(tensor is None or tensor.dtype == inputs.dtype for tensor in (state, *weights))
        )

    def run(self, inputs: Tensor, state: Tensor, weights: Weights, keep_all: bool) -> tuple[Tensor, Tensor]:
        """Run the cell over sequences; arguments and results are those of `recurrence.run`."""
        if not self._fits(inputs, state, weights):
            return run(self._recurrence, inputs, state, weights, keep_all)
        states, last, *_ = self._operator(inputs, state, *weights, torch.is_grad_enabled())
        return states[1:].transpose(0, 1) if keep_all else last.unsqueeze(1), last

    # ------------------------------------------------------------------ values

    def _forward(
        self, inputs: Tensor, state: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor | None, train: bool
    ) -> tuple[Tensor, ...]:
        """States, the last of them, and what backward needs; without backward, tensors of no values in its place."""
        weights = Weights(kernel, recurrent, bias)
        with torch.no_grad():
            states, *kept = self._recurrence.forward(inputs, state, weights, train)
        kept = kept if train else [inputs.new_empty(0) for _ in self._recurrence.kept]
        return states, states[-1].clone(), *kept

    def _backward(
        self,
        inputs: Tensor,
        state: Tensor,
        kernel: Tensor,
        recurrent: Tensor,
        bias: Tensor | None,
        *rest: Any,
    ) -> tuple[Tensor, ...]:
        """The gradients of the five arguments; a tensor of no values for one that is not needed."""
        *kept, grad, grad_last, needed = rest
        outer = None if grad is None else grad[1:].transpose(0, 1)
        weights = Weights(kernel, recurrent, bias)
        with torch.no_grad():
            found = self._recurrence.backward(inputs, weights, kept, (outer, grad_last), tuple(needed))
        return tuple(inputs.new_empty(0) if one is None else one for one in found)

    # ------------------------------------------------------------------ sizes

    def _fake_forward(
        self, inputs: Tensor, state: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor | None, train: bool
    ) -> tuple[Tensor, ...]:
        batch, time, _ = inputs.shape
        units = state.shape[1]
        kept = [(time, batch, times * units) if train else (0,) for times in self._recurrence.kept]
        return tuple(inputs.new_empty(shape) for shape in [(time + 1, batch, units), (batch, units), *kept])

    def _fake_backward(self, *arguments: Any) -> tuple[Tensor, ...]:
        *tensors, needed = arguments
        empty = tensors[0].new_empty
        shapes = [one.shape if is_needed else (0,) for one, is_needed in zip(tensors[:5], needed, strict=True)]
        return tuple(empty(shape) for shape in shapes)

    # ------------------------------------------------------------------ torch's records

    def _keep(self, ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        states, _, *kept = output
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs[:5], states, *kept)

    def _gradients(self, ctx: Any, grad: Tensor | None, grad_last: Tensor | None, *_: Any) -> tuple[Any, ...]:
        tensors, needed = ctx.saved_tensors, ctx.needs_input_grad[:5]
        if torch.is_grad_enabled():
            outer = None if grad is None else grad[1:].transpose(0, 1)
            grads = outer, grad_last
            return *differentiable_gradients(self._recurrence, tensors[:5], needed, grads, True), None
        found = self._operator_of_backward(*tensors, grad, grad_last, needed)
        return *(one if is_needed else None for one, is_needed in zip(found, needed, strict=True)), None
