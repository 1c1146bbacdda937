"""Base of the cells: arguments, weights, dropout masks, and a run over a whole sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.variables.portable_random import is_portable_random_enabled
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.recurrent.scan import scan
from torchkeras.layers.regularization.dropout import drawn_mask

_GETTERS = {
    "activation": activations.get,
    "initializer": initializers.get,
    "regularizer": regularizers.get,
    "constraint": constraints.get,
}


def arguments_of(scope: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a constructor, from its `locals()`."""
    return {name: value for name, value in scope.items() if name not in ("self", "kwargs", "__class__")}


class CellOptions(LayerOptions, total=False):
    """The common arguments, and whether each gate draws a dropout mask (1) or all share one (2)."""

    implementation: int


class RecurrentCell(Layer):
    """Base of cells: one step in time, `call(inputs, states) -> (output, states)`, for inputs `(batch, features)`.

    A step has two parts: `project` depends on the inputs only, and is done for all steps of a sequence at once; `step`
    does the rest.

    A cell class that defines `_tk_run_fused` in its body takes whole sequences; subclasses of it are called step by
    step.
    """

    keras_module = None
    _tk_config_base = True
    _tk_gates = 1
    _tk_draws_seed_first = False  # before the seeds of the initializers, as in Keras: then one seed gives equal weights

    def __init__(self, _arguments: dict[str, Any], **kwargs: Unpack[CellOptions]) -> None:
        units = _arguments["units"]
        if not isinstance(units, (int, np.integer)) or units <= 0:
            name = "filters" if "filters" in _arguments else "units"
            raise ValueError(
                f"Received an invalid value for argument `{name}`, expected a positive integer, got {units}."
            )
        implementation = kwargs.pop("implementation", 2)
        super().__init__(**kwargs)
        self.dropout: float
        self.recurrent_dropout: float
        if self._tk_draws_seed_first:
            self.seed_generator = SeedGenerator(_arguments["seed"])
        for name, value in _arguments.items():
            getter = _GETTERS.get(name.rpartition("_")[2])
            setattr(self, name, getter(value) if getter else value)
        self.dropout = min(1.0, max(0.0, self.dropout))
        self.recurrent_dropout = min(1.0, max(0.0, self.recurrent_dropout))
        self.implementation = 1 if self.recurrent_dropout else implementation
        if not self._tk_draws_seed_first:
            self.seed_generator = SeedGenerator(self.seed)
        self.state_size: int | list[int] = self.units
        self.output_size = self.units

    # ------------------------------------------------------------------ weights

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = self._tk_gates * self.units
        self.kernel = self._weight("kernel", (input_shape[-1], width))
        self.recurrent_kernel = self._weight("recurrent_kernel", (self.units, width), "recurrent")
        self.bias = self._weight("bias", self._bias_shape(), initializer=self._bias_start()) if self.use_bias else None

    def _weight(self, name: str, shape: tuple, kind: str | None = None, initializer: Callable | None = None) -> Tensor:
        kind = kind or name
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer or getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
        )

    def _bias_shape(self) -> tuple[int, ...]:
        return (self._tk_gates * self.units,)

    def _bias_start(self) -> Callable:
        return self.bias_initializer

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Return zeros, one tensor `(batch_size, units)` per state.

        Args:
            batch_size: number of samples.
        """
        count = len(self.state_size) if isinstance(self.state_size, (list, tuple)) else 1
        kernel = self._parameters.get("kernel")  # without the cast that a layer's attribute is
        device = None if kernel is None else kernel.device
        shape, dtype = (batch_size, self.units), torch_dtype(self.compute_dtype)
        if count == 1:
            return [torch.zeros(shape, dtype=dtype, device=device)]
        return list(torch.zeros((count, *shape), dtype=dtype, device=device).unbind(0))

    # ------------------------------------------------------------------ computing

    def call(
        self, inputs: Tensor, states: Tensor | Sequence[Tensor], training: bool = False
    ) -> tuple[Tensor, Tensor | list[Tensor]]:
        nested = isinstance(states, (list, tuple))
        states = list(states) if nested else [states]
        projected = self._tk_project(inputs, training)
        output, states = self._tk_step(projected, states, self._recurrent_masks(states[0], training))  # type: ignore[arg-type]
        return output, states if nested else states[0]

    def _tk_project(self, inputs: Tensor, training: bool) -> Tensor:
        """`inputs @ kernel + bias`, for inputs `(batch, features)` or `(batch, time, features)`."""
        bias = self._input_bias()
        mask = self._input_mask(inputs, training)
        if isinstance(mask, list):  # one draw per gate
            parts = [(inputs * m) @ k for m, k in zip(mask, self.kernel.chunk(self._tk_gates, 1), strict=True)]
            projected = torch.cat(parts, -1)
            return projected if bias is None else projected + bias
        if mask is not None:
            inputs = inputs * mask
        return F.linear(inputs, self.kernel.t(), bias)

    def _tk_step(
        self, projected: Tensor, states: list[Tensor], masks: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """The output and the new states, from the projected inputs; `masks` drop parts of the recurrent state."""
        raise NotImplementedError

    def _input_bias(self) -> Tensor | None:
        return self.bias

    def _tk_run_steps(
        self,
        inputs: Tensor,
        states: list[Tensor],
        mask: Tensor | None,
        training: bool,
        zero_masked: bool,
        keep_all: bool,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Run a whole sequence by a loop over time, after one projection of all its steps."""
        projected = self._tk_project(inputs, training)  # draws its dropout mask first, as Keras does
        masks = self._recurrent_masks(states[0], training)

        def step(x: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            return self._tk_step(x, states, masks)

        return scan(step, projected, states, mask, zero_masked, keep_all, type(self).__name__)

    def _tk_fusable(self) -> bool:
        """Whether a kernel of torch computes the same as this cell with its arguments."""
        return False

    def _tk_run_fused(
        self,
        inputs: Tensor,
        states: list[Tensor],
        mask: Tensor | None,
        training: bool,
        zero_masked: bool,
        keep_all: bool,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Run a whole sequence by the fused kernel; returns the last output, all outputs, and the last states."""
        raise NotImplementedError(f"{type(self).__name__} has no fused kernel.")

    # ------------------------------------------------------------------ dropout

    # One draw serves all steps of a sequence. Whoever calls a cell step by step resets the masks between sequences.
    _dropout_mask: Tensor | list[Tensor] | None = None
    _recurrent_dropout_mask: Tensor | list[Tensor] | None = None

    def get_dropout_mask(self, step_input: Tensor) -> Tensor | list[Tensor] | None:
        """The factor of every step's inputs: a tensor, a list with one per gate (`implementation=1`), or `None`."""
        if self._dropout_mask is None and self.dropout > 0:
            self.__dict__["_dropout_mask"] = self._draw(step_input, self.dropout)
        return self._dropout_mask

    def get_recurrent_dropout_mask(self, step_input: Tensor) -> Tensor | list[Tensor] | None:
        """The factor of the recurrent state in every step: a tensor, a list with one per gate, or `None`."""
        if self._recurrent_dropout_mask is None and self.recurrent_dropout > 0:
            self.__dict__["_recurrent_dropout_mask"] = self._draw(step_input, self.recurrent_dropout)
        return self._recurrent_dropout_mask

    def reset_dropout_mask(self) -> None:
        """Discard the dropout mask of the inputs, so that the next sequence draws a new one."""
        self.__dict__["_dropout_mask"] = None

    def reset_recurrent_dropout_mask(self) -> None:
        """Discard the dropout mask of the state, so that the next sequence draws a new one."""
        self.__dict__["_recurrent_dropout_mask"] = None

    def _draw(self, like: Tensor, rate: float) -> Tensor | list[Tensor]:
        per_gate = self.implementation == 1 and self._tk_gates > 1
        draws = [self._draw_one(torch.ones_like(like), rate) for _ in range(self._tk_gates if per_gate else 1)]
        return draws if per_gate else draws[0]

    def _draw_one(self, ones: Tensor, rate: float) -> Tensor:
        if self.seed is None and not is_portable_random_enabled():
            return F.dropout(ones, rate)
        keep = 1.0 - rate
        return drawn_mask(self, keep, ones.shape, ones.device).to(ones.dtype) / keep

    def _drops(self, rate: float, training: bool) -> bool:
        return bool(training) and 0.0 < rate < 1.0

    def _input_mask(self, inputs: Tensor, training: bool) -> Any:
        if not self._drops(self.dropout, training):
            return None
        if inputs.dim() == 2:
            return self.get_dropout_mask(inputs)
        mask = self.get_dropout_mask(inputs[:, 0])
        return [m.unsqueeze(1) for m in mask] if isinstance(mask, list) else mask.unsqueeze(1)

    def _recurrent_masks(self, state: Tensor, training: bool) -> Any:
        return self.get_recurrent_dropout_mask(state) if self._drops(self.recurrent_dropout, training) else None


def times_gates(state: Tensor, masks: list[Tensor] | None, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """`state @ kernel + bias`, with a separate mask of the state for each gate."""
    if masks is None:
        return state @ kernel if bias is None else torch.addmm(bias, state, kernel)
    parts = [(state * m) @ k for m, k in zip(masks, kernel.chunk(len(masks), 1), strict=True)]
    return torch.cat(parts, 1) if bias is None else torch.cat(parts, 1) + bias
