"""Transposed convolutions: layers that compute the gradient of a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.core.types import Identifier
from torchkeras.distributed.split_layers import Split
from torchkeras.layers.base.options import CommonOptions
from torchkeras.layers.convolutional.base_conv import WindowLayer
from torchkeras.layers.spatial import channel_axis, spatial_dims, with_spatial_dims
from torchkeras.ops.nn.convolution import convolve_transposed
from torchkeras.ops.nn.windows import crop_sides, standardize_tuple


class BaseConvTranspose(WindowLayer):
    """`activation(transposed_convolution(inputs, kernel) + bias)`, with a kernel `(*window, filters, channels)`."""

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
        **kwargs: Unpack[CommonOptions],
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
        self._tk_set_window(kernel_size, strides, padding, data_format, dilation_rate)
        self._tk_check_positive(filters=filters)
        self._tk_refuse_strides_with_dilation()
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
        channels = self._tk_input_channels(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, self.filters, channels),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self._tk_lay_out(self.kernel)
        self._tk_add_bias(self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        view, kernel = self._view, self.kernel
        x = view.enter(inputs.to(kernel.dtype))
        outputs = convolve_transposed(x, view.kernel(kernel), self._steps, self._crops, self._dilation)
        if self.bias is not None:
            outputs = outputs + self.bias.view(-1, *(1,) * view.rank)
        return self._activate(view.leave(outputs))

    _tk_split_weight = "kernel"

    def _tk_splits(self) -> list[Split | None]:
        channels = channel_axis(self.data_format)
        return [*[None] * self.rank, Split(outputs=channels), Split(inputs=channels)]

    def _tk_product(self, inputs: Tensor, weight: Tensor) -> Tensor:
        view = self._view
        x = view.enter(inputs.to(weight.dtype))
        return view.leave(convolve_transposed(x, view.kernel(weight), self._steps, self._crops, self._dilation))

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
    """Enlarge sequences by a learned, transposed convolution.

    Each input step adds `inputs[b, t] @ kernel[i].T` to the outputs at `t * strides + i`: the way from the outputs of a
    `Conv1D` back to the shape of its inputs, often called deconvolution.

    Args:
        filters: number of output channels, a positive int.
        kernel_size: length of the window: an int, or a tuple of one int.
        strides: factor by which the outputs are larger: an int, or a tuple of one int. Default: `1`.
        padding: `"valid"` keeps all values that the window reaches; `"same"` crops the outputs to `strides` times the
            inputs. Default: `"valid"`.
        output_padding: number of values to add at the end of each spatial dimension, less than its stride:
            an int, or a tuple of one int. `None` lets the layer choose by `padding`. Default: `None`.
        data_format: order of the axes: `"channels_last"` for `(batch, steps, channels)`, `"channels_first"` for
            `(batch, channels, steps)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        dilation_rate: distance between neighbouring values under the window: an int, or a tuple of one int. Other than
            1 only with `strides=1`. Default: `1`.
        activation: function applied to the result: a name such as `"relu"`, or a callable; `None` for none.
            Default: `None`.
        use_bias: whether a bias per output channel is added. Default: `True`.
        kernel_initializer, bias_initializer: how the weights start: a name or an initializer.
            Defaults: `"glorot_uniform"`, `"zeros"`.
        kernel_regularizer, bias_regularizer: penalty on a weight, added to the loss. Default: `None`.
        activity_regularizer: penalty on the outputs, divided by the batch size and added to the loss. Default: `None`.
        kernel_constraint, bias_constraint: function that maps a weight to an allowed value after each update.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of three dimensions.

    Input shape:
        `(batch, steps, channels)`, or `(batch, channels, steps)` with `"channels_first"`.

    Output shape:
        `(batch, new_steps, filters)`, or `(batch, filters, new_steps)` with `"channels_first"`.
        A new size is the input's times `strides` for `"same"`, and
        `(size - 1) * strides + dilation_rate * (kernel_size - 1) + 1`, at least `size * strides`, for `"valid"`.

    Weights:
        `kernel`: `(*kernel_size, filters, channels)`. `bias`: `(filters,)`, if `use_bias`.

    Raises:
        ValueError: a size is not positive, `output_padding` is not below `strides`, or both strides and dilation are
            above 1.

    Example:
        >>> layer = keras.layers.Conv1DTranspose(1, 2, strides=2, kernel_initializer="ones")
        >>> layer(torch.tensor([[[1.0], [2.0]]])).flatten().tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    rank = 1


class Conv2DTranspose(BaseConvTranspose):
    """Enlarge images by a learned, transposed convolution.

    Each input pixel adds a window of values, weighted by the kernel, to the outputs: the way from the outputs of a
    `Conv2D` back to the shape of its inputs. Decoders and generators use it.

    Args:
        filters: number of output channels, a positive int.
        kernel_size: height and width of the window: `(height, width)`, or one int for both.
        strides: factor by which the outputs are larger: `(height, width)`, or one int for both. Default: `(1, 1)`.
        padding: `"valid"` keeps all values that the window reaches; `"same"` crops the outputs to `strides` times the
            inputs. Default: `"valid"`.
        output_padding: number of values to add at the end of each spatial dimension, less than its stride:
            `(height, width)`, or one int for both. `None` lets the layer choose by `padding`. Default: `None`.
        data_format: order of the axes: `"channels_last"` for `(batch, height, width, channels)`, `"channels_first"` for
            `(batch, channels, height, width)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        dilation_rate: distance between neighbouring values under the window: `(height, width)`, or one int for both.
            Other than 1 only with `strides=1`. Default: `(1, 1)`.
        activation: function applied to the result: a name such as `"relu"`, or a callable; `None` for none.
            Default: `None`.
        use_bias: whether a bias per output channel is added. Default: `True`.
        kernel_initializer, bias_initializer: how the weights start: a name or an initializer.
            Defaults: `"glorot_uniform"`, `"zeros"`.
        kernel_regularizer, bias_regularizer: penalty on a weight, added to the loss. Default: `None`.
        activity_regularizer: penalty on the outputs, divided by the batch size and added to the loss. Default: `None`.
        kernel_constraint, bias_constraint: function that maps a weight to an allowed value after each update.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of four dimensions.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, new_height, new_width, filters)`, or `(batch, filters, new_height, new_width)` with `"channels_first"`.
        A new size is the input's times `strides` for `"same"`, and
        `(size - 1) * strides + dilation_rate * (kernel_size - 1) + 1`, at least `size * strides`, for `"valid"`.

    Weights:
        `kernel`: `(*kernel_size, filters, channels)`. `bias`: `(filters,)`, if `use_bias`.

    Raises:
        ValueError: a size is not positive, `output_padding` is not below `strides`, or both strides and dilation are
            above 1.

    Example:
        >>> layer = keras.layers.Conv2DTranspose(8, 3, strides=2, padding="same")
        >>> layer(torch.zeros(4, 7, 7, 16)).shape
        torch.Size([4, 14, 14, 8])
        >>> tuple(layer.kernel.shape)
        (3, 3, 8, 16)
    """

    rank = 2


class Conv3DTranspose(BaseConvTranspose):
    """Enlarge volumes by a learned, transposed convolution.

    Each input value adds a window of values, weighted by the kernel, to the outputs: the way from the outputs of a
    `Conv3D` back to the shape of its inputs.

    Args:
        filters: number of output channels, a positive int.
        kernel_size: depth, height and width of the window: `(depth, height, width)`, or one int for all three.
        strides: factor by which the outputs are larger: `(depth, height, width)`, or one int for all three.
            Default: `(1, 1, 1)`.
        padding: `"valid"` keeps all values that the window reaches; `"same"` crops the outputs to `strides` times the
            inputs. Default: `"valid"`.
        output_padding: number of values to add at the end of each spatial dimension, less than its stride:
            `(depth, height, width)`, or one int for all three. `None` lets the layer choose by `padding`. Default:
            `None`.
        data_format: order of the axes: `"channels_last"` for `(batch, depth, height, width, channels)`,
            `"channels_first"` for `(batch, channels, depth, height, width)`; `None` means
            `keras.config.image_data_format()`. Default: `None`.
        dilation_rate: distance between neighbouring values under the window: `(depth, height, width)`, or one int for
            all three. Other than 1 only with `strides=1`. Default: `(1, 1, 1)`.
        activation: function applied to the result: a name such as `"relu"`, or a callable; `None` for none.
            Default: `None`.
        use_bias: whether a bias per output channel is added. Default: `True`.
        kernel_initializer, bias_initializer: how the weights start: a name or an initializer.
            Defaults: `"glorot_uniform"`, `"zeros"`.
        kernel_regularizer, bias_regularizer: penalty on a weight, added to the loss. Default: `None`.
        activity_regularizer: penalty on the outputs, divided by the batch size and added to the loss. Default: `None`.
        kernel_constraint, bias_constraint: function that maps a weight to an allowed value after each update.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of five dimensions.

    Input shape:
        `(batch, depth, height, width, channels)`, or `(batch, channels, depth, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, new_depth, new_height, new_width, filters)`, or `(batch, filters, new_depth, new_height, new_width)`
        with `"channels_first"`. A new size is the input's times `strides` for `"same"`, and
        `(size - 1) * strides + dilation_rate * (kernel_size - 1) + 1`, at least `size * strides`, for `"valid"`.

    Weights:
        `kernel`: `(*kernel_size, filters, channels)`. `bias`: `(filters,)`, if `use_bias`.

    Raises:
        ValueError: a size is not positive, `output_padding` is not below `strides`, or both strides and dilation are
            above 1.

    Example:
        >>> layer = keras.layers.Conv3DTranspose(2, 3, strides=2)
        >>> layer(torch.zeros(1, 3, 3, 3, 4)).shape
        torch.Size([1, 7, 7, 7, 2])
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: int | Sequence[int] | None = None,
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
        **kwargs: Unpack[CommonOptions],
    ) -> None:
        # Keras's order: of the three, this class alone has the data format before the output padding.
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            output_padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            **kwargs,
        )


# Keras's second names.
Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
