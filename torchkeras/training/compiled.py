"""What `compile()` keeps: optimizer, losses, metrics, options, and which weights train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from torchkeras import optimizers
from torchkeras.core import tree
from torchkeras.core.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.metrics import Mean
from torchkeras.training.compile_loss import CompileLoss
from torchkeras.training.compile_metrics import CompileMetrics


class LossTracker(Mean):
    """The running mean of an epoch's loss, each batch weighted by its rows."""

    keras_module = None

    def add(self, loss: torch.Tensor, rows: float) -> None:
        """Add a batch of `rows` rows.

        Raises:
            ValueError: the loss is not one number.
        """
        try:
            with torch.no_grad():
                self.total.add_(loss.detach().to(self.total), alpha=rows)
                self.count.add_(rows)
        except RuntimeError:
            if loss.dim() == 0:
                raise
            raise ValueError(
                f"The loss must be one number a batch; received a tensor of shape {tuple(loss.shape)}. Give the loss a "
                f"reduction, or reduce it in compute_loss()."
            ) from None


class Compiled:
    """The outcome of `compile()`.

    Raises:
        ValueError: an argument is not what it can be; nothing is changed then.
    """

    def __init__(
        self,
        optimizer: Any,
        loss: Any,
        loss_weights: Any,
        metrics: Any,
        weighted_metrics: Any,
        run_eagerly: bool,
        steps_per_execution: int,
        jit_compile: Any,
        scale_loss: bool,
        output_names: list[str] | None,
    ) -> None:
        if jit_compile not in (True, False, None, "auto"):
            raise ValueError(f"jit_compile must be True, False or 'auto'; received {jit_compile!r}.")
        if not isinstance(steps_per_execution, int) or steps_per_execution < 1:
            raise ValueError(f"steps_per_execution must be an integer of at least 1; received {steps_per_execution!r}.")
        self.optimizer = optimizers.get(optimizer)
        if scale_loss and isinstance(self.optimizer, optimizers.Optimizer):
            if not isinstance(self.optimizer, optimizers.LossScaleOptimizer):
                self.optimizer = optimizers.LossScaleOptimizer(self.optimizer, name="loss_scale_optimizer")
        self.loss = CompileLoss(loss, loss_weights, output_names) if loss is not None else None
        self.metrics = CompileMetrics(metrics, weighted_metrics, output_names)
        self.loss_tracker = LossTracker(name="loss")
        self.part_trackers: dict[str, LossTracker] = {}
        self.run_eagerly = run_eagerly
        self.steps_per_execution = steps_per_execution
        self.jit_compile = jit_compile is True and not run_eagerly
        self.config = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": bool(self.jit_compile),
        }

    def track_loss(self, loss: torch.Tensor, rows: float) -> None:
        """Add a batch's loss to the epoch's, whole and by output."""
        self.loss_tracker.add(loss, rows)
        if self.loss is not None and self.loss.last_parts:
            self.track_parts(rows)

    def track_parts(self, rows: float) -> None:
        """Follow the losses of the outputs one by one, where there are several."""
        for name, part in self.loss.last_parts:  # type: ignore[union-attr]
            tracker = self.part_trackers.get(name)
            if tracker is None:
                tracker = self.part_trackers[name] = LossTracker(name=name)
                tracker.to(part.device)
            tracker.add(part, rows)

    def foreign(self) -> list[str]:
        """The names of what is torch's own and has no config."""
        given = tree.flatten([self.config[name] for name in ("loss", "metrics", "weighted_metrics")])
        names = [
            getattr(one, "__name__", type(one).__name__)
            for one in given
            if isinstance(one, torch.nn.Module) or str(getattr(one, "__module__", "")).startswith("torch.")
        ]
        if isinstance(self.optimizer, optimizers.TorchOptimizer):
            names.append(self.optimizer.name)
        return names

    def get_config(self) -> dict[str, Any]:
        """The arguments of `compile()`, JSON-ready."""
        config = {**self.config, "optimizer": self.optimizer}
        return {name: serialize_keras_object(value) for name, value in config.items()}

    @staticmethod
    def arguments(config: dict[str, Any]) -> dict[str, Any]:
        """The arguments of `compile()` that `get_config` described."""
        return {name: deserialize_keras_object(value) for name, value in config.items()}


class TrainableSnapshot:
    """Which weights a model trains, noted at `compile()`; later changes of `trainable` wait for the next one.

    Weights that are made later are noted when first met; those of layers that `compile()` saw are built as it saw them.
    Inside `enter` and `leave`, `requires_grad` is as noted; afterwards it is as it was.
    """

    def __init__(self, model: Any) -> None:
        self.trainable = {id(w) for w in model.trainable_weights}
        self.known = {id(w) for w in model.weights}
        self._layers = [(layer, layer.trainable) for layer in model._flatten_layers() if hasattr(layer, "trainable")]
        self._changed: list[tuple[torch.Tensor, bool]] = []

    def weights(self, model: Any) -> list:
        """The weights that train."""
        trained = []
        for tensor, trainable in model._all_weights():
            if id(tensor) not in self.known:
                self.known.add(id(tensor))
                if trainable:
                    self.trainable.add(id(tensor))
            if id(tensor) in self.trainable:
                trained.append(tensor)
        return trained

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

    def enter(self, model: Any) -> list:
        """Put `requires_grad` to what was noted; returns the weights that train."""
        trained = self.weights(model)
        wanted = {id(w) for w in trained}
        for parameter in model.parameters():
            should = id(parameter) in wanted
            if parameter.requires_grad != should:
                self._changed.append((parameter, parameter.requires_grad))
                parameter.requires_grad_(should)
        return trained

    def leave(self) -> None:
        for parameter, before in self._changed:
            parameter.requires_grad_(before)
        self._changed.clear()
