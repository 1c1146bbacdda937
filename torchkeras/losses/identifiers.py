"""Losses by name, and to configs and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from torchkeras.core.config.identifiers import deserialize_object, get_object
from torchkeras.core.config.serialization import serialize_keras_object
from torchkeras.core.registry import register_public
from torchkeras.core.types import Config, Identifier
from torchkeras.losses.binary import binary_crossentropy, binary_focal_crossentropy
from torchkeras.losses.categorical import (
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
)
from torchkeras.losses.divergence import kl_divergence, poisson
from torchkeras.losses.loss import Loss
from torchkeras.losses.margin import categorical_hinge, hinge, squared_hinge
from torchkeras.losses.overlap import dice, tversky
from torchkeras.losses.regression import (
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from torchkeras.losses.sequence import ctc
from torchkeras.losses.similarity import circle
from torchkeras.losses.sparse import sparse_categorical_crossentropy, sparse_categorical_focal_crossentropy
from torchkeras.losses.torch_loss import TorchLoss, is_torch_loss

# The last names of each row are those of Keras 1 and 2.
_FUNCTIONS = {
    binary_crossentropy: ("bce", "BCE"),
    binary_focal_crossentropy: (),
    categorical_crossentropy: (),
    categorical_focal_crossentropy: (),
    categorical_generalized_cross_entropy: (),
    categorical_hinge: (),
    circle: (),
    cosine_similarity: (),
    ctc: (),
    dice: (),
    hinge: (),
    huber: ("huber_loss",),
    kl_divergence: ("kld", "KLD", "kullback_leibler_divergence"),
    log_cosh: ("logcosh",),
    mean_absolute_error: ("mae", "MAE"),
    mean_absolute_percentage_error: ("mape", "MAPE"),
    mean_squared_error: ("mse", "MSE"),
    mean_squared_logarithmic_error: ("msle", "MSLE"),
    poisson: (),
    sparse_categorical_crossentropy: (),
    sparse_categorical_focal_crossentropy: (),
    squared_hinge: (),
    tversky: (),
}
for _function, _aliases in _FUNCTIONS.items():
    register_public(_function, "keras.losses", aliases=_aliases)


def get(identifier: Identifier | Loss | torch.nn.Module | None) -> Loss | Callable[..., Any] | None:
    """Return the loss that an identifier stands for.

    Args:
        identifier: name such as `"mse"` or `"MeanSquaredError"`, config of `serialize`, class, instance, or callable
            `(y_true, y_pred)`. A loss of torch, module or function, becomes a `Loss` with Keras's order of arguments.

    Returns:
        The loss: for a name such as `"mean_squared_error"` the function, for a class's name an instance; `None` for
        `None`.

    Raises:
        ValueError: no loss has that name.

    Example:
        >>> keras.losses.get("mse") is keras.losses.mean_squared_error
        True
        >>> keras.losses.get(torch.nn.MSELoss())(torch.ones(2), torch.zeros(2)).item()
        1.0
    """
    return TorchLoss(identifier) if is_torch_loss(identifier) else get_object(identifier, "keras.losses", "loss", Loss)  # type: ignore[arg-type]


def serialize(loss: Loss | Callable[..., Any]) -> Config:
    """Return a JSON-ready description of a loss, which `deserialize` reads.

    Args:
        loss: loss, function of this namespace, or registered callable.

    Returns:
        A dict with `class_name`, `config` and `module`.

    Example:
        >>> keras.losses.serialize(keras.losses.Huber(delta=2.0))["config"]["delta"]
        2.0
    """
    return serialize_keras_object(loss)


def deserialize(name: str | Config, custom_objects: dict[str, object] | None = None) -> Loss | Callable[..., Any]:
    """Return the loss that `serialize` described.

    Args:
        name: result of `serialize`, or a name.
        custom_objects: classes and functions by name, beside the registered ones. Default: `None`.

    Returns:
        The loss.

    Raises:
        ValueError: no loss has that name.
        TypeError: the description names something that is neither Keras's nor registered.

    Example:
        >>> config = keras.losses.serialize(keras.losses.Huber(delta=2.0))
        >>> keras.losses.deserialize(config).get_config()["delta"]
        2.0
    """
    return deserialize_object(name, "keras.losses", "loss", Loss, custom_objects)
