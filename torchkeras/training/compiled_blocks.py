"""Layers that are compiled each by itself, where hooks of a strategy run between them."""

from __future__ import annotations

import logging
import weakref
from typing import Any

import torch
from torch import nn

from torchkeras.core.state import state
from torchkeras.distributed.rank_share import rows_of
from torchkeras.distributed.strategies.base import Strategy
from torchkeras.training.jit import Jit
from torchkeras.training.one_graph import Report
from torchkeras.training.state import TrainableModel, state_of

logger = logging.getLogger("torchkeras")
_named: weakref.WeakSet[TrainableModel] = weakref.WeakSet()


class CompiledBlock:
    """Takes the place of a layer's `call`: compiled as one graph for training, and as another one without gradients.

    The hooks of the layer, such as those of FSDP2 that gather and free its weights, run outside of the graph.

    Args:
        block: the layer.
    """

    def __init__(self, block: nn.Module) -> None:
        self.plain = block.call
        """The layer's own method, or the function that was in its place."""
        self.replaces = "call" in block.__dict__
        """Whether there was such a function."""
        label = f"the layer {getattr(block, 'name', type(block).__name__)!r}"
        self.jits = {trains: Jit(self._call, Report(label)) for trains in (True, False)}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.symbolic:
            return self.plain(*args, **kwargs)  # type: ignore[operator]
        return self.jits[torch.is_grad_enabled()](rows_of((args, kwargs)), args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.plain(*args, **kwargs)  # type: ignore[operator]


def compile_blocks(model: TrainableModel, strategy: Strategy, trains: bool) -> None:
    """Before a pass over batches: compile the calls of the strategy's blocks, or undo that, as `jit_compile` says.

    Args:
        model: the model.
        strategy: how the ranks work together.
        trains: whether the pass computes gradients.
    """
    if strategy.compiles_steps(model):  # type: ignore[arg-type]
        return
    training = state_of(model)
    eager = training.run_eagerly if training.compiled is None else training.compiled.run_eagerly
    wanted = training.jit_compile if training.compiled is None else training.compiled.jit_compile
    blocks = strategy.blocks(model)  # type: ignore[arg-type]
    if wanted and not eager and not blocks and strategy.is_distributed and model not in _named:
        _named.add(model)
        logger.warning(
            "jit_compile has no effect on %r: no block of it has weights that are gathered by themselves. Where you "
            "call fully_shard() by hand, compile the blocks by hand, before it.",
            model.name,
        )
    for block in blocks:
        call = block.__dict__.get("call")
        is_compiled = isinstance(call, CompiledBlock)
        if wanted and not eager:
            if not is_compiled:
                call = block.__dict__["call"] = CompiledBlock(block)
            call.jits[trains].begin()
        elif is_compiled:
            del block.__dict__["call"]
            if call.replaces:
                block.__dict__["call"] = call.plain
