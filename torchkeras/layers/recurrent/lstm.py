"""LSTM (Hochreiter and Schmidhuber, 1997), on torch's fused kernel where the configuration allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras import activations, initializers
from torchkeras.core.types import DTypeLike, Identifier
from torchkeras.layers.recurrent.cell import CellOptions, RecurrentCell, arguments_of, times_gates
from torchkeras.layers.recurrent.compiled_lstm import can_compile_lstm, compiled_lstm
from torchkeras.layers.recurrent.fused import adjacent, restored
from torchkeras.layers.recurrent.left_aligned import LeftAligned
from torchkeras.layers.recurrent.rnn import CellRNN, CellRNNOptions, of_cell

# Moves a gate so far that sigmoid is 0 or 1 to the last bit, and that float16 still holds it.
_SHUT = 1e4


class UnitForgetBias:
    """Initializer of an LSTM's bias: 1 for the forget gate, another initializer for the rest."""

    def __init__(self, others: Callable[..., Any], units: int) -> None:
        self.others, self.units = others, units

    def __call__(self, shape: Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
        units, ones = self.units, initializers.get("ones")
        parts = [
            self.others((units,), dtype=dtype),
            ones((units,), dtype=dtype),
            self.others((2 * units,), dtype=dtype),
        ]
        return torch.cat([torch.as_tensor(part) for part in parts])


class LSTMCell(RecurrentCell):
    """Compute one step of a long short-term memory (LSTM).

    With the inputs `x` and the states `h` and `c`:
    `i, f, o = sigmoid(x @ W + h @ U + b)` (input, forget and output gate), `g = tanh(x @ W_g + h @ U_g + b_g)`
    (candidate), `c_new = f * c + i * g`, `h_new = o * tanh(c_new)`; the output is `h_new` (Hochreiter and Schmidhuber,
    1997).

    Args:
        units: number of outputs, a positive int.
        activation: function applied to the candidate and to `c_new`, by name or as a callable; `None` for none.
            Default: `"tanh"`.
        recurrent_activation: function applied to the gates. Default: `"sigmoid"`.
        use_bias: whether a bias is added. Default: `True`.
        kernel_initializer, recurrent_initializer, bias_initializer: how the weights for the inputs, for the state, and
            the bias start: a name or an initializer. Defaults: `"glorot_uniform"`, `"orthogonal"`, `"zeros"`.
        unit_forget_bias: whether the forget gate's bias starts at 1 (Jozefowicz et al., 2015). Default: `True`.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalty on a weight, added to the loss.
            Default: `None`.
        kernel_constraint, recurrent_constraint, bias_constraint: function that maps a weight to an allowed value after
            each update. Default: `None`.
        dropout, recurrent_dropout: fraction of the inputs and of the state `h` that is dropped in training; one draw
            serves all steps of a sequence. Default: `0.0`.
        seed: int that makes the dropout repeatable; without one it comes from torch's global generator. Default:
            `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`; also `implementation`: 1 draws
            a dropout mask per gate, 2 one for all gates.

    Call arguments:
        inputs: tensor of one step.
        states: list of the states `h` and `c`, each `(batch, units)`.
        training: whether dropout is applied. Default: the training mode of the call.

    Input shape:
        `(batch, features)`.

    Returns:
        The output `(batch, units)`, and the new states in the form of `states`.

    Weights:
        `kernel`: `(features, 4 * units)`. `recurrent_kernel`: `(units, 4 * units)`. `bias`: `(4 * units,)`, if
        `use_bias`. The order of the gates is input, forget, candidate, output.

    Raises:
        ValueError: `units` is not positive.

    Example:
        >>> cell = keras.layers.LSTMCell(4)
        >>> output, (h, c) = cell(torch.zeros(2, 3), cell.get_initial_state(batch_size=2))
        >>> output.shape, c.shape
        (torch.Size([2, 4]), torch.Size([2, 4]))
        >>> [tuple(weight.shape) for weight in cell.weights]
        [(3, 16), (4, 16), (16,)]
    """

    _tk_config_base = True
    _tk_gates = 4

    def __init__(
        self,
        units: int,
        activation: Identifier | None = "tanh",
        recurrent_activation: Identifier | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        unit_forget_bias: bool = True,
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
        self.state_size = [units, units]

    def _bias_start(self) -> Callable:
        if not self.unit_forget_bias:
            return self.bias_initializer
        return UnitForgetBias(self.bias_initializer, self.units)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        for name in ("kernel", "recurrent_kernel"):  # a cast lies as torch's kernel wants it
            self._tk_infos[name].memory_order = (1, 0)

    def _tk_step(
        self, projected: Tensor, states: list[Tensor], masks: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        z = times_gates(h, masks, self.recurrent_kernel, projected)
        i, f, g, o = z.chunk(4, 1)
        gate, act = self.recurrent_activation, self.activation
        c = torch.addcmul(gate(f) * c, gate(i), act(g))
        h = gate(o) * act(c)
        return h, [h, c]

    def _tk_fusable(self) -> bool:
        """Whether torch's kernel computes the same as this cell with its arguments."""
        is_standard = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        return is_standard and not self.recurrent_dropout and self.implementation != 1

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
        if mask is None:
            outputs, h, c = self._kernel_call(inputs, states, self.kernel)
            # The last output is `h`; backward through it needs no gradient of the size of all outputs, mostly zeros. A
            # layer that returns both returns a separate view.
            return h if keep_all else h.view_as(h), outputs, [h, c]
        aligned = LeftAligned(inputs, mask)
        # Behind the last step that counts, the forget gate is held open and the input gate shut, so that c stays.
        units = self.units
        held = torch.full((4 * units,), 0.0, dtype=inputs.dtype, device=inputs.device)
        held[:units] = -_SHUT
        held[units : 2 * units] = _SHUT
        kernel = torch.cat([self.kernel, held[None]])
        padding = aligned.padding[:, :, None].to(inputs.dtype)
        outputs, _, c = self._kernel_call(torch.cat([aligned.sequences, padding], 2), states, kernel)
        return (*restored(aligned, outputs, zero_masked, keep_all), [aligned.final(outputs, states[0]), c])

    def _kernel_call(self, inputs: Tensor, states: list[Tensor], kernel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # Contiguous, since oneDNN's kernel would make a copy in forward and another in backward.
        weights = [kernel.t().contiguous(), self.recurrent_kernel.t().contiguous()]
        if can_compile_lstm(inputs):
            return compiled_lstm(inputs, states, weights[0], weights[1], self.bias if self.use_bias else None)
        if self.use_bias:
            bias = self.bias
            weights += [bias, torch.zeros_like(bias)]
        grads = torch.is_grad_enabled()
        if grads and inputs.device.type == "cpu" and torch.compiler.is_compiling():
            # AOTAutograd takes oneDNN's kernel, which has no backward there, where the inputs need no gradient.
            inputs = inputs + 0 * kernel[0, 0]
        hx = [state.unsqueeze(0) for state in states]
        # The kernels on CUDA keep what backward needs only in training mode.
        out = torch.lstm(inputs, hx, adjacent(weights), self.use_bias, 1, 0.0, grads, False, True)
        return out[0], out[1].squeeze(0), out[2].squeeze(0)


class LSTM(CellRNN):
    """Run a long short-term memory (LSTM) over the steps of sequences.

    A memory `c` beside the output state `h` lets gradients pass through many steps; three gates decide what enters it,
    what stays, and what is put out (Hochreiter and Schmidhuber, 1997). The formulas are those of `LSTMCell`.

    With the default activations, no recurrent dropout and no `unroll`, the whole sequence is one fused kernel of torch,
    with or without a mask.

    Args:
        units: number of outputs, a positive int.
        activation: function applied to the candidate and to the memory, by name or as a callable; `None` for none.
            Default: `"tanh"`.
        recurrent_activation: function applied to the gates. Default: `"sigmoid"`.
        use_bias: whether a bias is added. Default: `True`.
        kernel_initializer, recurrent_initializer, bias_initializer: how the weights for the inputs, for the state, and
            the bias start: a name or an initializer. Defaults: `"glorot_uniform"`, `"orthogonal"`, `"zeros"`.
        unit_forget_bias: whether the forget gate's bias starts at 1 (Jozefowicz et al., 2015). Default: `True`.
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
        return_state: whether to return the last `h` and `c` as well. Default: `False`.
        go_backwards: whether to start with the last step; the outputs come in that reversed order. Default: `False`.
        stateful: whether sample `i` of a batch continues from the state in which sample `i` of the batch before ended,
            until `reset_state()`. Needs a fixed batch size. Default: `False`.
        unroll: whether to run the steps in a Python loop where a fused kernel could run. Default: `False`.
        use_cudnn: `False` runs a loop over time instead of cuDNN's kernel on CUDA; `True` raises an error where the
            arguments allow no such kernel; `"auto"` uses it where it can. Default: `"auto"`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`; also `zero_output_for_mask`: whether
            masked steps put out zeros instead of the output of the step before; and `implementation`, 1 or 2, as for
            `LSTMCell`.

    Call arguments:
        sequences: tensor of three dimensions.
        initial_state: list of two tensors `h` and `c`, each `(batch, units)`, the state before the first step. Default:
            zeros.
        mask: booleans `(batch, time)`; a step where it is False leaves the state as it is. Default: the inputs' own
            mask.
        training: whether dropout is applied. Default: the training mode of the call.

    Input shape:
        `(batch, time, features)`.

    Output shape:
        `(batch, units)`, or `(batch, time, units)` with `return_sequences`; with `return_state` a tuple of it and the
        last state, two tensors `h` and `c`, each `(batch, units)`.

    Raises:
        ValueError: `units` is not positive, there are no steps, or a stateful layer gets another batch size.

    Example:
        >>> layer = keras.layers.LSTM(4)
        >>> layer(torch.zeros(2, 10, 3)).shape
        torch.Size([2, 4])
        >>> layer = keras.layers.LSTM(4, return_sequences=True, return_state=True)
        >>> outputs, h, c = layer(torch.zeros(2, 10, 3))
        >>> outputs.shape, h.shape, c.shape
        (torch.Size([2, 10, 4]), torch.Size([2, 4]), torch.Size([2, 4]))
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
        unit_forget_bias: bool = True,
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
        use_cudnn: bool | str = "auto",
        **kwargs: Unpack[CellRNNOptions],
    ) -> None:
        super().__init__(LSTMCell, "lstm_cell", arguments_of(locals()), **kwargs)

    recurrent_activation = of_cell("recurrent_activation")
    unit_forget_bias = of_cell("unit_forget_bias")
