"""LSTM (Hochreiter and Schmidhuber, 1997), on torch's fused kernel where the configuration allows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras import activations, initializers
from torchkeras.core.types import Identifier
from torchkeras.layers.recurrent.cell import RecurrentCell, arguments_of, times_gates
from torchkeras.layers.recurrent.fused import adjacent, unpacked
from torchkeras.layers.recurrent.packed import Packed
from torchkeras.layers.recurrent.rnn import CellRNN, of_cell

# Moves a gate so far that sigmoid is 0 or 1 to the last bit, and that float16 still holds it.
_SHUT = 1e4


class _ForgettingLittle:
    """Starts the forget gate's bias at 1 and the others' as an initializer says."""

    def __init__(self, others: Any, units: int) -> None:
        self.others, self.units = others, units

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        units, ones = self.units, initializers.get("ones")
        parts = [
            self.others((units,), dtype=dtype),
            ones((units,), dtype=dtype),
            self.others((2 * units,), dtype=dtype),
        ]
        return torch.cat([torch.as_tensor(part) for part in parts])


class LSTMCell(RecurrentCell):
    """One step of an LSTM: states `[h, c]`, gates input, forget, candidate, output, in this order in the weights.

    `c' = f * c + i * activation(...)`, `h' = o * activation(c')`.

    Args:
        unit_forget_bias: the forget gate's bias starts at 1.
        dropout, recurrent_dropout: share of the inputs and of `h` dropped in training, the same at all steps.
    """

    _tk_config_base = True
    gates = 4

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
        **kwargs: Any,
    ) -> None:
        super().__init__(arguments_of(locals()), **kwargs)
        self.state_size = [units, units]

    def _bias_start(self) -> Any:
        if not self.unit_forget_bias:
            return self.bias_initializer
        return _ForgettingLittle(self.bias_initializer, self.units)

    def step(self, projected: Tensor, states: list[Tensor], masks: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        z = times_gates(h, masks, self.recurrent_kernel, projected)
        i, f, g, o = z.chunk(4, 1)
        gate, act = self.recurrent_activation, self.activation
        c = torch.addcmul(gate(f) * c, gate(i), act(g))
        h = gate(o) * act(c)
        return h, [h, c]

    def fusable(self) -> bool:
        """Whether torch's kernel computes what this cell is configured to."""
        plain = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        return plain and not self.recurrent_dropout and self.implementation != 1

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
        if mask is None:
            outputs, h, c = self._kernel_call(inputs, states, self.kernel)
            # The last output is `h`. Backward through it makes no gradient of the size of all outputs, which are mostly
            # zeros; a view of its own, since a layer may give both.
            return outputs[:, -1] if keep_all else h.view_as(h), outputs, [h, c]
        packed = Packed(inputs, mask)
        # Behind the last step that counts, the forget gate is held open and the input gate shut, so that c stays.
        units = self.units
        held = torch.full((4 * units,), 0.0, dtype=inputs.dtype, device=inputs.device)
        held[:units] = -_SHUT
        held[units : 2 * units] = _SHUT
        kernel = torch.cat([self.kernel, held[None]])
        padding = packed.padding[:, :, None].to(inputs.dtype)
        outputs, _, c = self._kernel_call(torch.cat([packed.sequences, padding], 2), states, kernel)
        return (*unpacked(packed, outputs, zero_masked, keep_all), [packed.final(outputs, states[0]), c])

    def _kernel_call(self, inputs: Tensor, states: list[Tensor], kernel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # Contiguous, since oneDNN's kernel would make a copy in forward and another in backward.
        weights = [kernel.t().contiguous(), self.recurrent_kernel.t().contiguous()]
        if self.use_bias:
            weights += [self.bias, torch.zeros_like(self.bias)]
        grads = torch.is_grad_enabled()
        if grads and inputs.device.type == "cpu" and torch.compiler.is_compiling():
            # AOTAutograd takes oneDNN's kernel, which has no backward there, where the inputs need no gradient.
            inputs = inputs + 0 * kernel[0, 0]
        hx = [state.unsqueeze(0) for state in states]
        # The kernels on CUDA keep what backward needs only in training mode.
        out = torch.lstm(inputs, hx, adjacent(weights), self.use_bias, 1, 0.0, grads, False, True)
        return out[0], out[1].squeeze(0), out[2].squeeze(0)


class LSTM(CellRNN):
    """An LSTM over `(batch, time, features)`; what it computes a step is in `LSTMCell`.

    With the default activations, no recurrent dropout and no `unroll`, forward is one fused kernel, masks of any form
    included. `use_cudnn=False` keeps it off cuDNN: on CUDA a loop over time runs instead.

    Args:
        return_sequences: all outputs instead of the last.
        return_state: also the last `h` and `c`.
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
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(LSTMCell, "lstm_cell", arguments_of(locals()), **kwargs)

    recurrent_activation = of_cell("recurrent_activation")
    unit_forget_bias = of_cell("unit_forget_bias")
