"""Schedules to configs and back."""

from torchkeras.core.config.serialization import make_deserialize, make_serialize

serialize = make_serialize("learning_rate_schedule")
deserialize = make_deserialize("keras.optimizers.schedules")
