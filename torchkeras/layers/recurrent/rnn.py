"""RNN: runs a cell over time, with states, masks and both directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, Unpack

import torch
from torch import Tensor

from torchkeras.core import tree
from torchkeras.core.config.serialization import deserialize_keras_object
from torchkeras.core.state import state
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.tensors.masks import get_mask
from torchkeras.core.types import Nest, Shape
from torchkeras.core.variables.variable import Variable
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import CommonOptions, LayerOptions
from torchkeras.layers.recurrent.cell import RecurrentCell
from torchkeras.layers.recurrent.dropout_cell import DropoutRNNCell
from torchkeras.layers.recurrent.scan import scan
from torchkeras.layers.recurrent.stacked_cells import Cell, StackedRNNCells, as_list, call_cell


class RNN(Layer):
    """Run a cell over the steps of sequences.

    A cell computes one step: `call(inputs, states) -> (output, new_states)` for inputs `(batch, ...)`. It has
    `state_size` (an int, or a list of ints), and may have `output_size` (otherwise the first state's size) and
    `get_initial_state(batch_size)` (otherwise zeros). `SimpleRNNCell`, `GRUCell` and `LSTMCell` are such cells; a cell
    of your own is a `Layer` with these names.

    Args:
        cell: a cell, or a list of cells, each of which gets the outputs of the one before.
        return_sequences: whether to return the outputs of all steps, not only the last. Default: `False`.
        return_state: whether to return the last states as well. Default: `False`.
        go_backwards: whether to start with the last step; the outputs come in that reversed order. Default: `False`.
        stateful: whether sample `i` of a batch continues from the state in which sample `i` of the batch before ended,
            until `reset_state()`. Needs a fixed batch size. Default: `False`.
        unroll: whether to run the steps in a Python loop where a fused kernel could run. Default: `False`.
        zero_output_for_mask: whether masked steps put out zeros instead of the output of the step before.
            Default: `False`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        sequences: tensor whose second axis is time.
        initial_state: list of the states before the first step. Default: those of the cell, or zeros.
        mask: booleans `(batch, time)`; a step where it is False leaves the states as they are. Default: the inputs' own
            mask.
        training: passed to the cell. Default: the training mode of the call.

    Input shape:
        `(batch, time, ...)`.

    Output shape:
        `(batch, output_size)`, or `(batch, time, output_size)` with `return_sequences`; with `return_state` a tuple of
        it and the last states.

    Raises:
        ValueError: the cell has no `call` or no `state_size`, there are no steps, or a stateful layer gets another
            batch size.

    Example:
        >>> class Sum(keras.layers.Layer):
        ...     state_size = 3
        ...     def call(self, inputs, states):
        ...         total = states[0] + inputs
        ...         return total, [total]
        >>> layer = keras.layers.RNN(Sum(), return_sequences=True)
        >>> layer(torch.ones(1, 4, 3))[0, :, 0].tolist()
        [1.0, 2.0, 3.0, 4.0]
        >>> stack = keras.layers.RNN([keras.layers.LSTMCell(8), keras.layers.LSTMCell(4)])
        >>> stack(torch.zeros(2, 10, 3)).shape
        torch.Size([2, 4])
    """

    _tk_config_base = True

    def __init__(
        self,
        cell: Cell | Sequence[Cell],
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        one_cell: Any = StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else cell
        _check_cell(one_cell)
        super().__init__(**kwargs)
        self.cell = one_cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.supports_masking = True
        size = one_cell.state_size
        self.single_state = isinstance(size, int)
        self.state_size = [size] if self.single_state else list(size)
        self._state_names: tuple[str, ...] | None = None

    # ------------------------------------------------------------------ shapes, masks, building

    def compute_output_shape(self, sequences_shape: Shape, initial_state_shape: Nest[Shape] | None = None) -> Any:
        batch, length = sequences_shape[0], sequences_shape[1]
        size = getattr(self.cell, "output_size", None)
        size = self.state_size[0] if size is None else size
        if not isinstance(size, int):
            raise ValueError(f"The output_size of a cell must be an integer; {self.cell!r} has {size!r}.")
        output = (batch, length, size) if self.return_sequences else (batch, size)
        if not self.return_state:
            return output
        states = ((batch, one) if isinstance(one, int) else [(batch, s) for s in one] for one in self.state_size)
        return output, *states

    def compute_mask(self, _: Nest[Tensor], mask: Nest[Tensor | None]) -> Tensor | list[Tensor | None] | None:
        kept = tree.flatten(mask)[0] if self.return_sequences else None
        return [kept] + [None] * len(self.state_size) if self.return_state else kept

    def _tk_pass_mask(self, inputs: Nest[Tensor], outputs: Nest[Tensor], explicit: Nest[Tensor] | None = None) -> None:
        if explicit is not None or get_mask(inputs) is not None:  # without a mask, compute_mask is not asked
            super()._tk_pass_mask(inputs, outputs, explicit)

    def build(self, sequences_shape: Shape, initial_state_shape: Nest[Shape] | None = None) -> None:
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((sequences_shape[0], *sequences_shape[2:]))
        if not self.stateful:
            return
        if self.states is not None:
            self.reset_state()
        elif sequences_shape[0] is None:
            raise ValueError(
                f"A stateful RNN needs a fixed batch size; layer {self.name!r} received inputs of shape "
                f"{tuple(sequences_shape)}. Give it with Input(batch_shape=...) or batch_size=..."
            )
        else:
            self._make_states(sequences_shape[0])

    # ------------------------------------------------------------------ states

    def _make_states(self, batch: int) -> None:
        start = self.get_initial_state(batch)
        names = [f"state_{i}" for i in range(len(tree.flatten(start)))]
        for name, value in zip(names, tree.flatten(start), strict=True):
            kept = Variable(value, dtype=self.variable_dtype, trainable=False, name="rnn_state")
            # Moves with the module, but is part neither of its state_dict nor of files.
            self.register_buffer(name, kept, persistent=False)
        self._state_names = tuple(names)
        self._state_form = tree.map_structure(lambda _: 0, start)

    @property
    def states(self) -> Any:
        """The states kept between batches with `stateful=True`, else `None`."""
        if self._state_names is None:
            return None
        return tree.pack_sequence_as(self._state_form, [getattr(self, name) for name in self._state_names])

    def reset_state(self) -> None:
        """Set the states kept between batches to zeros."""
        with torch.no_grad():
            for kept in tree.flatten(self.states) if self._state_names else ():
                kept.zero_()

    def reset_states(self) -> None:
        """The same as `reset_state()`, under its older name."""
        self.reset_state()

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """Return the states before the first step.

        Args:
            batch_size: number of samples.

        Returns:
            A list of tensors: those of the cell's `get_initial_state`, or zeros.
        """
        get = getattr(self.cell, "get_initial_state", None)
        if get is not None:
            return as_list(get(batch_size=batch_size))
        dtype = torch_dtype(self._cell_dtype())
        return [torch.zeros((batch_size, size), dtype=dtype) for size in self.state_size]

    def _cell_dtype(self) -> str:
        return getattr(self.cell, "compute_dtype", self.compute_dtype)

    def _first_states(self, initial: Nest[Tensor] | None, sequences: Tensor) -> list:
        if initial is None and not self.stateful and isinstance(self.cell, RecurrentCell):
            return self.get_initial_state(sequences.shape[0])  # already of the right dtype and device
        if initial is None:
            # A copy, since writing the kept states at the end must not change the tensors that backward uses.
            kept = tree.map_structure(torch.clone, self.states) if self.stateful else None
            initial = self.get_initial_state(sequences.shape[0]) if kept is None else kept
        if self.stateful and self._state_names and sequences.shape[0] != self.state_0.shape[0]:
            raise ValueError(
                f"A stateful RNN needs the batch size that its states have; layer {self.name!r} keeps states of "
                f"{self.state_0.shape[0]} samples and received {sequences.shape[0]}."
            )
        dtype = torch_dtype(self._cell_dtype())
        return tree.map_structure(lambda s: torch.as_tensor(s).to(sequences.device, dtype), as_list(initial))

    def _keep_states(self, states: Nest[Tensor]) -> None:
        with torch.no_grad():
            for kept, new in zip(tree.flatten(self.states), tree.flatten(states), strict=True):
                kept.copy_(new.view(kept.shape))  # traced, the state of an LSTM has one axis more (torch 2.9)

    # ------------------------------------------------------------------ computing

    def call(
        self,
        sequences: Tensor,
        initial_state: Nest[Tensor] | None = None,
        mask: Tensor | Sequence[Tensor | None] | None = None,
        training: bool = False,
    ) -> Any:
        states = self._first_states(initial_state, sequences)
        forget_dropout(self.cell)
        last, outputs, states = self.inner_loop(sequences, states, mask, training)
        forget_dropout(self.cell)
        if self.stateful and not state.symbolic:
            self._keep_states(states)
        output = outputs if self.return_sequences else last
        return (output, *states) if self.return_state else output

    def inner_loop(
        self,
        sequences: Tensor,
        initial_state: Nest[Tensor],
        mask: Tensor | Sequence[Tensor | None] | None,
        training: bool = False,
    ) -> tuple[Any, ...]:
        """Run the cell over all steps.

        Returns:
            The last output, all outputs (only the last, without `return_sequences`), and the last states.
        """
        if sequences.shape[1] == 0:
            raise ValueError(
                f"A recurrent layer needs at least one time step; layer {self.name!r} received inputs of shape "
                f"{tuple(sequences.shape)}."
            )
        mask = mask[0] if isinstance(mask, Sequence) else mask
        if mask is not None:
            mask = mask.reshape(sequences.shape[:2]).to(torch.bool)
        if self.go_backwards:
            sequences, mask = sequences.flip(1), None if mask is None else mask.flip(1)
        fused = not self.unroll and not (
            sequences.device.type == "cuda" and getattr(self, "use_cudnn", "auto") is False
        )
        run = sequence_runner(self.cell, self.compute_dtype, fused)
        rest = (mask, training, self.zero_output_for_mask, self.return_sequences)
        if run is not None:
            dtype = torch_dtype(self.compute_dtype)
            return run(
                sequences if sequences.is_floating_point() else sequences.to(dtype), as_list(initial_state), *rest
            )
        return self._call_step_by_step(sequences, as_list(initial_state), *rest)

    def _call_step_by_step(
        self, sequences: Tensor, states: list, mask: Tensor | None, training: bool, zero_masked: bool, keep_all: bool
    ) -> tuple:
        def step(x: Tensor, states: list) -> tuple:
            output, new_states = call_cell(self.cell, x, states, training)
            return output, as_list(new_states)

        last, outputs, states = scan(step, sequences, states, mask, zero_masked, keep_all, type(self.cell).__name__)
        dtype = torch_dtype(self.compute_dtype)
        return last.to(dtype), outputs.to(dtype), tree.map_structure(lambda s: s.to(dtype), states)

    # ------------------------------------------------------------------ description

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        config = dict(config)
        if "cell" in config:
            config["cell"] = deserialize_keras_object(config["cell"], custom_objects)
        return cls(**config)


def _check_cell(cell: Cell) -> None:
    if not hasattr(cell, "call"):
        raise ValueError(f"Argument `cell` should have a `call` method. Received: cell={cell}")
    if not hasattr(cell, "state_size"):
        raise ValueError(
            "The RNN cell should have a `state_size` attribute (an integer, or a list of integers, one a state). "
            f"Received: cell={cell}"
        )
    size = cell.state_size
    if size is None or not isinstance(size, (list, tuple, int)):
        raise ValueError(
            f"state_size must be an integer, or a list/tuple of integers (one for each state tensor); "
            f"cell {cell} has {size!r}."
        )


def forget_dropout(cell: Cell) -> None:
    """Discard the cell's dropout masks, so that the next sequence draws new ones."""
    if isinstance(cell, RecurrentCell):
        if cell.dropout or cell.recurrent_dropout:
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()
    elif isinstance(cell, DropoutRNNCell):
        cell.reset_dropout_mask()
        cell.reset_recurrent_dropout_mask()
    elif isinstance(cell, StackedRNNCells):
        for one in cell.cells:
            forget_dropout(one)


def sequence_runner(cell: Cell, dtype: str, fused: bool) -> Callable[..., Any] | None:
    """The function that runs a cell over a whole sequence; `None` if it must be called step by step."""
    if type(cell) is StackedRNNCells:
        runners = [sequence_runner(one, dtype, fused) for one in cell.cells]
        return None if None in runners else cell._tk_sequence_runner(runners)
    if not isinstance(cell, RecurrentCell) or "_tk_run_fused" not in type(cell).__dict__ or cell.compute_dtype != dtype:
        return None
    return cell._tk_run_fused if fused and cell._tk_fusable() else cell._tk_run_steps


# ---------------------------------------------------------------------- layers that make their cell


def of_cell(name: str) -> property:
    """A property of the layer that reads an attribute of its cell."""
    return property(lambda layer: getattr(layer.cell, name), doc=f"The cell's `{name}`.")


_OF_LAYER = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "activity_regularizer")


