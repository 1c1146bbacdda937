"""Random initializers. The same seed gives Keras's numbers on its torch backend, and the same at every call."""

from __future__ import annotations

import math
from typing import Any

import torch

from torchkeras.core import registry
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.variables import seeds as random
from torchkeras.core.variables.seeded_random import drawn, truncated
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.initializers.initializer import Initializer, place


class RandomInitializer(Initializer):
    """Base of the random ones.

    Args:
        seed: an integer (the same values at every call), a `SeedGenerator` (others at every call), or `None`: an
            integer drawn once.
    """

    keras_module = None
    _tk_config_base = True

    def __init__(self, seed: Any = None) -> None:
        self._init_seed = seed
        if seed is None:
            seed = random.make_default_seed()
        elif isinstance(seed, dict):
            seed = deserialize_keras_object(seed)
        elif not isinstance(seed, (int, SeedGenerator)):
            raise ValueError(f"seed must be an integer, a SeedGenerator or None; received {seed!r}.")
        self.seed = seed

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["seed"] = serialize_keras_object(self._init_seed)
        return config

    def _uniform(self, shape: Any, low: float, high: float, dtype: Any) -> torch.Tensor:
        where = place(dtype)
        shape = tuple(shape)
        # A scalar is drawn as one of one, which gives the generator's first number whatever the shape.
        values = (high - low) * drawn("uniform", self.seed, shape or (1,), **where) + low
        return values if shape else values[0]

    def _normal(self, shape: Any, mean: float, stddev: float, dtype: Any) -> torch.Tensor:
        return drawn("normal", self.seed, tuple(shape), **place(dtype), numbers=(mean, stddev))

    def _truncated(self, shape: Any, mean: float, stddev: float, dtype: Any) -> torch.Tensor:
        return truncated(self.seed, shape, **place(dtype), mean=mean, stddev=stddev)


class RandomUniform(RandomInitializer):
    """Uniform between `minval` and `maxval`."""

    keras_module = "keras.initializers"

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        self.minval, self.maxval = minval, maxval
        super().__init__(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        return self._uniform(shape, self.minval, self.maxval, dtype)


class RandomNormal(RandomInitializer):
    """Normal."""

    keras_module = "keras.initializers"

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean, self.stddev = mean, stddev
        super().__init__(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        return self._normal(shape, self.mean, self.stddev, dtype)


class TruncatedNormal(RandomInitializer):
    """Normal, without what lies farther out than two standard deviations."""

    keras_module = "keras.initializers"

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean, self.stddev = mean, stddev
        super().__init__(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        return self._truncated(shape, self.mean, self.stddev, dtype)


_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")
# The standard deviation of a standard normal cut at two.
_CUT_STDDEV = 0.87962566103423978


class VarianceScaling(RandomInitializer):
    """Variance `scale / n`, where `n` is the weight's fan in, fan out or their mean (arXiv:1502.01852).

    Args:
        scale: positive.
        mode: `"fan_in"`, `"fan_out"`, `"fan_avg"`.
        distribution: `"truncated_normal"`, `"untruncated_normal"`, `"uniform"`.
        input_axes, output_axes: which axes count as inputs and outputs (sequences; both or none).

    Raises:
        ValueError: an argument is none of these.
    """

    keras_module = "keras.initializers"

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Any = None,
        output_axes: Any = None,
    ) -> None:
        if scale <= 0.0:
            raise ValueError(f"Argument `scale` must be positive float. Received: scale={scale}")
        if mode not in _MODES:
            raise ValueError(f"Invalid `mode` argument: {mode!r}. It must be one of {_MODES}.")
        distribution = distribution.lower()
        distribution = "truncated_normal" if distribution == "normal" else distribution
        if distribution not in _DISTRIBUTIONS:
            raise ValueError(f"Invalid `distribution` argument: {distribution!r}. It must be one of {_DISTRIBUTIONS}.")
        self.scale, self.mode, self.distribution = scale, mode, distribution
        self.input_axes, self.output_axes = input_axes, output_axes
        super().__init__(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        fan_in, fan_out = compute_fans(tuple(shape), self.input_axes, self.output_axes)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}
        variance = self.scale / max(1.0, fans[self.mode])
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return self._uniform(shape, -limit, limit, dtype)
        if self.distribution == "untruncated_normal":
            return self._normal(shape, 0.0, math.sqrt(variance), dtype)
        return self._truncated(shape, 0.0, math.sqrt(variance) / _CUT_STDDEV, dtype)


def compute_fans(shape: tuple, input_axes: Any = None, output_axes: Any = None) -> tuple[int, int]:
    """Fan in and fan out of a weight: the sizes of the axes said to be inputs and outputs, where both are said;
    else the last two axes', each times the others' (a convolution's receptive field)."""
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


class _FixedScaling(VarianceScaling):
    """A variance scaling whose scale, mode and distribution its name says."""

    keras_module = None
    _scale, _mode, _distribution = 1.0, "fan_in", "truncated_normal"

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None:
        super().__init__(self._scale, self._mode, self._distribution, seed, input_axes, output_axes)


class GlorotUniform(_FixedScaling):
    """Uniform with variance `1 / mean(fan_in, fan_out)` (Glorot and Bengio, 2010)."""

    keras_module = "keras.initializers"
    _mode, _distribution = "fan_avg", "uniform"


class GlorotNormal(_FixedScaling):
    """Truncated normal with variance `1 / mean(fan_in, fan_out)` (Glorot and Bengio, 2010)."""

    keras_module = "keras.initializers"
    _mode = "fan_avg"


class LecunNormal(_FixedScaling):
    """Truncated normal with variance `1 / fan_in`."""

    keras_module = "keras.initializers"


class LecunUniform(_FixedScaling):
    """Uniform with variance `1 / fan_in`."""

    keras_module = "keras.initializers"
    _distribution = "uniform"


class HeNormal(_FixedScaling):
    """Truncated normal with variance `2 / fan_in` (arXiv:1502.01852)."""

    keras_module = "keras.initializers"
    _scale = 2.0


class HeUniform(_FixedScaling):
    """Uniform with variance `2 / fan_in` (arXiv:1502.01852)."""

    keras_module = "keras.initializers"
    _scale, _distribution = 2.0, "uniform"


class Orthogonal(RandomInitializer):
    """A random orthogonal matrix; more axes are flattened into the first (arXiv:1312.6120).

    Raises:
        ValueError: the shape has fewer than two axes.
    """

    keras_module = "keras.initializers"

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        self.gain = gain
        super().__init__(seed)

    def __call__(self, shape: Any, dtype: Any = None) -> torch.Tensor:
        shape = tuple(shape)
        if len(shape) < 2:
            raise ValueError(f"Orthogonal needs a shape of at least 2 axes; received {shape}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        where = place(dtype)
        # Half types have no QR.
        drawn_in = where["dtype"] if where["dtype"] in (torch.float32, torch.float64) else torch.float32
        q, r = torch.linalg.qr(self._normal((max(rows, columns), min(rows, columns)), 0.0, 1.0, drawn_in))
        q = q * torch.sign(torch.diagonal(r))
        if rows < columns:
            q = q.t()
        return (self.gain * q.reshape(shape)).to(where["dtype"]).contiguous()


OrthogonalInitializer = Orthogonal

for _cls, _alias in {
    RandomUniform: "uniform",
    RandomNormal: "normal",
    Orthogonal: "OrthogonalInitializer",
}.items():
    registry.register_public(_cls, "keras.initializers", aliases=(_alias,))
