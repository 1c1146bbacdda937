"""Metrics by name, and to configs and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torchkeras.core.config.identifiers import deserialize_object, get_object
from torchkeras.core.config.serialization import serialize_keras_object
from torchkeras.core.naming import snake_case
from torchkeras.core.registry import find_custom, known_names, register_public
from torchkeras.core.types import Config, Identifier, T
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


def get(identifier: Identifier | Metric | None) -> Metric | Callable[..., Any] | None:
    """Return the metric that an identifier stands for.

    Args:
        identifier: name such as `"mae"` or `"AUC"`, config of `serialize`, class, instance, or callable
            `(y_true, y_pred)`.

    Returns:
        The metric: a new instance for a name, the callable as it is; `None` for `None`.

    Raises:
        ValueError: no metric has that name.

    Example:
        >>> keras.metrics.get("mae").name
        'mean_absolute_error'
    """
    return get_object(_class_name(identifier), "keras.metrics", "metric", Metric)


def serialize(metric: Metric | Callable[..., Any]) -> Config:
    """Return a JSON-ready description of a metric, which `deserialize` reads.

    Args:
        metric: metric, function of this namespace, or registered callable.

    Returns:
        A dict with `class_name`, `config` and `module`. The state is not in it.

    Example:
        >>> keras.metrics.serialize(keras.metrics.TopKCategoricalAccuracy(k=3))["config"]["k"]
        3
    """
    return serialize_keras_object(metric)


def deserialize(config: str | Config, custom_objects: dict[str, object] | None = None) -> Metric | Callable[..., Any]:
    """Return the metric that `serialize` described.

    Args:
        config: result of `serialize`, or a name.
        custom_objects: classes and functions by name, beside the registered ones. Default: `None`.

    Returns:
        The metric.

    Raises:
        ValueError: no metric has that name.
        TypeError: the description names something that is neither Keras's nor registered.

    Example:
        >>> config = keras.metrics.serialize(keras.metrics.TopKCategoricalAccuracy(k=3))
        >>> keras.metrics.deserialize(config).get_config()["k"]
        3
    """
    return deserialize_object(_class_name(config), "keras.metrics", "metric", Metric, custom_objects)


def _class_name(identifier: T) -> T | str:
    if isinstance(identifier, str) and find_custom(identifier) is None:
        return _CLASSES.get(identifier, identifier)
    return identifier
