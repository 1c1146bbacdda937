"""Convolutions over sequences, images and volumes."""

from __future__ import annotations

from torchkeras.layers.convolutional.base_conv import BaseConv


class Conv1D(BaseConv):
    """Slide a window along the steps of a sequence and compute features from what it covers.

    `outputs[b, t] = activation(sum_i inputs[b, t * strides + i * dilation_rate] @ kernel[i] + bias)`: a temporal
    convolution.

    Args:
        filters: number of output channels, a positive int.
        kernel_size: length of the window: an int, or a tuple of one int.
        strides: by how much the window moves: an int, or a tuple of one int. Default: `1`.
        padding: `"valid"` adds nothing; `"same"` adds zeros evenly, so that with `strides=1` the outputs are as long as
            the inputs. `"causal"` adds zeros before the first step only, so that no output depends on a later step
            (van den Oord et al., 2016, arXiv:1609.03499). Default: `"valid"`.
        data_format: order of the axes: `"channels_last"` for `(batch, steps, channels)`, `"channels_first"` for
            `(batch, channels, steps)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        dilation_rate: distance between neighbouring values under the window: an int, or a tuple of one int. Other than
            1 only with `strides=1`. Default: `1`.
        groups: number of groups into which the channels are divided; each group of `filters / groups` outputs sees only
            its share of the input channels. Must divide both numbers. Default: `1`.
        activation: function applied to the result: a name such as `"relu"`, or a callable; `None` for none.
            Default: `None`.
        use_bias: whether a bias per output channel is added. Default: `True`.
        kernel_initializer, bias_initializer: how the weights start: a name or an initializer.
            Defaults: `"glorot_uniform"`, `"zeros"`.
        kernel_regularizer, bias_regularizer: penalty on a weight, added to the loss. Default: `None`.
        activity_regularizer: penalty on the outputs, divided by the batch size and added to the loss. Default: `None`.
        kernel_constraint, bias_constraint: function that maps a weight to an allowed value after each update.
            Default: `None`.
        lora_rank: rank of a low-rank adapter (LoRA, Hu et al., 2021, arXiv:2106.09685). With a rank, the kernel is
            frozen and only the two small factors train. Default: `None`, no adapter.
        lora_alpha: the adapter's product is multiplied by `lora_alpha / lora_rank`; `None` means `lora_rank`.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of three dimensions.

    Input shape:
        `(batch, steps, channels)`, or `(batch, channels, steps)` with `"channels_first"`.

    Output shape:
        `(batch, new_steps, filters)`, or `(batch, filters, new_steps)` with `"channels_first"`.
        A new size is `(size - dilation_rate * (kernel_size - 1) - 1) // strides + 1` for `"valid"`, and
        `(size - 1) // strides + 1` for `"same"` and `"causal"`.

    Weights:
        `kernel`: `(*kernel_size, channels / groups, filters)`. `bias`: `(filters,)`, if `use_bias`.

    Raises:
        ValueError: a size is not positive, `groups` does not divide the channels, both strides and dilation are above
            1, or the window does not fit into the inputs.

    Example:
        >>> layer = keras.layers.Conv1D(8, 3, padding="causal")
        >>> layer(torch.zeros(4, 10, 2)).shape
        torch.Size([4, 10, 8])
        >>> summing = keras.layers.Conv1D(1, 2, kernel_initializer="ones")
        >>> summing(torch.tensor([[[1.0], [2.0], [3.0]]])).flatten().tolist()
        [3.0, 5.0]
    """

    rank = 1
    _tk_allow_causal = True


