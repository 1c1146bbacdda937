"""Max and average pooling over sliding windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from torchkeras.core.settings import standardize_data_format
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.spatial import channel_axis, spatial_dims, window_lengths, with_spatial_dims
from torchkeras.ops.nn.pooling import max_windows, mean_windows
from torchkeras.ops.nn.windows import TorchView, same_sides, standardize_tuple


class BasePooling(Layer):
    """A window of `pool_size` moved by `strides` (`pool_size` unless given) over the spatial dimensions."""

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
        **kwargs: Any,
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
    """The largest value of each window; nothing beyond the border counts."""

    keras_module = None
    _pool = staticmethod(max_windows)


class AveragePooling(BasePooling):
    """The mean of each window. Beyond an even border nothing counts; an uneven one repeats the border's values.

    Both as Keras on torch has it.
    """

    keras_module = None
    _pool = staticmethod(mean_windows)


class MaxPooling1D(MaxPooling):
    """Max pooling of `(batch, steps, features)`."""

    rank = 1

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)


class MaxPooling2D(MaxPooling):
    """Max pooling of `(batch, height, width, channels)`."""

    rank = 2

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)


class MaxPooling3D(MaxPooling):
    """Max pooling of `(batch, depth, height, width, channels)`."""

    rank = 3

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)


class AveragePooling1D(AveragePooling):
    """Average pooling of `(batch, steps, features)`."""

    rank = 1


class AveragePooling2D(AveragePooling):
    """Average pooling of `(batch, height, width, channels)`."""

    rank = 2


class AveragePooling3D(AveragePooling):
    """Average pooling of `(batch, depth, height, width, channels)`."""

    rank = 3
