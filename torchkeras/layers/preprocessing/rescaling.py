"""Rescaling: `inputs * scale + offset`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.tensors import dtypes
from torchkeras.layers.base.layer import Layer


class Rescaling(Layer):
    """`inputs * scale + offset`; `Rescaling(1 / 255)` brings bytes to [0, 1]. Several values are per channel."""

    _tk_config_base = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        dtype = dtypes.torch_dtype(self.compute_dtype)
        scale, offset = (self._factor(value, inputs, dtype) for value in (self.scale, self.offset))
        if isinstance(scale, Tensor) and scale.ndim and settings.image_data_format() == "channels_first":
            scale = scale.reshape(*scale.shape, *(1,) * (3 - scale.ndim))
        return inputs.to(dtype) * scale + offset

    @staticmethod
    def _factor(value: Any, inputs: Tensor, dtype: torch.dtype) -> Any:
        return value if isinstance(value, (int, float)) else torch.as_tensor(value, dtype=dtype, device=inputs.device)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        factors = {name: serialize_keras_object(getattr(self, name)) for name in ("scale", "offset")}
        return {**super().get_config(), **factors}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Rescaling:
        factors = {name: deserialize_keras_object(config[name], custom_objects) for name in ("scale", "offset")}
        return cls(**{**config, **factors})
