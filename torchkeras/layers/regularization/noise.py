"""Noise on activations during training: additive, multiplicative, and dropout that keeps SELU's statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor

from torchkeras.core.variables.seeded_random import random_values
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.regularization.dropout import check_noise_shape, check_rate, layer_seed

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


class NoiseLayer(Layer):
    """A layer that draws in training: from torch's global generator, or from its `SeedGenerator` if it has a seed."""

    _tk_nothing_to_build = True

    keras_module = None

    def _set_seed(self, seed: int | None, active: bool) -> None:
        self.seed = seed
        if active:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def _normal(self, like: Tensor, mean: float, stddev: float) -> Tensor:
        return random_values("normal", layer_seed(self), like.shape, like.dtype, like.device, (mean, stddev))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


class GaussianNoise(NoiseLayer):
    """Add normally distributed noise to the inputs during training.

    `outputs = inputs + noise`, with `noise` of mean 0 and standard deviation `stddev`: a way to augment data at random.
    In inference, the inputs pass unchanged.

    Args:
        stddev: standard deviation of the noise, in [0, 1].
        seed: int that makes the layer's draws repeatable; without one they come from torch's global generator.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of any shape.
        training: whether to add noise. Default: the training mode of the call.

    Input shape:
        `(batch, ...)`, of any rank.

    Output shape:
        The input shape.

    Raises:
        ValueError: `stddev` is not in [0, 1].

    Example:
        >>> layer = keras.layers.GaussianNoise(0.1, seed=0)
        >>> x = torch.ones(2, 3)
        >>> layer(x).equal(x), layer(x, training=True).equal(x)
        (True, False)
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        check_rate("stddev", stddev)
        self.stddev = stddev
        self._set_seed(seed, active=stddev > 0)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.stddev == 0:
            return inputs
        return inputs + self._normal(inputs, 0.0, self.stddev)


class GaussianDropout(NoiseLayer):
    """Multiply the inputs by normally distributed noise during training.

    `outputs = inputs * noise`, with `noise` of mean 1 and standard deviation `sqrt(rate / (1 - rate))`, the one that
    `Dropout` with this rate has (Srivastava et al., 2014). In inference, the inputs pass unchanged.

    Args:
        rate: the dropout rate whose spread the noise has, in [0, 1); 0 adds no noise.
        seed: int that makes the layer's draws repeatable; without one they come from torch's global generator.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of any shape.
        training: whether to apply noise. Default: the training mode of the call.

    Input shape:
        `(batch, ...)`, of any rank.

    Output shape:
        The input shape.

    Raises:
        ValueError: `rate` is not in [0, 1].

    Example:
        >>> layer = keras.layers.GaussianDropout(0.5, seed=0)
        >>> x = torch.ones(2, 3)
        >>> layer(x).equal(x), layer(x, training=True).equal(x)
        (True, False)
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        check_rate("rate", rate)
        self.rate = rate
        self._set_seed(seed, active=rate > 0)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        return inputs * self._normal(inputs, 1.0, math.sqrt(self.rate / (1.0 - self.rate)))


class AlphaDropout(NoiseLayer):
    """Set a random fraction of the inputs to SELU's lowest value during training, and keep their mean and variance.

    The values are then scaled and shifted so that inputs of mean 0 and variance 1 keep both, as networks with the
    `selu` activation need (Klambauer et al., 2017, arXiv:1706.02515). In inference, the inputs pass unchanged.

    Args:
        rate: fraction of the values to drop, in [0, 1].
        noise_shape: shape of the random mask, which is broadcast to the inputs; `None` stands for the inputs' own size.
            Default: `None`, one draw per value.
        seed: int that makes the layer's draws repeatable; without one they come from torch's global generator.
            Default: `None`.
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
        >>> layer = keras.layers.AlphaDropout(0.5, seed=0)
        >>> x = torch.zeros(2, 3)
        >>> layer(x).equal(x)
        True
        >>> len(set(layer(torch.zeros(1000), training=True).tolist()))
        2
    """

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
        self.noise_shape = check_noise_shape(noise_shape)
        self._set_seed(seed, active=rate > 0)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        noise_shape = self.noise_shape or (None,) * inputs.ndim
        shape = [size if dim is None else dim for dim, size in zip(noise_shape, inputs.shape, strict=True)]
        draws = random_values("uniform", layer_seed(self), shape, torch.get_default_dtype(), inputs.device)
        kept = (draws >= self.rate).to(inputs.dtype)
        floor = -SELU_ALPHA * SELU_SCALE
        scale = ((1 - self.rate) * (1 + self.rate * floor**2)) ** -0.5
        return scale * (inputs * kept + floor * (1 - kept)) - scale * floor * self.rate
