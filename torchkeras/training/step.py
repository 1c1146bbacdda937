"""One step of training, evaluation or prediction, as the loop runs it."""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.distributed import collectives, process
from torchkeras.distributed import rank_share as shares
from torchkeras.distributed.strategies import data_parallel
from torchkeras.optimizers import Optimizer
from torchkeras.optimizers.torch_optimizer import TorchOptimizer
from torchkeras.training.data import unpack_x_y_sample_weight


def rows_of(x: Any) -> int:
    """The batch size of data: the length of its first tensor."""
    while isinstance(x, (list, tuple, dict)):
        values = x.values() if isinstance(x, dict) else x
        x = next(iter(values), None)
    shape = getattr(x, "shape", None)
    return shape[0] if shape is not None and len(shape) else 1


class StepCache(dict):
    """The steps made for a model. Copies and pickles of the model make their own."""

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return StepCache, ()


class TrainStep:
    """forward, loss, backward, apply, add to the metrics; for models that do not override `train_step`.

    Under several processes the data are pairs of this rank's rows and their `Share` of the global batch. Losses are
    scaled so that their mean over the ranks, weighted by rows, is the global batch's, and so is the reduced gradient.
    """

    def __init__(self, model: Any, weights: list) -> None:
        self.model = model
        self.weights = weights
        self.parameters = [w for w in weights if isinstance(w, torch.nn.Parameter)]
        compiled = model._tk_compiled
        self.optimizer = compiled.optimizer
        if weights and self.optimizer is None:
            raise ValueError("Training needs an optimizer: give compile(optimizer=...), or override train_step().")
        self.forward: Any = model
        self.distributed = process.is_joined()
        if self.distributed:
            self.forward = data_parallel.DataParallel(model, weights)
        self.jit: Any = None
        if compiled.jit_compile and not self.distributed:
            self.jit = torch.compile(_with_code_of_its_own(self._outputs_and_loss))
        self._jit_rows: int | None = None
        self._plain_loss = _is_own(model, "compute_loss") and _is_own(model, "compute_metrics")

    def begin(self) -> None:
        """A new run of batches, perhaps of another size."""
        self._jit_rows = None

    def __call__(self, data: Any) -> None:
        """Train on one batch; what came out is in the metrics."""
        model, optimizer = self.model, self.optimizer
        data, share = data if self.distributed else (data, None)
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        compiled = model._tk_compiled
        rows = rows_of(x) if share is None else share.rows
        run = self._outputs_and_loss if self.jit is None else self._jit_for(rows)
        if share is None:
            y_pred, loss = run(x, y, sample_weight)
        else:
            with shares.computing(share):
                y_pred, loss = run(x, y, sample_weight)
        compiled.loss_tracker.add(loss, rows)
        if compiled.loss is not None and compiled.loss.last_parts:
            compiled.track_parts(rows)
        if self.weights:
            self._backward(optimizer.scale_loss(loss), share)
        with torch.no_grad():
            if self.weights:
                gradients = [w.grad for w in self.weights] if share is None else self.forward.gradients()
                optimizer.apply(gradients, self.weights)
            if compiled.metrics or not self._plain_loss:
                _tk_update_metrics(model, x, y, y_pred, sample_weight, share)

    def _backward(self, loss: torch.Tensor, share: Any) -> None:
        for parameter in self.parameters:
            parameter.grad = None
        if share is None:
            loss.backward()
            return
        with shares.computing(share):
            (loss * self.forward.scale(share)).backward()

    def _outputs_and_loss(self, x: Any, y: Any, sample_weight: Any) -> tuple[Any, torch.Tensor]:
        y_pred = self.forward(x) if self.distributed else self.forward(x, training=True)
        loss = self.model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
        return y_pred, loss

    def _jit_for(self, rows: int) -> Callable:
        """The compiled form for batches of the first one's size; a ragged last one runs as it is, not compiled anew."""
        if self._jit_rows is None:
            self._jit_rows = rows
        return self.jit if rows == self._jit_rows else self._outputs_and_loss  # type: ignore[return-value]


