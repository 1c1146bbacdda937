"""Optimizers by name, and to configs and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core.config.serialization import make_deserialize, make_get, make_serialize
from torchkeras.core.registry import lookup, register_public
from torchkeras.optimizers.adafactor import Adafactor
from torchkeras.optimizers.adagrad import Adadelta, Adagrad
from torchkeras.optimizers.adam import Adam, AdamW
from torchkeras.optimizers.adamax import Adamax, Nadam
from torchkeras.optimizers.ftrl import Ftrl
from torchkeras.optimizers.lamb import Lamb
from torchkeras.optimizers.lion import Lion
from torchkeras.optimizers.loss_scale import LossScaleOptimizer
from torchkeras.optimizers.multi import MultiOptimizer, OptimizerMap
from torchkeras.optimizers.muon import Muon
from torchkeras.optimizers.optimizer import Optimizer
from torchkeras.optimizers.rmsprop import RMSprop
from torchkeras.optimizers.schedule_free import ScheduleFreeAdamW
from torchkeras.optimizers.sgd import SGD
from torchkeras.optimizers.torch_optimizer import TorchOptimizer

_ALL = (
    *(Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Ftrl, Lamb, Lion, LossScaleOptimizer, MultiOptimizer, Muon),
    *(Nadam, Optimizer, OptimizerMap, RMSprop, SGD, ScheduleFreeAdamW),
)
for _cls in _ALL:
    register_public(
        _cls, "keras.backend.torch.optimizers"
    )  # Keras's torch backend writes such private places into files
    register_public(_cls, "keras.optimizers", aliases=(_cls.__name__.lower(),))

_get = make_get("keras.optimizers", kind="optimizer", base=Optimizer)
serialize = make_serialize("optimizer")
deserialize = make_deserialize("keras.optimizers")


def get(identifier: Any) -> Any:
    """The optimizer of a name ("adam"), a config, a class or an instance; also of torch's.

    Args:
        identifier: as above, or a `torch.optim.Optimizer` (instance or class), or a function that makes one of a list
            of parameters. `None` stays `None`.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(identifier, (Optimizer, TorchOptimizer)):
        return identifier
    if isinstance(identifier, torch.optim.Optimizer) or _makes_torch_optimizer(identifier):
        return TorchOptimizer(identifier)
    if isinstance(identifier, str) and lookup("keras.optimizers", identifier) is None:
        lower = identifier.lower()
        identifier = lower if lookup("keras.optimizers", lower) is not None else identifier
    found = _get(identifier)
    if found is None or isinstance(found, (Optimizer, TorchOptimizer)):
        return found
    raise ValueError(f"optimizer must be a name, a config, an Optimizer or a torch optimizer; received {identifier!r}.")


def _makes_torch_optimizer(identifier: Any) -> bool:
    if isinstance(identifier, type):
        return issubclass(identifier, torch.optim.Optimizer)
    return isinstance(identifier, Callable) and not isinstance(identifier, TorchOptimizer)
