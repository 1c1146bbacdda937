"""The weights of a model on several ranks: the same everywhere, then laid out as the strategy wants them."""

from __future__ import annotations

from typing import Any

from torchkeras.distributed.calls import together
from torchkeras.distributed.distributions import distribution
from torchkeras.distributed.process import is_single
from torchkeras.distributed.strategies import registry
from torchkeras.distributed.strategies.base import Strategy
from torchkeras.training.state import TrainableModel, optimizer_of, state_of


def agree_on_weights(model: TrainableModel, strategy: Strategy, again: bool = False) -> None:
    """Give every rank rank 0's weights and optimizer state, and lay the weights out over the ranks.

    Args:
        model: the model, built.
        strategy: how the ranks work together.
        again: whether ranks agree once more where they did before.
    """
    if is_single():
        return
    state = state_of(model)
    optimizer = optimizer_of(model)
    if again or not state.ranks_agree:
        strategy.broadcast_state([*model.weights, *(optimizer.variables if optimizer is not None else ())])
        state.ranks_agree = strategy.is_distributed
    replaced = strategy.place(model)  # type: ignore[arg-type]
    if replaced:
        if state.snapshot is not None:
            state.snapshot.replace(replaced)
        if optimizer is not None:
            optimizer._tk_replace_variables(replaced)


def place_at_compile(model: Any) -> None:
    """Lay the weights of a built model out where a distribution is set, so that optimizers are made for their parts."""
    if distribution() is not None and model.built:
        strategy = registry.choose()
        with together("compile()"):
            agree_on_weights(model, strategy)
