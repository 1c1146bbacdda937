"""Convolutions of sequences, images and volumes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.borders import Sides, border_of
from torchkeras.core.fast_paths.even_border import find_even_border
from torchkeras.core.memo import memoized
from torchkeras.core.operations.op import OPS, op
from torchkeras.core.settings import standardize_data_format
from torchkeras.core.symbolic.infer import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Sizes
from torchkeras.ops.nn.windows import (
    TorchView,
    crop_sides,
    pad_argument,
    same_sides,
    standardize_tuple,
    view_of,
)

op = functools.partial(op, file_module="keras.src.ops.nn")


def convolve(
    x: Tensor, kernel: Tensor, strides: Sequence[int], padding: str, dilation: Sequence[int], groups: int = 1
) -> Tensor:
    """A convolution of `(N, C, *spatial)` with a kernel `(out, in / groups, *window)`."""
    function = F.conv2d if len(strides) == 2 else F.conv3d
    if padding == "valid":
        return function(x, kernel, None, strides, 0, dilation, groups)
    if _checked_padding(padding) == "same" and max(strides) > 1:
        sides = [same_sides(*dims) for dims in zip(x.shape[2:], kernel.shape[2:], strides, dilation)]
        return convolve_within(x, kernel, None, strides, sides, dilation, groups)
    return function(x, kernel, None, strides, padding.lower(), dilation, groups)


def convolve_within(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    strides: Sequence[int],
    sides: Sequence[Sides],
    dilation: Sequence[int],
    groups: int = 1,
) -> Tensor:
    """The convolution with zeros of `sides` around `x`; only an uneven border may need a padded copy."""
    function = F.conv2d if len(strides) == 2 else F.conv3d
    even = border_of(tuple(sides)).even
    if even is not None:
        return function(x, kernel, bias, strides, even, dilation, groups)
    found = find_even_border(x, kernel.shape[2:], kernel.shape[0], strides, sides, dilation)
    if found is not None:
        return found.keep(function(x, kernel, bias, strides, found.border, dilation, groups))
    return function(F.pad(x, pad_argument(sides)), kernel, bias, strides, 0, dilation, groups)


def convolve_transposed(
    x: Tensor, kernel: Tensor, strides: Sequence[int], crops: Sequence[Sides], dilation: Sequence[int]
) -> Tensor:
    """The transposed convolution of `(N, C, *spatial)` with a kernel `(in, out, *window)`, cut by `crops`."""
    return _transposed(x, kernel, strides, _ends(tuple(crops), strides, dilation), dilation)


Ends = tuple[list[int], list[int], tuple[int, ...] | None]


def _transposed(x: Tensor, kernel: Tensor, strides: Sequence[int], ends: Ends, dilation: Sequence[int]) -> Tensor:
    function = F.conv_transpose2d if len(strides) == 2 else F.conv_transpose3d
    borders, extra, rest = ends
    y = function(x, kernel, None, strides, borders, extra, 1, dilation)
    return y if rest is None else F.pad(y, rest)


@memoized
def _ends(crops: Sequence[Sides], strides: Sequence[int], dilation: Sequence[int]) -> Ends:
    """Crops as torch takes them, border and `output_padding`, and what must be padded or cut after that."""
    borders = [before for before, _ in crops]
    longer = [before - after for before, after in crops]  # what the end has beyond a border as before
    most = [max(steps) - 1 for steps in zip(strides, dilation)]  # torch takes no more as output_padding
    extra = [min(max(more, 0), limit) for more, limit in zip(longer, most)]
    rest = [(0, more - given) for more, given in zip(longer, extra)]
    return borders, extra, None if longer == extra else pad_argument(rest)


def grouped_kernel(view: TorchView, kernel: Tensor) -> Tensor:
    """A depthwise kernel `(*window, in, multiplier)` seen as torch's `(in * multiplier, 1, *window)`."""
    return view.kernel(kernel.flatten(-2).unsqueeze(-2))