class CellRNNOptions(CommonOptions, total=False):
    """The common arguments, and those of `RNN` and of cells that the signatures leave out."""

    zero_output_for_mask: bool
    implementation: int


class CellRNN(RNN):
    """Base of layers whose constructor takes the arguments of their cell beside their own."""

    keras_module = None
    _tk_config_base = True

    def __init__(
        self, _cell: Callable[..., Layer], _cell_name: str, _arguments: dict[str, Any], **kwargs: Unpack[CellRNNOptions]
    ) -> None:
        arguments = dict(_arguments)
        for_layer = {name: arguments.pop(name) for name in _OF_LAYER}
        if "use_cudnn" in arguments:
            self.use_cudnn = arguments.pop("use_cudnn")
            if self.use_cudnn not in ("auto", True, False):
                raise ValueError(f"use_cudnn must be 'auto', True or False; received {self.use_cudnn!r}.")
        shared: dict[str, Any] = {name: kwargs[name] for name in ("dtype", "trainable") if name in kwargs}
        if "implementation" in kwargs:
            shared["implementation"] = kwargs.pop("implementation")
        super().__init__(_cell(**arguments, **shared, name=_cell_name), **for_layer, **kwargs)  # type: ignore[misc]
        self.input_spec = InputSpec(ndim=3)

    def inner_loop(
        self,
        sequences: Tensor,
        initial_state: Nest[Tensor],
        mask: Tensor | Sequence[Tensor | None] | None,
        training: bool = False,
    ) -> tuple[Any, ...]:
        if self.__dict__.get("use_cudnn") is True and (
            self.cell.recurrent_dropout or not getattr(self.cell, "reset_after", True)
        ):
            raise ValueError(
                f"use_cudnn=True needs recurrent_dropout=0 (and reset_after=True for a GRU); layer {self.name!r} has "
                f"recurrent_dropout={self.cell.recurrent_dropout}. Pass use_cudnn='auto' to run without cuDNN."
            )
        return super().inner_loop(sequences, initial_state, mask, training)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["cell"]
        config.pop("use_cudnn", None)
        return config

    units = of_cell("units")
    activation = of_cell("activation")
    use_bias = of_cell("use_bias")
    kernel_initializer = of_cell("kernel_initializer")
    recurrent_initializer = of_cell("recurrent_initializer")
    bias_initializer = of_cell("bias_initializer")
    kernel_regularizer = of_cell("kernel_regularizer")
    recurrent_regularizer = of_cell("recurrent_regularizer")
    bias_regularizer = of_cell("bias_regularizer")
    kernel_constraint = of_cell("kernel_constraint")
    recurrent_constraint = of_cell("recurrent_constraint")
    bias_constraint = of_cell("bias_constraint")
    dropout = of_cell("dropout")
    recurrent_dropout = of_cell("recurrent_dropout")
    seed = of_cell("seed")
