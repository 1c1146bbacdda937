"""Dropout of single values or of whole channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.settings import standardize_data_format
from torchkeras.core.types import DTypeLike
from torchkeras.core.variables import portable_random
from torchkeras.core.variables.seeded_random import TORCH_GENERATOR, random_values
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.dtype_policies.policy import DTypePolicy
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions


def check_rate(name: str, value: float) -> None:
    """Raise `ValueError` unless the named value is in [0, 1]."""
    if value is None or isinstance(value, str) or not 0 <= value <= 1:
        raise ValueError(
            f"Invalid value received for argument `{name}`. Expected a float value between 0 and 1. "
            f"Received: {name}={value}"
        )


def check_noise_shape(noise_shape: Sequence[int | None] | None) -> tuple[int | None, ...] | None:
    """The noise shape as a tuple of positive ints and `None`; `ValueError` for anything else."""
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


def layer_seed(layer: Layer) -> object:
    """The layer's random source: its `SeedGenerator` if it has a seed, else torch's global generator."""
    return TORCH_GENERATOR if layer.seed is None else layer.seed_generator


def drawn_mask(layer: Layer, keep: float, shape: Sequence[int], device: torch.device) -> Tensor:
    """Booleans that are True with probability `keep`, drawn from the layer's random source."""
    chances = torch.full(tuple(shape), keep, device=device)
    return random_values("bernoulli", layer_seed(layer), chances.shape, chances.dtype, device, (), [chances]).bool()


class Dropout(Layer):
    """Set a random fraction of the inputs to zero during training.

    In training, each value becomes 0 with probability `rate`, and the others are divided by `1 - rate`, so that the
    expected sum stays the same (Srivastava et al., 2014). In inference, the inputs pass unchanged.

    Args:
        rate: fraction of the values to drop, in [0, 1].
        noise_shape: shape of the random mask, which is broadcast to the inputs; `None` stands for the inputs' own size.
            `(None, 1, None)` drops the same features in all steps of a sequence. Default: `None`, one draw per value.
        seed: int that makes the layer's draws repeatable: they are those of Keras on torch. Without a seed, the draws
            come from torch's global generator. Default: `None`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of any shape.
        training: whether to drop values. Default: the training mode of the call.

    Input shape:
        `(batch, ...)`, of any rank.

    Output shape:
        The input shape.

    Raises:
        ValueError: `rate` is not in [0, 1], or `noise_shape` is no tuple of positive ints and `None`.

    Example:
        >>> layer = keras.layers.Dropout(0.5, seed=1)
        >>> x = torch.ones(2, 3)
        >>> layer(x).equal(x)
        True
        >>> sorted(set(layer(torch.ones(1000), training=True).tolist()))
        [0.0, 2.0]
    """

    _tk_nothing_to_build = True

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Unpack[LayerOptions],
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
        if self.rate == 1 or (shape is None and self.seed is None and not portable_random.is_on):
            return F.dropout(inputs, self.rate)
        keep = 1.0 - self.rate
        return torch.where(drawn_mask(self, keep, shape or inputs.shape, inputs.device), inputs / keep, 0)

    def _noise_shape(self, inputs: Tensor) -> tuple[int, ...] | None:
        """The shape of the draws, or `None` for one draw per value."""
        if self.noise_shape is None:
            return None
        return tuple(size if dim is None else dim for dim, size in zip(self.noise_shape, inputs.shape, strict=True))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


