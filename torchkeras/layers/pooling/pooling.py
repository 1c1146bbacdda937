"""Max and average pooling over sliding windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Unpack

from torch import Tensor

from torchkeras.core.settings import standardize_data_format
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.spatial import channel_axis, spatial_dims, window_lengths, with_spatial_dims
from torchkeras.ops.nn.pooling import max_windows, mean_windows
from torchkeras.ops.nn.windows import TorchView, same_sides, standardize_tuple


class BasePooling(Layer):
    """A window of `pool_size` that moves by `strides` (`pool_size` unless given) over the spatial dimensions."""

    _tk_nothing_to_build = True

    keras_module = None
    rank: int
    _pool: Callable[..., Tensor]
    """Pools `(N, C, *spatial)`, given the window, its steps, and the border as `(before, after)` pairs or `None`."""

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = standardize_tuple(pool_size, self.rank, "pool_size")
        self.strides = standardize_tuple(pool_size if strides is None else strides, self.rank, "strides")
        self.padding = padding
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self._view = TorchView(self.rank, self.data_format)
        self._window = self._view.sizes(self.pool_size)
        self._steps = self._view.sizes(self.strides)

    def call(self, inputs: Tensor) -> Tensor:
        view = self._view
        x = view.enter(inputs)
        sides = None
        if self.padding != "valid":
            sides = [same_sides(*dims) for dims in zip(x.shape[2:], self._window, self._steps, strict=True)]
        return view.leave(self._pool(x, self._window, self._steps, sides))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        lengths = spatial_dims(input_shape, self.data_format)
        out = window_lengths(lengths, self.pool_size, self.strides, self.padding)
        return with_spatial_dims(input_shape, out, input_shape[channel_axis(self.data_format)], self.data_format)


class MaxPooling(BasePooling):
    """The largest value of each window; values added by "same" padding never count."""

    keras_module = None
    _pool = staticmethod(max_windows)


class AveragePooling(BasePooling):
    """The mean of each window.

    With "same" padding, zeros added evenly at both ends do not count; where the two ends differ, the edge values are
    repeated and count. Keras on torch computes the same.
    """

    keras_module = None
    _pool = staticmethod(mean_windows)


class MaxPooling1D(MaxPooling):
    """Take the largest value of each channel within a window that slides along the steps of a sequence.

    Also called `MaxPool1D`.

    Args:
        pool_size: size of the window: an int, or a tuple of one int. Default: `2`.
        strides: by how much the window moves: an int, or a tuple of one int. `None` means `pool_size`: windows
            side by side. Default: `None`.
        padding: `"valid"` uses only windows that lie fully inside; `"same"` extends the inputs at the ends, so that
            with `strides=1` the outputs are as long as the inputs. The added values never count. Default: `"valid"`.
        data_format: order of the axes: `"channels_last"` for `(batch, steps, features)`, `"channels_first"` for
            `(batch, features, steps)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of three dimensions.

    Input shape:
        `(batch, steps, features)`, or `(batch, features, steps)` with `"channels_first"`.

    Output shape:
        `(batch, new_steps, features)`, or `(batch, features, new_steps)` with `"channels_first"`.
        A new size is `(size - pool_size) // strides + 1` for `"valid"`, and `(size - 1) // strides + 1` for `"same"`.

    Raises:
        ValueError: a size is not positive, or no window fits into symbolic inputs.
        RuntimeError: no window fits into a tensor; the error is torch's.

    Example:
        >>> x = torch.tensor([1.0, 5.0, 2.0, 3.0, 4.0]).reshape(1, 5, 1)
        >>> keras.layers.MaxPooling1D(2)(x).flatten().tolist()
        [5.0, 3.0]
        >>> keras.layers.MaxPooling1D(2, strides=1, padding="same")(x).flatten().tolist()
        [5.0, 5.0, 3.0, 4.0, 4.0]
    """

    rank = 1

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)


class MaxPooling2D(MaxPooling):
    """Take the largest value of each channel within a window that slides over the rows and columns of images.

    Also called `MaxPool2D`.

    Args:
        pool_size: size of the window: `(height, width)`, or one int for both. Default: `(2, 2)`.
        strides: by how much the window moves: `(height, width)`, or one int for both. `None` means `pool_size`: windows
            side by side. Default: `None`.
        padding: `"valid"` uses only windows that lie fully inside; `"same"` extends the inputs at the ends, so that
            with `strides=1` the outputs are as long as the inputs. The added values never count. Default: `"valid"`.
        data_format: order of the axes: `"channels_last"` for `(batch, height, width, channels)`, `"channels_first"` for
            `(batch, channels, height, width)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of four dimensions.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, new_height, new_width, channels)`, or `(batch, channels, new_height, new_width)` with
        `"channels_first"`. A new size is `(size - pool_size) // strides + 1` for `"valid"`, and
        `(size - 1) // strides + 1` for `"same"`.

    Raises:
        ValueError: a size is not positive, or no window fits into symbolic inputs.
        RuntimeError: no window fits into a tensor; the error is torch's.

    Example:
        >>> x = torch.arange(16.0).reshape(1, 4, 4, 1)
        >>> keras.layers.MaxPooling2D()(x)[0, :, :, 0].tolist()
        [[5.0, 7.0], [13.0, 15.0]]
    """

    rank = 2

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)


class MaxPooling3D(MaxPooling):
    """Take the largest value of each channel within a window that slides through volumes.

    Also called `MaxPool3D`.

    Args:
        pool_size: size of the window: `(depth, height, width)`, or one int for all three. Default: `(2, 2, 2)`.
        strides: by how much the window moves: `(depth, height, width)`, or one int for all three. `None` means
            `pool_size`: windows side by side. Default: `None`.
        padding: `"valid"` uses only windows that lie fully inside; `"same"` extends the inputs at the ends, so that
            with `strides=1` the outputs are as long as the inputs. The added values never count. Default: `"valid"`.
        data_format: order of the axes: `"channels_last"` for `(batch, depth, height, width, channels)`,
            `"channels_first"` for `(batch, channels, depth, height, width)`; `None` means
            `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of five dimensions.

    Input shape:
        `(batch, depth, height, width, channels)`, or `(batch, channels, depth, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, new_depth, new_height, new_width, channels)`, or `(batch, channels, new_depth, new_height, new_width)`
        with `"channels_first"`. A new size is `(size - pool_size) // strides + 1` for `"valid"`, and
        `(size - 1) // strides + 1` for `"same"`.

    Raises:
        ValueError: a size is not positive, or no window fits into symbolic inputs.
        RuntimeError: no window fits into a tensor; the error is torch's.

    Example:
        >>> keras.layers.MaxPooling3D((1, 2, 2))(torch.zeros(1, 4, 8, 8, 3)).shape
        torch.Size([1, 4, 4, 4, 3])
    """

    rank = 3

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)


class AveragePooling1D(AveragePooling):
    """Take the mean of each channel within a window that slides along the steps of a sequence.

    Also called `AvgPool1D`.

    Args:
        pool_size: size of the window: an int, or a tuple of one int.
        strides: by how much the window moves: an int, or a tuple of one int. `None` means `pool_size`: windows
            side by side. Default: `None`.
        padding: `"valid"` uses only windows that lie fully inside; `"same"` extends the inputs at the ends, so that
            with `strides=1` the outputs are as long as the inputs. If the same number is added at both ends, the added
            zeros do not count; otherwise the edge values are repeated and count. Default: `"valid"`.
        data_format: order of the axes: `"channels_last"` for `(batch, steps, features)`, `"channels_first"` for
            `(batch, features, steps)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of three dimensions.

    Input shape:
        `(batch, steps, features)`, or `(batch, features, steps)` with `"channels_first"`.

    Output shape:
        `(batch, new_steps, features)`, or `(batch, features, new_steps)` with `"channels_first"`.
        A new size is `(size - pool_size) // strides + 1` for `"valid"`, and `(size - 1) // strides + 1` for `"same"`.

    Raises:
        ValueError: a size is not positive, or no window fits into symbolic inputs.
        RuntimeError: no window fits into a tensor; the error is torch's.

    Example:
        >>> x = torch.tensor([1.0, 5.0, 2.0, 4.0]).reshape(1, 4, 1)
        >>> keras.layers.AveragePooling1D(2)(x).flatten().tolist()
        [3.0, 3.0]
    """

    rank = 1


class AveragePooling2D(AveragePooling):
    """Take the mean of each channel within a window that slides over the rows and columns of images.

    Also called `AvgPool2D`.

    Args:
        pool_size: size of the window: `(height, width)`, or one int for both.
        strides: by how much the window moves: `(height, width)`, or one int for both. `None` means `pool_size`: windows
            side by side. Default: `None`.
        padding: `"valid"` uses only windows that lie fully inside; `"same"` extends the inputs at the ends, so that
            with `strides=1` the outputs are as long as the inputs. If the same number is added at both ends, the added
            zeros do not count; otherwise the edge values are repeated and count. Default: `"valid"`.
        data_format: order of the axes: `"channels_last"` for `(batch, height, width, channels)`, `"channels_first"` for
            `(batch, channels, height, width)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of four dimensions.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, new_height, new_width, channels)`, or `(batch, channels, new_height, new_width)` with
        `"channels_first"`. A new size is `(size - pool_size) // strides + 1` for `"valid"`, and
        `(size - 1) // strides + 1` for `"same"`.

    Raises:
        ValueError: a size is not positive, or no window fits into symbolic inputs.
        RuntimeError: no window fits into a tensor; the error is torch's.

    Example:
        >>> x = torch.arange(16.0).reshape(1, 4, 4, 1)
        >>> keras.layers.AveragePooling2D(2)(x)[0, :, :, 0].tolist()
        [[2.5, 4.5], [10.5, 12.5]]
    """

    rank = 2


class AveragePooling3D(AveragePooling):
    """Take the mean of each channel within a window that slides through volumes.

    Also called `AvgPool3D`.

    Args:
        pool_size: size of the window: `(depth, height, width)`, or one int for all three.
        strides: by how much the window moves: `(depth, height, width)`, or one int for all three. `None` means
            `pool_size`: windows side by side. Default: `None`.
        padding: `"valid"` uses only windows that lie fully inside; `"same"` extends the inputs at the ends, so that
            with `strides=1` the outputs are as long as the inputs. If the same number is added at both ends, the added
            zeros do not count; otherwise the edge values are repeated and count. Default: `"valid"`.
        data_format: order of the axes: `"channels_last"` for `(batch, depth, height, width, channels)`,
            `"channels_first"` for `(batch, channels, depth, height, width)`; `None` means
            `keras.config.image_data_format()`. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of five dimensions.

    Input shape:
        `(batch, depth, height, width, channels)`, or `(batch, channels, depth, height, width)` with `"channels_first"`.

    Output shape:
        `(batch, new_depth, new_height, new_width, channels)`, or `(batch, channels, new_depth, new_height, new_width)`
        with `"channels_first"`. A new size is `(size - pool_size) // strides + 1` for `"valid"`, and
        `(size - 1) // strides + 1` for `"same"`.

    Raises:
        ValueError: a size is not positive, or no window fits into symbolic inputs.
        RuntimeError: no window fits into a tensor; the error is torch's.

    Example:
        >>> keras.layers.AveragePooling3D(2, strides=1)(torch.zeros(1, 4, 4, 4, 3)).shape
        torch.Size([1, 3, 3, 3, 3])
    """

    rank = 3


# Keras's second names.
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
