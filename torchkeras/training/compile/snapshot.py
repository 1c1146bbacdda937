"""The weights that a model trains: recorded by `compile()`, whatever `trainable` is set to afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from torchkeras.core.user_warnings import warn_user
from torchkeras.layers.base.weight_walk import all_weights


class TrainableSnapshot:
    """The weights that a model trains, recorded by `compile()`; later changes of `trainable` wait for the next call.

    Weights that are made later are noted when first met; those of layers that `compile()` saw are built as it saw them.
    Inside `applied`, `requires_grad` is as noted; afterwards it is as it was.
    """

    def __init__(self, model: Any) -> None:
        self.trainable = {id(w) for w in model.trainable_weights}
        self.known = {id(w) for w in model.weights}
        self._layers = [(layer, layer.trainable) for layer in model._flatten_layers() if hasattr(layer, "trainable")]
        self._wanted: list[tuple[torch.Tensor, bool]] = []
        self._changed: list[tuple[torch.Tensor, bool]] = []
        self._has_warned = False

    def weights(self, model: Any) -> list:
        """The weights that train."""
        trained = []
        for tensor, trainable in all_weights(model):
            if id(tensor) not in self.known:
                self.known.add(id(tensor))
                if trainable:
                    self.trainable.add(id(tensor))
            if id(tensor) in self.trainable:
                trained.append(tensor)
        return trained

    def replace(self, replaced: Mapping[int, torch.Tensor]) -> None:
        """Take other tensors for weights.

        Args:
            replaced: the new tensors by the `id` of the old ones.
        """
        self.trainable = {id(replaced[i]) if i in replaced else i for i in self.trainable}
        self.known = {id(replaced[i]) if i in replaced else i for i in self.known}

    @contextmanager
    def as_noted(self, model: Any) -> Iterator[None]:
        """Inside, layers are trainable as they were at `compile()`: for building those that were not built yet."""
        now = [layer.trainable for layer, _ in self._layers]
        self._set_layers([noted for _, noted in self._layers])
        try:
            yield
            self.weights(model)
        finally:
            self._set_layers(now)

    def _set_layers(self, values: list[bool]) -> None:
        for (layer, _), value in zip(self._layers, values):  # parents come first: setting one sets what it holds
            if layer.trainable != value:
                layer.trainable = value

    @contextmanager
    def applied(self, model: Any) -> Iterator[list]:
        """Inside, `requires_grad` is as noted; gives the weights that train. Afterwards it is as it was."""
        trained = self.weights(model)
        wanted = {id(w) for w in trained}
        outer = self._wanted, self._changed
        self._wanted = [(parameter, id(parameter) in wanted) for parameter in model.parameters()]
        self._changed = []
        self.hold()
        try:
            yield trained
        finally:
            for parameter, before in self._changed:
                parameter.requires_grad_(before)
            self._wanted, self._changed = outer

    def hold(self) -> None:
        """Put `requires_grad` to what was noted once more: a callback may have set `trainable`."""
        for parameter, should in self._wanted:
            if parameter.requires_grad != should:
                self._changed.append((parameter, parameter.requires_grad))
                parameter.requires_grad_(should)

    def warn_if_changed(self, model: Any) -> None:
        """Warn, once, where `trainable` is not what it was at `compile()`."""
        changed = [
            getattr(tensor, "path", "a weight")
            for tensor, trainable in all_weights(model)
            if id(tensor) in self.known and trainable != (id(tensor) in self.trainable)
        ]
        changed += [layer.name for layer, noted in self._layers if layer.trainable != noted and not layer.built]
        if changed and not self._has_warned:
            self._has_warned = True
            shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
            warn_user(
                f"`trainable` of {shown} was changed after compile(). The change has no effect until the model is "
                "compiled again: call model.compile(...), then fit()."
            )
