"""Whether the steps of a model are replayed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.core.cuda_graphs import cuda_graphs
from torchkeras.core.torch_internals import has_any_global_hook
from torchkeras.distributed.rank_share import RankBatch
from torchkeras.distributed.strategies.base import Strategy
from torchkeras.optimizers.replaying import ReplayedUpdates
from torchkeras.training.compile.torch_metric import TorchMetric
from torchkeras.training.own_method import has_hooks
from torchkeras.training.replay.graphs import GRAPHS
from torchkeras.training.replay.replayer import Parts, Replayer
from torchkeras.training.replay.settings import Settings
from torchkeras.training.state import TrainableModel, optimizer_of, state_of
from torchkeras.training.step import StepOf, TrainStep, is_overridden

Step = Callable[[RankBatch], Any]


def replaying(
    model: TrainableModel,
    strategy: Strategy,
    step: StepOf,
    purpose: str,
    device: torch.device,
    watched: bool = False,
    looks: bool = False,
) -> StepOf:
    """The step, or a `Replayer` of it where steps of the model may be replayed.

    Args:
        model: the model.
        strategy: how the ranks work together.
        step: the step in eager mode.
        purpose: `"train"`, `"test"` or `"predict"`.
        device: the device of the model's weights.
        watched: whether code of the user's that sees the model runs between the steps.
        looks: whether any code of the user's runs between the steps, which may change what they depend on.
    """
    mode, make = cuda_graphs(), GRAPHS.get(device.type)
    state = state_of(model)
    if mode == "off" or make is None or step.is_own:
        return step
    if state.compiled is not None and not state.compiled.replays:
        return step
    replayer = state.replayers.get(purpose)
    if replayer is None or replayer.key != _key(model, strategy, step, purpose, device):
        parts = _parts(model, step, purpose, device)
        label = f"The {purpose} step of {model.name!r}"
        level = logging.WARNING if mode == "always" else logging.INFO
        replayer = KeyedReplayer(step, make(device), parts, label, level)
        replayer.key = _key(model, strategy, step, purpose, device)
        state.replayers[purpose] = replayer
        reason = strategy.replay_obstacle or parts.obstacle(parts.settings())
        if reason is not None:
            replayer.leave(reason)
    replayer.begin(watched, looks)
    return step if replayer.has_left else replayer


class KeyedReplayer(Replayer):
    """A `Replayer` that knows for which step it was made."""

    key: tuple[Any, ...] = ()


def _key(
    model: TrainableModel, strategy: Strategy, step: StepOf, purpose: str, device: torch.device
) -> tuple[Any, ...]:
    """Another training step replaces the one before; steps of evaluation and prediction are all alike."""
    owner = step if purpose == "train" else state_of(model).compiled
    return cuda_graphs(), type(strategy), device, owner, optimizer_of(model)


def _parts(model: TrainableModel, step: StepOf, purpose: str, device: torch.device) -> Parts:
    optimizer = optimizer_of(model) if isinstance(step, TrainStep) else None
    updates = None
    if optimizer is not None and ReplayedUpdates.obstacle(optimizer) is None:
        updates = ReplayedUpdates(optimizer, device)

    def tensors() -> list[torch.Tensor]:
        found = [*model.parameters(), *model.buffers()]
        found += [variable for metric in model.metrics for variable in metric.variables]
        found += optimizer.variables if optimizer is not None else []
        return list({id(tensor): tensor for tensor in found}.values())

    def settings() -> Settings:
        return _settings(model, optimizer)

    def obstacle(settings: Settings) -> str | None:
        return obstacle_of(model, step, purpose, settings)

    parameters = step.trained.parameters if isinstance(step, TrainStep) else ()
    return Parts(tensors, parameters, settings, obstacle, updates)


def _settings(model: TrainableModel, optimizer: Any) -> Settings:
    compiled = state_of(model).compiled
    roots: list[Any] = [model]
    if compiled is not None:
        roots += tree.flatten(compiled.loss._made) if compiled.loss is not None else []
        roots += model.metrics
    return Settings([*roots, optimizer] if optimizer is not None else roots)


def obstacle_of(model: TrainableModel, step: StepOf, purpose: str, settings: Settings) -> str | None:
    """Why the steps of a model can't be replayed, as far as that can be known before they run; `None`: they may be."""
    if torch.is_anomaly_enabled():
        return "torch looks for anomalies in each step"
    if settings.hooks is not None or has_any_global_hook():
        return settings.hooks or "there are hooks on all modules"
    if isinstance(step, TrainStep):
        if not step.weights:
            return "no weight is trained"
        reason = ReplayedUpdates.obstacle(optimizer_of(model))
        if reason is not None:
            return reason
        if has_hooks(step.weights):
            return "a weight has hooks"
    reason = _own_method(model, purpose)
    if reason is not None:
        return reason
    return None if cuda_graphs() == "always" else settings.users_code


def _own_method(model: TrainableModel, purpose: str) -> str | None:
    """The method of the user's that a step calls beside the model, or the like; `None` if there is none."""
    own = ("predict_step",) if purpose == "predict" else ("compute_loss", "compute_metrics")
    for name in own:
        if is_overridden(model, name):
            return f"{name}() is code of yours"
    if purpose != "predict" and any(isinstance(metric, TorchMetric) for metric in model.metrics):
        return "a metric of torchmetrics counts in Python"
    return None


def changes_by_itself(model: TrainableModel, step: StepOf, purpose: str) -> bool:
    """Whether a compiled step may change what its code depends on: where code of the user's is part of it.

    Args:
        model: the model.
        step: the step.
        purpose: `"train"`, `"test"` or `"predict"`.
    """
    state = state_of(model)
    if not (state.jit_compile if state.compiled is None else state.compiled.jit_compile):
        return False  # nothing is compiled
    if step.is_own or _own_method(model, purpose) is not None:
        return True
    found = _settings(model, optimizer_of(model) if purpose == "train" else None)
    return found.users_code is not None or found.hooks is not None