class BaseSpatialDropout(Dropout):
    """Drop whole channels: one draw for each sample and channel."""

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
    """Set random features of sequences to zero during training, in all steps at once.

    Neighbouring steps of a feature are alike, so that dropping single values would hardly regularize; this layer drops
    all of a feature or none (Tompson et al., 2014, arXiv:1411.4280). The kept ones are divided by `1 - rate`.

    Args:
        rate: fraction of the features to drop, in [0, 1].
        seed: int that makes the layer's draws repeatable; without one they come from torch's global generator.
            Default: `None`.
        name: name of the layer; `None` makes one from the class. Default: `None`.
        dtype: type or dtype policy of the layer; `None` means the global one. Default: `None`.

    Call arguments:
        inputs: tensor of three dimensions.
        training: whether to drop features. Default: the training mode of the call.

    Input shape:
        `(batch, steps, features)`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `rate` is not in [0, 1].

    Example:
        >>> layer = keras.layers.SpatialDropout1D(0.5, seed=0)
        >>> outputs = layer(torch.ones(1, 4, 100), training=True)
        >>> bool((outputs == outputs[:, :1]).all())
        True
    """

    def __init__(
        self,
        rate: float,
        seed: int | None = None,
        name: str | None = None,
        dtype: DTypeLike | DTypePolicy | None = None,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self._set_spatial(1, "channels_last")


class SpatialDropout2D(BaseSpatialDropout):
    """Set random feature maps of images to zero during training.

    Neighbouring pixels of a feature map are alike, so that dropping single values would hardly regularize; this layer
    drops all of a feature map or none (Tompson et al., 2014, arXiv:1411.4280). The kept ones are divided by `1 - rate`.

    Args:
        rate: fraction of the feature maps to drop, in [0, 1].
        data_format: `"channels_last"` for `(batch, height, width, channels)`, `"channels_first"` for
            `(batch, channels, height, width)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        seed: int that makes the layer's draws repeatable; without one they come from torch's global generator.
            Default: `None`.
        name: name of the layer; `None` makes one from the class. Default: `None`.
        dtype: type or dtype policy of the layer; `None` means the global one. Default: `None`.

    Call arguments:
        inputs: tensor of four dimensions.
        training: whether to drop feature maps. Default: the training mode of the call.

    Input shape:
        `(batch, height, width, channels)`, or `(batch, channels, height, width)` with `"channels_first"`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `rate` is not in [0, 1].

    Example:
        >>> layer = keras.layers.SpatialDropout2D(0.25, seed=0)
        >>> outputs = layer(torch.ones(2, 3, 3, 50), training=True)
        >>> bool((outputs == outputs[:, :1, :1]).all())
        True
    """

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: DTypeLike | DTypePolicy | None = None,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.data_format = standardize_data_format(data_format)
        self._set_spatial(2, self.data_format)


class SpatialDropout3D(BaseSpatialDropout):
    """Set random feature volumes to zero during training.

    Neighbouring values of a feature volume are alike, so that dropping single values would hardly regularize; this
    layer drops all of a feature volume or none (Tompson et al., 2014, arXiv:1411.4280). The kept ones are divided by
    `1 - rate`.

    Args:
        rate: fraction of the feature volumes to drop, in [0, 1].
        data_format: `"channels_last"` for `(batch, depth, height, width, channels)`, `"channels_first"` for
            `(batch, channels, depth, height, width)`; `None` means `keras.config.image_data_format()`. Default: `None`.
        seed: int that makes the layer's draws repeatable; without one they come from torch's global generator.
            Default: `None`.
        name: name of the layer; `None` makes one from the class. Default: `None`.
        dtype: type or dtype policy of the layer; `None` means the global one. Default: `None`.

    Call arguments:
        inputs: tensor of five dimensions.
        training: whether to drop feature volumes. Default: the training mode of the call.

    Input shape:
        `(batch, depth, height, width, channels)`, or `(batch, channels, depth, height, width)` with `"channels_first"`.

    Output shape:
        The input shape.

    Raises:
        ValueError: `rate` is not in [0, 1].

    Example:
        >>> layer = keras.layers.SpatialDropout3D(0.25, data_format="channels_first", seed=0)
        >>> outputs = layer(torch.ones(2, 50, 2, 3, 3), training=True)
        >>> bool((outputs == outputs[:, :, :1, :1, :1]).all())
        True
    """

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: DTypeLike | DTypePolicy | None = None,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.data_format = standardize_data_format(data_format)
        self._set_spatial(3, self.data_format)
