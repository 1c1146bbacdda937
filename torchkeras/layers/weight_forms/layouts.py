"""How the axes of a weight lie: which of them a product sums over, and where scales and packed integers stand."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor


class Layout(Protocol):
    """The axes of a weight that a form needs to know.

    A weight is seen as a matrix: its rows are the features that a product sums over, its columns the outputs. Each
    column has scales of its own.

    Attributes:
        name: the weight's name, such as `"kernel"`.
        shape: its shape as floats.
        summed: the axes that a product sums over.
        packed_axis: the axis of the kept matrix along which two 4-bit integers share a byte.
        has_groups: whether the weight keeps `g_idx`, the number of the group that each row belongs to.
        zero_dtype: dtype of the zero points; `None` for that of the scales.
        columns_are_outputs: whether the columns are the outputs in the weight's order, which fails where an equation
            sums over later axes of the kernel.
        quantizes_inputs: whether inputs become integers where a file has no settings and the weight 4 bits.
        threshold: largest absolute value that becomes 0 where the weight is kept as -1, 0 and 1; `None` for half of the
            mean of all.
    """

    name: str
    shape: tuple[int, ...]
    summed: tuple[int, ...]
    packed_axis: int
    has_groups: bool
    zero_dtype: str | None
    columns_are_outputs: bool
    quantizes_inputs: bool
    threshold: float | None

    def to_matrix(self, value: Tensor) -> Tensor:
        """The weight as a matrix `(rows, columns)`."""

    def from_matrix(self, matrix: Tensor) -> Tensor:
        """The weight of a matrix `(rows, columns)`."""

    def kept(self, matrix: Tensor) -> Tensor:
        """A matrix of one entry, or of some entries, for each column, as files have it; its own inverse."""

    def kept_shape(self, rows: int, columns: int) -> tuple[int, int]:
        """The shape of `kept` for a matrix of that shape."""

    def scale_of_columns(self, scale: Tensor) -> Tensor:
        """Scales `(columns,)`, so that they fit the outputs."""

    def shape_of_scale(self) -> tuple[int, ...]:
        """The shape of `kept_scale`."""

    def kept_scale(self, scale: Tensor) -> Tensor:
        """The scale of 8-bit integers as files have it, from one with size 1 in the place of the summed axes."""

    def scale_of_weight(self, kept: Tensor) -> Tensor:
        """The inverse of `kept_scale`."""


class MatrixLayout:
    """A weight `(features, outputs)`, as `Dense` has it.

    Args:
        name: the weight's name.
        shape: its shape.
        packed_axis: see `Layout`. Default: `-1`.
        has_groups: see `Layout`. Default: `True`.
        zero_dtype: see `Layout`. Default: `"int8"`.
        quantizes_inputs: see `Layout`. Default: `False`.
        threshold: see `Layout`. Default: `None`.
    """

    columns_are_outputs = True

    summed: tuple[int, ...] = (0,)

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        packed_axis: int = -1,
        has_groups: bool = True,
        zero_dtype: str | None = "int8",
        quantizes_inputs: bool = False,
        threshold: float | None = None,
    ) -> None:
        self.name, self.shape, self.quantizes_inputs, self.threshold = name, shape, quantizes_inputs, threshold
        self.packed_axis, self.has_groups, self.zero_dtype = packed_axis, has_groups, zero_dtype

    def to_matrix(self, value: Tensor) -> Tensor:
        return value

    def from_matrix(self, matrix: Tensor) -> Tensor:
        return matrix

    def kept(self, matrix: Tensor) -> Tensor:
        return matrix

    def kept_shape(self, rows: int, columns: int) -> tuple[int, int]:
        return rows, columns

    def scale_of_columns(self, scale: Tensor) -> Tensor:
        return scale

    def shape_of_scale(self) -> tuple[int, ...]:
        return (columns_of(self),)

    def kept_scale(self, scale: Tensor) -> Tensor:
        return scale.squeeze(0)

    def scale_of_weight(self, kept: Tensor) -> Tensor:
        return kept.unsqueeze(0)


class TableLayout(MatrixLayout):
    """A table of embeddings `(rows, features)`: its rows are the columns of the matrix."""

    summed: tuple[int, ...] = (-1,)

    def to_matrix(self, value: Tensor) -> Tensor:
        return value.t()

    def from_matrix(self, matrix: Tensor) -> Tensor:
        return matrix.t()

    def kept(self, matrix: Tensor) -> Tensor:
        return matrix.t()

    def kept_shape(self, rows: int, columns: int) -> tuple[int, int]:
        return columns, rows

    def kept_scale(self, scale: Tensor) -> Tensor:
        return scale.squeeze(-1)

    def scale_of_weight(self, kept: Tensor) -> Tensor:
        return kept.unsqueeze(-1)


class EinsumLayout(MatrixLayout):
    """The kernel of an einsum equation; its 8-bit scales have the axes of the outputs, with size 1 where it has none.

    Args:
        name: the weight's name.
        shape: its shape.
        letters: the kernel's letters in the equation.
        outputs: the outputs' letters.
    """

    def __init__(self, name: str, shape: tuple[int, ...], letters: str, outputs: str) -> None:
        super().__init__(name, shape)
        self.letters, self.outputs = letters, outputs
        self.summed = tuple(i for i, letter in enumerate(letters) if letter not in outputs)
        self.columns_are_outputs = self.summed == tuple(range(len(self.summed)))

    def to_matrix(self, value: Tensor) -> Tensor:
        # As in Keras's files: a kernel whose summed axes do not stand first is cut into rows all the same.
        return value.reshape(math.prod([self.shape[axis] for axis in self.summed]), -1)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        return matrix.reshape(self.shape)

    def scale_of_columns(self, scale: Tensor) -> Tensor:
        sizes = [size for axis, size in enumerate(self.shape) if axis not in self.summed]
        own = [letter for letter in self.letters if letter in self.outputs]
        order = [own.index(letter) for letter in self.outputs if letter in own]
        return scale.reshape(sizes).permute(order).reshape(self.shape_of_scale())

    def shape_of_scale(self) -> tuple[int, ...]:
        sizes = dict(zip(self.letters, self.shape, strict=True))
        return tuple(sizes.get(letter, 1) for letter in self.outputs)

    def kept_scale(self, scale: Tensor) -> Tensor:
        own = [self.letters.index(letter) for letter in self.outputs if letter in self.letters]
        return scale.permute(*own, *self.summed).reshape(self.shape_of_scale())

    def scale_of_weight(self, kept: Tensor) -> Tensor:
        own = [letter for letter in self.outputs if letter in self.letters]
        flat = kept.reshape([kept.shape[self.outputs.index(letter)] for letter in own])
        in_order = flat.permute([own.index(letter) for letter in self.letters if letter in own])
        ones = [1 if axis in self.summed else size for axis, size in enumerate(self.shape)]
        return in_order.reshape(ones)


def rows_of(layout: Layout) -> int:
    """The number of features that a product with the weight sums over."""
    return math.prod([layout.shape[axis] for axis in layout.summed])


def columns_of(layout: Layout) -> int:
    """The number of outputs that have scales of their own."""
    return math.prod(layout.shape) // max(rows_of(layout), 1)


def groups_of_rows(rows: int, block_size: int, device: torch.device | None = None) -> Tensor:
    """The number of the group that each row belongs to, as floats, as Keras's files have it."""
    return torch.arange(rows, dtype=torch.float32, device=device).div(block_size, rounding_mode="floor")
