"""Noise on activations during training: additive, multiplicative, and self-normalizing dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.variables.seeded_random import drawn
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.regularization.dropout import check_noise_shape, check_rate, layer_seed

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


class NoiseLayer(Layer):
    """A layer that draws in training: from torch's global generator, or with a seed from its `SeedGenerator`."""

    keras_module = None

    def _set_seed(self, seed: int | None, active: bool) -> None:
        self.seed = seed
        if active:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def _normal(self, like: Tensor, mean: float, stddev: float) -> Tensor:
        return drawn("normal", layer_seed(self), like.shape, like.dtype, like.device, (mean, stddev))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


class GaussianNoise(NoiseLayer):
    """In training, adds normal noise of standard deviation `stddev`."""

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_rate("stddev", stddev)
        self.stddev = stddev
        self._set_seed(seed, active=stddev > 0)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.stddev == 0:
            return inputs
        return inputs + self._normal(inputs, 0.0, self.stddev)


class GaussianDropout(NoiseLayer):
    """In training, multiplies by normal noise of mean 1 and variance `rate / (1 - rate)` (Srivastava et al., 2014)."""

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_rate("rate", rate)
        self.rate = rate
        self._set_seed(seed, active=rate > 0)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        return inputs * self._normal(inputs, 1.0, math.sqrt(self.rate / (1.0 - self.rate)))


class AlphaDropout(NoiseLayer):
    """Dropout that keeps mean and variance of SELU activations (Klambauer et al., 2017)."""

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
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
        draws = drawn("uniform", layer_seed(self), shape, torch.get_default_dtype(), inputs.device)
        kept = (draws >= self.rate).to(inputs.dtype)
        floor = -SELU_ALPHA * SELU_SCALE
        scale = ((1 - self.rate) * (1 + self.rate * floor**2)) ** -0.5
        return scale * (inputs * kept + floor * (1 - kept)) - scale * floor * self.rate
