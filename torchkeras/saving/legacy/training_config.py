"""The arguments of `compile()` as Keras 1 and 2 wrote them, in the spelling of Keras 3."""

from __future__ import annotations

from typing import Any

from torchkeras.core import registry
from torchkeras.saving.legacy.types import Config

# Arguments of optimizers that Keras 3 does not have.
_DROPPED = ("jit_compile", "is_legacy_optimizer", "schedule_decay", "gradient_aggregator")
_OPTIMIZERS = {"Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Adafactor", "Ftrl", "Lion", "Nadam", "RMSprop", "SGD"}
_SCHEDULES = frozenset(
    "CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay".split()
)
_LOSSES = {
    "cosine_proximity": "cosine_similarity",
    "cosine": "cosine_similarity",
    "kullback_leibler_divergence": "kl_divergence",
    "KLDivergence": "kl_divergence",
}
_METRICS = _LOSSES


def upgraded_training(config: Config) -> Config:
    """The compile configuration of Keras 3 for the `training_config` of a legacy file.

    Args:
        config: `{"optimizer_config": ..., "loss": ..., "metrics": ..., "loss_weights": ..., ...}`.
    """
    new: Config = {
        "optimizer": upgraded_optimizer(config.get("optimizer_config") or config.get("optimizer")),
        "loss": _nested(config.get("loss"), _loss),
        "loss_weights": config.get("loss_weights"),
        "metrics": _metrics(config.get("metrics")),
        "weighted_metrics": _metrics(config.get("weighted_metrics")),
    }
    for key in ("run_eagerly", "steps_per_execution", "jit_compile", "auto_scale_loss"):
        if config.get(key) is not None:
            new[key] = config[key]
    return new


def _metrics(value: object) -> Any:
    """Metrics; a dict of Keras 1 and 2 and nested lists stay as they are, empty ones become `None`."""
    new = _nested(value, _metric)
    return None if new in ([], {}, [[]]) else new


def _nested(value: Any, one: Any) -> Any:
    if isinstance(value, dict) and not ("class_name" in value and "config" in value):
        return {key: _nested(item, one) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_nested(item, one) for item in value]
    return value if value is None else one(value)


def _loss(value: Any) -> Any:
    if isinstance(value, str):
        return value if registry.find_custom(value) is not None else _LOSSES.get(value, value)
    return _object(value, "keras.losses")


def _metric(value: Any) -> Any:
    if isinstance(value, str):
        return value if registry.find_custom(value) is not None else _METRICS.get(value, value)
    return _object(value, "keras.metrics")


def _object(value: Config, module: str) -> Config:
    """A loss or metric with a config."""
    if _is_of_user(value) or value["class_name"] == "function":
        return value
    name = str(value["class_name"]).rsplit(">", 1)[-1]
    config = dict(value["config"])
    if config.get("reduction") == "auto":
        config["reduction"] = "sum_over_batch_size"
    if name in ("MeanMetricWrapper", "LossFunctionWrapper"):
        return _wrapped(config, module)
    config.pop("fn", None)
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def _wrapped(config: Config, module: str) -> Any:
    """A function that Keras 2 wrapped in a class of its own: known by its name."""
    function = config.get("fn")
    name = function.get("config") if isinstance(function, dict) else function
    name = (_LOSSES if module == "keras.losses" else _METRICS).get(str(name), name)
    if module == "keras.losses" or config.get("name") == name:
        return name
    described = {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}
    kept = {key: item for key, item in config.items() if key in ("name", "dtype")}
    return {
        "module": module,
        "class_name": "MeanMetricWrapper",
        "config": {**kept, "fn": described},
        "registered_name": None,
    }


# ---------------------------------------------------------------------------- optimizers


def upgraded_optimizer(value: object) -> Any:
    """An optimizer in the spelling of Keras 3.

    Args:
        value: `{"class_name": ..., "config": ...}`, or a name.
    """
    if not isinstance(value, dict) or _is_of_user(value) or not isinstance(value.get("config"), dict):
        return value
    name = _class_name(str(value["class_name"]))
    config = {key: item for key, item in value["config"].items() if key not in _DROPPED}
    if name == "LossScaleOptimizer":
        return _described(name, _loss_scale(config))
    if "lr" in config:
        config["learning_rate"] = config.pop("lr")
    rate, decay = config.get("learning_rate"), config.pop("decay", 0.0)
    if isinstance(rate, dict):
        config["learning_rate"] = _schedule(rate)
    elif rate is not None and decay:
        config["learning_rate"] = _decaying(rate, decay)
    if config.get("epsilon", 0.0) is None:
        del config["epsilon"]
    if name == "RMSprop" and config.get("momentum") is None:
        config.pop("momentum", None)
    return _described(name, config)


def _class_name(name: str) -> str:
    """Keras's class: TensorFlow registers its own under `Custom>`, and writes some names in small letters."""
    name = name.rsplit(">", 1)[-1]
    return next((known for known in _OPTIMIZERS if known.lower() == name.lower()), name)


def _described(name: str, config: Config) -> Config:
    return {"module": "keras.optimizers", "class_name": name, "config": config, "registered_name": None}


def _decaying(rate: float, decay: float) -> Config:
    """Keras 1 and 2 divide the rate by `1 + decay * iterations`."""
    config = {"initial_learning_rate": rate, "decay_steps": 1, "decay_rate": decay, "staircase": False}
    return {"module": "keras.optimizers.schedules", "class_name": "InverseTimeDecay", "config": config}


def _schedule(value: Config) -> Config:
    name = str(value.get("class_name")).rsplit(">", 1)[-1]
    if _is_of_user(value) or name not in _SCHEDULES:
        return value
    return {"module": "keras.optimizers.schedules", "class_name": name, "config": value["config"]}


def _loss_scale(config: Config) -> Config:
    inner = config.get("inner_optimizer") or config.get("optimizer")
    new: Config = {"inner_optimizer": upgraded_optimizer(inner)}
    for old, name in (("initial_scale", "initial_scale"), ("dynamic_growth_steps", "dynamic_growth_steps")):
        if config.get(old) is not None:
            new[name] = config[old]
    return new


def _is_of_user(value: Config) -> bool:
    names = (value.get("registered_name"), value.get("class_name"))
    module = value.get("module")
    is_foreign = isinstance(module, str) and not registry.is_ours(module) and not module.startswith("tensorflow.")
    return is_foreign or any(isinstance(name, str) and registry.find_custom(name) is not None for name in names)
