"""Convolutional LSTMs (Shi et al., 2015): recurrent layers over sequences of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras import ops
from torchkeras.core import settings
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import Identifier, Nest, Shape, Sizes
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.recurrent.cell import CellOptions, RecurrentCell, arguments_of
from torchkeras.layers.recurrent.lstm import UnitForgetBias
from torchkeras.layers.recurrent.rnn import CellRNN, CellRNNOptions, of_cell
from torchkeras.layers.spatial import spatial_dims, standardize_padding, window_lengths, with_spatial_dims
from torchkeras.ops.nn.windows import standardize_tuple


class ConvLSTMCell(RecurrentCell):
    """One step of a convolutional LSTM: that of `LSTMCell` with convolutions in the place of products.

    The inputs are convolved with the layer's padding, strides and dilation; the state `h` with zero padding and strides
    of 1, so that its size stays. The arguments are those of `ConvLSTM2D`.
    """

    keras_module = None
    _tk_config_base = True
    _tk_gates = 4
    _tk_draws_seed_first = True

    def __init__(self, _arguments: dict[str, Any], **kwargs: Unpack[CellOptions]) -> None:
        arguments = dict(_arguments)
        rank = arguments.pop("rank")
        for name in ("kernel_size", "strides", "dilation_rate"):
            arguments[name] = standardize_tuple(arguments[name], rank, name)
        arguments["padding"] = standardize_padding(arguments["padding"])
        arguments["data_format"] = settings.standardize_data_format(arguments["data_format"])
        if max(arguments["strides"]) > 1 and max(arguments["dilation_rate"]) > 1:
            raise ValueError(
                "Specifying `strides > 1` is not compatible with `dilation_rate > 1`. Please provide `strides=1` or "
                f"`dilation_rate=1`. Received: strides={arguments['strides']} and "
                f"dilation_rate={arguments['dilation_rate']}"
            )
        super().__init__({**arguments, "units": arguments["filters"]}, **kwargs)
        self.implementation = 1  # a dropout mask for each gate
        self.rank = rank
        self.state_size = [self.filters, self.filters]
        self.input_spec = InputSpec(ndim=rank + 2)

    def build(self, input_shape: Shape) -> None:
        sizes = spatial_dims(input_shape, self.data_format)
        channels = input_shape[1 if self.data_format == "channels_first" else -1]
        if None in sizes:
            raise ValueError(
                "ConvLSTM layers only support static input shapes for the spatial dimension. "
                f"Received invalid input shape: input_shape={tuple(input_shape)}"
            )
        if channels is None:
            raise ValueError(
                "The channel dimension of the inputs (last axis) should be defined. Found None. "
                f"Full input shape received: input_shape={tuple(input_shape)}"
            )
        self._state_shape = self.compute_output_shape((None, *input_shape[1:]))[0][1:]
        self.kernel = self._weight("kernel", (*self.kernel_size, channels, 4 * self.filters))
        shape = (*self.kernel_size, self.filters, 4 * self.filters)
        self.recurrent_kernel = self._weight("recurrent_kernel", shape, "recurrent")
        self.bias = self._weight("bias", (4 * self.filters,), initializer=self._bias_start()) if self.use_bias else None

    def _bias_start(self) -> Callable:
        return UnitForgetBias(self.bias_initializer, self.filters) if self.unit_forget_bias else self.bias_initializer

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Return zeros, two tensors `(batch_size, ...)` of the shape of the outputs.

        Args:
            batch_size: number of samples.
        """
        zeros = torch.zeros(
            (2, batch_size, *self._state_shape), dtype=torch_dtype(self.compute_dtype), device=self.kernel.device
        )
        return list(zeros.unbind(0))

    def _tk_project(self, inputs: Tensor, training: bool) -> Tensor:
        """The convolution of the inputs with the kernel, and the bias; of one step, or of all of a sequence at once."""
        mask = self._input_mask(inputs, training)
        channels_last = self.data_format == "channels_last"
        if mask is None:
            projected = self._convolve_all(inputs, self.kernel)
        else:
            kernels = self.kernel.chunk(4, -1)
            parts = [self._convolve_all(inputs * m, kernel) for m, kernel in zip(mask, kernels, strict=True)]
            projected = torch.cat(parts, -1 if channels_last else -1 - self.rank)
        if self.bias is None:
            return projected
        return projected + (self.bias if channels_last else self.bias.view(-1, *(1,) * self.rank))

    def _convolve_all(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """A convolution of images, whose batch may have an axis of time."""
        leading = inputs.shape[: inputs.dim() - self.rank - 1]
        outputs = ops.conv(
            inputs.flatten(0, len(leading) - 1),
            kernel,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )
        return outputs.unflatten(0, leading)

    def _tk_step(
        self, projected: Tensor, states: list[Tensor], masks: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        axis = -1 if self.data_format == "channels_last" else 1
        gates = (projected + self._convolve_state(h, masks, axis)).chunk(4, axis)
        gate, act = self.recurrent_activation, self.activation
        c = gate(gates[1]) * c + gate(gates[0]) * act(gates[2])
        h = gate(gates[3]) * act(c)
        return h, [h, c]

    def _convolve_state(self, h: Tensor, masks: list[Tensor] | None, axis: int) -> Tensor:
        def convolve(state: Tensor, kernel: Tensor) -> Tensor:
            return ops.conv(state, kernel, strides=1, padding="same", data_format=self.data_format)

        if masks is None:
            return convolve(h, self.recurrent_kernel)
        kernels = self.recurrent_kernel.chunk(4, -1)
        return torch.cat([convolve(h * m, kernel) for m, kernel in zip(masks, kernels, strict=True)], axis)

    def _input_mask(self, inputs: Tensor, training: bool) -> Any:
        if not self._drops(self.dropout, training):
            return None
        if inputs.dim() == self.rank + 2:
            return self.get_dropout_mask(inputs)
        return [mask.unsqueeze(1) for mask in self.get_dropout_mask(inputs[:, 0])]

    # Whole sequences are taken: all inputs are convolved at once, then a loop over time runs.
    _tk_run_fused = RecurrentCell._tk_run_fused

    def compute_output_shape(self, inputs_shape: Shape, states_shape: Nest[Shape] | None = None) -> Any:
        sizes = window_lengths(
            spatial_dims(inputs_shape, self.data_format),
            self.kernel_size,
            self.strides,
            self.padding,
            self.dilation_rate,
        )
        output = with_spatial_dims(inputs_shape, sizes, self.filters, self.data_format)
        return output, [output, output]


class ConvLSTMOptions(CellRNNOptions, total=False):
    """The common arguments, and one that the signatures leave out; it changes nothing here."""

    unroll: bool


class ConvLSTM(CellRNN):
    """Base of the convolutional LSTMs."""

    keras_module = None
    _tk_config_base = True
    rank = 0

    def __init__(self, _arguments: dict[str, Any], **kwargs: Unpack[ConvLSTMOptions]) -> None:
        arguments = {**_arguments, "rank": self.rank, "unroll": kwargs.pop("unroll", False)}
        super().__init__(_cell_of, "conv_lstm_cell", arguments, **kwargs)  # type: ignore[misc]
        self.input_spec = InputSpec(ndim=self.rank + 3)

    def compute_output_shape(self, sequences_shape: Shape, initial_state_shape: Nest[Shape] | None = None) -> Any:
        batch, steps, *image = sequences_shape
        state = self.cell.compute_output_shape((batch, *image))[0]
        output = (batch, steps, *state[1:]) if self.return_sequences else state
        return (output, state, state) if self.return_state else output

    filters = of_cell("filters")
    kernel_size = of_cell("kernel_size")
    strides = of_cell("strides")
    padding = of_cell("padding")
    data_format = of_cell("data_format")
    dilation_rate = of_cell("dilation_rate")
    recurrent_activation = of_cell("recurrent_activation")
    unit_forget_bias = of_cell("unit_forget_bias")


def _cell_of(**arguments: Any) -> ConvLSTMCell:
    common = ("name", "dtype", "trainable", "implementation")
    options = {name: arguments.pop(name) for name in common if name in arguments}
    return ConvLSTMCell(arguments, **options)


class ConvLSTM1D(ConvLSTM):
    """Run a convolutional LSTM over sequences of rows of values: an LSTM whose products are convolutions.

    With `*` for a convolution: `i, f, o = sigmoid(x * W + h * U + b)`, `g = tanh(x * W_g + h * U_g + b_g)`,
    `c_new = f ∘ c + i ∘ g`, `h_new = o ∘ tanh(c_new)` (Shi et al., 2015, arXiv:1506.04214).

    Args:
        filters: number of channels of the outputs, a positive int.
        kernel_size: size of the kernel: an int, or 1 of them.
        strides: strides of the convolution of the inputs: an int, or 1 of them. Default: `1`.
        padding: `"valid"` or `"same"`, for the inputs. Default: `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`. Default: `None`, the setting of `keras.config`.
        dilation_rate: dilation of the convolution of the inputs: an int, or 1 of them. Default: `1`.
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
            for each gate serves all steps of a sequence. Default: `0.0`.
        seed: int that makes the dropout repeatable; without one it comes from torch's global generator. Default:
            `None`.
        return_sequences: whether to return the outputs of all steps, not only the last. Default: `False`.
        return_state: whether to return the last `h` and `c` as well. Default: `False`.
        go_backwards: whether to start with the last step; the outputs come in that reversed order. Default: `False`.
        stateful: whether sample `i` of a batch continues from the state in which sample `i` of the batch before ended,
            until `reset_state()`. Needs a fixed batch size. Default: `False`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        sequences: tensor of 4 dimensions.
        initial_state: list of two tensors `h` and `c` of the shape of an output, the state before the first step.
            Default: zeros.
        mask: booleans `(batch, time)`; a step where it is False leaves the state as it is. Default: the inputs' own
            mask.
        training: whether dropout is applied. Default: the training mode of the call.

    Input shape:
        `(batch, time, length, channels)`; with `"channels_first"` the channels follow the time. The sizes
        must be known.

    Output shape:
        `(batch, new length, filters)`; `"channels_first"`: the filters follow the batch.
        With `return_sequences` an axis of time follows the batch; with `return_state` the output is a tuple of all this
        and the last state, two tensors `h` and `c`.

    Raises:
        ValueError: an argument is out of its range, strides and dilation are combined, or a size is not known.

    Example:
        >>> layer = keras.layers.ConvLSTM1D(filters=4, kernel_size=3, padding="same", return_sequences=True)
        >>> layer(torch.zeros(2, 5, 8, 3)).shape
        torch.Size([2, 5, 8, 4])
    """

    _tk_config_base = True
    rank = 1

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
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
        **kwargs: Unpack[ConvLSTMOptions],
    ) -> None:
        super().__init__(arguments_of(locals()), **kwargs)


class ConvLSTM2D(ConvLSTM):
    """Run a convolutional LSTM over sequences of images: an LSTM whose products are convolutions.

    With `*` for a convolution: `i, f, o = sigmoid(x * W + h * U + b)`, `g = tanh(x * W_g + h * U_g + b_g)`,
    `c_new = f ∘ c + i ∘ g`, `h_new = o ∘ tanh(c_new)` (Shi et al., 2015, arXiv:1506.04214).

    Args:
        filters: number of channels of the outputs, a positive int.
        kernel_size: size of the kernel: an int, or 2 of them.
        strides: strides of the convolution of the inputs: an int, or 2 of them. Default: `1`.
        padding: `"valid"` or `"same"`, for the inputs. Default: `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`. Default: `None`, the setting of `keras.config`.
        dilation_rate: dilation of the convolution of the inputs: an int, or 2 of them. Default: `1`.
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
            for each gate serves all steps of a sequence. Default: `0.0`.
        seed: int that makes the dropout repeatable; without one it comes from torch's global generator. Default:
            `None`.
        return_sequences: whether to return the outputs of all steps, not only the last. Default: `False`.
        return_state: whether to return the last `h` and `c` as well. Default: `False`.
        go_backwards: whether to start with the last step; the outputs come in that reversed order. Default: `False`.
        stateful: whether sample `i` of a batch continues from the state in which sample `i` of the batch before ended,
            until `reset_state()`. Needs a fixed batch size. Default: `False`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        sequences: tensor of 5 dimensions.
        initial_state: list of two tensors `h` and `c` of the shape of an output, the state before the first step.
            Default: zeros.
        mask: booleans `(batch, time)`; a step where it is False leaves the state as it is. Default: the inputs' own
            mask.
        training: whether dropout is applied. Default: the training mode of the call.

    Input shape:
        `(batch, time, height, width, channels)`; with `"channels_first"` the channels follow the time. The sizes
        must be known.

    Output shape:
        `(batch, new height, new width, filters)`; `"channels_first"`: the filters follow the batch.
        With `return_sequences` an axis of time follows the batch; with `return_state` the output is a tuple of all this
        and the last state, two tensors `h` and `c`.

    Raises:
        ValueError: an argument is out of its range, strides and dilation are combined, or a size is not known.

    Example:
        >>> layer = keras.layers.ConvLSTM2D(filters=4, kernel_size=3, padding="same", return_sequences=True)
        >>> layer(torch.zeros(2, 5, 8, 8, 3)).shape
        torch.Size([2, 5, 8, 8, 4])
    """

    _tk_config_base = True
    rank = 2

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
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
        **kwargs: Unpack[ConvLSTMOptions],
    ) -> None:
        super().__init__(arguments_of(locals()), **kwargs)


