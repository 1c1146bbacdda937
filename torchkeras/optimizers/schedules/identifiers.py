"""Schedules to configs and back."""

from __future__ import annotations

from torchkeras.core.config.identifiers import deserialize_object
from torchkeras.core.config.serialization import serialize_keras_object
from torchkeras.core.types import Config
from torchkeras.optimizers.schedules.schedule import LearningRateSchedule


def serialize(learning_rate_schedule: LearningRateSchedule) -> Config:
    """Return a JSON-ready description of a learning rate schedule, which `deserialize` reads.

    Args:
        learning_rate_schedule: the schedule.

    Returns:
        A dict with `class_name`, `config` and `module`.

    Example:
        >>> schedule = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=100)
        >>> keras.optimizers.schedules.serialize(schedule)["config"]["decay_steps"]
        100
    """
    return serialize_keras_object(learning_rate_schedule)


def deserialize(config: str | Config, custom_objects: dict[str, object] | None = None) -> LearningRateSchedule:
    """Return the learning rate schedule that `serialize` described.

    Args:
        config: result of `serialize`, or a name.
        custom_objects: classes and functions by name, beside the registered ones. Default: `None`.

    Returns:
        The learning rate schedule.

    Raises:
        ValueError: no learning rate schedule has that name.
        TypeError: the description names something that is neither Keras's nor registered.

    Example:
        >>> schedule = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=100)
        >>> config = keras.optimizers.schedules.serialize(schedule)
        >>> keras.optimizers.schedules.deserialize(config).decay_steps
        100
    """
    return deserialize_object(
        config, "keras.optimizers.schedules", "learning rate schedule", LearningRateSchedule, custom_objects
    )
