"""Transposed convolutions: the gradient of a convolution as a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.core.types import Identifier
from torchkeras.layers.convolutional.base_conv import WindowLayer
from torchkeras.layers.spatial import spatial_dims, with_spatial_dims
from torchkeras.ops.nn.convolution import convolve_transposed
from torchkeras.ops.nn.windows import crop_sides, standardize_tuple


class BaseConvTranspose(WindowLayer):
    """`activation(transposed_convolution(inputs, kernel) + bias)` with a kernel `(*window, filters, in)`."""

    keras_module = None

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Identifier | None = None,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        activity_regularizer: Identifier | None = None,
        kernel_constraint: Identifier | None = None,
        bias_constraint: Identifier | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = filters
        if output_padding is not None:
            output_padding = standardize_tuple(output_padding, self.rank, "output_padding", allow_zero=True)
        self.output_padding = output_padding
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.check_positive(filters=filters)
        self.refuse_strides_with_dilation()
        if output_padding is not None and any(p >= s for p, s in zip(output_padding, self.strides, strict=True)):
            raise ValueError(
                "`output_padding` must be strictly less than `strides` in every dimension. "
                f"Received: output_padding={output_padding}, strides={self.strides}"
            )
        windows = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        extras = output_padding or (None,) * self.rank
        crops = tuple(crop_sides(k, s, self.padding, p) for k, s, p in zip(windows, self.strides, extras, strict=True))
        self._crops = ((0, 0), *crops) if self.rank == 1 else crops

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = self.input_channels(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, self.filters, channels),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.add_bias(self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        view, kernel = self._view, self.kernel
        x = view.enter(inputs.to(kernel.dtype))
        outputs = convolve_transposed(x, view.kernel(kernel), self._steps, self._crops, self._dilation)
        if self.bias is not None:
            outputs = outputs + self.bias.view(-1, *(1,) * view.rank)
        return self._activate(view.leave(outputs))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> list[int | None]:
        lengths = spatial_dims(input_shape, self.data_format)
        out = [
            None if n is None else (n - 1) * s + (k - 1) * d + 1 - sum(crop)
            for n, k, s, d, crop in zip(
                lengths, self.kernel_size, self.strides, self.dilation_rate, self._crops[-self.rank :], strict=True
            )
        ]
        return list(with_spatial_dims(input_shape, out, self.filters, self.data_format))


class Conv1DTranspose(BaseConvTranspose):
    """Transposed convolution of `(batch, steps, channels)`."""

    rank = 1


class Conv2DTranspose(BaseConvTranspose):
    """Transposed convolution of `(batch, height, width, channels)`."""

    rank = 2


class Conv3DTranspose(BaseConvTranspose):
    """Transposed convolution of `(batch, depth, height, width, channels)`."""

    rank = 3
