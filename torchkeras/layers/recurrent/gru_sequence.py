"""A GRU over a whole sequence on a CPU, with a backward pass of its own.

Torch (2.13) has no kernel for it on a CPU: its GRU records ten operations for each step, and backward adds the
gradients of the weights step by step. Here the backward pass has three operations for each step. Everything that does
not depend on the step after is computed for many steps at once, as many as the CPU's cache holds, and so are the
gradients of the weights. Measured on one core of an AMD CPU (torch 2.13), `torch.nn.GRU` takes 1.3 to 2.2 times as long
forward and backward, for batches of 8 and 64, 16 to 200 steps and 32 to 256 units.

With the gates z, r and c of `GRUCell`, `m = r * (h @ U_c + b_rc)` and the gradient d of the new state:
`dz = d * (h - c) * z * (1 - z)`, `dc = d * (1 - z) * (1 - c * c)`, `dr = dc * m * (1 - r)` before the activations, and
`dh = d * z + (dz, dr, dc * r) @ U.T`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchkeras.core.fast_paths.linear import onednn_is_faster_here
from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.fast_paths.unseen import is_unseen
from torchkeras.core.torch_internals import onednn_enabled, onednn_linear
from torchkeras.core.variables.variable import Variable
from torchkeras.layers.recurrent.fused import adjacent

tanh_backward, sigmoid_backward_into = torch.ops.aten.tanh_backward.default, torch.ops.aten.sigmoid_backward.grad_input
_AT_ONCE = 1 << 15  # values of the state: a megabyte with all that is computed of them
_LEAST_ROWS, _LEAST_PRODUCTS = 8, 1 << 20  # for which oneDNN is the faster library on an AMD CPU


class Weights(NamedTuple):
    """The weights of a GRU, their gates in the order update, reset, candidate.

    Attributes:
        kernel: `(features, 3 * units)`.
        recurrent: `(units, 3 * units)`.
        bias: `(2, 3 * units)`, for the inputs and the state; `None` for none.
    """

    kernel: Tensor
    recurrent: Tensor
    bias: Tensor | None


def run_gru(inputs: Tensor, state: Tensor, weights: Weights, keep_all: bool) -> tuple[Tensor, Tensor]:
    """Run a GRU with tanh, sigmoid and `reset_after` over sequences.

    Args:
        inputs: `(batch, time, features)`.
        state: the state before the first step, `(batch, units)`.
        weights: the weights.
        keep_all: whether the outputs of all steps are needed.

    Returns:
        The outputs `(batch, time, units)`, or at least the last of them, `(batch, 1, units)`; and the last state.
    """
    if not torch.compiler.is_compiling() and _runs_here(inputs, state, weights):
        if torch.is_grad_enabled():
            return _Sequence.apply(inputs, state, *weights, keep_all)
        if _is_for_onednn(inputs.shape[0], weights.recurrent):
            states = _forward(inputs, state, weights)[0]
            return states[1:].transpose(0, 1), states[-1].clone()
    return _run_by_torch(inputs, state, weights)


def _run_by_torch(inputs: Tensor, state: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    kernel, recurrent, bias = weights
    in_order = [_as_torch(kernel).t(), _as_torch(recurrent).t()]
    if bias is not None:
        in_order += _as_torch(bias).unbind(0)
    grads, has_bias = torch.is_grad_enabled(), bias is not None
    # With the time first in memory, torch projects all inputs on a CPU by one product, else one for each step.
    batch_first = grads or not inputs.is_cpu
    x = inputs if batch_first else inputs.transpose(0, 1).contiguous()
    outputs, last = torch.gru(x, state.unsqueeze(0), adjacent(in_order), has_bias, 1, 0.0, grads, False, batch_first)
    return outputs if batch_first else outputs.transpose(0, 1), last.squeeze(0)


def _as_torch(weight: Tensor) -> Tensor:
    """Bring Keras's gate order (update, reset, candidate) to torch's (reset, update, candidate)."""
    z, r, candidate = weight.chunk(3, 1)
    return torch.cat([r, z, candidate], 1)


def _runs_here(inputs: Tensor, state: Tensor, weights: Weights) -> bool:
    """Whether all are ordinary tensors of one type on a CPU, which nobody traces."""
    dtype = inputs.dtype
    return (
        inputs.is_cpu
        and (dtype is torch.float32 or dtype is torch.float64)
        and inputs.numel() > 0
        and fast_paths_enabled()
        and all(
            tensor is None
            or (tensor.dtype is dtype and tensor.is_cpu and (type(tensor) is Tensor or isinstance(tensor, Variable)))
            for tensor in (inputs, state, *weights)
        )
        and not torch.is_autocast_enabled("cpu")
        and is_unseen()
    )


def _is_for_onednn(rows: int, matrix: Tensor) -> bool:
    return (
        rows >= _LEAST_ROWS
        and rows * matrix.numel() >= _LEAST_PRODUCTS
        and matrix.dtype is torch.float32
        and onednn_is_faster_here()
        and onednn_enabled()
    )


def _product(x: Tensor, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ matrix + bias` without gradients, by the quicker library."""
    if _is_for_onednn(x.shape[0], matrix):
        return onednn_linear(x, matrix.t(), bias, "none", [], "")
    return torch.mm(x, matrix) if bias is None else torch.addmm(bias, x, matrix)


