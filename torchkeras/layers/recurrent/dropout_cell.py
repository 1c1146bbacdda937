"""Dropout masks for recurrent cells of a user's own, by Keras's private name."""

from __future__ import annotations

from torch import Tensor

from torchkeras import random
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.ops import ones_like


class DropoutRNNCell:
    """Second base class of a cell whose inputs and state have the same dropout mask in all steps of a sequence.

    The cell sets `dropout`, `recurrent_dropout` and `seed_generator`; `dropout_mask_count`, if it is set, is the number
    of masks that are drawn, one for each gate. `RNN` discards the masks before and after each sequence.
    """

    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    seed_generator: SeedGenerator | None = None
    dropout_mask_count: int | None = None

    _dropout_mask: Tensor | list[Tensor] | None = None
    _recurrent_dropout_mask: Tensor | list[Tensor] | None = None

    def get_dropout_mask(self, step_input: Tensor) -> Tensor | list[Tensor] | None:
        """The factor of every step's inputs: a tensor, a list of them, or `None` without dropout."""
        if self._dropout_mask is None and self.dropout > 0:
            self.__dict__["_dropout_mask"] = self._create_dropout_mask(step_input, self.dropout)
        return self._dropout_mask

    def get_recurrent_dropout_mask(self, step_input: Tensor) -> Tensor | list[Tensor] | None:
        """The factor of the state in every step: a tensor, a list of them, or `None` without dropout."""
        if self._recurrent_dropout_mask is None and self.recurrent_dropout > 0:
            self.__dict__["_recurrent_dropout_mask"] = self._create_dropout_mask(step_input, self.recurrent_dropout)
        return self._recurrent_dropout_mask

    def reset_dropout_mask(self) -> None:
        """Discard the mask of the inputs."""
        self.__dict__["_dropout_mask"] = None

    def reset_recurrent_dropout_mask(self) -> None:
        """Discard the mask of the state."""
        self.__dict__["_recurrent_dropout_mask"] = None

    def _create_dropout_mask(self, step_input: Tensor, dropout_rate: float) -> Tensor | list[Tensor]:
        count = self.dropout_mask_count
        ones = ones_like(step_input)
        drawn = [random.dropout(ones, dropout_rate, seed=self.seed_generator) for _ in range(count or 1)]
        return drawn if count is not None else drawn[0]
