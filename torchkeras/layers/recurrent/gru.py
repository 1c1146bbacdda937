"""GRU (Cho et al., 2014), run over whole sequences at once where the configuration allows."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from torchkeras import activations
from torchkeras.core.types import Identifier
from torchkeras.layers.recurrent.cell import CellOptions, RecurrentCell, arguments_of, times_gates
from torchkeras.layers.recurrent.compiled_recurrence import RecurrenceRunner
from torchkeras.layers.recurrent.fused import run_outputs_as_states
from torchkeras.layers.recurrent.gru_sequence import GRUSequence
from torchkeras.layers.recurrent.recurrence import Weights
from torchkeras.layers.recurrent.rnn import CellRNN, CellRNNOptions, of_cell

_RUNNER = RecurrenceRunner(GRUSequence())


class GRUCell(RecurrentCell):
    """Compute one step of a gated recurrent unit (GRU).

    With the inputs `x` and the state `h`:
    `z = sigmoid(x @ W_z + h @ U_z + b_z)` (update gate), `r = sigmoid(x @ W_r + h @ U_r + b_r)` (reset gate),
    `c = tanh(x @ W_c + b_c + r * (h @ U_c + b_rc))` (candidate), `h_new = z * h + (1 - z) * c`; the output is `h_new`
    (Cho et al., 2014, arXiv:1406.1078).

    Args:
        units: number of outputs, a positive int.
        activation: function applied to the candidate, by name or as a callable; `None` for none. Default: `"tanh"`.
        recurrent_activation: function applied to the gates. Default: `"sigmoid"`.
        use_bias: whether a bias is added. Default: `True`.
        kernel_initializer, recurrent_initializer, bias_initializer: how the weights for the inputs, for the state, and
            the bias start: a name or an initializer. Defaults: `"glorot_uniform"`, `"orthogonal"`, `"zeros"`.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalty on a weight, added to the loss.
            Default: `None`.
        kernel_constraint, recurrent_constraint, bias_constraint: function that maps a weight to an allowed value after
            each update. Default: `None`.
        dropout, recurrent_dropout: fraction of the inputs and of the state `h` that is dropped in training; one draw
            serves all steps of a sequence. Default: `0.0`.
        reset_after: whether the reset gate multiplies the product `h @ U_c`, as cuDNN does it, with a second bias; else
            it multiplies `h` before the product. Default: `True`.
        seed: int that makes the dropout repeatable; without one it comes from torch's global generator. Default:
            `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`; also `implementation`: 1 draws
            a dropout mask per gate, 2 one for all gates.

    Call arguments:
        inputs: tensor of one step.
        states: the state `h`, `(batch, units)`, or a list with it.
        training: whether dropout is applied. Default: the training mode of the call.

    Input shape:
        `(batch, features)`.

    Returns:
        The output `(batch, units)`, and the new states in the form of `states`.

    Weights:
        `kernel`: `(features, 3 * units)`. `recurrent_kernel`: `(units, 3 * units)`. `bias`: `(2, 3 * units)` for the
        inputs and the state, `(3 * units,)` without `reset_after`. The order of the gates is update, reset, candidate.

    Raises:
        ValueError: `units` is not positive.

    Example:
        >>> cell = keras.layers.GRUCell(4)
        >>> output, states = cell(torch.zeros(2, 3), cell.get_initial_state(batch_size=2))
        >>> output.shape, len(states)
        (torch.Size([2, 4]), 1)
        >>> [tuple(weight.shape) for weight in cell.weights]
        [(3, 12), (4, 12), (2, 12)]
    """

    _tk_config_base = True
    _tk_gates = 3

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
        **kwargs: Unpack[CellOptions],
    ) -> None:
        super().__init__(arguments_of(locals()), **kwargs)

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _input_bias(self) -> Tensor | None:
        return self.bias[0] if self.use_bias and self.reset_after else self.bias

    def _tk_step(
        self, projected: Tensor, states: list[Tensor], masks: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
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

    def _tk_fusable(self) -> bool:
        """Whether torch's kernel computes the same as this cell with its arguments."""
        is_standard = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        return is_standard and self.reset_after and not self.recurrent_dropout and self.implementation != 1

    def _tk_run_fused(
        self,
        inputs: Tensor,
        states: list[Tensor],
        mask: Tensor | None,
        training: bool,
        zero_masked: bool,
        keep_all: bool,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Run a whole sequence by the fused kernel; returns the last output, all outputs, and the last states."""
        dropped = self._input_mask(inputs, training)
        if dropped is not None:
            inputs = inputs * dropped
        weights = Weights(self.kernel, self.recurrent_kernel, self.bias if self.use_bias else None)
        return run_outputs_as_states(_RUNNER.run, weights, inputs, states, mask, zero_masked, keep_all)


class GRU(CellRNN):
    """Run a gated recurrent unit (GRU) over the steps of sequences.

    Two gates decide how much of the state is kept and how much of it the candidate for the new state sees (Cho et al.,
    2014, arXiv:1406.1078). The formulas are those of `GRUCell`.

    With the default activations, `reset_after=True`, no recurrent dropout and no `unroll`, the whole sequence is one
    fused kernel of torch, with or without a mask; on a CPU it is one function with a quicker backward pass.

    Args:
        units: number of outputs, a positive int.
        activation: function applied to the candidate, by name or as a callable; `None` for none. Default: `"tanh"`.
        recurrent_activation: function applied to the gates. Default: `"sigmoid"`.
        use_bias: whether a bias is added. Default: `True`.
        kernel_initializer, recurrent_initializer, bias_initializer: how the weights for the inputs, for the state, and
            the bias start: a name or an initializer. Defaults: `"glorot_uniform"`, `"orthogonal"`, `"zeros"`.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalty on a weight, added to the loss.
            Default: `None`.
        activity_regularizer: penalty on the outputs, divided by the batch size and added to the loss. Default: `None`.
        kernel_constraint, recurrent_constraint, bias_constraint: function that maps a weight to an allowed value after
            each update. Default: `None`.
        dropout, recurrent_dropout: fraction of the inputs and of the state `h` that is dropped in training; one draw
            serves all steps of a sequence. Default: `0.0`.
        seed: int that makes the dropout repeatable; without one it comes from torch's global generator. Default:
            `None`.
        return_sequences: whether to return the outputs of all steps, not only the last. Default: `False`.
        return_state: whether to return the last state as well. Default: `False`.
        go_backwards: whether to start with the last step; the outputs come in that reversed order. Default: `False`.
        stateful: whether sample `i` of a batch continues from the state in which sample `i` of the batch before ended,
            until `reset_state()`. Needs a fixed batch size. Default: `False`.
        unroll: whether to run the steps in a Python loop where a fused kernel could run. Default: `False`.
        reset_after: whether the reset gate multiplies the product `h @ U_c`, as cuDNN does it, with a second bias; else
            it multiplies `h` before the product. Default: `True`.
        use_cudnn: `False` runs a loop over time instead of cuDNN's kernel on CUDA; `True` raises an error where the
            arguments allow no such kernel; `"auto"` uses it where it can. Default: `"auto"`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`; also `zero_output_for_mask`: whether
            masked steps put out zeros instead of the output of the step before; and `implementation`, 1 or 2, as for
            `GRUCell`.

    Call arguments:
        sequences: tensor of three dimensions.
        initial_state: list of one tensor `(batch, units)`, the state before the first step. Default: zeros.
        mask: booleans `(batch, time)`; a step where it is False leaves the state as it is. Default: the inputs' own
            mask.
        training: whether dropout is applied. Default: the training mode of the call.

    Input shape:
        `(batch, time, features)`.

    Output shape:
        `(batch, units)`, or `(batch, time, units)` with `return_sequences`; with `return_state` a tuple of it and the
        last state, one tensor `(batch, units)`.

    Raises:
        ValueError: `units` is not positive, there are no steps, or a stateful layer gets another batch size.

    Example:
        >>> layer = keras.layers.GRU(4, return_sequences=True, return_state=True)
        >>> outputs, state = layer(torch.zeros(2, 10, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 10, 4]), torch.Size([2, 4]))
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
        use_cudnn: bool | str = "auto",
        **kwargs: Unpack[CellRNNOptions],
    ) -> None:
        super().__init__(GRUCell, "gru_cell", arguments_of(locals()), **kwargs)

    recurrent_activation = of_cell("recurrent_activation")
    reset_after = of_cell("reset_after")
