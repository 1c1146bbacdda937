"""The choice of the variables that weight decay shrinks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import torch


class WeightDecay:
    """The part of an optimizer that knows the variables without weight decay."""

    _undecayed: set[int]
    _undecayed_names: re.Pattern | None
    _reset_plans: Callable[[], None]

    def exclude_from_weight_decay(
        self, var_list: Iterable | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave variables out of weight decay.

        Args:
            var_list: the variables themselves. Default: `None`.
            var_names: regular expressions; a variable in whose name one is found is left out. Default: `None`.

        Example:
            >>> optimizer = keras.optimizers.AdamW()
            >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
            >>> optimizer._tk_uses_weight_decay(keras.Variable(0.0, name="bias"))
            False
        """
        self._undecayed = {id(v) for v in var_list or ()}
        self._undecayed_names = re.compile("|".join(set(var_names))) if var_names else None
        self._reset_plans()

    def _tk_uses_weight_decay(self, variable: torch.Tensor) -> bool:
        """Return whether weight decay shrinks a variable.

        Args:
            variable: the variable.
        """
        if id(variable) in self._undecayed:
            return False
        pattern = self._undecayed_names
        return pattern is None or pattern.search(str(getattr(variable, "name", None) or "")) is None