class ConvLSTM3D(ConvLSTM):
    """Run a convolutional LSTM over sequences of volumes: an LSTM whose products are convolutions.

    With `*` for a convolution: `i, f, o = sigmoid(x * W + h * U + b)`, `g = tanh(x * W_g + h * U_g + b_g)`,
    `c_new = f ∘ c + i ∘ g`, `h_new = o ∘ tanh(c_new)` (Shi et al., 2015, arXiv:1506.04214).

    Args:
        filters: number of channels of the outputs, a positive int.
        kernel_size: size of the kernel: an int, or 3 of them.
        strides: strides of the convolution of the inputs: an int, or 3 of them. Default: `1`.
        padding: `"valid"` or `"same"`, for the inputs. Default: `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`. Default: `None`, the setting of `keras.config`.
        dilation_rate: dilation of the convolution of the inputs: an int, or 3 of them. Default: `1`.
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
            for each gate serves all steps of a sequence. Default: `0.0`.
        seed: int that makes the dropout repeatable; without one it comes from torch's global generator. Default:
            `None`.
        return_sequences: whether to return the outputs of all steps, not only the last. Default: `False`.
        return_state: whether to return the last `h` and `c` as well. Default: `False`.
        go_backwards: whether to start with the last step; the outputs come in that reversed order. Default: `False`.
        stateful: whether sample `i` of a batch continues from the state in which sample `i` of the batch before ended,
            until `reset_state()`. Needs a fixed batch size. Default: `False`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        sequences: tensor of 6 dimensions.
        initial_state: list of two tensors `h` and `c` of the shape of an output, the state before the first step.
            Default: zeros.
        mask: booleans `(batch, time)`; a step where it is False leaves the state as it is. Default: the inputs' own
            mask.
        training: whether dropout is applied. Default: the training mode of the call.

    Input shape:
        `(batch, time, depth, height, width, channels)`; with `"channels_first"` the channels follow the time. The sizes
        must be known.

    Output shape:
        `(batch, new depth, new height, new width, filters)`; `"channels_first"`: the filters follow the batch.
        With `return_sequences` an axis of time follows the batch; with `return_state` the output is a tuple of all this
        and the last state, two tensors `h` and `c`.

    Raises:
        ValueError: an argument is out of its range, strides and dilation are combined, or a size is not known.

    Example:
        >>> layer = keras.layers.ConvLSTM3D(filters=4, kernel_size=3, padding="same", return_sequences=True)
        >>> layer(torch.zeros(2, 5, 4, 8, 8, 3)).shape
        torch.Size([2, 5, 4, 8, 8, 4])
    """

    _tk_config_base = True
    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
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
        **kwargs: Unpack[ConvLSTMOptions],
    ) -> None:
        super().__init__(arguments_of(locals()), **kwargs)
