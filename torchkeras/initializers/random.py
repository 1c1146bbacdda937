"""Random initializers. The same seed gives the numbers of Keras's torch backend, and the same ones on every call.

They are drawn on the CPU, wherever the weight goes: generators of other devices give other numbers for a seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from torchkeras.core import registry
from torchkeras.core.config.serialization import deserialize_keras_object, serialize_keras_object
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.types import Config, DTypeLike, Shape
from torchkeras.core.variables import seeds
from torchkeras.core.variables.seeded_random import random_values, sample_truncated_normal
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.initializers.initializer import Initializer, Place, place


class RandomInitializer(Initializer):
    """Base of the random initializers.

    Args:
        seed: int (the same values on every call), `SeedGenerator` (other values on every call), or `None`: an int
            drawn when the initializer is made. Default: `None`.
    """

    keras_module: str | None = None
    _tk_config_base = True

    def __init__(self, seed: int | SeedGenerator | Config | None = None) -> None:
        self._init_seed = seed
        if seed is None:
            seed = seeds.make_default_seed()
        elif isinstance(seed, dict):
            seed = deserialize_keras_object(seed)
        elif not isinstance(seed, (int, SeedGenerator)):
            raise ValueError(f"seed must be an integer, a SeedGenerator or None; received {seed!r}.")
        self.seed = seed

    def get_config(self) -> Config:
        config = super().get_config()
        config["seed"] = serialize_keras_object(self._init_seed)
        return config

    def _uniform(self, shape: Shape, low: float, high: float, dtype: DTypeLike | None) -> torch.Tensor:
        shape = tuple(shape)
        # A scalar is drawn as one of one, which gives the generator's first number whatever the shape.
        values = (high - low) * random_values("uniform", self.seed, shape or (1,), **_drawing_place(dtype)) + low
        return _placed(values if shape else values[0])

    def _normal(self, shape: Shape, mean: float, stddev: float, dtype: DTypeLike | None) -> torch.Tensor:
        where = _drawing_place(dtype)
        return _placed(random_values("normal", self.seed, tuple(shape), **where, numbers=(mean, stddev)))

    def _truncated(self, shape: Shape, mean: float, stddev: float, dtype: DTypeLike | None) -> torch.Tensor:
        return _placed(sample_truncated_normal(self.seed, shape, **_drawing_place(dtype), mean=mean, stddev=stddev))


_CPU = torch.device("cpu")


def _drawing_place(dtype: DTypeLike | None) -> Place:
    """The dtype of a new value and where it is drawn: on the CPU, or without values where those are not wanted."""
    where = place(dtype)
    return where if where["device"].type == "meta" else {"dtype": where["dtype"], "device": _CPU}


def _placed(values: torch.Tensor) -> torch.Tensor:
    """The drawn values on the device where new weights go."""
    device = current_device()
    return values if values.device == device else values.to(device)


class RandomUniform(RandomInitializer):
    """Draw from a uniform distribution.

    Args:
        minval: lower end of the interval. Default: `-0.05`.
        maxval: upper end of the interval. Default: `0.05`.
        seed: int (the same values on every call), `SeedGenerator` (other values on every call), or `None`: an int
            drawn when the initializer is made. Default: `None`.

    Example:
        >>> values = keras.initializers.RandomUniform(0.0, 1.0, seed=0)((100,))
        >>> bool(((values >= 0) & (values < 1)).all())
        True
        >>> layer = keras.layers.Dense(8, kernel_initializer="random_uniform")
    """

    keras_module = "keras.initializers"

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | SeedGenerator | Config | None = None
    ) -> None:
        self.minval, self.maxval = minval, maxval
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> torch.Tensor:
        return self._uniform(shape, self.minval, self.maxval, dtype)


class RandomNormal(RandomInitializer):
    """Draw from a normal distribution.

    Args:
        mean: mean of the distribution. Default: `0.0`.
        stddev: standard deviation of the distribution. Default: `0.05`.
        seed: int (the same values on every call), `SeedGenerator` (other values on every call), or `None`: an int
            drawn when the initializer is made. Default: `None`.

    Example:
        >>> keras.initializers.RandomNormal(seed=0)((2, 3)).shape
        torch.Size([2, 3])
        >>> layer = keras.layers.Dense(8, kernel_initializer="random_normal")
    """

    keras_module = "keras.initializers"

    def __init__(
        self, mean: float = 0.0, stddev: float = 0.05, seed: int | SeedGenerator | Config | None = None
    ) -> None:
        self.mean, self.stddev = mean, stddev
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> torch.Tensor:
        return self._normal(shape, self.mean, self.stddev, dtype)


class TruncatedNormal(RandomInitializer):
    """Draw from a normal distribution cut at two standard deviations from the mean.

    Args:
        mean: mean of the distribution before the cut. Default: `0.0`.
        stddev: standard deviation of the distribution before the cut. Default: `0.05`.
        seed: int (the same values on every call), `SeedGenerator` (other values on every call), or `None`: an int
            drawn when the initializer is made. Default: `None`.

    Example:
        >>> values = keras.initializers.TruncatedNormal(stddev=1.0, seed=0)((1000,))
        >>> bool((values.abs() <= 2).all())
        True
    """

    keras_module = "keras.initializers"

    def __init__(
        self, mean: float = 0.0, stddev: float = 0.05, seed: int | SeedGenerator | Config | None = None
    ) -> None:
        self.mean, self.stddev = mean, stddev
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> torch.Tensor:
        return self._truncated(shape, self.mean, self.stddev, dtype)


_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")
# The standard deviation of a standard normal cut at two.
_CUT_STDDEV = 0.87962566103423978


class VarianceScaling(RandomInitializer):
    """Draw values whose variance fits the weight's shape: `scale / n` (He et al., arXiv:1502.01852).

    `n` is the number of inputs of a unit (`"fan_in"`), the number of outputs (`"fan_out"`), or their mean
    (`"fan_avg"`). The other initializers of this kind (`GlorotUniform`, `HeNormal`, ...) are this one with fixed
    arguments.

    Args:
        scale: positive number. Default: `1.0`.
        mode: `"fan_in"`, `"fan_out"` or `"fan_avg"`. Default: `"fan_in"`.
        distribution: `"truncated_normal"`, `"untruncated_normal"` or `"uniform"`. Default: `"truncated_normal"`.
        seed: int (the same values on every call), `SeedGenerator` (other values on every call), or `None`: an int
            drawn when the initializer is made. Default: `None`.
        input_axes: axes that count as inputs, with `output_axes`; `None`: the last but one, times the axes before
            it. Default: `None`.
        output_axes: axes that count as outputs, with `input_axes`; `None`: the last, times the axes before the last
            two. Default: `None`.

    Raises:
        ValueError: `scale` is not positive, or `mode` or `distribution` is none of these.

    Example:
        >>> he = keras.initializers.VarianceScaling(scale=2.0, distribution="uniform", seed=0)
        >>> bool((he((600, 10)).abs() <= 0.1).all())  # sqrt(3 * 2 / 600)
        True
    """

    keras_module = "keras.initializers"

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | SeedGenerator | Config | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
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

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> torch.Tensor:
        fan_in, fan_out = compute_fans(tuple(shape), self.input_axes, self.output_axes)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}
        variance = self.scale / max(1.0, fans[self.mode])
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return self._uniform(shape, -limit, limit, dtype)
        if self.distribution == "untruncated_normal":
            return self._normal(shape, 0.0, math.sqrt(variance), dtype)
        return self._truncated(shape, 0.0, math.sqrt(variance) / _CUT_STDDEV, dtype)


def compute_fans(
    shape: tuple[int | None, ...], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """Return the number of inputs and of outputs of a unit, for a weight of this shape.

    Args:
        shape: shape of the weight.
        input_axes, output_axes: axes that count as inputs and as outputs. Without both of them these are the last two
            axes, each times the sizes of the axes before them (the window of a convolution).
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


