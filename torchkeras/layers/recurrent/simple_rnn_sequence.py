"""The steps of a SimpleRNN with tanh or relu, and their gradients.

With the new state `h_new = f(a)` and its gradient d: `da = d * f'(a)`, which `h_new` is enough for, and
`dh = da @ U.T`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from torchkeras.layers.recurrent.fused import adjacent
from torchkeras.layers.recurrent.recurrence import Recurrence, StepGradients, Weights, is_for_onednn, product, rows_of

tanh_backward_into = torch.ops.aten.tanh_backward.grad_input
threshold_backward_into = torch.ops.aten.threshold_backward.grad_input


class SimpleRNNSequence(Recurrence):
    """A SimpleRNN's steps. They keep nothing but the states.

    Args:
        activation: `"tanh"` or `"relu"`.
    """

    def __init__(self, activation: str) -> None:
        self.name = f"simple_rnn_{activation}"
        self._activate_: Callable[[Tensor], Tensor] = torch.tanh_ if activation == "tanh" else torch.relu_
        self._is_tanh = activation == "tanh"
        self._by_torch = torch.rnn_tanh if activation == "tanh" else torch.rnn_relu

    def steps(self, inputs: Tensor, states: Tensor, weights: Weights, train: bool) -> tuple[Tensor, ...]:
        recurrent, activate_ = weights.recurrent, self._activate_
        projected = product(rows_of(inputs), weights.kernel, weights.bias).view(states[1:].shape)
        by_onednn = is_for_onednn(inputs.shape[1], recurrent)
        h, *following = states.unbind(0)
        for x, after in zip(projected.unbind(0), following, strict=True):
            if by_onednn:
                h = activate_(torch.add(x, product(h, recurrent), out=after))
            else:
                h = activate_(torch.addmm(x, h, recurrent, out=after))
        return ()

    def gradients(
        self,
        states: Tensor,
        kept: list[Tensor],
        recurrent: Tensor,
        outer: tuple[Tensor, ...] | None,
        d: Tensor,
    ) -> StepGradients:
        after, transposed = states[1:].unbind(0), recurrent.t()
        multiply = product if is_for_onednn(d.shape[0], recurrent) else torch.mm
        found = torch.empty_like(states[1:])
        for t in reversed(range(len(after))):
            d = d if outer is None else d + outer[t]
            if self._is_tanh:
                rows = tanh_backward_into(d, after[t], grad_input=found[t])
            else:
                rows = threshold_backward_into(d, after[t], 0, grad_input=found[t])
            d = multiply(rows, transposed)
        return StepGradients(d, rows_of(found), lambda: None)

    def by_torch(self, inputs: Tensor, state: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
        in_order, bias = [weights.kernel.t(), weights.recurrent.t()], weights.bias
        if bias is not None:
            in_order += [bias, torch.zeros_like(bias)]
        grads, has_bias, hx = torch.is_grad_enabled(), bias is not None, state.unsqueeze(0)
        outputs, last = self._by_torch(inputs, hx, adjacent(in_order), has_bias, 1, 0.0, grads, False, True)
        return outputs, last.squeeze(0)
