"""Weights of Keras 1 and 2 in the layouts of Keras 3, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from torchkeras.layers.base.layer import Layer
from torchkeras.layers.convolutional.base_conv import BaseConv
from torchkeras.layers.convolutional.conv_transpose import BaseConvTranspose
from torchkeras.layers.convolutional.depthwise import BaseSeparableConv
from torchkeras.layers.recurrent.conv_lstm import ConvLSTMCell
from torchkeras.layers.recurrent.gru import GRUCell
from torchkeras.layers.recurrent.lstm import LSTMCell
from torchkeras.saving.legacy.values import Value, concatenated

Shape = tuple[int, ...]


@dataclass
class Origin:
    """Where a file's weights come from.

    Args:
        version: the major version of Keras.
        backend: the backend of that Keras, if the file says so.
        guessed_flip: set when kernels were taken as Theano's without the file saying so.
    """

    version: int
    backend: str | None
    guessed_flip: bool = False


def count_in_file(owner: Layer, count: int, origin: Origin) -> int:
    """How many arrays a file has for a layer that has `count` weights."""
    if origin.version == 1 and count == 3:
        return 12 if isinstance(owner, (LSTMCell, ConvLSTMCell)) else 9 if isinstance(owner, GRUCell) else count
    return count


def converted(owner: Layer, shapes: Sequence[Shape], values: list[Value], origin: Origin) -> list[Value]:
    """The values for a layer's weights.

    Args:
        owner: the layer that owns the weights: no wrapper or model.
        shapes: of its weights.
        values: what the file has.
        origin: of the file.
    """
    if isinstance(owner, (LSTMCell, GRUCell)):
        return _recurrent(owner, shapes, values)
    if isinstance(owner, ConvLSTMCell):
        return _convolutional_lstm(shapes, values, origin)
    if values and isinstance(owner, (BaseConv, BaseConvTranspose)):
        return [_kernel(owner, shapes[0], values[0], origin), *values[1:]]
    if isinstance(owner, BaseSeparableConv):
        return [*(_fitted(shape, value) for shape, value in zip(shapes[:2], values[:2])), *values[2:]]
    return values


# ---------------------------------------------------------------------------- convolutions


def _kernel(owner: BaseConv | BaseConvTranspose, shape: Shape, value: Value, origin: Origin) -> Value:
    """A kernel: spatial sizes first, then the channels."""
    spatial = tuple(range(len(shape) - 2))
    flip = origin.backend == "theano"
    if origin.version == 1:
        value, in_theanos_order = _of_keras_1(owner, shape, value)
        if in_theanos_order and origin.backend is None:
            flip = origin.guessed_flip = True
    return value.flipped(spatial) if flip else value


def _of_keras_1(owner: BaseConv | BaseConvTranspose, shape: Shape, value: Value) -> tuple[Value, bool]:
    """The kernel with its axes in Keras 3's order, and whether Theano's order was another one."""
    rank = len(shape)
    is_first = owner.data_format == "channels_first"
    if rank == 3 and len(value.shape) == 4:  # Keras 1 ran it as a convolution of images of width 1
        in_theanos_order = value.shape[1] != 1 or value.without_axis(1).shape != shape
        value = value.transposed((2, 3, 1, 0)) if in_theanos_order else value
        return (value.without_axis(1) if value.shape[1] == 1 else value), in_theanos_order
    axes = (*range(2, rank), 1, 0)
    if isinstance(owner, BaseConvTranspose) and rank == 4:
        if is_first:
            return value.transposed((2, 3, 0, 1)), True
        swapped = value.transposed((0, 1, 3, 2))
        return (swapped if value.shape != shape and swapped.shape == shape else value), False
    if len(value.shape) == rank and (is_first or value.shape != shape) and value.transposed(axes).shape == shape:
        return value.transposed(axes), True
    return value, False


def _fitted(shape: Shape, value: Value) -> Value:
    """A kernel whose channels may come first."""
    if value.shape != shape and len(value.shape) == 4 and value.transposed((2, 3, 1, 0)).shape == shape:
        return value.transposed((2, 3, 1, 0))
    return value


# ---------------------------------------------------------------------------- recurrent layers


def _recurrent(owner: Layer, shapes: Sequence[Shape], values: list[Value]) -> list[Value]:
    if len(values) == 12 and len(shapes) == 3:
        return _gates(values, (0, 2, 1, 3))  # Keras 1 has the candidate before the forget gate
    if len(values) == 9 and len(shapes) == 3:
        return _gates(values, (0, 1, 2))
    if len(values) != 3 or len(shapes) != 3:
        return values
    units = shapes[1][0]
    if isinstance(owner, LSTMCell) and values[2].shape == (8 * units,):
        bias = values[2].mapped((4 * units,), lambda b: b.reshape(2, -1).sum(0))
        return [*_of_cudnn(values, 4), bias]
    if values[2].shape == (6 * units,) and shapes[2] == (2, 3 * units):
        return [*_of_cudnn(values, 3), values[2].mapped((2, 3 * units), lambda b: b.reshape(2, -1))]
    return values


def _gates(values: list[Value], order: Sequence[int]) -> list[Value]:
    """The kernel, recurrent kernel and bias of layers that keep three arrays per gate."""
    return [concatenated([values[3 * gate + part] for gate in order]) for part in range(3)]


def _convolutional_lstm(shapes: Sequence[Shape], values: list[Value], origin: Origin) -> list[Value]:
    """The same, where the kernels are those of convolutions: theirs may have the channels first, and be turned."""
    flip = origin.backend == "theano"
    if len(values) == 12 and len(shapes) == 3:
        one = [(*shape[:-1], shape[-1] // 4) for shape in shapes]
        parts = [_fitted(one[i % 3], value) for i, value in enumerate(values)]
        if origin.backend is None and any(part is not value for part, value in zip(parts, values)):
            flip = origin.guessed_flip = True
        values = _gates(parts, (0, 2, 1, 3))
    return [value.flipped((0, 1)) if flip and i < 2 else value for i, value in enumerate(values)]


def _of_cudnn(values: list[Value], gates: int) -> list[Value]:
    """Kernel and recurrent kernel of layers that ran on cuDNN, whose matrices are `(outputs, inputs)` per gate."""
    kernel, recurrent = values[:2]
    return [
        kernel.mapped(kernel.shape, _per_gate(gates, lambda part: part.reshape(part.shape[::-1]).T)),
        recurrent.mapped(recurrent.shape, _per_gate(gates, lambda part: part.T)),
    ]


def _per_gate(gates: int, function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda array: np.concatenate([function(part) for part in np.split(array, gates, 1)], 1)
