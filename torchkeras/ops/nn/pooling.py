"""The greatest value or the mean of windows over sequences, images and volumes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.fast_paths.planar_pooling import has_quick_planes, planar_max
from torchkeras.core.operations.op import op
from torchkeras.core.types import Sizes
from torchkeras.ops.nn.windows import Sides, pad_argument, same_sides, view_of

op = functools.partial(op, file_module="keras.src.ops.nn")

Pool = Callable[..., Tensor]


def max_windows(
    x: Tensor, window: tuple[int, ...], strides: tuple[int, ...], sides: Sequence[Sides] | None = None
) -> Tensor:
    """The greatest value of each window of `(N, C, *spatial)`; beyond a border of `sides` nothing counts.

    There is no padded copy where the border is uneven: with strides `ceil_mode` allows for just that end; without them
    the border is the longer one on both ends, and the first output is left out.
    """
    pool = F.max_pool2d if len(window) == 2 else F.max_pool3d
    if has_quick_planes(x):
        pool = planar_max
    if sides is None:
        return pool(x, window, strides, (0,) * len(window), ceil_mode=False)
    uneven = [before != after for before, after in sides]
    shifted = [one and stride == 1 for one, stride in zip(uneven, strides)]
    border = [after if shift else before for (before, after), shift in zip(sides, shifted)]
    y = pool(x, window, strides, border, ceil_mode=any(uneven))
    for dim, shift in enumerate(shifted, start=2):
        if shift:
            y = y.narrow(dim, 1, y.shape[dim] - 1)
    return y


def mean_windows(
    x: Tensor, window: tuple[int, ...], strides: tuple[int, ...], sides: Sequence[Sides] | None = None
) -> Tensor:
    """The mean of each window of `(N, C, *spatial)`, as Keras on torch has it.

    Beyond an even border nothing counts; an uneven one repeats the border's values.
    """
    pool = F.avg_pool2d if len(window) == 2 else F.avg_pool3d
    if sides is None:
        return pool(x, window, strides)
    if all(before == after for before, after in sides):
        return pool(x, window, strides, [before for before, _ in sides], count_include_pad=False)
    return pool(F.pad(x, pad_argument(sides), mode="replicate"), window, strides)


@op
def max_pool(
    inputs: Tensor,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Return the largest element of each window.

    Args:
        inputs: tensor `(batch, *spatial, channels)`; with `"channels_first"` `(batch, channels, *spatial)`.
        pool_size: size of the window, one number or one for each spatial axis.
        strides: step of the window; `None`: `pool_size`. Default: `None`.
        padding: `"valid"`: no padding; `"same"`: a border for `ceil(size / stride)` outputs. Default: `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        A tensor in the layout of the inputs.

    Example:
        >>> keras.ops.max_pool(np.array([[[1.0], [3.0], [2.0], [5.0]]]), 2)[0, :, 0]
        tensor([3., 5.], dtype=torch.float64)
    """
    return _pooled(max_windows, inputs, pool_size, strides, padding, data_format)


@op
def average_pool(
    inputs: Tensor,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Return the mean of each window.

    Args:
        inputs: tensor `(batch, *spatial, channels)`; with `"channels_first"` `(batch, channels, *spatial)`.
        pool_size: size of the window, one number or one for each spatial axis.
        strides: step of the window; `None`: `pool_size`. Default: `None`.
        padding: `"valid"`: no padding; `"same"`: a border for `ceil(size / stride)` outputs. Default: `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        A tensor in the layout of the inputs.

    Example:
        >>> keras.ops.average_pool(np.array([[[1.0], [3.0], [2.0], [5.0]]]), 2)[0, :, 0]
        tensor([2.0000, 3.5000], dtype=torch.float64)
    """
    return _pooled(mean_windows, inputs, pool_size, strides, padding, data_format)


def _pooled(
    pool: Pool, inputs: Tensor, pool_size: Sizes, strides: Sizes, padding: str, data_format: str | None
) -> Tensor:
    view = view_of(inputs, data_format)
    x, window = view.enter(inputs), view.steps(pool_size, "pool_size")
    steps = window if strides is None else view.steps(strides, "strides")
    if padding == "valid":
        return view.leave(pool(x, window, steps))
    if padding != "same":
        raise ValueError(f"The `padding` argument must be 'valid' or 'same'. Received: padding={padding}")
    return view.leave(pool(x, window, steps, [same_sides(*dims) for dims in zip(x.shape[2:], window, steps)]))


@op
def adaptive_max_pool(inputs: Tensor, output_size: Sizes, data_format: str | None = None) -> Tensor:
    """Return the largest element of each of a given number of windows.

    Args:
        inputs: tensor `(batch, *spatial, channels)`; with `"channels_first"` `(batch, channels, *spatial)`.
        output_size: number of windows, one number or one for each spatial axis.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        A tensor in the layout of the inputs.

    Example:
        >>> keras.ops.adaptive_max_pool(np.ones((1, 6, 6, 2)), 3).shape
        torch.Size([1, 3, 3, 2])
    """
    view = view_of(inputs, data_format)
    pool = F.adaptive_max_pool2d if view.rank == 2 else F.adaptive_max_pool3d
    return view.leave(pool(view.enter(inputs), view.steps(output_size, "output_size", allow_zero=True)))


@op
def adaptive_average_pool(inputs: Tensor, output_size: Sizes, data_format: str | None = None) -> Tensor:
    """Return the mean of each of a given number of windows.

    Args:
        inputs: tensor `(batch, *spatial, channels)`; with `"channels_first"` `(batch, channels, *spatial)`.
        output_size: number of windows, one number or one for each spatial axis.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.

    Returns:
        A tensor in the layout of the inputs.

    Example:
        >>> keras.ops.adaptive_average_pool(np.ones((1, 6, 6, 2)), 3).shape
        torch.Size([1, 3, 3, 2])
    """
    view = view_of(inputs, data_format)
    pool = F.adaptive_avg_pool2d if view.rank == 2 else F.adaptive_avg_pool3d
    return view.leave(pool(view.enter(inputs), view.steps(output_size, "output_size", allow_zero=True)))  # type: ignore[arg-type]
