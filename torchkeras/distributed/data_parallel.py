"""Data parallel training: each rank computes on its share of the global batch, and the gradients are put together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim.optimizer import register_optimizer_step_pre_hook

from torchkeras.distributed import process
from torchkeras.distributed.collectives import reduce_gradients
from torchkeras.distributed.share import Share


class _Forward(nn.Module):
    """What DistributedDataParallel wraps: the model, called in training mode."""

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
        self.sharded = any(isinstance(w, DTensor) for w in weights)
        self.wrapped: DistributedDataParallel | None = None

    def __call__(self, x: Any) -> Any:
        return self.model(x, training=True) if self.wrapped is None else self.wrapped(x)

    def scale(self, share: Share) -> float:
        """What the loss is multiplied by, for gradients are averaged over the ranks."""
        return share.weight * process.world_size()

    def gradients(self) -> list:
        """The gradients after backward, reduced."""
        gradients = [w.grad for w in self.weights]
        if self.wrapped is not None:
            return gradients
        gradients, counts = reduce_gradients(gradients, self.weights, 1.0 / process.world_size())
        if not self.sharded and counts is not None:
            complete = bool((counts == process.world_size()).all())
            self.wrapped = wrap(self.model, find_unused=not (complete and is_static(self.model)))
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
def reducing_in_apply(optimizers: list, share: Share) -> Iterator[None]:
    """Inside, gradients are reduced when they are applied, by these optimizers or by any of torch's."""
    applying = False

    def reducing(optimizer: Any, apply: Callable) -> Callable:
        def reduced_apply(grads: Any, trainable_variables: Any = None) -> Any:
            nonlocal applying
            if applying:
                return apply(grads, trainable_variables)
            variables = optimizer._trainable_variables if trainable_variables is None else list(trainable_variables)
            grads = _reduced(list(grads), variables, share)
            applying = True
            try:
                return apply(grads, trainable_variables)
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
    for optimizer in optimizers:
        optimizer.__dict__["apply"] = reducing(optimizer, optimizer.apply)
    try:
        yield
    finally:
        hook.remove()
        for optimizer in optimizers:
            optimizer.__dict__.pop("apply", None)


def _reduced(gradients: list, variables: list, share: Share) -> list:
    return reduce_gradients(gradients, variables, share.weight)[0]


def optimizers_of(model: nn.Module) -> list:
    """The optimizers that a model was compiled with or holds as attributes, also in lists and dicts."""
    found = [getattr(model, "optimizer", None)]
    for module in model.modules():
        for value in vars(module).values():
            held = value.values() if isinstance(value, dict) else value
            found.extend(held if isinstance(value, (list, tuple, dict)) else [value])
    kept = [o for o in found if hasattr(o, "apply") and hasattr(o, "iterations")]
    return list({id(o): o for o in kept}.values())
