"""The strategy of a single process. Others derive from it and override what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from torchkeras.core.accelerators import is_lazy
from torchkeras.core.variables.weight_casts import TrainingCasts, casts_weights
from torchkeras.distributed.rank_group import RankGroup
from torchkeras.distributed.rank_share import RankBatch
from torchkeras.distributed.rank_source import BatchSource, RankSource
from torchkeras.distributed.step_requests import StepRequests

T = TypeVar("T")


class Step(Protocol):
    """A step of training or evaluation, see `training/step.py`."""

    is_own: bool

    def __call__(self, batch: RankBatch) -> Any:
        """Do the step for a batch."""


class TrainedModel:
    """A model as the training step sees it: forward, backward, gradients.

    Args:
        model: the model.
        weights: the weights that train.
    """

    def __init__(self, model: nn.Module, weights: Sequence[Any]) -> None:
        self.model = model
        self.weights = list(weights)
        parameters = [w for w in self.weights if isinstance(w, nn.Parameter)]
        self.parameters = self.weights if len(parameters) == len(self.weights) else parameters
        self._casts = TrainingCasts() if casts_weights(model) else None

    @property
    def can_compile(self) -> bool:
        """Whether the forward pass is as it will be in later steps, so that compiling it pays."""
        return True

    def __call__(self, x: Any) -> Any:
        """The outputs in training mode."""
        if self._casts is None or torch.compiler.is_compiling():
            return self.model(x, training=True)
        with self._casts:
            return self.model(x, training=True)

    def cast_one_by_one(self) -> None:
        """Let each call cast the weights that it reads, where the calls of layers are compiled."""
        self._casts = None

    def run(self, forward: Callable[..., T], *args: Any) -> T:
        """Call a function that computes outputs and loss by this model.

        Args:
            forward: the function, perhaps compiled.
            *args: its arguments.
        """
        return forward(*args)

    def free_gradients(self) -> None:
        """Free the gradients of the step before: their memory is for the activations of the next forward pass."""
        for parameter in self.parameters:
            parameter.grad = None

    def backward(self, loss: torch.Tensor, batch: RankBatch) -> None:
        """Add the gradients of a loss to those of the parameters."""
        loss.backward()

    def gradients_of(self, loss: torch.Tensor) -> list[torch.Tensor | None]:
        """The gradient of a loss for each weight, in code that torch traces; every parameter has its own, too."""
        self.free_gradients()
        self.backward(loss, None)
        return self.gradients()

    def gradients(self) -> list[torch.Tensor | None]:
        """The gradient of the global batch for each weight."""
        return [w.grad for w in self.weights]


class Strategy:
    """How the processes of a job work together. This one is complete: one process, nothing to agree on.

    The loop calls a method wherever ranks could matter and asks nothing else about them. A strategy is a row in
    `registry.py`.
    """

    is_distributed = False
    """Whether several processes work together."""
    world_size = 1
    """How many."""
    replay_obstacle: str | None = None
    """Why steps can't be captured and replayed as CUDA graphs; `None`: they can."""
    group = RankGroup(0, 1)
    """The ranks that have different rows of a batch."""
    stops_between_batches = True
    """Whether `stop_training` of this process alone may end an epoch."""

    @classmethod
    def is_wanted(cls) -> bool:
        """Whether this strategy is the one for the processes as they are."""
        return True

    # -- batches

    def source(self, source: BatchSource, training: bool = False) -> RankSource:
        """The batches of a source that are this rank's."""
        return RankSource(source, training)

    def cut(self, data: Any) -> RankBatch:
        """This rank's part of one global batch."""
        return RankBatch(data)

    def describe_batches(self, source: RankSource) -> str:
        """A line about the sizes of batches for the user, or nothing."""
        return ""

    # -- weights

    def place(self, model: nn.Module) -> dict[int, torch.Tensor]:
        """Lay the weights of a built model out over the ranks; every rank has the same values before.

        Returns:
            The tensors that took the places of others, by the `id` of those.
        """
        return {}

    def compiles_steps(self, model: nn.Module) -> bool:
        """Whether `jit_compile=True` compiles whole steps of a placed model, else each of its `blocks` by itself.

        A device that records operations compiles them by itself.
        """
        first = next(model.parameters(), None)
        return first is None or not is_lazy(first.device)

    def blocks(self, model: nn.Module) -> list[nn.Module]:
        """The layers of a placed model that can be compiled each by itself."""
        return []

    # -- steps

    def trained(self, model: nn.Module, weights: Sequence[Any]) -> TrainedModel:
        """The model for the library's own training step."""
        return TrainedModel(model, weights)

    def runner(self, step: Step, metrics: Callable[[], Iterable[Any]]) -> Callable[[RankBatch], Any]:
        """The step as a function of a batch of this rank that counts for the global batch.

        Args:
            step: the step. If it `is_own`, the user wrote it, and gradients are reduced when they are applied.
            metrics: a function that gives the metrics to which the step adds.
        """
        return step

    # -- agreement

    def decide(self, value: T) -> T:
        """Rank 0's value, on every rank."""
        return value

    def check_alike(self, must: Callable[[], dict[str, Any]], should: Callable[[], dict[str, Any]]) -> None:
        """Compare what the ranks are about to do.

        Args:
            must: gives facts by name that must be the same on all ranks.
            should: gives facts about whose differences a warning is enough.
        """

    def agree_on_stopping(self, model: Any) -> None:
        """Make rank 0's `stop_training` everybody's."""

    def note_passed(self) -> None:
        """Note that this rank has passed a place of a training at which callbacks may make calls."""

    def broadcast_state(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give every rank rank 0's values of the tensors."""

    def average_buffers(self, model: nn.Module) -> None:
        """Give every rank the mean of the model's float buffers, such as batch normalization's statistics."""

    def step_requests(self) -> StepRequests:
        """The requests of a training to do something after the running batch."""
        return StepRequests()

    # -- results

    @contextmanager
    def metrics_of_all_ranks(self, metrics: Iterable[Any]) -> Iterator[None]:
        """Inside, the state of the metrics is that of all ranks together."""
        yield

    def weighted_mean(self, values: dict[str, Any], weight: float) -> dict[str, Any]:
        """The mean over the ranks of numbers that each rank has, weighted; what is no number is rank 0's."""
        return values

    def gather(self, outputs: list[Any], batches: list[RankBatch]) -> list[Any]:
        """The outputs of all ranks for some batches, in order, as a list of parts."""
        return outputs
