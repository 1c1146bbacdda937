"""Max and average pooling over sliding windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.spatial import (
    TorchView,
    channel_axis,
    pad_argument,
    same_sides,
    spatial_dims,
    standardize_data_format,
    standardize_tuple,
    window_lengths,
    with_spatial_dims,
)


class BasePooling(Layer):
    """A window of `pool_size` moved by `strides` (`pool_size` unless given) over the spatial dimensions."""

    keras_module = None
    rank: int

    def __init__(
        self, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None, **kwargs: Any
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
        self._no_border = (0,) * self._view.rank

    def call(self, inputs: Tensor) -> Tensor:
        view = self._view
        x = view.enter(inputs)
        if self.padding == "valid":
            return view.leave(self._pool(x, self._no_border))
        lengths = x.shape[2:]
        sides = [same_sides(*dims) for dims in zip(lengths, self._window, self._steps, strict=True)]
        if all(before == after for before, after in sides):
            return view.leave(self._pool(x, [before for before, _ in sides]))
        return view.leave(self._pool_uneven(x, sides))

    def _pool(self, x: Tensor, border: Sequence[int]) -> Tensor:
        """Pool with as much border before as after."""
        raise NotImplementedError

    def _pool_uneven(self, x: Tensor, sides: list[tuple[int, int]]) -> Tensor:
        """Pool with a border that is one longer at the end."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        lengths = spatial_dims(input_shape, self.data_format)
        out = window_lengths(lengths, self.pool_size, self.strides, self.padding)
        return with_spatial_dims(input_shape, out, input_shape[channel_axis(self.data_format)], self.data_format)


class MaxPooling(BasePooling):
    """The largest value of each window; nothing beyond the border counts."""

    keras_module = None

    def _pool(self, x: Tensor, border: Sequence[int], uneven: bool = False) -> Tensor:
        pool = F.max_pool2d if self._view.rank == 2 else F.max_pool3d
        return pool(x, self._window, self._steps, border, ceil_mode=uneven)  # type: ignore[call-overload]

    def _pool_uneven(self, x: Tensor, sides: list[tuple[int, int]]) -> Tensor:
        # No padded copy: with strides ceil_mode allows for just that end; without them the border is the longer one on
        # both ends, and the first output is left out.
        shifted = [stride == 1 and before != after for stride, (before, after) in zip(self._steps, sides, strict=True)]
        border = [side[shift] for side, shift in zip(sides, shifted, strict=True)]
        y = self._pool(x, border, uneven=True)
        for dim, shift in enumerate(shifted, start=2):
            if shift:
                y = y.narrow(dim, 1, y.shape[dim] - 1)
        return y


class AveragePooling(BasePooling):
    """The mean of each window. Beyond an even border nothing counts; an uneven one repeats the border's values.

    Both as Keras on torch has it.
    """

    keras_module = None

    def _pool(self, x: Tensor, border: Sequence[int]) -> Tensor:
        pool = F.avg_pool2d if self._view.rank == 2 else F.avg_pool3d
        return pool(x, self._window, self._steps, border, count_include_pad=False)

    def _pool_uneven(self, x: Tensor, sides: list[tuple[int, int]]) -> Tensor:
        return self._pool(F.pad(x, pad_argument(sides), mode="replicate"), self._no_border)


class MaxPooling1D(MaxPooling):
    """Max pooling of `(batch, steps, features)`."""

    rank = 1

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
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
        pool_size: Any = (2, 2),
        strides: Any = None,
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
        pool_size: Any = (2, 2, 2),
        strides: Any = None,
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
