"""Depthwise and depthwise-separable convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.core.types import Identifier
from torchkeras.layers.convolutional.base_conv import WindowLayer
from torchkeras.layers.spatial import channel_axis
from torchkeras.ops.nn.convolution import grouped_kernel


class BaseDepthwiseConv(WindowLayer):
    """Each channel is convolved with its own `depth_multiplier` kernels; the kernel is `(*window, in, multiplier)`."""

    keras_module = None

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Identifier | None = None,
        use_bias: bool = True,
        depthwise_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        depthwise_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        activity_regularizer: Identifier | None = None,
        depthwise_constraint: Identifier | None = None,
        bias_constraint: Identifier | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.depth_multiplier = depth_multiplier
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.check_positive(depth_multiplier=depth_multiplier)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = self.input_channels(input_shape)
        self.compute_output_shape(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, channels, self.depth_multiplier),
            initializer=self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
        )
        self.add_bias(channels * self.depth_multiplier)

    def call(self, inputs: Tensor) -> Tensor:
        view, kernel = self._view, self.kernel
        x = view.enter(inputs.to(kernel.dtype))
        outputs = self._convolve(x, grouped_kernel(view, kernel), self.bias, groups=x.shape[1])
        return self._activate(view.leave(outputs))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        channels = input_shape[channel_axis(self.data_format)]
        return self._output_shape(input_shape, self.depth_multiplier * channels)


class DepthwiseConv1D(BaseDepthwiseConv):
    """Depthwise convolution of `(batch, steps, channels)`."""

    rank = 1


class DepthwiseConv2D(BaseDepthwiseConv):
    """Depthwise convolution of `(batch, height, width, channels)`."""

    rank = 2


class BaseSeparableConv(WindowLayer):
    """A depthwise convolution, then a 1x1 convolution over `in * depth_multiplier` channels to `filters`."""

    keras_module = None

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: Identifier | None = None,
        use_bias: bool = True,
        depthwise_initializer: Identifier = "glorot_uniform",
        pointwise_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        depthwise_regularizer: Identifier | None = None,
        pointwise_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        activity_regularizer: Identifier | None = None,
        depthwise_constraint: Identifier | None = None,
        pointwise_constraint: Identifier | None = None,
        bias_constraint: Identifier | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = filters
        self.depth_multiplier = depth_multiplier
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.pointwise_constraint = constraints.get(pointwise_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.check_positive(filters=filters, depth_multiplier=depth_multiplier)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = self.input_channels(input_shape)
        self.compute_output_shape(input_shape)
        self.depthwise_kernel = self.add_weight(
            name="depthwise_kernel",
            shape=(*self.kernel_size, channels, self.depth_multiplier),
            initializer=self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
        )
        self.pointwise_kernel = self.add_weight(
            name="pointwise_kernel",
            shape=(*(1,) * self.rank, channels * self.depth_multiplier, self.filters),
            initializer=self.pointwise_initializer,
            regularizer=self.pointwise_regularizer,
            constraint=self.pointwise_constraint,
        )
        self.add_bias(self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        view, kernel = self._view, self.depthwise_kernel
        x = view.enter(inputs.to(kernel.dtype))
        x = self._convolve(x, grouped_kernel(view, kernel), None, groups=x.shape[1])
        outputs = F.conv2d(x, view.kernel(self.pointwise_kernel), self.bias)
        return self._activate(view.leave(outputs))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return self._output_shape(input_shape, self.filters)


class SeparableConv1D(BaseSeparableConv):
    """Depthwise-separable convolution of `(batch, steps, channels)`."""

    rank = 1


class SeparableConv2D(BaseSeparableConv):
    """Depthwise-separable convolution of `(batch, height, width, channels)`."""

    rank = 2
