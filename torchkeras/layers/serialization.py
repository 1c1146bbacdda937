"""Layers to configs and back."""

from __future__ import annotations

from torchkeras.core.config.serialization import make_deserialize, make_serialize

serialize = make_serialize("layer")
deserialize = make_deserialize("keras.layers")
