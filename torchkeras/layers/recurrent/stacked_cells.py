"""StackedRNNCells: several cells as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, Unpack

import torch
from torch import Tensor

from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import Nest
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions


class Cell(Protocol):
    """One step of a recurrent layer. `output_size` and `get_initial_state(batch_size)` are optional."""

    state_size: Any
    """The size of the state: an int, or a list of them."""

    def call(self, inputs: Tensor, states: Any) -> tuple:
        """Return the output of a step and the new states."""


def as_list(states: Nest[Tensor]) -> list:
    """States as a list, also a single one."""
    return list(states) if isinstance(states, (list, tuple)) else [states]


def call_cell(cell: Cell, inputs: Tensor, states: Nest[Tensor], training: bool, **kwargs: Any) -> tuple:
    """Compute one step of any cell, with `training` if its `call` takes it."""
    if isinstance(cell, Layer) and cell._tk_call_spec.has_training:
        kwargs["training"] = training
    return (cell if callable(cell) else cell.call)(inputs, states, **kwargs)


class StackedRNNCells(Layer):
    """Join several cells into one, each of which gets the outputs of the one before.

    `RNN` makes it from a list of cells.

    Args:
        cells: list of cells: objects with `call` and `state_size`, such as `LSTMCell`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of one step.
        states: list with the states of each cell.
        training: passed to the cells that take it. Default: the training mode of the call.

    Input shape:
        `(batch, features)`.

    Returns:
        The last cell's output, and a list with the new states of each cell.

    Raises:
        ValueError: a cell has no `call` or no `state_size`.

    Example:
        >>> cell = keras.layers.StackedRNNCells([keras.layers.GRUCell(8), keras.layers.GRUCell(4)])
        >>> keras.layers.RNN(cell)(torch.zeros(2, 10, 3)).shape
        torch.Size([2, 4])
        >>> cell.state_size, cell.output_size
        ([8, 4], 4)
    """

    _tk_config_base = True

    def __init__(self, cells: Sequence[Cell], **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        if not isinstance(cells, Sequence):
            raise ValueError(f"cells must be a list of RNN cells. Received: {cells!r}")
        for cell in cells:
            for needed in ("call", "state_size"):
                if not hasattr(cell, needed):
                    raise ValueError(f"All cells must have a `{needed}`. Received a cell without it: {cell}")
        self.cells = list(cells)

    @property
    def state_size(self) -> list:
        """The state sizes of the cells, one entry per cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """The output size of the last cell."""
        return _output_size(self.cells[-1])

    def get_initial_state(self, batch_size: int | None = None) -> list:
        """Return the initial states of the cells, one entry per cell.

        Args:
            batch_size: number of samples.
        """
        return [self._initial(cell, batch_size) for cell in self.cells]

    def _initial(self, cell: Cell, batch_size: int | None) -> Nest[Tensor]:
        get = getattr(cell, "get_initial_state", None)
        if get is not None:
            return get(batch_size=batch_size)
        dtype, size = torch_dtype(self.compute_dtype), cell.state_size
        if isinstance(size, int):
            return torch.zeros((batch_size, size), dtype=dtype)
        return [torch.zeros((batch_size, s), dtype=dtype) for s in size]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            input_shape = (input_shape[0], _output_size(cell))

    def call(self, inputs: Tensor, states: Sequence[Nest[Tensor]], training: bool = False, **kwargs: Any) -> tuple:
        new_states = []
        for cell, old in zip(self.cells, states, strict=True):
            inputs, new = call_cell(cell, inputs, as_list(old), training, **kwargs)
            is_single = not isinstance(old, (list, tuple))
            new_states.append(new[0] if is_single and isinstance(new, (list, tuple)) else new)
        return inputs, new_states

    def _tk_sequence_runner(self, runners: list[Callable]) -> Callable:
        """A function that runs one cell over the whole sequence, then the next one over its outputs."""

        def run(
            inputs: Tensor, states: list, mask: Tensor | None, training: bool, zero_masked: bool, keep_all: bool
        ) -> tuple:
            new_states, outputs = [], inputs
            for i, (runner, old) in enumerate(zip(runners, states, strict=True)):
                every = keep_all or i < len(runners) - 1
                last, outputs, new = runner(outputs, as_list(old), mask, training, zero_masked, every)
                new_states.append(new if isinstance(old, (list, tuple)) else new[0])
            return last, outputs, new_states

        return run

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        config = dict(config)
        cells = [deserialize_keras_object(cell, custom_objects) for cell in config.pop("cells")]
        return cls(cells, **config)


def _output_size(cell: Cell) -> int:
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size
    return size[0] if isinstance(size, (list, tuple)) else size
