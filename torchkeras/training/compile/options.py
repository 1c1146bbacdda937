"""The outcome of `compile()`: optimizer, losses, metrics, options."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras import optimizers
from torchkeras.core import tree
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.user_warnings import warn_user
from torchkeras.losses.torch_loss import TorchLoss, is_torch_loss
from torchkeras.metrics import Mean
from torchkeras.training.compile.loss import CompileLoss
from torchkeras.training.compile.metrics import CompileMetrics
from torchkeras.training.compile.torch_metric import TorchMetric, is_torchmetric


class LossTracker(Mean):
    """The running mean of an epoch's loss, each batch weighted by its rows."""

    keras_module = None

    def add(self, loss: torch.Tensor, rows: float) -> None:
        """Add a batch of `rows` rows.

        Raises:
            ValueError: the loss is not one number.
        """
        try:
            loss, total = loss.detach(), self.total
            if loss.dtype is not total.dtype or loss.device != total.device:
                loss = loss.to(total)
            total.add_(loss, alpha=rows)
            self.count.add_(self._one, alpha=rows)
        except (RuntimeError, AttributeError):
            is_tensor = isinstance(loss, torch.Tensor)
            if is_tensor and loss.dim() == 0:
                raise
            received = f"a tensor of shape {tuple(loss.shape)}" if is_tensor else repr(loss)[:100]
            raise ValueError(
                f"The loss must be one number per batch, a tensor without axes; received {received}. Give the loss a "
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
        check_jit_compile(jit_compile)
        if not isinstance(steps_per_execution, int) or steps_per_execution < 1:
            raise ValueError(f"steps_per_execution must be an integer of at least 1; received {steps_per_execution!r}.")
        made = optimizers.get(optimizer)
        if scale_loss and isinstance(made, optimizers.Optimizer):
            if not isinstance(made, optimizers.LossScaleOptimizer):
                made = optimizers.LossScaleOptimizer(made, name="loss_scale_optimizer")
        self.loss = CompileLoss(loss, loss_weights, output_names) if loss is not None else None
        self.optimizer = made
        self.metrics = CompileMetrics(metrics, weighted_metrics, output_names)
        self.loss_tracker = LossTracker(name="loss")
        self.part_trackers: dict[str, LossTracker] = {}
        self._wanted_compilation = jit_compile
        self.steps_per_execution = steps_per_execution
        self.config: dict[str, Any] = {}
        self.set_run_eagerly(run_eagerly)
        self.config = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": self.jit_compile,
        }

    def set_run_eagerly(self, value: bool) -> None:
        """Switch compilation off, or back to what `compile(jit_compile=...)` asked for."""
        self.run_eagerly = value
        self.jit_compile = self._wanted_compilation in (True, "regional") and not value
        self.by_blocks = self.jit_compile and self._wanted_compilation == "regional"
        self.replays = self._wanted_compilation in ("auto", True, "regional") and not value
        self.config.update(run_eagerly=value, jit_compile=self.jit_compile)

    def set_jit_compile(self, value: bool | str) -> None:
        """Set `model.jit_compile` after `compile()`."""
        self._wanted_compilation = value
        self.set_run_eagerly(self.run_eagerly)

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

    @property
    def optimizer(self) -> Any:
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Any) -> None:
        self._optimizer = optimizer
        if self.loss is not None:
            self.loss.accumulating = optimizer if getattr(optimizer, "_tk_accumulates", False) else None

    def get_config(self) -> dict[str, Any] | None:
        """The arguments of `compile()`, JSON-ready.

        Metrics that no file can describe are left out, with a warning; for a loss or an optimizer there is `None`.
        """
        given = {**self.config, "optimizer": self.optimizer}
        config: dict[str, Any] = {}
        left_out: list[str] = []
        for name, value in given.items():
            try:
                if name in ("metrics", "weighted_metrics"):
                    value = _without_gaps(tree.map_structure(lambda one: _described(one, left_out), value))
                elif name == "loss":
                    value = tree.map_structure(_described, value)
                config[name] = serialize_keras_object(value)
            except ValueError as error:
                warn_user(f"{error} Call compile() again after loading.")
                return None
        if left_out:
            warn_user(
                f"No file can describe the metrics {', '.join(left_out)}: the model is described without them. Give "
                "them to compile() again after loading."
            )
        return config

    @staticmethod
    def arguments(config: dict[str, Any]) -> dict[str, Any]:
        """The arguments of `compile()` that `get_config` described."""
        made = {name: deserialize_keras_object(value) for name, value in config.items()}
        for name in ("metrics", "weighted_metrics"):  # older files may have a metric alone
            if made.get(name) is not None and not isinstance(made[name], (list, tuple, dict)):
                made[name] = [made[name]]
        return made


def check_jit_compile(value: object) -> None:
    """Refuse a `jit_compile` of the wrong kind.

    Raises:
        ValueError: it is neither a bool nor one of the words.
    """
    if value not in (True, False, None, "auto", "regional"):
        raise ValueError(f"jit_compile must be True, False, 'auto' or 'regional'; received {value!r}.")


def _described(part: Any, left_out: list[str] | None = None) -> Any:
    """The part, or what stands for it in files if it is torch's own.

    Args:
        left_out: takes the names of parts that no file can describe, for which there is `None`; else an error.
    """
    if isinstance(part, TorchMetric) or is_torchmetric(part):
        left_out.append(type(getattr(part, "metric", part)).__name__)  # type: ignore[union-attr]
        return None
    if not is_torch_loss(part):
        return part
    try:
        loss = TorchLoss(part)
        loss.get_config()
        return loss
    except ValueError:
        if left_out is None:
            raise
        left_out.append(loss.name)
        return None


def _without_gaps(value: Any) -> Any:
    """Lists and dicts without the entries that are `None`."""
    if isinstance(value, dict):
        return {key: _without_gaps(one) for key, one in value.items() if one is not None}
    if isinstance(value, (list, tuple)):
        return [_without_gaps(one) for one in value if one is not None]
    return value
