"""SimpleRNN: the output is fed back through one matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras import activations
from torchkeras.core.types import Identifier
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.recurrent.cell import RecurrentCell, arguments_of
from torchkeras.layers.recurrent.fused import adjacent, run_outputs_as_states
from torchkeras.layers.recurrent.rnn import CellRNN

_KERNELS = {activations.tanh: torch.rnn_tanh, activations.relu: torch.rnn_relu}


class SimpleRNNCell(RecurrentCell):
    """One step: `h' = activation(x @ kernel + h @ recurrent_kernel + bias)`.

    Args:
        dropout, recurrent_dropout: share of the inputs and of `h` dropped in training, the same at all steps.
    """

    _tk_config_base = True

    def __init__(
        self,
        units: int,
        activation: Identifier | None = "tanh",
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
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(arguments_of(locals()), **kwargs)

    def _drops(self, rate: float, training: bool) -> bool:
        return bool(training) and rate > 0.0

    def step(self, projected: Tensor, states: list[Tensor], masks: Any) -> tuple[Tensor, list[Tensor]]:
        h = states[0] if masks is None else states[0] * masks
        h = self.activation(torch.addmm(projected, h, self.recurrent_kernel))
        return h, [h]

    def fusable(self) -> bool:
        """Whether torch's kernel computes what this cell is configured to."""
        return self.activation in _KERNELS and not self.recurrent_dropout

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
        weights = [self.kernel.t(), self.recurrent_kernel.t()]
        if self.use_bias:
            weights += [self.bias, torch.zeros_like(self.bias)]
        kernel, grads = _KERNELS[self.activation], torch.is_grad_enabled()
        out = kernel(inputs, state.unsqueeze(0), adjacent(weights), self.use_bias, 1, 0.0, grads, False, True)
        return out[0], out[1].squeeze(0)


class SimpleRNN(CellRNN):
    """A fully connected RNN over `(batch, time, features)`; what it computes a step is in `SimpleRNNCell`.

    With tanh or relu, no recurrent dropout and no `unroll`, forward is one fused kernel, masks of any form included.

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
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(SimpleRNNCell, "simple_rnn_cell", arguments_of(locals()), **kwargs)
        self.input_spec = [InputSpec(ndim=3)]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["seed"]  # as Keras has it
        return config
