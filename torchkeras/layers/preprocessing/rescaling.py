"""Rescaling: a linear map of the inputs."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.tensors import dtypes
from torchkeras.core.tensors.convert import constant
from torchkeras.core.types import ArrayLike
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions


class Rescaling(Layer):
    """Multiply the inputs by `scale` and add `offset`, in training and in inference.

    `outputs = inputs * scale + offset`. `Rescaling(1 / 255)` maps bytes to [0, 1]; `Rescaling(1 / 127.5, offset=-1)`
    maps them to [-1, 1]. Integer inputs become floats.

    Args:
        scale: number, or a sequence with one number per channel.
        offset: number, or a sequence with one number per channel. Default: `0.0`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of any shape.

    Input shape:
        Any. With one number per channel, the channels are last, or third from last if
        `keras.config.image_data_format()` is `"channels_first"`.

    Output shape:
        The input shape.

    Example:
        >>> keras.layers.Rescaling(1 / 127.5, offset=-1)(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
        [-1.0, 1.0]
        >>> keras.layers.Rescaling([1.0, 10.0])(torch.ones(1, 2)).tolist()
        [[1.0, 10.0]]
    """

    _tk_config_base = True

    def __init__(self, scale: ArrayLike, offset: ArrayLike = 0.0, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        dtype = dtypes.torch_dtype(self.compute_dtype)
        scale, offset = (self._factor(value, inputs, dtype) for value in (self.scale, self.offset))
        if isinstance(scale, Tensor) and scale.ndim and settings.image_data_format() == "channels_first":
            scale = scale.reshape(*scale.shape, *(1,) * (3 - scale.ndim))
        outputs = inputs.to(dtype) * scale
        if isinstance(offset, Tensor) or not outputs.is_floating_point():
            return outputs + offset
        return outputs.add_(offset)  # nobody else has them, and no gradient needs them

    @staticmethod
    def _factor(value: ArrayLike, inputs: Tensor, dtype: torch.dtype) -> float | Tensor:
        return value if isinstance(value, (int, float)) else constant(value, dtype, inputs.device)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        factors = {name: serialize_keras_object(getattr(self, name)) for name in ("scale", "offset")}
        return {**super().get_config(), **factors}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Rescaling:
        factors = {name: deserialize_keras_object(config[name], custom_objects) for name in ("scale", "offset")}
        return cls(**{**config, **factors})