_numbers = itertools.count(1)


def _with_code_of_its_own(method: Any) -> Any:
    """The method with a copy of its code under another name.

    `torch.compile` counts by code what it compiled, and gives up after eight times; it remembers by name which sizes
    have changed. Both are of one model, not of all that are trained in a process.
    """
    function = method.__func__
    code = function.__code__.replace(co_name=f"{function.__name__}_{next(_numbers)}")
    copied = types.FunctionType(code, function.__globals__, code.co_name, function.__defaults__, function.__closure__)
    return types.MethodType(copied, method.__self__)


class OwnTrainStep:
    """The user's `train_step`. Under several processes its gradients are reduced in `optimizer.apply`."""

    def __init__(self, model: Any, weights: list) -> None:
        self.model = model
        self.distributed = process.is_joined()
        self.optimizers = data_parallel.defining_apply(Optimizer, TorchOptimizer) if self.distributed else []

    def begin(self) -> None:
        """Nothing is kept from one run of batches to the next."""

    def __call__(self, data: Any) -> Any:
        if not self.distributed:
            return self.model.train_step(data)
        data, share = data
        with data_parallel.reducing_in_apply(self.optimizers, share):
            return _run_own(self.model, self.model.train_step, data, share)


class ShareLogs(dict):
    """What a step gave for a share of a batch that weighs so much in the whole."""

    def __init__(self, values: dict[str, Any], weight: float) -> None:
        super().__init__(values)
        self.weight = weight


def _run_own(model: Any, step: Callable, data: Any, share: Any) -> Any:
    """A step of the user's on a share; a rank without rows takes part, but nothing that it adds to metrics counts."""
    with shares.computing(share):
        if share.rows:
            result = step(data)
        else:
            with collectives.uncounted(lambda: model.metrics):
                result = step(data)
    return ShareLogs(result, share.weight) if isinstance(result, dict) else result


def test_step(model: Any, data: Any) -> Any:
    """Evaluate one batch; under several processes a pair of data and `Share`."""
    if not process.is_joined():
        data, share = data, None
    else:
        data, share = data
    if not _is_own(model, "test_step"):
        return model.test_step(data) if share is None else _run_own(model, model.test_step, data, share)
    x, y, sample_weight = unpack_x_y_sample_weight(data)
    with shares.computing(share):
        y_pred = model(x, training=False)
        loss = model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=False)
    compiled = model._tk_compiled
    rows = rows_of(x) if share is None else share.rows
    compiled.loss_tracker.add(loss, rows)
    if compiled.loss is not None and compiled.loss.last_parts:
        compiled.track_parts(rows)
    _tk_update_metrics(model, x, y, y_pred, sample_weight, share)
    return None


def _tk_update_metrics(model: Any, x: Any, y: Any, y_pred: Any, sample_weight: Any, share: Any) -> None:
    if share is None or share.rows:
        model._tk_update_metrics(x, y, y_pred, sample_weight)
    else:  # makes metrics that are not there yet, as the other ranks do
        with shares.computing(share), collectives.uncounted(lambda: model.metrics):
            model._tk_update_metrics(x, y, y_pred, sample_weight)


def predict_step(model: Any, data: Any) -> tuple[Any, Any]:
    """The outputs for one batch, and the `Share` of it that they are for; `None` in a single process."""
    if not process.is_joined():
        return model.predict_step(data), None
    data, share = data
    return model.predict_step(data), share


def _is_own(model: Any, name: str) -> bool:
    """Whether a step method is the library's and not the user's."""
    method = getattr(type(model), name)
    return method.__module__.split(".")[0] == __name__.split(".")[0]


def map_tensors(function: Callable, structure: Any) -> Any:
    """`tree.map_structure` over the tensors of a structure."""
    return tree.map_structure(lambda v: function(v) if isinstance(v, torch.Tensor) else v, structure)
