"""`train_on_batch`, `test_on_batch` and `predict_on_batch`: one step outside of a loop."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from torchkeras.core import tree
from torchkeras.core.types import ArrayLike, Nest
from torchkeras.distributed.rank_share import RankBatch
from torchkeras.distributed.rank_share import rows_of as data_rows
from torchkeras.distributed.strategies import registry
from torchkeras.distributed.strategies.base import Strategy
from torchkeras.training.data import pack_x_y_sample_weight, unpack_x_y_sample_weight
from torchkeras.training.data.columns import column_of, is_array, rows_of
from torchkeras.training.data.weights import check_class_weight, class_weight_to_sample_weight, match_sample_weight
from torchkeras.training.placing import agree_on_weights
from torchkeras.training.predict import keeps_no_tensors
from torchkeras.training.ready import build, device_of, evaluating, training
from torchkeras.training.results import PassResults
from torchkeras.training.state import TrainableModel, state_of
from torchkeras.training.step import is_jit_compiled, kept_predict_step, kept_test_step


def _batch(
    model: TrainableModel,
    x: Nest[ArrayLike],
    y: Nest[ArrayLike] | None,
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
) -> Any:
    """Arrays of one batch as the tensors of a step's data. Targets may have another number of rows than inputs."""
    if class_weight is not None:
        check_class_weight(class_weight, y, sample_weight)
        sample_weight = class_weight_to_sample_weight(y, class_weight)
    elif sample_weight is not None:
        sample_weight = match_sample_weight(sample_weight, y)
    device = device_of(model)
    return tree.map_structure(
        lambda value: _batch_of(value, device), pack_x_y_sample_weight(x, y, sample_weight), none_is_leaf=False
    )


def _batch_of(value: ArrayLike, device: torch.device) -> torch.Tensor | np.ndarray:
    if not is_array(value):
        raise ValueError(
            f"A batch must be made of arrays; received {str(value)[:100]} ({type(value).__name__}). np.array(x) makes "
            "one of a list of numbers."
        )
    rows = rows_of(value)
    if not rows:
        raise ValueError(f"A batch must hold at least one sample; received an array of shape {tuple(value.shape)}.")  # type: ignore[union-attr]
    return column_of(value, device, resident=True).rows(0, rows)


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
        ValueError: both `sample_weight` and `class_weight` are given, or, with several processes, targets have another
            number of rows than inputs.
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
            return _values(model, strategy, kept_test_step(model, strategy), data)


def _epoch_preserved(model: TrainableModel) -> AbstractContextManager[None]:
    """Called by a callback within an epoch of `fit`, a batch leaves the metrics of the epoch as they were."""
    run = state_of(model).run
    return nullcontext() if run is None else run.results.preserved()


def _values(model: TrainableModel, strategy: Strategy, step: Any, data: Any) -> dict[str, Any]:
    if strategy.is_distributed and not step.is_own:
        _check_rows(data)
    step.check_guards()
    results = PassResults(model, strategy)
    results.begin()
    batch = strategy.cut(data)
    logs = strategy.runner(step, lambda: model.metrics)(batch)
    results.batches += 1
    if logs is not None:
        results.add(logs, batch)
    return results.read()


def _check_rows(data: Any) -> None:
    """Refuse targets that several ranks can't share out with their inputs; a single row belongs to all of them.

    Raises:
        ValueError: targets or sample weights have another number of rows than the inputs.
    """
    x, *others = unpack_x_y_sample_weight(data)
    rows = data_rows(x)
    for name, part in zip(("y", "sample_weight"), others):
        for leaf in tree.flatten(part):
            if isinstance(leaf, torch.Tensor) and leaf.dim() and leaf.shape[0] not in (1, rows):
                raise ValueError(
                    f"With several processes a batch is cut by its rows, so {name} must have as many as x; received x "
                    f"of {rows} rows and {name} of shape {tuple(leaf.shape)}. Give x, y and sample_weight the same "
                    "number of rows, or use one process."
                )


def predict_on_batch(model: TrainableModel, x: Nest[ArrayLike]) -> Any:
    """The outputs for one batch."""
    data = _batch(model, x, None)
    if not is_jit_compiled(model):
        with evaluating(model):
            return model.predict_step(data)
    step = kept_predict_step(model, registry.choose())
    step.check_guards()
    # In the mode of `predict`, since a graph serves for one mode.
    with evaluating(model), torch.inference_mode(keeps_no_tensors(model)):
        return step(RankBatch(data))
