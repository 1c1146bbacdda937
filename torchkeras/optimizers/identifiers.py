"""Optimizers by name, and to configs and back."""

from __future__ import annotations

from typing import overload

import torch

from torchkeras.core.config.identifiers import deserialize_object, get_object
from torchkeras.core.config.serialization import serialize_keras_object
from torchkeras.core.registry import lookup, register_public
from torchkeras.core.types import Config, Identifier
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


@overload
def get(identifier: None) -> None: ...
@overload
def get(identifier: Identifier | Optimizer | torch.optim.Optimizer) -> Optimizer | TorchOptimizer: ...
def get(identifier: Identifier | Optimizer | torch.optim.Optimizer | None) -> Optimizer | TorchOptimizer | None:
    """Return the optimizer that an identifier stands for.

    Args:
        identifier: name such as `"adam"`, config of `serialize`, or instance; or an optimizer of torch (instance or
            class), or a function that makes one from a list of parameters.

    Returns:
        The optimizer; one of torch inside an object with Keras's methods; `None` for `None`.

    Raises:
        ValueError: `identifier` is none of these, or no optimizer has that name.

    Example:
        >>> keras.optimizers.get("adam").name
        'adam'
        >>> keras.optimizers.get({"class_name": "SGD", "config": {"momentum": 0.5}}).momentum
        0.5
    """
    if isinstance(identifier, (Optimizer, TorchOptimizer)):
        return identifier
    if isinstance(identifier, torch.optim.Optimizer) or _makes_torch_optimizer(identifier):
        return TorchOptimizer(identifier)  # type: ignore[arg-type]
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        raise ValueError(
            f"Could not interpret optimizer identifier: {identifier}. It is a class, which has no learning rate yet: "
            f"call it, {identifier.__name__}(...)."
        )
    if isinstance(identifier, str) and lookup("keras.optimizers", identifier) is None:
        lower = identifier.lower()
        identifier = lower if lookup("keras.optimizers", lower) is not None else identifier
    found = get_object(identifier, "keras.optimizers", "optimizer", Optimizer)
    if found is None or isinstance(found, (Optimizer, TorchOptimizer)):
        return found
    raise ValueError(f"optimizer must be a name, a config, an Optimizer or a torch optimizer; received {identifier!r}.")


def serialize(optimizer: Optimizer) -> Config:
    """Return a JSON-ready description of an optimizer, which `deserialize` reads.

    Args:
        optimizer: the optimizer.

    Returns:
        A dict with `class_name`, `config` and `module`. Momentums and other state are not in it.

    Example:
        >>> keras.optimizers.serialize(keras.optimizers.SGD(momentum=0.5))["config"]["momentum"]
        0.5
    """
    return serialize_keras_object(optimizer)


def deserialize(config: str | Config, custom_objects: dict[str, object] | None = None) -> Optimizer:
    """Return the optimizer that `serialize` described.

    Args:
        config: result of `serialize`, or a name.
        custom_objects: classes and functions by name, beside the registered ones. Default: `None`.

    Returns:
        The optimizer.

    Raises:
        ValueError: no optimizer has that name.
        TypeError: the description names something that is neither Keras's nor registered.

    Example:
        >>> config = keras.optimizers.serialize(keras.optimizers.SGD(momentum=0.5))
        >>> keras.optimizers.deserialize(config).momentum
        0.5
    """
    return deserialize_object(config, "keras.optimizers", "optimizer", Optimizer, custom_objects)


def _makes_torch_optimizer(identifier: object) -> bool:
    if isinstance(identifier, type):
        return issubclass(identifier, torch.optim.Optimizer)
    return callable(identifier) and not isinstance(identifier, TorchOptimizer)
