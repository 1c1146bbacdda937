"""One step of training, evaluation or prediction, as the loop runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.distributed import data_parallel, process
from torchkeras.training.data import unpack_x_y_sample_weight


def rows_of(x: Any) -> int:
    """The batch size of data: the length of its first tensor."""
    while isinstance(x, (list, tuple, dict)):
        values = x.values() if isinstance(x, dict) else x
        x = next(iter(values), None)
    shape = getattr(x, "shape", None)
    return shape[0] if shape is not None and len(shape) else 1


class TrainStep:
    """forward, loss, backward, apply, add to the metrics; for models that do not override `train_step`.

    Under several processes the forward goes through torch's DistributedDataParallel, and the loss is weighted so that
    the reduced gradient is that of the global batch.
    """

    def __init__(self, model: Any, weights: list) -> None:
        self.model = model
        self.weights = weights
        self.parameters = [w for w in weights if isinstance(w, torch.nn.Parameter)]
        compiled = model._compiled
        self.optimizer = compiled.optimizer
        self.forward: Callable = model
        self.distributed = process.is_joined()
        if self.distributed:
            self.forward = data_parallel.wrap(model)
        self.jit = torch.compile(self._outputs_and_loss) if compiled.jit_compile and not self.distributed else None
        self._jit_rows: int | None = None
        self._plain_loss = _is_own(model, "compute_loss") and _is_own(model, "compute_metrics")

    def __call__(self, data: Any) -> None:
        """Train on one batch; what came out is in the metrics."""
        model, optimizer = self.model, self.optimizer
        share = None
        if self.distributed:
            data, share = data_parallel.take_share(data)
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        compiled = model._compiled
        rows = rows_of(x) if share is None else share.rows
        run = self._outputs_and_loss if self.jit is None else self._jit_for(rows)
        y_pred, loss = run(x, y, sample_weight)
        summed = compiled.loss is not None and compiled.loss.reduction == "sum"
        weight = rows if share is None or not summed else (share.total if rows else 0)
        compiled.loss_tracker.add(loss, rows, weight)
        if compiled.loss is not None and compiled.loss.last_parts:
            compiled.track_parts(rows, weight)
        if self.weights:
            scaled = optimizer.scale_loss(loss)
            if share is not None:
                # DDP takes the mean over the ranks; this makes it the mean (or the sum) over the global batch.
                factor = (1.0 if rows else 0.0) if summed else share.weight
                scaled = scaled * (factor * process.world_size())
            for parameter in self.parameters:
                parameter.grad = None
            scaled.backward()
            with torch.no_grad():
                optimizer.apply([w.grad for w in self.weights], self.weights)
        if rows and (compiled.metrics or not self._plain_loss):
            with torch.no_grad():
                model._update_metrics(x, y, y_pred, sample_weight)


    def _outputs_and_loss(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, torch.Tensor]:
        y_pred = self.forward(x) if self.distributed else self.forward(x, training=True)
        loss = self.model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
        return y_pred, loss

    def _jit_for(self, rows: int) -> Callable:
        """The compiled form for batches of the first one's size; a ragged last batch runs as it is, not compiled anew."""
        if self._jit_rows is None:
            self._jit_rows = rows
        return self.jit if rows == self._jit_rows else self._outputs_and_loss  # type: ignore[return-value]


class OwnTrainStep:
    """The user's `train_step`. Under several processes its gradients are reduced in `optimizer.apply`."""

    def __init__(self, model: Any, weights: list) -> None:
        self.model = model
        self.distributed = process.is_joined()

    def __call__(self, data: Any) -> Any:
        if not self.distributed:
            return self.model.train_step(data)
        data, share = data_parallel.take_share(data)
        with _reduced_in_apply(self.model, share):
            return self.model.train_step(data)


class _reduced_in_apply:  # noqa: N801  a context manager
    """Inside, every optimizer of the model reduces gradients over the ranks before it applies them."""

    def __init__(self, model: Any, share: Any) -> None:
        self.optimizers = [v for v in model.__dict__.values() if hasattr(v, "apply") and hasattr(v, "iterations")]
        if model._compiled is not None and model._compiled.optimizer is not None:
            self.optimizers.append(model._compiled.optimizer)
        self.share = share

    def __enter__(self) -> None:
        for optimizer in self.optimizers:
            apply = type(optimizer).apply

            def reducing(gradients: list, variables: Any = None, o: Any = optimizer, a: Any = apply) -> Any:
                filled = [
                    torch.zeros_like(v) if g is None and v is not None else g
                    for g, v in zip(gradients, variables or [None] * len(gradients))
                ]
                data_parallel.reduce_gradients(filled, self.share.weight)
                return a(o, filled, variables)

            optimizer.__dict__["apply"] = reducing

    def __exit__(self, *error: Any) -> None:
        for optimizer in self.optimizers:
            optimizer.__dict__.pop("apply", None)


def test_step(model: Any, data: Any) -> Any:
    """Evaluate one batch."""
    share = None
    if process.is_joined():
        data, share = data_parallel.take_share(data)
    if not _is_own(model, "test_step"):
        return model.test_step(data) if share is None or share.rows else None
    x, y, sample_weight = unpack_x_y_sample_weight(data)
    y_pred = model(x, training=False)
    if share is not None and not share.rows:
        return None
    loss = model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=False)
    compiled = model._compiled
    rows = rows_of(x)
    weight = rows
    if share is not None and compiled.loss is not None and compiled.loss.reduction == "sum":
        weight = share.total
    compiled.loss_tracker.add(loss, rows, weight)
    if compiled.loss is not None and compiled.loss.last_parts:
        compiled.track_parts(rows, weight)
    model._update_metrics(x, y, y_pred, sample_weight)
    return None


def predict_step(model: Any, data: Any) -> Any:
    """The outputs for one batch, of all ranks where there are several."""
    if not process.is_joined():
        return model.predict_step(data)
    data, share = data_parallel.take_share(data)
    return data_parallel.gather_rows(model.predict_step(data), share)


def _is_own(model: Any, name: str) -> bool:
    """Whether a step method is the library's and not the user's."""
    method = getattr(type(model), name)
    return method.__module__.split(".")[0] == __name__.split(".")[0]


def map_tensors(function: Callable, structure: Any) -> Any:
    """`tree.map_structure` over the tensors of a structure."""
    return tree.map_structure(lambda v: function(v) if isinstance(v, torch.Tensor) else v, structure)
