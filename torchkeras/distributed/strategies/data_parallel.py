"""Data parallel training: each rank computes on its share of the global batch, and the gradients are put together."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.optimizer import register_optimizer_step_pre_hook

from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.distributed import process
from torchkeras.distributed.collectives import reduce_gradients
from torchkeras.distributed.rank_share import Share


class _Forward(nn.Module):
    """The model as DistributedDataParallel wraps it: called in training mode, its own mode left as it is."""

    _tk_leaves_modes = True

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Any) -> Any:
        return self.model(x, training=True)


class DataParallel:
    """The forward of a model, and the gradients of the global batch.

    The first step reduces them in one message, which also tells whether every parameter had one on every rank. After
    it torch's DistributedDataParallel does, while backward still runs. Looking for unused parameters costs it a message
    and a walk through the graph a step; it need not where all were used and nothing but this library's and torch's
    layers decides what runs. A model sharded by `fully_shard` reduces by itself.
    """

    def __init__(self, model: nn.Module, weights: list) -> None:
        self.model = model
        self.weights = weights
        self.sharded = any(is_sharded(w) for w in weights)
        self.wrapped: DistributedDataParallel | None = None
        self.loose: list[int] = []

    def __call__(self, x: Any) -> Any:
        return self.model(x, training=True) if self.wrapped is None else self.wrapped(x)

    def scale(self, share: Share) -> float:
        """What the loss is multiplied by, for gradients are averaged over the ranks."""
        return share.weight * process.world_size()

    def gradients(self) -> list:
        """The gradients after backward, reduced."""
        gradients = [w.grad for w in self.weights]
        if self.wrapped is not None:
            return self._with_loose(gradients) if self.loose else gradients
        gradients, counts = reduce_gradients(gradients, self.weights, 1.0 / process.world_size())
        if not self.sharded and counts is not None:
            complete = bool((counts == process.world_size()).all())
            self.wrapped = wrap(self.model, find_unused=not (complete and is_static(self.model)))
            reduced = {id(p) for p in self.wrapped.parameters()}
            self.loose = [i for i, w in enumerate(self.weights) if id(w) not in reduced]
        return gradients

    def _with_loose(self, gradients: list) -> list:
        """Reduce those of weights that are no parameters of the module, which DDP does not know."""
        weights = [self.weights[i] for i in self.loose]
        found, _ = reduce_gradients([gradients[i] for i in self.loose], weights, 1.0 / process.world_size())
        for i, gradient in zip(self.loose, found):
            gradients[i] = gradient
        return gradients


def is_static(model: nn.Module) -> bool:
    """Whether all layers are this library's or torch's own, so that no code of the user's chooses what runs."""
    own = __name__.split(".")[0]
    return all(type(m).__module__.split(".")[0] in (own, "torch") for m in model.modules())


def wrap(model: nn.Module, find_unused: bool = True) -> DistributedDataParallel:
    """The model under torch's DDP. Buffers are left to each rank, see `average_buffers`."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with warnings.catch_warnings():
        # torch 2.13 has a new name for `broadcast_buffers`, which the versions before do not know.
        warnings.filterwarnings("ignore", ".*broadcast_buffers.*", FutureWarning)
        return DistributedDataParallel(
            _Forward(model),
            device_ids=[device.index] if device.type == "cuda" else None,
            broadcast_buffers=False,
            find_unused_parameters=find_unused,
            gradient_as_bucket_view=True,
        )


# ---------------------------------------------------------------------------- steps of users


@contextmanager
def reducing_in_apply(kinds: list[type], share: Share) -> Iterator[None]:
    """Inside, gradients are reduced when they are applied by an optimizer of these classes or by any of torch's.

    Args:
        kinds: the classes that define `apply`; where one calls another's, the outer one reduces.
    """
    applying = False

    def reducing(apply: Callable) -> Callable:
        @functools.wraps(apply)
        def reduced_apply(optimizer: Any, grads: Any, trainable_variables: Any = None) -> Any:
            nonlocal applying
            if applying:
                return apply(optimizer, grads, trainable_variables)
            if trainable_variables is not None:
                trainable_variables = list(trainable_variables)
            variables = optimizer._trainable_variables if trainable_variables is None else trainable_variables
            grads = _reduced(list(grads), variables, share)
            applying = True
            try:
                return apply(optimizer, grads, trainable_variables)
            finally:
                applying = False

        return reduced_apply

    def before_torch_step(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if applying:
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for parameter, gradient in zip(parameters, _reduced([p.grad for p in parameters], parameters, share)):
            parameter.grad = gradient

    hook = register_optimizer_step_pre_hook(before_torch_step)
    originals = [kind.__dict__["apply"] for kind in kinds]
    for kind, apply in zip(kinds, originals):
        kind.apply = reducing(apply)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        hook.remove()
        for kind, apply in zip(kinds, originals):
            kind.apply = apply  # type: ignore[attr-defined]


def _reduced(gradients: list, variables: list, share: Share) -> list:
    return reduce_gradients(gradients, variables, share.weight)[0]


def defining_apply(*bases: type) -> list[type]:
    """Those of the classes and their subclasses that define `apply` themselves."""
    found: dict[type, None] = {}
    waiting = list(bases)
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        if "apply" in kind.__dict__:
            found[kind] = None
    return list(found)
