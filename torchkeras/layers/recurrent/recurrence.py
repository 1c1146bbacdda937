"""Cells whose only state is their output, over whole sequences on a CPU, with a backward pass of their own.

Torch (2.13) has no kernels for them on a CPU: its loop records all operations of each step, and backward adds the
gradients of the weights step by step. Here only what depends on the step before runs step by step. Everything else is
computed for many steps at once, as many as the CPU's cache holds, and so are the gradients of the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchkeras.core.fast_paths.linear import onednn_is_faster_here
from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.fast_paths.unseen import is_unseen
from torchkeras.core.torch_internals import onednn_enabled, onednn_linear
from torchkeras.core.variables.variable import Variable

_AT_ONCE = 1 << 15  # values of the state: a megabyte with all that is computed of them
_LEAST_ROWS, _LEAST_PRODUCTS = 8, 1 << 20  # for which oneDNN is the faster library on an AMD CPU


class Weights(NamedTuple):
    """The weights of a cell, in Keras's order of the gates.

    Attributes:
        kernel: `(features, width)`, where the width is a multiple of the units.
        recurrent: `(units, width)`.
        bias: `(2, width)`, for the inputs and for the state; `(width,)` for the inputs only; `None` for none.
    """

    kernel: Tensor
    recurrent: Tensor
    bias: Tensor | None

    def biases(self) -> tuple[Tensor | None, Tensor | None]:
        """The bias of the projected inputs, and the one of the projected state."""
        if self.bias is None or self.bias.dim() == 1:
            return self.bias, None
        outer, inner = self.bias.unbind(0)
        return outer, inner


class StepGradients(NamedTuple):
    """The gradients of some steps.

    Attributes:
        of_state: the gradient of the state before the first of the steps.
        rows: the gradients of the projected states, `(steps * batch, width)`.
        change_to_inputs: turns these, in place, into the gradients of the projected inputs.
    """

    of_state: Tensor
    rows: Tensor
    change_to_inputs: Callable[[], None]


class Recurrence:
    """The steps of a cell. A subclass says how they run, what they keep for their gradients, and how torch runs them.

    Attributes:
        name: of its operator in compiled graphs.
        kept: for each tensor `(time, batch, ...)` that `steps` keeps, how many times the units its last size is.
    """

    name = ""
    kept: tuple[int, ...] = ()

    def steps(self, inputs: Tensor, states: Tensor, weights: Weights, train: bool) -> tuple[Tensor, ...]:
        """Run all steps, without gradients.

        Args:
            inputs: `(time, batch, features)`.
            states: `(time + 1, batch, units)`, of which the first is set, and the others are set here.
            weights: the weights.
            train: whether backward follows.

        Returns:
            The tensors that `gradients` needs, where backward follows.
        """
        raise NotImplementedError

    def gradients(
        self,
        states: Tensor,
        kept: list[Tensor],
        recurrent: Tensor,
        outer: tuple[Tensor, ...] | None,
        d: Tensor,
    ) -> StepGradients:
        """Compute the gradients of some steps.

        Args:
            states: the state before each step, and the one after the last, `(steps + 1, batch, units)`.
            kept: what `steps` returned, for these steps.
            recurrent: the recurrent kernel.
            outer: the gradients of the outputs; `None` for zeros.
            d: the gradient of the state after the last of the steps.
        """
        raise NotImplementedError

    def by_torch(self, inputs: Tensor, state: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
        """The outputs `(batch, time, units)` and the last state by torch's function, whose gradients have gradients."""
        raise NotImplementedError

    # ------------------------------------------------------------------ without torch's records

    def forward(self, inputs: Tensor, state: Tensor, weights: Weights, train: bool) -> tuple[Tensor, ...]:
        """The states `(time + 1, batch, units)`, and what backward needs, if it follows."""
        states = inputs.new_empty((inputs.shape[1] + 1, *state.shape))
        states[0] = state
        return states, *self.steps(inputs.transpose(0, 1), states, weights, train)

    def backward(
        self,
        inputs: Tensor,
        weights: Weights,
        kept: list[Tensor],
        grads: tuple[Tensor | None, Tensor | None],
        needed: tuple[bool, ...],
    ) -> tuple[Tensor | None, ...]:
        """The gradients of the inputs, the state, the kernel, the recurrent kernel and the bias.

        Args:
            inputs: `(batch, time, features)`.
            weights: the weights.
            kept: what `forward` returned.
            grads: the gradients of the outputs `(batch, time, units)` and of the last state; `None` for zeros.
            needed: whether each of the five is needed; the others are `None`.
        """
        states, *kept = kept
        total = _Total(inputs, weights, needed)
        grad, d = grads
        d = torch.zeros_like(states[0]) if d is None else d
        end, steps = len(states) - 1, max(_AT_ONCE // max(d.numel(), 1), 1)
        while end > 0:
            begin = max(end - steps, 0)
            part = slice(begin, end)
            outer = None if grad is None else grad[:, part].unbind(1)
            around = states[begin : end + 1]
            found = self.gradients(around, [one[part] for one in kept], weights.recurrent, outer, d)
            total.add(part, around[:-1], found)
            d, end = found.of_state, begin
        return total.of_inputs, d if needed[1] else None, *total.of_weights()


def run(
    recurrence: Recurrence, inputs: Tensor, state: Tensor, weights: Weights, keep_all: bool
) -> tuple[Tensor, Tensor]:
    """Run a cell over sequences, in code that is not compiled.

    Args:
        recurrence: the cell.
        inputs: `(batch, time, features)`.
        state: the state before the first step, `(batch, units)`.
        weights: the weights.
        keep_all: whether the outputs of all steps are needed.

    Returns:
        The outputs `(batch, time, units)`, or at least the last of them, `(batch, 1, units)`; and the last state.
    """
    if not torch.compiler.is_compiling() and _runs_here(inputs, state, weights):
        if torch.is_grad_enabled():
            return _Run.apply(recurrence, keep_all, inputs, state, *weights)
        states = recurrence.forward(inputs, state, weights, False)[0]
        return states[1:].transpose(0, 1), states[-1].clone()
    return recurrence.by_torch(inputs, state, weights)


def _runs_here(inputs: Tensor, state: Tensor, weights: Weights) -> bool:
    """Whether all are ordinary tensors of one type on a CPU, which nobody traces."""
    dtype = inputs.dtype
    if (
        not inputs.is_cpu
        or (dtype is not torch.float32 and dtype is not torch.float64)
        or not inputs.numel()
        or not fast_paths_enabled()
        or torch.is_autocast_enabled("cpu")
        or not is_unseen()
    ):
        return False
    for tensor in (inputs, state, *weights):
        if tensor is not None and (
            (type(tensor) is not Tensor and not isinstance(tensor, Variable))
            or tensor.dtype is not dtype
            or not tensor.is_cpu
        ):
            return False
    return True


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        recurrence: Recurrence,
        keep_all: bool,
        inputs: Tensor,
        state: Tensor,
        *weights: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        kept = recurrence.forward(inputs, state, Weights(*weights), True)  # type: ignore[arg-type]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(inputs, state, *weights, *kept)
        ctx.recurrence, ctx.keep_all = recurrence, keep_all
        outputs = kept[0][1:] if keep_all else kept[0][-1:]
        # Copies, which may be changed in place: backward needs the states.
        return outputs.transpose(0, 1).clone(memory_format=torch.contiguous_format), kept[0][-1].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs, state, *tensors = ctx.saved_tensors  # read once: a checkpoint computes them for one reading
        weights, kept = tensors[:3], tensors[3:]
        needed, (grad, grad_last) = ctx.needs_input_grad[2:], grads
        if torch.is_grad_enabled():
            arguments, keep_all = (inputs, state, *weights), ctx.keep_all
            return None, None, *differentiable_gradients(ctx.recurrence, arguments, needed, (grad, grad_last), keep_all)
        if grad is not None and not ctx.keep_all:
            grad_last = grad[:, 0] if grad_last is None else grad_last + grad[:, 0]
            grad = None
        return None, None, *ctx.recurrence.backward(inputs, Weights(*weights), kept, (grad, grad_last), needed)


def differentiable_gradients(
    recurrence: Recurrence,
    arguments: tuple[Tensor | None, ...],
    needed: tuple[bool, ...],
    grads: tuple[Tensor | None, Tensor | None],
    keep_all: bool,
) -> list[Tensor | None]:
    """The gradients as functions of all arguments, for gradients of gradients: through torch's own function."""
    inputs, state, *weights = arguments
    outputs, last = recurrence.by_torch(inputs, state, Weights(*weights))  # type: ignore[arg-type]
    outputs = outputs if keep_all else outputs[:, -1:]
    given = [(output, grad) for output, grad in zip((outputs, last), grads, strict=True) if grad is not None]
    wanted = [argument for argument, is_needed in zip(arguments, needed, strict=True) if is_needed]
    found = iter(
        torch.autograd.grad(
            [output for output, _ in given],
            wanted,  # type: ignore[arg-type]
            [grad for _, grad in given],
            create_graph=True,
        )
    )
    return [next(found) if is_needed else None for is_needed in needed]


class _Total:
    """Adds up the gradients of the weights, and gathers those of the inputs.

    Args:
        inputs: `(batch, time, features)`.
        weights: the weights.
        needed: whether the inputs, the state, the kernel, the recurrent kernel and the bias need gradients.
    """

    def __init__(self, inputs: Tensor, weights: Weights, needed: tuple[bool, ...]) -> None:
        self.inputs = inputs
        self.matrix = weights.kernel.t()
        self.of_inputs = inputs.new_empty(inputs.shape) if needed[0] else None
        self.kernel, self.recurrent, self.bias = (
            weight.new_zeros(weight.shape) if weight is not None and is_needed else None
            for weight, is_needed in zip(weights, needed[2:], strict=True)
        )
        outer, self.inner = Weights(weights.kernel, weights.recurrent, self.bias).biases()
        self.outer = outer

    def of_weights(self) -> tuple[Tensor | None, ...]:
        """The gradients of the kernel, the recurrent kernel and the bias."""
        return self.kernel, self.recurrent, self.bias

    def add(self, part: slice, before: Tensor, found: StepGradients) -> None:
        """Add the gradients of some steps, before which the states were `before`."""
        rows = found.rows
        if self.recurrent is not None:
            _add_product(self.recurrent, rows_of(before).t(), rows)
        if self.inner is not None:
            self.inner += rows.sum(0)
        found.change_to_inputs()
        if self.kernel is not None:
            _add_product(self.kernel, rows_of(self.inputs[:, part].transpose(0, 1)).t(), rows)
        if self.outer is not None:
            self.outer += rows.sum(0)
        if self.of_inputs is not None:
            ours = self.of_inputs[:, part].transpose(0, 1)
            ours.copy_(product(rows, self.matrix).view(ours.shape))


# ---------------------------------------------------------------------- products


def is_for_onednn(rows: int, matrix: Tensor) -> bool:
    """Whether oneDNN is the quicker library for the product of so many rows with a matrix."""
    return (
        rows >= _LEAST_ROWS
        and rows * matrix.numel() >= _LEAST_PRODUCTS
        and matrix.dtype is torch.float32
        and onednn_is_faster_here()
        and onednn_enabled()
    )


def product(x: Tensor, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ matrix + bias` without gradients, by the quicker library."""
    if is_for_onednn(x.shape[0], matrix):
        return onednn_linear(x, matrix.t(), bias, "none", [], "")
    return torch.mm(x, matrix) if bias is None else torch.addmm(bias, x, matrix)


def rows_of(x: Tensor) -> Tensor:
    """Steps `(time, batch, features)` as rows, time by time."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add `a @ b`."""
    if is_for_onednn(a.shape[0], b):
        total.add_(product(a, b))
    else:
        total.addmm_(a, b)
