"""The weights of a model and of its optimizer, to go back to after trial steps."""

from __future__ import annotations

from typing import Any

import torch


class TrainingSnapshot:
    """A copy of all weights of a model and of its optimizer, which is built for it.

    Args:
        model: a compiled, built model.
    """

    def __init__(self, model: Any) -> None:
        optimizer = model.optimizer
        if hasattr(optimizer, "build") and not optimizer.built:
            optimizer.build(model.trainable_variables)
        kept = [*model.weights, *getattr(optimizer, "variables", ())]
        self._values = [(_tensor(variable), _tensor(variable).detach().clone()) for variable in kept]

    def restore(self) -> None:
        """Give all weights the values that they had."""
        with torch.no_grad():
            for tensor, value in self._values:
                tensor.copy_(value)


def _tensor(variable: Any) -> torch.Tensor:
    return variable if isinstance(variable, torch.Tensor) else variable.value