def _rows(x: Tensor) -> Tensor:
    """Steps `(batch, time, features)` as rows, time by time."""
    return x.transpose(0, 1).reshape(-1, x.shape[2])


def _forward(inputs: Tensor, state: Tensor, weights: Weights) -> tuple[Tensor, Tensor, Tensor]:
    """Without gradients: the states `(time + 1, batch, units)`, the gates z, r, c side by side, and m."""
    kernel, recurrent, bias = weights
    batch, time, _ = inputs.shape
    units = state.shape[1]
    outer, inner = (None, None) if bias is None else bias.unbind(0)
    gates = _product(_rows(inputs), kernel, outer).view(time, batch, 3 * units)
    states = gates.new_empty((time + 1, batch, units))
    states[0] = state
    reset = gates.new_empty((time, batch, units))
    into = None if _is_for_onednn(batch, recurrent) else gates.new_empty((batch, 3 * units))
    h, *following = states.unbind(0)
    z, r, c = (part.unbind(0) for part in gates.chunk(3, 2))
    for t, zr in enumerate(gates[..., : 2 * units].unbind(0)):
        if into is None:
            projected = _product(h, recurrent, inner)
        elif inner is None:
            projected = torch.mm(h, recurrent, out=into)
        else:
            projected = torch.addmm(inner, h, recurrent, out=into)
        zr.add_(projected[:, : 2 * units]).sigmoid_()
        c[t].add_(torch.mul(r[t], projected[:, 2 * units :], out=reset[t])).tanh_()
        h = torch.lerp(c[t], h, z[t], out=following[t])
    return states, gates, reset


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        state: Tensor,
        kernel: Tensor,
        recurrent: Tensor,
        bias: Tensor | None,
        keep_all: bool,
    ) -> tuple[Tensor, Tensor]:
        kept = _forward(inputs, state, Weights(kernel, recurrent, bias))
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(inputs, state, kernel, recurrent, bias, *kept)
        ctx.keep_all = keep_all
        outputs = kept[0][1:] if keep_all else kept[0][-1:]
        # Copies, which may be changed in place: backward needs the states.
        return outputs.transpose(0, 1).clone(memory_format=torch.contiguous_format), kept[0][-1].clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_last: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs, state, *weights, states, gates, reset = ctx.saved_tensors
        needed = ctx.needs_input_grad[:5]
        if torch.is_grad_enabled():
            arguments = inputs, state, *weights
            return *_differentiable_gradients(arguments, needed, (grad, grad_last), ctx.keep_all), None
        gradients = _Gradients(inputs, Weights(*weights), needed)
        d = torch.zeros_like(state) if grad_last is None else grad_last
        if grad is not None and not ctx.keep_all:
            d, grad = d + grad[:, 0], None
        end, steps = len(reset), max(_AT_ONCE // state.numel(), 1)
        while end > 0:
            begin = max(end - steps, 0)
            part = slice(begin, end)
            outer = None if grad is None else grad[:, part].unbind(1)
            d = gradients.add(part, states[part], gates[part], reset[part], outer, d)
            end = begin
        return gradients.of_inputs, d, *gradients.of_weights(), None


def _differentiable_gradients(
    arguments: tuple[Tensor | None, ...],
    needed: tuple[bool, ...],
    grads: tuple[Tensor | None, ...],
    keep_all: bool,
) -> list[Tensor | None]:
    """The gradients as functions of all arguments, for gradients of gradients: through torch's own GRU."""
    inputs, state, *weights = arguments
    outputs, last = _run_by_torch(inputs, state, Weights(*weights))  # type: ignore[arg-type]
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


class _Gradients:
    """Gathers the gradients of the inputs and the weights, from the last steps to the first.

    Args:
        inputs: `(batch, time, features)`.
        weights: the weights.
        needed: whether the inputs, the state, the kernel, the recurrent kernel and the bias need gradients.
    """

    def __init__(self, inputs: Tensor, weights: Weights, needed: tuple[bool, ...]) -> None:
        self.inputs = inputs
        self.weights = weights
        of_inputs, _, self.has_kernel, self.has_recurrent, self.has_bias = needed
        self.of_inputs = torch.empty_like(inputs) if of_inputs else None
        self.kernel = torch.zeros_like(weights.kernel)
        self.recurrent = torch.zeros_like(weights.recurrent)
        self.bias = None if weights.bias is None else torch.zeros_like(weights.bias)

    def of_weights(self) -> tuple[Tensor | None, ...]:
        """The gradients of the kernel, the recurrent kernel and the bias."""
        return (
            self.kernel if self.has_kernel else None,
            self.recurrent if self.has_recurrent else None,
            self.bias if self.has_bias else None,
        )

    def add(
        self, part: slice, before: Tensor, gates: Tensor, reset: Tensor, outer: tuple[Tensor, ...] | None, d: Tensor
    ) -> Tensor:
        """Add the gradients of some steps.

        Args:
            part: which steps.
            before: the state before each step, `(steps, batch, units)`.
            gates: z, r and c side by side.
            reset: m.
            outer: the gradients of the outputs; `None` for zeros.
            d: the gradient of the state after the last of the steps.

        Returns:
            The gradient of the state before the first of the steps.
        """
        recurrent = self.weights.recurrent
        steps, batch, units = reset.shape
        z, r, c = gates.chunk(3, 2)
        candidate, factors = _factors(before, z, r, c, reset)
        found, every_d = torch.empty_like(factors), torch.empty_like(reset)
        side_by_side = found.view(steps, batch, 3 * units)
        by_onednn, transposed = _is_for_onednn(batch, recurrent), recurrent.t()
        for t in reversed(range(steps)):
            d = every_d[t].copy_(d) if outer is None else torch.add(d, outer[t], out=every_d[t])
            torch.mul(d.unsqueeze(1), factors[t], out=found[t])
            if by_onednn:
                d = _product(side_by_side[t], transposed).addcmul_(d, z[t])
            else:
                d = torch.mul(d, z[t]).addmm_(side_by_side[t], transposed)
        rows = side_by_side.view(steps * batch, 3 * units)
        if self.has_recurrent:
            _add_product(self.recurrent, before.reshape(steps * batch, units).t(), rows)
        if self.has_bias and self.bias is not None:
            self.bias[1] += rows.sum(0)
        torch.mul(every_d, candidate, out=side_by_side[..., 2 * units :])  # the projection has no reset gate
        self._add_projection(part, rows)
        return d

    def _add_projection(self, part: slice, rows: Tensor) -> None:
        if self.has_kernel:
            _add_product(self.kernel, _rows(self.inputs[:, part]).t(), rows)
        if self.has_bias and self.bias is not None:
            self.bias[0] += rows.sum(0)
        if self.of_inputs is not None:
            ours = self.of_inputs[:, part].transpose(0, 1)
            ours.copy_(_product(rows, self.weights.kernel.t()).view(ours.shape))


def _factors(before: Tensor, z: Tensor, r: Tensor, c: Tensor, reset: Tensor) -> tuple[Tensor, Tensor]:
    """`dc / d`, and `(dz / d, dr / d, dc * r / d)` stacked in the third dimension."""
    steps, batch, units = reset.shape
    factors = reset.new_empty((steps, batch, 3, units))
    of_update, of_reset, of_candidate = factors.unbind(2)
    candidate = tanh_backward(1.0 - z, c)
    torch.mul(candidate, r, out=of_candidate)
    both = candidate * reset
    torch.addcmul(both, both, r, value=-1.0, out=of_reset)
    sigmoid_backward_into(before - c, z, grad_input=of_update)
    return candidate, factors


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add `a @ b`."""
    if _is_for_onednn(a.shape[0], b):
        total.add_(_product(a, b))
    else:
        total.addmm_(a, b)
