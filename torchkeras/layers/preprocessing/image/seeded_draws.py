"""Random values for image layers, on the device of the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from torchkeras.core import settings
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.types import DTypeLike
from torchkeras.core.variables.seeded_random import TORCH_GENERATOR, random_values
from torchkeras.core.variables.seeds import SeedGenerator, draw_seed

# `TORCH_GENERATOR` is a plain object.
Seed: TypeAlias = int | SeedGenerator | object
_STRIDE = 0x9E3779B1


class SeededDraws:
    """Draws from one source; with a seed they are those of `keras.random`.

    A layer without a seed draws from torch's generator, which differs from worker to worker and from epoch to epoch. In
    a worker of a `DataLoader`, seeds are moved by the worker's own: workers are copies of one process, and would all
    draw the same otherwise.

    Args:
        seed: an integer or a generator of seeds.
        device: device of the values.
    """

    def __init__(self, seed: int | SeedGenerator, device: torch.device) -> None:
        self.seed: Seed = seed
        self.device = device
        if isinstance(seed, SeedGenerator) and not seed.is_seeded:
            self.seed = TORCH_GENERATOR

    @property
    def is_unseeded(self) -> bool:
        """Whether the draws come from torch's own generator."""
        return self.seed is TORCH_GENERATOR

    def _next(self) -> Seed:
        if not isinstance(self.seed, SeedGenerator) or torch.compiler.is_compiling():
            return self.seed
        worker = get_worker_info()
        if worker is None:
            return self.seed
        # Workers have consecutive seeds, and so have draws: they are kept apart.
        return (sum(draw_seed(self.seed).tolist()) + _STRIDE * worker.seed) % 2**31

    def uniform(
        self,
        shape: Sequence[int],
        low: float | Tensor = 0.0,
        high: float | Tensor = 1.0,
        dtype: DTypeLike | None = None,
    ) -> Tensor:
        """Floats from `[low, high)`."""
        wanted = torch_dtype(dtype or settings.floatx())
        values = random_values("uniform", self._next(), tuple(shape) or (1,), wanted, self.device)
        values = (high - low) * values + low
        return values if len(shape) else values[0]

    def normal(self, shape: Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
        """Floats of the standard normal distribution."""
        wanted = torch_dtype(dtype or settings.floatx())
        return random_values("normal", self._next(), tuple(shape), wanted, self.device, (0.0, 1.0))

    def integers(self, shape: Sequence[int], low: int, high: int, dtype: torch.dtype = torch.int32) -> Tensor:
        """Integers from `[low, high)`."""
        return random_values("randint", self._next(), tuple(shape), dtype, self.device, (low, high))

    def beta(self, shape: Sequence[int], alpha: float | Tensor, beta: float | Tensor) -> Tensor:
        """Values of the beta distribution, in float32."""
        both = torch.stack([self._filled(shape, alpha), self._filled(shape, beta)], dim=-1)
        return random_values("dirichlet", self._next(), both.shape, both.dtype, self.device, (), [both])[..., 0]

    def gamma(self, shape: Sequence[int], alpha: float) -> Tensor:
        """Values of the gamma distribution with scale 1, in float32."""
        parameter = self._filled(shape, alpha)
        return random_values("gamma", self._next(), parameter.shape, parameter.dtype, self.device, (), [parameter])

    def permutation(self, length: int) -> Tensor:
        """The integers below `length`, in random order."""
        return random_values("uniform", self._next(), (length,), torch.get_default_dtype(), self.device).argsort()

    def _filled(self, shape: Sequence[int], value: float | Tensor) -> Tensor:
        if isinstance(value, Tensor):
            return value.to(self.device, torch.float32).expand(tuple(shape))
        return torch.full(tuple(shape), value, dtype=torch.float32, device=self.device)
