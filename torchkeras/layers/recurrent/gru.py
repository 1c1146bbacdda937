"""GRU (Cho et al., 2014), on torch's fused kernel where the configuration allows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras import activations
from torchkeras.core.types import Identifier
from torchkeras.layers.recurrent.cell import RecurrentCell, arguments_of, times_gates
from torchkeras.layers.recurrent.fused import adjacent, run_outputs_as_states
from torchkeras.layers.recurrent.rnn import CellRNN, of_cell


class GRUCell(RecurrentCell):
    """One step of a GRU: gates update `z`, reset `r`, candidate, in this order in the weights.

    `h' = z * h + (1 - z) * activation(...)`.

    Args:
        reset_after: whether `r` multiplies the recurrent product (as in cuDNN, with a bias of its own, so the bias is
            `(2, 3 * units)`) or the state before it.
        dropout, recurrent_dropout: share of the inputs and of `h` dropped in training, the same at all steps.
    """

    _tk_config_base = True
    gates = 3

    def __init__(
        self,
        units: int,
        activation: Identifier | None = "tanh",
        recurrent_activation: Identifier | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier | None = None,
        recurrent_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        kernel_constraint: Identifier | None = None,
        recurrent_constraint: Identifier | None = None,
        bias_constraint: Identifier | None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(arguments_of(locals()), **kwargs)

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _input_bias(self) -> Tensor | None:
        return self.bias[0] if self.use_bias and self.reset_after else self.bias

    def step(self, projected: Tensor, states: list[Tensor], masks: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        h, units, kernel = states[0], self.units, self.recurrent_kernel
        gate = self.recurrent_activation
        x_z, x_r, x_h = projected.chunk(3, 1)
        if self.reset_after:
            inner = times_gates(h, masks, kernel, self.bias[1] if self.use_bias else None)
            h_z, h_r, h_h = inner.chunk(3, 1)
            candidate = self.activation(torch.addcmul(x_h, gate(x_r + h_r), h_h))
        else:
            inner = times_gates(h, masks and masks[:2], kernel[:, : 2 * units], None)
            h_z, h_r = inner.chunk(2, 1)
            masked = h if masks is None else h * masks[2]
            candidate = self.activation(torch.addmm(x_h, gate(x_r + h_r) * masked, kernel[:, 2 * units :]))
        h = torch.lerp(candidate, h, gate(x_z + h_z))
        return h, [h]

    def fusable(self) -> bool:
        """Whether torch's kernel computes what this cell is configured to."""
        plain = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        return plain and self.reset_after and not self.recurrent_dropout and self.implementation != 1

    def run(
        self,
        inputs: Tensor,
        states: list[Tensor],
        mask: Tensor | None,
        training: bool,
        zero_masked: bool,
        keep_all: bool,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """A whole sequence by the fused kernel: the last output, all outputs, the last states."""
        dropped = self._input_mask(inputs, training)
        if dropped is not None:
            inputs = inputs * dropped
        return run_outputs_as_states(self._kernel_call, inputs, states, mask, zero_masked, keep_all)

    def _kernel_call(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        weights = [_as_torch(self.kernel).t(), _as_torch(self.recurrent_kernel).t()]
        if self.use_bias:
            weights += _as_torch(self.bias).unbind(0)
        grads = torch.is_grad_enabled()
        out = torch.gru(inputs, state.unsqueeze(0), adjacent(weights), self.use_bias, 1, 0.0, grads, False, True)
        return out[0], out[1].squeeze(0)


def _as_torch(weight: Tensor) -> Tensor:
    """Keras's gate order z, r, candidate as torch's r, z, candidate."""
    z, r, candidate = weight.chunk(3, 1)
    return torch.cat([r, z, candidate], 1)


class GRU(CellRNN):
    """A GRU over `(batch, time, features)`; what it computes a step is in `GRUCell`.

    With the default activations, `reset_after`, no recurrent dropout and no `unroll`, forward is one fused kernel,
    masks of any form included. `use_cudnn=False` keeps it off cuDNN: on CUDA a loop over time runs instead.

    Args:
        return_sequences: all outputs instead of the last.
        return_state: also the last state.
        go_backwards: from the last step to the first; outputs come in that order.
        stateful: a batch goes on from the states in which the batch before ended.
        unroll: run the loop over time instead of the fused kernel.
        zero_output_for_mask: masked steps put out zeros, not the output before.
    """

    _tk_config_base = True

    def __init__(
        self,
        units: int,
        activation: Identifier | None = "tanh",
        recurrent_activation: Identifier | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier | None = None,
        recurrent_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        activity_regularizer: Identifier | None = None,
        kernel_constraint: Identifier | None = None,
        recurrent_constraint: Identifier | None = None,
        bias_constraint: Identifier | None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(GRUCell, "gru_cell", arguments_of(locals()), **kwargs)

    recurrent_activation = of_cell("recurrent_activation")
    reset_after = of_cell("reset_after")