def _checked_padding(padding: str) -> str:
    if padding in ("valid", "same"):
        return padding
    name = str(padding).lower()
    if name not in ("valid", "same"):
        raise ValueError(f"The `padding` argument must be 'valid' or 'same'. Received: padding={padding}")
    return name


def _check_channels(inputs: Tensor, kernel: Tensor, channels: int, expected: int) -> None:
    """Raise `ValueError` unless the input has as many channels as expected."""
    if channels != expected:
        raise ValueError(
            "The number of input channels must match the kernel's input channels. Received: input "
            f"channels={channels}, kernel.shape={tuple(kernel.shape)}, inputs.shape={tuple(inputs.shape)}"
        )


def _described(name: str, inputs: Tensor, kernel: Tensor, *args: Any, **config: Any) -> KerasTensor:
    """As inferred; where the channels are unknown they are taken to be the kernel's."""
    axis = -1 if standardize_data_format(config["data_format"]) == "channels_last" else 1
    if inputs.shape[axis] is None and len(inputs.shape) == len(kernel.shape):
        shape = list(inputs.shape)
        shape[axis] = kernel.shape[-1 if name == "conv_transpose" else -2]
        inputs = KerasTensor(shape, inputs.dtype)
    return infer(OPS[name].function, (inputs, kernel, *args), config)


@op(spec=functools.partial(_described, "conv"))
def conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Convolve inputs with a kernel. Inputs of `n * in` channels make `n` groups.

    Args:
        inputs: tensor `(batch, *spatial, channels)`; with `"channels_first"` `(batch, channels, *spatial)`.
        kernel: tensor `(*window, in, out)`.
        strides: step of the window, one number or one for each spatial axis. Default: `1`.
        padding: `"valid"`: no padding; `"same"`: zeros around, for `ceil(size / stride)` outputs. Default: `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.
        dilation_rate: distance between the kernel's elements, one number or one for each spatial axis. Default: `1`.

    Returns:
        A tensor in the layout of the inputs, with `out` channels.

    Example:
        >>> keras.ops.conv(np.ones((1, 4, 1)), np.ones((2, 1, 1)))[0, :, 0]
        tensor([2., 2., 2.], dtype=torch.float64)
    """
    view = view_of(inputs, data_format)
    x, weight = view.enter(inputs), view.kernel(kernel)
    channels, each, groups = x.shape[1], weight.shape[1], 1
    if channels != each:
        groups = max(channels // each, 1)
        _check_channels(inputs, kernel, channels, groups * each)
    steps, dilation = view.steps(strides, "strides"), view.steps(dilation_rate, "dilation_rate")
    return view.leave(convolve(x, weight, steps, padding, dilation, groups))


@op(spec=functools.partial(_described, "depthwise_conv"))
def depthwise_conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Convolve each channel with kernels of its own.

    Args:
        inputs: tensor `(batch, *spatial, channels)`; with `"channels_first"` `(batch, channels, *spatial)`.
        kernel: tensor `(*window, in, multiplier)`.
        strides: step of the window, one number or one for each spatial axis. Default: `1`.
        padding: `"valid"`: no padding; `"same"`: zeros around, for `ceil(size / stride)` outputs. Default: `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.
        dilation_rate: distance between the kernel's elements, one number or one for each spatial axis. Default: `1`.

    Returns:
        A tensor in the layout of the inputs, with `in * multiplier` channels.

    Example:
        >>> keras.ops.depthwise_conv(np.ones((1, 4, 4, 2)), np.ones((2, 2, 2, 1))).shape
        torch.Size([1, 3, 3, 2])
    """
    view = view_of(inputs, data_format)
    return view.leave(_depthwise(view, inputs, kernel, strides, padding, dilation_rate))


@op(spec=functools.partial(_described, "separable_conv"))
def separable_conv(
    inputs: Tensor,
    depthwise_kernel: Tensor,
    pointwise_kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Apply `depthwise_conv`, then mix the channels of each place.

    Args:
        inputs: tensor `(batch, *spatial, channels)`; with `"channels_first"` `(batch, channels, *spatial)`.
        depthwise_kernel: tensor `(*window, in, multiplier)`.
        pointwise_kernel: tensor `(*ones, in * multiplier, out)`.
        strides: step of the window, one number or one for each spatial axis. Default: `1`.
        padding: `"valid"`: no padding; `"same"`: zeros around, for `ceil(size / stride)` outputs. Default: `"valid"`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.
        dilation_rate: distance between the kernel's elements, one number or one for each spatial axis. Default: `1`.

    Returns:
        A tensor in the layout of the inputs, with `out` channels.

    Example:
        >>> keras.ops.separable_conv(np.ones((1, 4, 4, 2)), np.ones((2, 2, 2, 1)), np.ones((1, 1, 2, 3))).shape
        torch.Size([1, 3, 3, 3])
    """
    view = view_of(inputs, data_format)
    x = _depthwise(view, inputs, depthwise_kernel, strides, padding, dilation_rate)
    weight, one = view.kernel(pointwise_kernel), view.small[1]
    _check_channels(inputs, pointwise_kernel, x.shape[1], weight.shape[1])
    return view.leave(convolve(x, weight, one, "valid", one))


