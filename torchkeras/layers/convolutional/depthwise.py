"""Depthwise and depthwise-separable convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch.nn.functional as F
from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.core.borders import Border
from torchkeras.core.fast_paths.padded_convolution import PaddedConvolution
from torchkeras.core.types import Identifier
from torchkeras.distributed.split_layers import Split
from torchkeras.layers.base.options import CommonOptions
from torchkeras.layers.convolutional.base_conv import WindowLayer
from torchkeras.layers.spatial import channel_axis
from torchkeras.ops.nn.convolution import grouped_kernel


class BaseDepthwiseConv(WindowLayer):
    """Convolve each channel by itself with a kernel `(*window, channels, depth_multiplier)`."""

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
        **kwargs: Unpack[CommonOptions],
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
        self._tk_set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self._tk_check_positive(depth_multiplier=depth_multiplier)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = self._tk_input_channels(input_shape)
        self.compute_output_shape(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, channels, self.depth_multiplier),
            initializer=self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
        )
        self._tk_lay_out(self.kernel, is_grouped=True)
        self._tk_add_bias(channels * self.depth_multiplier)

    def call(self, inputs: Tensor, *, border: Border | None = None) -> Tensor:
        return self._tk_outputs(inputs, border)

    def _tk_convolve(self, inputs: Tensor, border: Border | None) -> Tensor:
        view, kernel = self._view, self.kernel
        x = view.enter(inputs.to(kernel.dtype))
        return self._convolve(x, grouped_kernel(view, kernel), self.bias, x.shape[1], border)

    def _tk_grouped_kernel(self) -> tuple[Tensor, int]:
        kernel = self.kernel
        return kernel.flatten(-2).unsqueeze(-2), kernel.shape[-2]

    def _tk_is_joinable(self) -> bool:
        return type(self).call is BaseDepthwiseConv.call

    def _tk_joined_behind(self, before: Any) -> PaddedConvolution | None:
        """One call that computes `before` and this layer, or `None`; a functional model uses it."""
        return self._tk_joined_by_border(before, BaseDepthwiseConv.call)

    _tk_split_weight = "kernel"

    def _tk_splits(self) -> list[Split | None]:
        channels = channel_axis(self.data_format)
        return [*[None] * self.rank, Split(inputs=channels, outputs=channels), None]

    def _tk_product(self, inputs: Tensor, weight: Tensor, *, border: Border | None = None) -> Tensor:
        view = self._view
        x = view.enter(inputs.to(weight.dtype))
        return view.leave(self._convolve(x, grouped_kernel(view, weight), None, x.shape[1], border))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        channels = input_shape[channel_axis(self.data_format)]
        if channels is None:
            raise ValueError(
                f"The channel dimension of the inputs of layer {self.name!r} must be known. "
                f"Received: input_shape={tuple(input_shape)} with data_format={self.data_format!r}"
            )
        return self._output_shape(input_shape, self.depth_multiplier * channels)


class DepthwiseConv1D(BaseDepthwiseConv):
    """Convolve each channel of sequences by itself, with `depth_multiplier` kernels per channel.

    No output mixes channels, which needs far fewer products than `Conv1D`. MobileNets follow it with a 1x1 convolution
    that mixes them (`SeparableConv1D` is both).

    Args:
        kernel_size: length of the window: an int, or a tuple of one int.
        strides: by how much the window moves along the steps: an int, or a tuple of one int. Default: `1`.
        padding: `"valid"` adds nothing; `"same"` adds zeros evenly, so that with `strides=1` the outputs are as long as
            the inputs. Default: `"valid"`.
        depth_multiplier: number of outputs for each input channel, a positive int. Default: `1`.
        data_format: order of the axes: `"channels_last"` for `(batch, steps, channels)`, `"channels_first"` for
            `(batch, channels, steps)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        dilation_rate: distance between neighbouring values under the window: an int, or a tuple of one int. Default:
            `1`.
        activation: function applied to the result: a name such as `"relu"`, or a callable; `None` for none.
            Default: `None`.
        use_bias: whether a bias per output channel is added. Default: `True`.
        depthwise_initializer, bias_initializer: how the weights start: a name or an initializer.
            Defaults: `"glorot_uniform"`, `"zeros"`.
        depthwise_regularizer, bias_regularizer: penalty on a weight, added to the loss. Default: `None`.
        activity_regularizer: penalty on the outputs, divided by the batch size and added to the loss. Default: `None`.
        depthwise_constraint, bias_constraint: function that maps a weight to an allowed value after each update.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of three dimensions.

    Input shape:
        `(batch, steps, channels)`, or `(batch, channels, steps)` with `"channels_first"`.

    Output shape:
        `(batch, new_steps, channels * depth_multiplier)`, or `(batch, channels * depth_multiplier, new_steps)` with
        `"channels_first"`.

    Weights:
        `kernel`: `(*kernel_size, channels, depth_multiplier)`. `bias`: `(channels * depth_multiplier,)`, if `use_bias`.

    Raises:
        ValueError: a size is not positive, or the window does not fit into the inputs.

    Example:
        >>> layer = keras.layers.DepthwiseConv1D(2, depthwise_initializer="ones")
        >>> layer(torch.tensor([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]])).tolist()
        [[[3.0, 30.0], [5.0, 50.0]]]
    """

    rank = 1


class DepthwiseConv2D(BaseDepthwiseConv):
    """Convolve each channel of images by itself, with `depth_multiplier` kernels per channel.

    No output mixes channels, which needs far fewer products than `Conv2D`. MobileNets follow it with a 1x1 convolution
    that mixes them (`SeparableConv2D` is both).

    Args:
        kernel_size: height and width of the window: `(height, width)`, or one int for both.
        strides: by how much the window moves along rows and columns: `(height, width)`, or one int for both.
            Default: `(1, 1)`.
        padding: `"valid"` adds nothing; `"same"` adds zeros evenly, so that with `strides=1` the outputs are as long as
            the inputs. Default: `"valid"`.
        depth_multiplier: number of outputs for each input channel, a positive int. Default: `1`.
        data_format: order of the axes: `"channels_last"` for `(batch, height, width, channels)`, `"channels_first"` for
            `(batch, channels, height, width)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        dilation_rate: distance between neighbouring values under the window: `(height, width)`, or one int for both.
            Default: `(1, 1)`.
        activation: function applied to the result: a name such as `"relu"`, or a callable; `None` for none.
            Default: `None`.
        use_bias: whether a bias per output channel is added. Default: `True`.
        depthwise_initializer, bias_initializer: how the weights start: a name or an initializer.
            Defaults: `"glorot_uniform"`, `"zeros"`.
        depthwise_regularizer, bias_regularizer: penalty on a weight, added to the loss. Default: `None`.
        activity_regularizer: penalty on the outputs, divided by the batch size and added to the loss. Default: `None`.
        depthwise_constraint, bias_constraint: function that maps a weight to an allowed value after each update.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of four dimensions.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, new_height, new_width, channels * depth_multiplier)`, or
        `(batch, channels * depth_multiplier, new_height, new_width)` with `"channels_first"`.

    Weights:
        `kernel`: `(*kernel_size, channels, depth_multiplier)`. `bias`: `(channels * depth_multiplier,)`, if `use_bias`.

    Raises:
        ValueError: a size is not positive, or the window does not fit into the inputs.

    Example:
        >>> layer = keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)
        >>> layer(torch.zeros(4, 8, 8, 3)).shape
        torch.Size([4, 8, 8, 6])
        >>> tuple(layer.kernel.shape)
        (3, 3, 3, 2)
    """

    rank = 2


class BaseSeparableConv(WindowLayer):
    """A depthwise convolution, then a 1x1 convolution from `channels * depth_multiplier` to `filters` channels."""

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
        **kwargs: Unpack[CommonOptions],
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
        self._tk_set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self._tk_check_positive(filters=filters, depth_multiplier=depth_multiplier)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = self._tk_input_channels(input_shape)
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
        self._tk_lay_out(self.depthwise_kernel, is_grouped=True)
        self._tk_lay_out(self.pointwise_kernel)
        self._tk_add_bias(self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        view, kernel = self._view, self.depthwise_kernel
        x = view.enter(inputs.to(kernel.dtype))
        x = self._convolve(x, grouped_kernel(view, kernel), None, groups=x.shape[1])
        outputs = F.conv2d(x, view.kernel(self.pointwise_kernel), self.bias)
        return self._activate(view.leave(outputs))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return self._output_shape(input_shape, self.filters)


class SeparableConv1D(BaseSeparableConv):
    """Convolve each channel of sequences by itself, then mix the channels in each place.

    `outputs = activation(pointwise(depthwise(inputs)) + bias)`: a convolution in two factors, with far fewer weights
    than `Conv1D` (Chollet, 2017, arXiv:1610.02357).

    Args:
        filters: number of output channels, a positive int.
        kernel_size: length of the depthwise window: an int, or a tuple of one int.
        strides: by how much the window moves along the steps: an int, or a tuple of one int. Default: `1`.
        padding: `"valid"` adds nothing; `"same"` adds zeros evenly, so that with `strides=1` the outputs are as long as
            the inputs. Default: `"valid"`.
        data_format: order of the axes: `"channels_last"` for `(batch, steps, channels)`, `"channels_first"` for
            `(batch, channels, steps)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        dilation_rate: distance between neighbouring values under the window: an int, or a tuple of one int. Default:
            `1`.
        depth_multiplier: number of depthwise outputs for each input channel, a positive int. Default: `1`.
        activation: function applied to the result, by name or as a callable; `None` for none. Default: `None`.
        use_bias: whether a bias per output channel is added. Default: `True`.
        depthwise_initializer, pointwise_initializer, bias_initializer: how the weights start: a name or an initializer.
            Defaults: `"glorot_uniform"`, `"glorot_uniform"`, `"zeros"`.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer: penalty on a weight, added to the loss.
            Default: `None`.
        activity_regularizer: penalty on the outputs, divided by the batch size and added to the loss. Default: `None`.
        depthwise_constraint, pointwise_constraint, bias_constraint: function that maps a weight to an allowed value
            after each update. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of three dimensions.

    Input shape:
        `(batch, steps, channels)`, or `(batch, channels, steps)` with `"channels_first"`.

    Output shape:
        `(batch, new_steps, filters)`, or `(batch, filters, new_steps)` with `"channels_first"`.

    Weights:
        `depthwise_kernel`: `(*kernel_size, channels, depth_multiplier)`.
        `pointwise_kernel`: `(1, channels * depth_multiplier, filters)`. `bias`: `(filters,)`, if `use_bias`.

    Raises:
        ValueError: a size is not positive, or the window does not fit into the inputs.

    Example:
        >>> layer = keras.layers.SeparableConv1D(6, 3)
        >>> layer(torch.zeros(4, 10, 2)).shape
        torch.Size([4, 8, 6])
        >>> [tuple(weight.shape) for weight in layer.weights]
        [(3, 2, 1), (1, 2, 6), (6,)]
    """

    rank = 1


class SeparableConv2D(BaseSeparableConv):
    """Convolve each channel of images by itself, then mix the channels in each place.

    `outputs = activation(pointwise(depthwise(inputs)) + bias)`: a convolution in two factors, with far fewer weights
    than `Conv2D` (Chollet, 2017, arXiv:1610.02357).

    Args:
        filters: number of output channels, a positive int.
        kernel_size: height and width of the depthwise window: `(height, width)`, or one int for both.
        strides: by how much the window moves along rows and columns: `(height, width)`, or one int for both.
            Default: `(1, 1)`.
        padding: `"valid"` adds nothing; `"same"` adds zeros evenly, so that with `strides=1` the outputs are as long as
            the inputs. Default: `"valid"`.
        data_format: order of the axes: `"channels_last"` for `(batch, height, width, channels)`, `"channels_first"` for
            `(batch, channels, height, width)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        dilation_rate: distance between neighbouring values under the window: `(height, width)`, or one int for both.
            Default: `(1, 1)`.
        depth_multiplier: number of depthwise outputs for each input channel, a positive int. Default: `1`.
        activation: function applied to the result, by name or as a callable; `None` for none. Default: `None`.
        use_bias: whether a bias per output channel is added. Default: `True`.
        depthwise_initializer, pointwise_initializer, bias_initializer: how the weights start: a name or an initializer.
            Defaults: `"glorot_uniform"`, `"glorot_uniform"`, `"zeros"`.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer: penalty on a weight, added to the loss.
            Default: `None`.
        activity_regularizer: penalty on the outputs, divided by the batch size and added to the loss. Default: `None`.
        depthwise_constraint, pointwise_constraint, bias_constraint: function that maps a weight to an allowed value
            after each update. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of four dimensions.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, new_height, new_width, filters)`, or `(batch, filters, new_height, new_width)` with `"channels_first"`.

    Weights:
        `depthwise_kernel`: `(*kernel_size, channels, depth_multiplier)`.
        `pointwise_kernel`: `(1, 1, channels * depth_multiplier, filters)`. `bias`: `(filters,)`, if `use_bias`.

    Raises:
        ValueError: a size is not positive, or the window does not fit into the inputs.

    Example:
        >>> layer = keras.layers.SeparableConv2D(6, 3, depth_multiplier=2)
        >>> layer(torch.zeros(4, 8, 8, 3)).shape
        torch.Size([4, 6, 6, 6])
        >>> [tuple(weight.shape) for weight in layer.weights]
        [(3, 3, 3, 2), (1, 1, 6, 6), (6,)]
    """

    rank = 2


# Keras's second names.
SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D
