"""Metrics by name, and to configs and back."""

from __future__ import annotations

from typing import Any

from torchkeras.core.config.serialization import make_deserialize, make_get, make_serialize
from torchkeras.core.naming import snake_case
from torchkeras.core.registry import find_custom, known_names, register_public
from torchkeras.metrics.correlation import concordance_correlation, pearson_correlation
from torchkeras.metrics.matches import (
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from torchkeras.metrics.metric import Metric

_ALIASES = {
    "bce": "BinaryCrossentropy",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "mse": "MeanSquaredError",
    "msle": "MeanSquaredLogarithmicError",
    "rmse": "RootMeanSquaredError",
}
# A string means the class, though functions of the same name exist: "binary_accuracy" is BinaryAccuracy().
_CLASSES = {snake_case(name): name for name in known_names("keras.metrics")}
_CLASSES |= _ALIASES | {alias.upper(): name for alias, name in _ALIASES.items()}

for _function in (
    *(binary_accuracy, categorical_accuracy, sparse_categorical_accuracy, top_k_categorical_accuracy),
    *(sparse_top_k_categorical_accuracy, pearson_correlation, concordance_correlation),
):
    register_public(_function, "keras.metrics")

_get = make_get("keras.metrics", kind="metric", base=Metric)
_deserialize = make_deserialize("keras.metrics")
serialize = make_serialize("metric")


def _class_name(identifier: Any) -> Any:
    if isinstance(identifier, str) and find_custom(identifier) is None:
        return _CLASSES.get(identifier, identifier)
    return identifier


def get(identifier: Any) -> Any:
    """The metric of a name, a config, a class, a callable or an instance; `None` stays `None`.

    Raises:
        ValueError: it is none of these, or there is none of that name.
    """
    return _get(_class_name(identifier))


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The metric that a description (of `serialize()`) tells of."""
    return _deserialize(_class_name(config), custom_objects)
