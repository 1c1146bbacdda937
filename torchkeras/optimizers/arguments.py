"""The arguments that every optimizer takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypedDict

from torchkeras.core.types import Number
from torchkeras.optimizers.schedules.schedule import LearningRateSchedule
from torchkeras.optimizers.wide_weights import check_mode

# Whatever an optimizer takes as `learning_rate`.
LearningRate: TypeAlias = float | LearningRateSchedule | Callable[[], Number]


class OptimizerArguments(TypedDict, total=False):
    """The arguments that every optimizer takes by keyword; `Optimizer` describes them."""

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    low_precision_update: str | None
    name: str | None


def check_arguments(optimizer: Any) -> None:
    """Raise `ValueError` unless the arguments that an optimizer was given can be."""
    check_mode(optimizer.low_precision_update)
    every = optimizer.gradient_accumulation_steps
    if every and every < 2:
        raise ValueError(f"`gradient_accumulation_steps` must be an integer >= 2. Received: {every}")
    if optimizer.use_ema:
        if not 0 <= optimizer.ema_momentum <= 1:
            raise ValueError(f"`ema_momentum` must be in the range [0, 1]. Received: {optimizer.ema_momentum}")
        frequency = optimizer.ema_overwrite_frequency
        if frequency and (not isinstance(frequency, int) or frequency < 1):
            raise ValueError(f"`ema_overwrite_frequency` must be an integer >= 1 or None. Received: {frequency}")
    limits = {name: getattr(optimizer, name) for name in ("clipnorm", "clipvalue", "global_clipnorm")}
    if sum(limit is not None for limit in limits.values()) > 1:
        raise ValueError(f"Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: {limits}")