class _FixedScaling(VarianceScaling):
    """`VarianceScaling` with a fixed scale, mode and distribution."""

    keras_module: str | None = None
    _scale, _mode, _distribution = 1.0, "fan_in", "truncated_normal"

    def __init__(
        self,
        seed: int | SeedGenerator | Config | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(self._scale, self._mode, self._distribution, seed, input_axes, output_axes)


class GlorotUniform(_FixedScaling):
    """Draw from a uniform distribution with variance `1 / mean(fan_in, fan_out)` (Glorot and Bengio, 2010).

    The ends of the interval are `+-sqrt(6 / (fan_in + fan_out))`. It is the default of most kernels.

    Args:
        seed: int (the same values on every call), `SeedGenerator` (other values on every call), or `None`: an int
            drawn when the initializer is made. Default: `None`.
        input_axes: axes that count as inputs, with `output_axes`; `None`: the last but one, times the axes before
            it. Default: `None`.
        output_axes: axes that count as outputs, with `input_axes`; `None`: the last, times the axes before the last
            two. Default: `None`.

    Example:
        >>> keras.initializers.GlorotUniform(seed=0)((64, 10)).shape
        torch.Size([64, 10])
        >>> layer = keras.layers.Dense(8, kernel_initializer="glorot_uniform")
    """

    keras_module = "keras.initializers"
    _mode, _distribution = "fan_avg", "uniform"


class GlorotNormal(_FixedScaling):
    """Draw from a truncated normal distribution with variance `1 / mean(fan_in, fan_out)` (Glorot and Bengio, 2010).

    Args:
        seed: int (the same values on every call), `SeedGenerator` (other values on every call), or `None`: an int
            drawn when the initializer is made. Default: `None`.
        input_axes: axes that count as inputs, with `output_axes`; `None`: the last but one, times the axes before
            it. Default: `None`.
        output_axes: axes that count as outputs, with `input_axes`; `None`: the last, times the axes before the last
            two. Default: `None`.

    Example:
        >>> keras.initializers.GlorotNormal(seed=0)((64, 10)).shape
        torch.Size([64, 10])
        >>> layer = keras.layers.Dense(8, kernel_initializer="glorot_normal")
    """

    keras_module = "keras.initializers"
    _mode = "fan_avg"


class LecunNormal(_FixedScaling):
    """Draw from a truncated normal distribution with variance `1 / fan_in` (LeCun et al., 1998).

    Args:
        seed: int (the same values on every call), `SeedGenerator` (other values on every call), or `None`: an int
            drawn when the initializer is made. Default: `None`.
        input_axes: axes that count as inputs, with `output_axes`; `None`: the last but one, times the axes before
            it. Default: `None`.
        output_axes: axes that count as outputs, with `input_axes`; `None`: the last, times the axes before the last
            two. Default: `None`.

    Example:
        >>> keras.initializers.LecunNormal(seed=0)((64, 10)).shape
        torch.Size([64, 10])
        >>> layer = keras.layers.Dense(8, kernel_initializer="lecun_normal")
    """

    keras_module = "keras.initializers"


class LecunUniform(_FixedScaling):
    """Draw from a uniform distribution with variance `1 / fan_in` (LeCun et al., 1998).

    Args:
        seed: int (the same values on every call), `SeedGenerator` (other values on every call), or `None`: an int
            drawn when the initializer is made. Default: `None`.
        input_axes: axes that count as inputs, with `output_axes`; `None`: the last but one, times the axes before
            it. Default: `None`.
        output_axes: axes that count as outputs, with `input_axes`; `None`: the last, times the axes before the last
            two. Default: `None`.

    Example:
        >>> keras.initializers.LecunUniform(seed=0)((64, 10)).shape
        torch.Size([64, 10])
        >>> layer = keras.layers.Dense(8, kernel_initializer="lecun_uniform")
    """

    keras_module = "keras.initializers"
    _distribution = "uniform"


class HeNormal(_FixedScaling):
    """Draw from a truncated normal distribution with variance `2 / fan_in` (He et al., arXiv:1502.01852).

    Args:
        seed: int (the same values on every call), `SeedGenerator` (other values on every call), or `None`: an int
            drawn when the initializer is made. Default: `None`.
        input_axes: axes that count as inputs, with `output_axes`; `None`: the last but one, times the axes before
            it. Default: `None`.
        output_axes: axes that count as outputs, with `input_axes`; `None`: the last, times the axes before the last
            two. Default: `None`.

    Example:
        >>> keras.initializers.HeNormal(seed=0)((64, 10)).shape
        torch.Size([64, 10])
        >>> layer = keras.layers.Dense(8, kernel_initializer="he_normal")
    """

    keras_module = "keras.initializers"
    _scale = 2.0


class HeUniform(_FixedScaling):
    """Draw from a uniform distribution with variance `2 / fan_in` (He et al., arXiv:1502.01852).

    Args:
        seed: int (the same values on every call), `SeedGenerator` (other values on every call), or `None`: an int
            drawn when the initializer is made. Default: `None`.
        input_axes: axes that count as inputs, with `output_axes`; `None`: the last but one, times the axes before
            it. Default: `None`.
        output_axes: axes that count as outputs, with `input_axes`; `None`: the last, times the axes before the last
            two. Default: `None`.

    Example:
        >>> keras.initializers.HeUniform(seed=0)((64, 10)).shape
        torch.Size([64, 10])
        >>> layer = keras.layers.Dense(8, kernel_initializer="he_uniform")
    """

    keras_module = "keras.initializers"
    _scale, _distribution = 2.0, "uniform"


class Orthogonal(RandomInitializer):
    """Draw a random matrix with orthonormal rows or columns (Saxe et al., arXiv:1312.6120).

    For a weight of more than two axes, all axes but the last count as rows. Also called `OrthogonalInitializer`.

    Args:
        gain: factor of the matrix. Default: `1.0`.
        seed: int (the same values on every call), `SeedGenerator` (other values on every call), or `None`: an int
            drawn when the initializer is made. Default: `None`.

    Raises:
        ValueError: the weight's shape has fewer than two axes.

    Example:
        >>> matrix = keras.initializers.Orthogonal(seed=0)((4, 2))
        >>> torch.allclose(matrix.T @ matrix, torch.eye(2), atol=1e-5)
        True
    """

    keras_module = "keras.initializers"

    def __init__(self, gain: float = 1.0, seed: int | SeedGenerator | Config | None = None) -> None:
        self.gain = gain
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> torch.Tensor:
        shape = tuple(shape)
        if len(shape) < 2:
            raise ValueError(f"Orthogonal needs a shape of at least 2 axes; received {shape}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        where = place(dtype)
        # Half types have no QR.
        drawn_in = where["dtype"] if where["dtype"] in (torch.float32, torch.float64) else torch.float32
        drawn = random_values(
            "normal",
            self.seed,
            (max(rows, columns), min(rows, columns)),
            **_drawing_place(drawn_in),
            numbers=(0.0, 1.0),
        )
        q, r = torch.linalg.qr(drawn)
        q = q * torch.sign(torch.diagonal(r))
        if rows < columns:
            q = q.t()
        return _placed((self.gain * q.reshape(shape)).to(where["dtype"]).contiguous())


OrthogonalInitializer = Orthogonal

for _cls, _alias in {
    RandomUniform: "uniform",
    RandomNormal: "normal",
    Orthogonal: "OrthogonalInitializer",
}.items():
    registry.register_public(_cls, "keras.initializers", aliases=(_alias,))

# Keras's second names.
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
orthogonal = Orthogonal
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
