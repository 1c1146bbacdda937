"""Losses by name, and to configs and back."""

from __future__ import annotations

from typing import Any

from torchkeras.core.config.serialization import make_deserialize, make_get, make_serialize
from torchkeras.core.registry import register_public
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
from torchkeras.losses.sparse import sparse_categorical_crossentropy
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
    squared_hinge: (),
    tversky: (),
}
for _function, _aliases in _FUNCTIONS.items():
    register_public(_function, "keras.losses", aliases=_aliases)

_get = make_get("keras.losses", kind="loss", base=Loss)


def get(identifier: Any) -> Any:
    """The loss of a name, a config, a class, a callable or an instance; `None` stays `None`.

    A torch loss, module or function, becomes a `Loss`.

    Raises:
        ValueError: there is none.
    """
    return TorchLoss(identifier) if is_torch_loss(identifier) else _get(identifier)


serialize = make_serialize("loss")
deserialize = make_deserialize("keras.losses", "name")
