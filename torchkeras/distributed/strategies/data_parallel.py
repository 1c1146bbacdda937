"""Data parallel training: each rank computes on its share of the global batch, and the gradients are put together."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.optimizer import register_optimizer_step_pre_hook

from torchkeras.core.accelerators import row_of
from torchkeras.core.library_code import runs_library_code_only
from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.user_warnings import warn_user
from torchkeras.distributed import calls, collectives, metric_state, process
from torchkeras.distributed.distributions import distribution
from torchkeras.distributed.gradient_reduction import pending_reduction, reducing_in_apply
from torchkeras.distributed.rank_group import RankGroup, all_ranks
from torchkeras.distributed.rank_share import RankBatch, computing, cut_share
from torchkeras.distributed.rank_source import BatchSource, RankSource, SharedSource
from torchkeras.distributed.sharded_weights import holds_parts
from torchkeras.distributed.step_requests import RankRequests, StepRequests
from torchkeras.distributed.strategies.base import Step, Strategy, TrainedModel

T = TypeVar("T")


class DataParallel(Strategy):
    """Every rank has the whole model and a share of each batch.

    Losses are scaled so that their mean over the ranks, weighted by rows, is the loss of the global batch; so is the
    reduced gradient. A model sharded by `fully_shard` reduces its gradients by itself.
    """

    is_distributed = True
    replay_obstacle = (
        "several processes train: messages between ranks can be captured only without NCCL's error handling, "
        "and a lost rank would then hang the others"
    )
    stops_between_batches = False

    @classmethod
    def is_wanted(cls) -> bool:
        return process.is_joined()

    def __init__(self) -> None:
        self.group = self._group()
        self.world_size = process.world_size()
        _watch_torch_optimizers()

    def _group(self) -> RankGroup:
        """The ranks that have different rows of a batch."""
        return all_ranks()

    # -- batches

    def source(self, source: BatchSource, training: bool = False) -> SharedSource:
        chosen = distribution()
        return SharedSource(source, training, self.group, whole_batches=chosen is None or chosen.auto_shard_dataset)

    def cut(self, data: Any) -> RankBatch:
        return cut_share(data, self.group)

    def describe_batches(self, source: RankSource) -> str:
        if not process.is_main_process() or not isinstance(source, SharedSource):
            return ""
        whole, each = source.batch_sizes()
        return f"{process.world_size()} processes: batches of {whole} samples together, {each} each."

    # -- steps

    def compiles_steps(self, model: nn.Module) -> bool:
        return not holds_parts(model)  # the user's `fully_shard` has hooks that can't be in a graph

    def trained(self, model: nn.Module, weights: Sequence[Any]) -> TrainedModel:
        return ReplicatedModel(model, weights)

    def runner(self, step: Step, metrics: Callable[[], Iterable[Any]]) -> Callable[[RankBatch], Any]:
        def run(batch: RankBatch) -> Any:
            with computing(batch.share):
                if batch.share.has_rows:
                    return step(batch)
                with metric_state.preserved(metrics):  # the rank takes part, but nothing of its stand-in row counts
                    return step(batch)

        def run_own(batch: RankBatch) -> Any:
            def reduce(gradients: list[Any], variables: Sequence[Any]) -> list[Any]:
                return collectives.reduce_gradients(gradients, variables, batch.share.fraction, self.group)[0]

            with reducing_in_apply(reduce):
                return run(batch)

        return run_own if step.is_own else run

    # -- agreement

    def decide(self, value: T) -> T:
        return process.broadcast_object(value)

    def check_alike(self, must: Callable[[], dict[str, Any]], should: Callable[[], dict[str, Any]]) -> None:
        everybody = process.gather_objects((must(), should()))
        wrong, odd = (_differences([facts[kind] for facts in everybody]) for kind in (0, 1))
        if wrong:
            raise process.RankError(
                "The ranks must do the same, and differ in "
                + "; ".join(wrong)
                + ". Do all of them run the same code on "
                "the same data? (Each rank gets the whole data, and takes its rows of every batch by itself.)"
            )
        if odd and process.is_main_process():
            warn_user("The ranks differ in " + "; ".join(odd) + ": rank 0's counts where there is one.")

    def agree_on_stopping(self, model: Any) -> None:
        flag = torch.tensor([int(model.stop_training)])
        collectives.communicate(flag, lambda tensor: torch.distributed.broadcast(tensor, src=0))
        model.stop_training = bool(flag.item())

    def note_passed(self) -> None:
        calls.note_passed()

    def broadcast_state(self, tensors: Iterable[torch.Tensor]) -> None:
        collectives.broadcast_weights(tensors)

    def average_buffers(self, model: nn.Module) -> None:
        collectives.average_buffers(model)

    def step_requests(self) -> StepRequests:
        return RankRequests()

    # -- results

    def metrics_of_all_ranks(self, metrics: Iterable[Any]) -> AbstractContextManager[None]:  # type: ignore[override]
        return metric_state.of_all_ranks(metrics, self.group)

    def weighted_mean(self, values: dict[str, Any], weight: float) -> dict[str, Any]:
        return collectives.weighted_mean(values, weight, self.group)

    def gather(self, outputs: list[Any], batches: list[RankBatch]) -> list[Any]:
        shares = [batch.share for batch in batches]
        return [collectives.gather_rows(outputs, shares, self.group)] if outputs else []


def _differences(facts: list[dict[str, Any]]) -> list[str]:
    """The facts that are not the same on all ranks, each with its values by rank."""
    names = {name: None for one in facts for name in one}
    found = []
    for name in names:
        values = [one.get(name) for one in facts]
        if any(value != values[0] for value in values):
            shown = ", ".join(f"{value} on rank {rank}" for rank, value in enumerate(values[:8]))
            found.append(f"{name}: {shown}" + (", ..." if len(values) > 8 else ""))
    return found


class _Forward(nn.Module):
    """The model as DistributedDataParallel wraps it: called by a function of the step, its own mode left as it is."""

    _tk_leaves_modes = True

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, call: Callable[[], T]) -> T:
        return call()


class ReplicatedModel(TrainedModel):
    """The forward pass of a model, and the gradients of the global batch.

    The first step reduces the gradients in one message and detects parameters without a gradient on some rank. After
    it torch's DistributedDataParallel reduces them, while backward still runs. Looking for unused parameters costs it a
    message and a walk through the graph per step; it need not where all parameters were used and nothing but this
    library's and torch's layers decides which run. A model sharded by `fully_shard` reduces by itself.
    """

    def __init__(self, model: nn.Module, weights: Sequence[Any]) -> None:
        super().__init__(model, weights)
        self.is_sharded = any(is_sharded(w) for w in self.weights)
        self.wrapped: DistributedDataParallel | None = None
        self.outside_module: list[int] = []
        """Indices of weights that are no parameters of the module, so that DDP does not know them."""

    @property
    def can_compile(self) -> bool:
        # Compiled within DDP's forward, the graph is split where torch's DDPOptimizer finds the limits of messages.
        return self.wrapped is not None

    def run(self, forward: Callable[..., T], *args: Any) -> T:
        call = functools.partial(forward, *args)
        return call() if self.wrapped is None else self.wrapped(call)  # type: ignore[no-any-return]

    def backward(self, loss: torch.Tensor, batch: RankBatch) -> None:
        # Gradients are averaged over the ranks; a rank's must count by its rows.
        super().backward(loss * (batch.share.fraction * process.world_size()), batch)

    def gradients(self) -> list[torch.Tensor | None]:
        gradients = super().gradients()
        if self.wrapped is not None:
            return self._with_outside(gradients) if self.outside_module else gradients
        gradients, counts = collectives.reduce_gradients(gradients, self.weights, 1.0 / process.world_size())
        if not self.is_sharded and counts is not None:
            complete = bool((counts == process.world_size()).all())
            self.wrapped = wrap(self.model, find_unused=not (complete and runs_library_code_only(self.model)))
            reduced = {id(p) for p in self.wrapped.parameters()}
            self.outside_module = [i for i, w in enumerate(self.weights) if id(w) not in reduced]
        return gradients

    def _with_outside(self, gradients: list[torch.Tensor | None]) -> list[torch.Tensor | None]:
        weights = [self.weights[i] for i in self.outside_module]
        mine = [gradients[i] for i in self.outside_module]
        found, _ = collectives.reduce_gradients(mine, weights, 1.0 / process.world_size())
        for i, gradient in zip(self.outside_module, found):
            gradients[i] = gradient
        return gradients


def wrap(model: nn.Module, find_unused: bool = True) -> DistributedDataParallel:
    """The model under torch's DDP. Buffers are left to each rank, see `average_buffers`."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with warnings.catch_warnings():
        # torch 2.13 has a new name for `broadcast_buffers`, which the versions before do not know.
        warnings.filterwarnings("ignore", ".*broadcast_buffers.*", FutureWarning)
        return DistributedDataParallel(
            _Forward(model),
            device_ids=[device] if row_of(device.type).binds else None,
            broadcast_buffers=False,
            find_unused_parameters=find_unused,
            gradient_as_bucket_view=True,
        )


# ---------------------------------------------------------------------------- torch's optimizers in steps of users

_watching: list[Any] = []


def _watch_torch_optimizers() -> None:
    """Have torch's own optimizers reduce gradients in `step()` as ours do in `apply()`. Registered once per process."""
    if not _watching:
        _watching.append(register_optimizer_step_pre_hook(_reduce_before_step))


def _reduce_before_step(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    reduce = pending_reduction()
    if reduce is None:
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if any(hasattr(parameter, "_tk_replaced") for parameter in parameters):
        raise RuntimeError(
            f"{type(optimizer).__name__} holds weights that are no longer the model's: the distribution put parts in "
            "their places. Make the optimizer after compile(), of the model's weights as they are then."
        )
    for parameter, gradient in zip(parameters, reduce([p.grad for p in parameters], parameters)):
        parameter.grad = gradient