class Conv2D(BaseConv):
    """Slide a window over the rows and columns of images and compute features from what it covers.

    `outputs[b, y, x] = activation(sum_ij inputs[b, y * s + i, x * s + j] @ kernel[i, j] + bias)` for strides `s`: a
    spatial convolution. Like every deep-learning library it does not flip the kernel.

    Args:
        filters: number of output channels, a positive int.
        kernel_size: height and width of the window: `(height, width)`, or one int for both.
        strides: by how much the window moves: `(height, width)`, or one int for both. Default: `(1, 1)`.
        padding: `"valid"` adds nothing; `"same"` adds zeros evenly, so that with `strides=1` the outputs are as long as
            the inputs. Default: `"valid"`.
        data_format: order of the axes: `"channels_last"` for `(batch, height, width, channels)`, `"channels_first"` for
            `(batch, channels, height, width)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        dilation_rate: distance between neighbouring values under the window: `(height, width)`, or one int for both.
            Other than 1 only with `strides=1`. Default: `(1, 1)`.
        groups: number of groups into which the channels are divided; each group of `filters / groups` outputs sees only
            its share of the input channels. Must divide both numbers. Default: `1`.
        activation: function applied to the result: a name such as `"relu"`, or a callable; `None` for none.
            Default: `None`.
        use_bias: whether a bias per output channel is added. Default: `True`.
        kernel_initializer, bias_initializer: how the weights start: a name or an initializer.
            Defaults: `"glorot_uniform"`, `"zeros"`.
        kernel_regularizer, bias_regularizer: penalty on a weight, added to the loss. Default: `None`.
        activity_regularizer: penalty on the outputs, divided by the batch size and added to the loss. Default: `None`.
        kernel_constraint, bias_constraint: function that maps a weight to an allowed value after each update.
            Default: `None`.
        lora_rank: rank of a low-rank adapter (LoRA, Hu et al., 2021, arXiv:2106.09685). With a rank, the kernel is
            frozen and only the two small factors train. Default: `None`, no adapter.
        lora_alpha: the adapter's product is multiplied by `lora_alpha / lora_rank`; `None` means `lora_rank`.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of four dimensions.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, new_height, new_width, filters)`, or `(batch, filters, new_height, new_width)` with `"channels_first"`.
        A new size is `(size - dilation_rate * (kernel_size - 1) - 1) // strides + 1` for `"valid"`, and
        `(size - 1) // strides + 1` for `"same"`.

    Weights:
        `kernel`: `(*kernel_size, channels / groups, filters)`. `bias`: `(filters,)`, if `use_bias`.

    Raises:
        ValueError: a size is not positive, `groups` does not divide the channels, both strides and dilation are above
            1, or the window does not fit into the inputs.

    Example:
        >>> layer = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")
        >>> layer(torch.zeros(4, 28, 28, 3)).shape
        torch.Size([4, 14, 14, 16])
        >>> tuple(layer.kernel.shape), tuple(layer.bias.shape)
        ((3, 3, 3, 16), (16,))
    """

    rank = 2


class Conv3D(BaseConv):
    """Slide a window through volumes and compute features from what it covers.

    The three-dimensional counterpart of `Conv2D`, for example for video or medical scans.

    Args:
        filters: number of output channels, a positive int.
        kernel_size: depth, height and width of the window: `(depth, height, width)`, or one int for all three.
        strides: by how much the window moves: `(depth, height, width)`, or one int for all three. Default: `(1, 1, 1)`.
        padding: `"valid"` adds nothing; `"same"` adds zeros evenly, so that with `strides=1` the outputs are as long as
            the inputs. Default: `"valid"`.
        data_format: order of the axes: `"channels_last"` for `(batch, depth, height, width, channels)`,
            `"channels_first"` for `(batch, channels, depth, height, width)`; `None` means
            `keras.config.image_data_format()`. Default: `None`.
        dilation_rate: distance between neighbouring values under the window: `(depth, height, width)`, or one int for
            all three. Other than 1 only with `strides=1`. Default: `(1, 1, 1)`.
        groups: number of groups into which the channels are divided; each group of `filters / groups` outputs sees only
            its share of the input channels. Must divide both numbers. Default: `1`.
        activation: function applied to the result: a name such as `"relu"`, or a callable; `None` for none.
            Default: `None`.
        use_bias: whether a bias per output channel is added. Default: `True`.
        kernel_initializer, bias_initializer: how the weights start: a name or an initializer.
            Defaults: `"glorot_uniform"`, `"zeros"`.
        kernel_regularizer, bias_regularizer: penalty on a weight, added to the loss. Default: `None`.
        activity_regularizer: penalty on the outputs, divided by the batch size and added to the loss. Default: `None`.
        kernel_constraint, bias_constraint: function that maps a weight to an allowed value after each update.
            Default: `None`.
        lora_rank: rank of a low-rank adapter (LoRA, Hu et al., 2021, arXiv:2106.09685). With a rank, the kernel is
            frozen and only the two small factors train. Default: `None`, no adapter.
        lora_alpha: the adapter's product is multiplied by `lora_alpha / lora_rank`; `None` means `lora_rank`.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of five dimensions.

    Input shape:
        `(batch, depth, height, width, channels)`, or `(batch, channels, depth, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, new_depth, new_height, new_width, filters)`, or `(batch, filters, new_depth, new_height, new_width)`
        with `"channels_first"`. A new size is `(size - dilation_rate * (kernel_size - 1) - 1) // strides + 1` for
        `"valid"`, and `(size - 1) // strides + 1` for `"same"`.

    Weights:
        `kernel`: `(*kernel_size, channels / groups, filters)`. `bias`: `(filters,)`, if `use_bias`.

    Raises:
        ValueError: a size is not positive, `groups` does not divide the channels, both strides and dilation are above
            1, or the window does not fit into the inputs.

    Example:
        >>> layer = keras.layers.Conv3D(4, (3, 3, 2), groups=2)
        >>> layer(torch.zeros(1, 6, 6, 6, 2)).shape
        torch.Size([1, 4, 4, 5, 4])
        >>> tuple(layer.kernel.shape)
        (3, 3, 2, 1, 4)
    """

    rank = 3


# Keras's second names.
Convolution1D = Conv1D
Convolution2D = Conv2D
Convolution3D = Conv3D
