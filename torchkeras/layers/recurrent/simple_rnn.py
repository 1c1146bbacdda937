"""SimpleRNN: a recurrent layer whose output is fed back through one matrix."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras import activations
from torchkeras.core.types import Identifier
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.recurrent.cell import CellOptions, RecurrentCell, arguments_of
from torchkeras.layers.recurrent.compiled_recurrence import RecurrenceRunner
from torchkeras.layers.recurrent.fused import run_outputs_as_states
from torchkeras.layers.recurrent.recurrence import Weights
from torchkeras.layers.recurrent.rnn import CellRNN, CellRNNOptions
from torchkeras.layers.recurrent.simple_rnn_sequence import SimpleRNNSequence

_RUNNERS = {
    activations.tanh: RecurrenceRunner(SimpleRNNSequence("tanh")),
    activations.relu: RecurrenceRunner(SimpleRNNSequence("relu")),
}


class SimpleRNNCell(RecurrentCell):
    """Compute one step of a fully connected recurrent layer, whose output is its next state.

    `h_new = activation(inputs @ kernel + h @ recurrent_kernel + bias)`; the output is `h_new`.

    Args:
        units: number of outputs, a positive int.
        activation: function applied to the result, by name or as a callable; `None` for none. Default: `"tanh"`.
        use_bias: whether a bias is added. Default: `True`.
        kernel_initializer, recurrent_initializer, bias_initializer: how the weights for the inputs, for the state, and
            the bias start: a name or an initializer. Defaults: `"glorot_uniform"`, `"orthogonal"`, `"zeros"`.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalty on a weight, added to the loss.
            Default: `None`.
        kernel_constraint, recurrent_constraint, bias_constraint: function that maps a weight to an allowed value after
            each update. Default: `None`.
        dropout, recurrent_dropout: fraction of the inputs and of the state `h` that is dropped in training; one draw
            serves all steps of a sequence. Default: `0.0`.
        seed: int that makes the dropout repeatable; without one it comes from torch's global generator. Default:
            `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of one step.
        states: the state `h`, `(batch, units)`, or a list with it.
        training: whether dropout is applied. Default: the training mode of the call.

    Input shape:
        `(batch, features)`.

    Returns:
        The output `(batch, units)`, and the new states in the form of `states`.

    Weights:
        `kernel`: `(features, units)`. `recurrent_kernel`: `(units, units)`. `bias`: `(units,)`, if `use_bias`.

    Raises:
        ValueError: `units` is not positive.

    Example:
        >>> cell = keras.layers.SimpleRNNCell(4)
        >>> output, states = cell(torch.zeros(2, 3), cell.get_initial_state(batch_size=2))
        >>> output.shape, len(states)
        (torch.Size([2, 4]), 1)
        >>> keras.layers.RNN(cell)(torch.zeros(2, 10, 3)).shape
        torch.Size([2, 4])
    """

    _tk_config_base = True
    _tk_draws_seed_first = True

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
        **kwargs: Unpack[CellOptions],
    ) -> None:
        super().__init__(arguments_of(locals()), **kwargs)

    def _drops(self, rate: float, training: bool) -> bool:
        return bool(training) and rate > 0.0

    def _tk_step(self, projected: Tensor, states: list[Tensor], masks: Tensor | None) -> tuple[Tensor, list[Tensor]]:  # type: ignore[override]
        h = states[0] if masks is None else states[0] * masks
        h = self.activation(torch.addmm(projected, h, self.recurrent_kernel))
        return h, [h]

    def _tk_fusable(self) -> bool:
        """Whether torch's kernel computes the same as this cell with its arguments."""
        return self.activation in _RUNNERS and not self.recurrent_dropout

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
        run = _RUNNERS[self.activation].run
        weights = Weights(self.kernel, self.recurrent_kernel, self.bias if self.use_bias else None)
        return run_outputs_as_states(run, weights, inputs, states, mask, zero_masked, keep_all)


class SimpleRNN(CellRNN):
    """Run a fully connected recurrent layer over the steps of sequences.

    In each step, `h_new = activation(inputs @ kernel + h @ recurrent_kernel + bias)`; the output is `h_new`. See
    `SimpleRNNCell`.

    With tanh or relu as activation, no recurrent dropout and no `unroll`, the whole sequence is one fused kernel of
    torch, with or without a mask; on a CPU it is one function with a quicker backward pass.

    Args:
        units: number of outputs, a positive int.
        activation: function applied to the result of a step, by name or as a callable; `None` for none. Default:
            `"tanh"`.
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
        return_sequences: whether to return the outputs of all steps, not only the last. Default: `False`.
        return_state: whether to return the last state as well. Default: `False`.
        go_backwards: whether to start with the last step; the outputs come in that reversed order. Default: `False`.
        stateful: whether sample `i` of a batch continues from the state in which sample `i` of the batch before ended,
            until `reset_state()`. Needs a fixed batch size. Default: `False`.
        unroll: whether to run the steps in a Python loop where a fused kernel could run. Default: `False`.
        seed: int that makes the dropout repeatable; without one it comes from torch's global generator. Default:
            `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`; also `zero_output_for_mask`: whether
            masked steps put out zeros instead of the output of the step before.

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
        >>> layer = keras.layers.SimpleRNN(4, return_sequences=True, return_state=True)
        >>> outputs, state = layer(torch.zeros(2, 10, 3))
        >>> outputs.shape, state.shape
        (torch.Size([2, 10, 4]), torch.Size([2, 4]))
        >>> [tuple(weight.shape) for weight in layer.weights]
        [(3, 4), (4, 4), (4,)]
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
        **kwargs: Unpack[CellRNNOptions],
    ) -> None:
        super().__init__(SimpleRNNCell, "simple_rnn_cell", arguments_of(locals()), **kwargs)
        self.input_spec = [InputSpec(ndim=3)]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["seed"]  # as Keras has it
        return config
