"""Dropout, of single values or of whole channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.settings import standardize_data_format
from torchkeras.core.variables.seeded_random import OF_TORCH, drawn
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer


def check_rate(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(
            f"Invalid value received for argument `{name}`. Expected a float value between 0 and 1. "
            f"Received: {name}={value}"
        )


def check_noise_shape(noise_shape: Sequence[int | None] | None) -> tuple[int | None, ...] | None:
    if noise_shape is None:
        return None
    if isinstance(noise_shape, str) or not hasattr(noise_shape, "__iter__"):
        raise ValueError(
            "Invalid value received for argument `noise_shape`. Expected a tuple or list of integers. "
            f"Received: noise_shape={noise_shape}"
        )
    noise_shape = tuple(noise_shape)
    for i, dim in enumerate(noise_shape):
        if dim is not None and not isinstance(dim, int):
            raise ValueError(
                "Invalid value received for argument `noise_shape`. Expected all elements to be integers or None. "
                f"Received element at index {i}: {dim} (type: {type(dim).__name__})"
            )
        if dim is not None and dim <= 0:
            raise ValueError(
                "Invalid value received for argument `noise_shape`. Expected all dimensions to be positive integers "
                f"or None. Received negative or zero value at index {i}: {dim}"
            )
    return noise_shape


def layer_seed(layer: Layer) -> Any:
    """What a layer draws by: its `SeedGenerator` if it was given a seed, else torch's global generator."""
    return OF_TORCH if layer.seed is None else layer.seed_generator


def drawn_mask(layer: Layer, keep: float, shape: Sequence[int], device: torch.device) -> Tensor:
    """Booleans that are true with the probability `keep`, by the layer's seed."""
    chances = torch.full(tuple(shape), keep, device=device)
    return drawn("bernoulli", layer_seed(layer), chances.shape, chances.dtype, device, (), [chances]).bool()


class Dropout(Layer):
    """In training, zeroes a share `rate` of the values and divides the rest by `1 - rate`.

    Without a seed the draws come from torch's global generator, in torch's own kernel; with one, from the layer's
    `SeedGenerator`, and are those of Keras on torch.
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_rate("rate", rate)
        self.rate = rate
        self.seed = seed
        self.noise_shape = check_noise_shape(noise_shape)
        if rate > 0:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        shape = self._noise_shape(inputs)
        if self.rate == 1 or (shape is None and self.seed is None):
            return F.dropout(inputs, self.rate)
        keep = 1.0 - self.rate
        return torch.where(drawn_mask(self, keep, shape or inputs.shape, inputs.device), inputs / keep, 0)

    def _noise_shape(self, inputs: Tensor) -> tuple[int, ...] | None:
        """The shape of the draws, or None for one draw a value."""
        if self.noise_shape is None:
            return None
        return tuple(size if dim is None else dim for dim, size in zip(self.noise_shape, inputs.shape, strict=True))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


class BaseSpatialDropout(Dropout):
    """Drops whole channels: one draw a sample and channel."""

    keras_module = None
    _tk_config_base = True

    def _set_spatial(self, rank: int, data_format: str) -> None:
        self.input_spec = InputSpec(ndim=rank + 2)
        self._channels_last = data_format == "channels_last"

    def _noise_shape(self, inputs: Tensor) -> tuple[int, ...]:
        batch, ones = inputs.shape[0], (1,) * (inputs.ndim - 2)
        if self._channels_last:
            return (batch, *ones, inputs.shape[-1])
        return (batch, inputs.shape[1], *ones)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        names = ("rate", "seed", "name", "data_format")
        return {**{name: config[name] for name in names if name in config}, "dtype": self.dtype}


class SpatialDropout1D(BaseSpatialDropout):
    """Drops features of `(batch, steps, features)`, all steps of each."""

    def __init__(self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self._set_spatial(1, "channels_last")


class SpatialDropout2D(BaseSpatialDropout):
    """Drops feature maps of `(batch, height, width, channels)`."""

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.data_format = standardize_data_format(data_format)
        self._set_spatial(2, self.data_format)


class SpatialDropout3D(BaseSpatialDropout):
    """Drops feature volumes of `(batch, depth, height, width, channels)`."""

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.data_format = standardize_data_format(data_format)
        self._set_spatial(3, self.data_format)
