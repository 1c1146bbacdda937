"""`train_on_batch`, `test_on_batch` and `predict_on_batch`: one step outside of a loop."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torchkeras.core import tree
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike, Nest
from torchkeras.distributed.rank_share import rows_of
from torchkeras.distributed.strategies.base import Strategy
from torchkeras.training.data import make_source
from torchkeras.training.ready import agree_on_weights, build, device_of, evaluating, training
from torchkeras.training.results import PassResults
from torchkeras.training.state import TrainableModel, state_of
from torchkeras.training.step import make_test_step


def _batch(
    model: TrainableModel,
    x: Nest[ArrayLike],
    y: Nest[ArrayLike] | None,
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
) -> Any:
    """Arrays of one batch as the tensors of a step's data."""
    rows = rows_of(tree.map_structure(lambda value: value if hasattr(value, "shape") else convert_to_tensor(value), x))
    source = make_source(
        x,
        y,
        sample_weight=sample_weight,
        batch_size=max(rows, 1),
        shuffle=False,
        class_weight=class_weight,
        device=device_of(model),
    )
    return source.peek()


def train_on_batch(
    model: TrainableModel,
    strategy: Strategy,
    x: Nest[ArrayLike],
    y: Nest[ArrayLike] | None,
    sample_weight: Any,
    class_weight: dict[int, float] | None,
) -> dict[str, Any]:
    """One training step; the batch's loss and metrics by name.

    Raises:
        ValueError: both `sample_weight` and `class_weight` are given.
    """
    if class_weight is not None and sample_weight is not None:
        raise ValueError("Give sample_weight or class_weight, not both.")
    with state_of(model).in_use("train_on_batch"):
        data = _batch(model, x, y, sample_weight, class_weight)
        build(model, data)
        agree_on_weights(model, strategy)
        with _epoch_preserved(model), training(model, strategy) as step:
            return _values(model, strategy, step, data)


def test_on_batch(
    model: TrainableModel, strategy: Strategy, x: Nest[ArrayLike], y: Nest[ArrayLike] | None, sample_weight: Any
) -> dict[str, Any]:
    """Evaluate one batch; its loss and metrics by name."""
    with state_of(model).in_use("test_on_batch"):
        data = _batch(model, x, y, sample_weight)
        build(model, data)
        agree_on_weights(model, strategy)
        with _epoch_preserved(model), evaluating(model):
            return _values(model, strategy, make_test_step(model), data)


def _epoch_preserved(model: TrainableModel) -> AbstractContextManager[None]:
    """Called by a callback within an epoch of `fit`, a batch leaves the metrics of the epoch as they were."""
    run = state_of(model).run
    return nullcontext() if run is None else run.results.preserved()


def _values(model: TrainableModel, strategy: Strategy, step: Any, data: Any) -> dict[str, Any]:
    results = PassResults(model, strategy)
    results.begin()
    batch = strategy.cut(data)
    logs = strategy.runner(step, lambda: model.metrics)(batch)
    results.batches += 1
    if logs is not None:
        results.add(logs, batch)
    return results.read()


def predict_on_batch(model: TrainableModel, x: Nest[ArrayLike]) -> Any:
    """The outputs for one batch."""
    data = _batch(model, x, None)
    with evaluating(model):
        return model.predict_step(data)