def _depthwise(
    view: TorchView, inputs: Tensor, kernel: Tensor, strides: Sizes, padding: str, dilation_rate: Sizes
) -> Tensor:
    x = view.enter(inputs)
    channels = x.shape[1]
    weight = grouped_kernel(view, kernel)
    _check_channels(inputs, kernel, channels, kernel.shape[-2])
    steps, dilation = view.steps(strides, "strides"), view.steps(dilation_rate, "dilation_rate")
    return convolve(x, weight, steps, padding, dilation, channels)


@op(spec=functools.partial(_described, "conv_transpose"))
def conv_transpose(
    inputs: Tensor,
    kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    output_padding: Sizes | None = None,
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Apply the gradient of `conv` with respect to its inputs, which enlarges them.

    Args:
        inputs: tensor `(batch, *spatial, channels)`; with `"channels_first"` `(batch, channels, *spatial)`.
        kernel: tensor `(*window, out, in)`.
        strides: step of the window, one number or one for each spatial axis. Default: `1`.
        data_format: `"channels_last"` or `"channels_first"`; `None`: `keras.config.image_data_format()`. Default:
            `None`.
        dilation_rate: distance between the kernel's elements, one number or one for each spatial axis. Default: `1`.
        padding: `"valid"`: `(size - 1) * stride + max(window, stride)` outputs; `"same"`: `size * stride` outputs.
            Default: `"valid"`.
        output_padding: size of the result beyond the smallest possible one; `None`: as `padding` says. Default: `None`.

    Returns:
        A tensor in the layout of the inputs, with `out` channels.

    Example:
        >>> keras.ops.conv_transpose(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1)), strides=2).shape
        torch.Size([1, 4, 4, 1])
    """
    view = view_of(inputs, data_format)
    x, weight = view.enter(inputs), view.kernel(kernel)
    shape = weight.shape
    _check_channels(inputs, kernel, x.shape[1], shape[0])
    steps, dilation = view.steps(strides, "strides"), view.steps(dilation_rate, "dilation_rate")
    extras: Sequence[int | None] = view.none
    if output_padding is not None:
        extras = view.sizes(standardize_tuple(output_padding, inputs.dim() - 2, "output_padding", allow_zero=True), 0)
    return view.leave(_transposed(x, weight, steps, _cut(shape, steps, dilation, padding, extras), dilation))


@memoized
def _cut(
    shape: Sequence[int], strides: Sequence[int], dilation: Sequence[int], padding: str, extras: Sequence[int | None]
) -> Ends:
    """The sizes by which a transposed convolution with a kernel `(in, out, *window)` crops its full result."""
    padding = _checked_padding(padding)
    windows = [(size - 1) * rate + 1 for size, rate in zip(shape[2:], dilation)]
    crops = tuple(crop_sides(n, step, padding, extra) for n, step, extra in zip(windows, strides, extras))
    return _ends(crops, strides, dilation)
