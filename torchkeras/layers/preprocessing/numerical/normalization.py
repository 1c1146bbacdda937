"""Normalization of features to mean 0 and variance 1."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from torchkeras.core import settings
from torchkeras.core.tensors import dtypes
from torchkeras.core.tensors.convert import constant
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.types import ArrayLike
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.preprocessing.data_layer import DataLayer, batches, to_float64


class Normalization(DataLayer):
    """Shift and scale features to mean 0 and standard deviation 1, by statistics of a data set.

    `outputs = (inputs - mean) / sqrt(variance)`, with one mean and one (biased) variance for each index along `axis`.
    They are learned from data with `adapt()`, or given. With `invert=True` the layer computes the way back:
    `outputs = inputs * sqrt(variance) + mean`.

    Args:
        axis: axis or axes that keep statistics of their own for each index; `None`: one mean and one variance for all
            values. Default: `-1`.
        mean: number, or array with the sizes of `axis`, instead of `adapt()`. Default: `None`.
        variance: as `mean`; both must be given, or none. Default: `None`.
        invert: whether to undo the normalization. Default: `False`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of numbers.

    Input shape:
        Any; the sizes along `axis` must be known.

    Output shape:
        The input shape.

    Weights:
        Without `mean` and `variance`: `mean`, `variance`, each with the sizes of `axis`, and `count`, a scalar (none
        of them trainable).

    Raises:
        ValueError: only one of `mean` and `variance` is given, their shapes differ, or they have more axes than `axis`
            names.

    Example:
        >>> layer = keras.layers.Normalization(axis=None)
        >>> layer.adapt(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
        >>> [round(value, 3) for value in layer(np.array([1.0, 2.0, 3.0])).tolist()]
        [-1.414, -0.707, 0.0]
        >>> keras.layers.Normalization(mean=3.0, variance=4.0)(np.array([[1.0], [5.0]])).tolist()
        [[-1.0], [1.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: ArrayLike | None = None,
        variance: ArrayLike | None = None,
        invert: bool = False,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.input_mean = _numbers(mean)
        self.input_variance = _numbers(variance)
        self.invert = invert
        self.supports_masking = True
        self._check_given()

    def _check_given(self) -> None:
        mean, variance = self.input_mean, self.input_variance
        if (mean is None) != (variance is None):
            raise ValueError(
                "When setting values directly, both `mean` and `variance` must be set. "
                f"Received: mean={mean} and variance={variance}"
            )
        if mean is None:
            return
        if np.shape(mean) != np.shape(variance):
            raise ValueError(
                "When setting values directly, `mean` and `variance` must have the same shape. Received: "
                f"mean shape {np.shape(mean)} and variance shape {np.shape(variance)}"
            )
        if len(np.shape(mean)) > len(self.axis):
            raise ValueError(
                f"The rank of `mean` must be less than or equal to the number of axes ({len(self.axis)}). Received: "
                f"mean shape {np.shape(mean)} for axis {self.axis}"
            )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        ndim = len(input_shape)
        if any(not -ndim <= axis < ndim for axis in self.axis):
            raise ValueError(
                f"All `axis` values must be in the range [-ndim, ndim). Received inputs with ndim={ndim}, while "
                f"axis={self.axis}"
            )
        self._keep_axis = tuple(sorted(axis % ndim for axis in self.axis))
        for axis in self._keep_axis:
            if input_shape[axis] is None:
                raise ValueError(
                    f"All `axis` values to be kept must have a known shape. Received axis={self.axis}, "
                    f"inputs.shape={tuple(input_shape)}, with unknown axis at index {axis}"
                )
        self._reduce_axis = tuple(axis for axis in range(ndim) if axis not in self._keep_axis)
        sizes = tuple(input_shape[axis] for axis in self._keep_axis)
        self._broadcast_shape = tuple(input_shape[axis] if axis in self._keep_axis else 1 for axis in range(ndim))
        if self.input_mean is not None:
            self._check_sizes(sizes)
            return
        fixed: dict[str, Any] = {"shape": sizes, "trainable": False, "autocast": False}
        self.adapt_mean = self.add_weight(name="mean", initializer="zeros", **fixed)
        self.adapt_variance = self.add_weight(name="variance", initializer="ones", **fixed)
        # Keras's files have it; neither library counts in it.
        self.count = self.add_weight(name="count", shape=(), dtype="int", initializer="zeros", trainable=False)

    def _check_sizes(self, sizes: tuple[int, ...]) -> None:
        """The given values fit the inputs."""
        given = np.shape(self.input_mean)
        if any(size not in (1, wanted) for size, wanted in zip(reversed(given), reversed(sizes))):
            raise ValueError(
                f"`mean` and `variance` must broadcast to the sizes of the inputs along `axis`. Received: mean shape "
                f"{given} for axis {self.axis}, where the inputs have {sizes}"
            )

    def adapt(self, data: Any) -> None:
        """Learn mean and variance from a data set; what was learned before is replaced.

        Args:
            data: array, tensor, `PyDataset`, torch `DataLoader`, or any iterable of batches; of batches that are
                tuples the first element counts.

        Raises:
            ValueError: there is no data, it holds NaN, or its shape does not fit the layer.
            TypeError: the data holds no numbers.

        Example:
            >>> layer = keras.layers.Normalization()
            >>> layer.adapt([np.array([[0.0, 2.0]]), np.array([[2.0, 6.0]])])  # two batches
            >>> layer.adapt_mean.tolist(), layer.adapt_variance.tolist()
            ([1.0, 4.0], [1.0, 4.0])
        """
        if self.input_mean is not None:
            raise ValueError(
                "Normalization.adapt() has nothing to learn: `mean` and `variance` were given to the constructor."
            )
        if isinstance(data, (list, tuple)) and data and isinstance(data[0], (int, float)):
            data = np.asarray(data)
        mean, variance = self._statistics(batches(data, None, "Normalization"))
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(variance)

    def _statistics(self, data: Iterable[ArrayLike]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance over all batches (Chan, Golub and LeVeque's update), in float64."""
        mean, squares, count = np.float64(0.0), np.float64(0.0), 0
        for batch in data:
            x = to_float64(batch, "Normalization")
            self._fit_shape(x.shape)
            number = math.prod(x.shape[axis] for axis in self._reduce_axis)
            if not number:
                continue
            own_mean = x.mean(axis=self._reduce_axis)
            own_squares = ((x - own_mean.reshape(self._broadcast_shape)) ** 2).sum(axis=self._reduce_axis)
            total, apart = count + number, own_mean - mean
            mean = mean + apart * (number / total)
            squares = squares + own_squares + apart**2 * (count * number / total)
            count = total
        if not count:
            raise ValueError("Normalization.adapt() received batches without rows: it must see at least one value.")
        return np.asarray(mean), np.asarray(squares / count)

    def _fit_shape(self, shape: tuple[int, ...]) -> None:
        if not self.built:
            self.build(shape)
            self.built = True
        wanted = self._broadcast_shape
        if len(shape) != len(wanted) or any(shape[axis] != wanted[axis] for axis in self._keep_axis):
            known = tuple(size if axis in self._keep_axis else None for axis, size in enumerate(wanted))
            raise ValueError(
                f"The layer was built with input_shape={known}, but adapt() is being called with data with an "
                f"incompatible shape, data.shape={tuple(shape)}"
            )

    def call(self, inputs: Tensor) -> Tensor:
        dtype = dtypes.torch_dtype(self.compute_dtype)
        mean, variance = self._tk_statistics(inputs.device)
        scale = variance.sqrt().clamp_min(settings.epsilon()).to(dtype)
        x = inputs.to(dtype)
        return x * scale + mean.to(dtype) if self.invert else (x - mean.to(dtype)) / scale

    @property
    def mean(self) -> Tensor:
        """The mean that `call` subtracts, learned or given, with an axis for each axis of the inputs."""
        return self._tk_whole(0)

    @property
    def variance(self) -> Tensor:
        """The variance whose root `call` divides by, likewise."""
        return self._tk_whole(1)

    def _tk_whole(self, which: int) -> Tensor:
        if not self.built:
            raise AttributeError(f"Layer {self.name!r} has no statistics yet: build it, or call adapt().")
        value = self._learned_or_given()[which]
        factor = self._factor(value, value.device if isinstance(value, Tensor) else current_device())
        return factor.expand(self._broadcast_shape).to(dtypes.torch_dtype(self.compute_dtype))

    def _tk_statistics(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The mean and the variance, learned or given, with an axis for each axis of the inputs."""
        mean, variance = (self._factor(value, device) for value in self._learned_or_given())
        return mean, variance

    def _learned_or_given(self) -> tuple[Any, Any]:
        if self.input_mean is not None:
            return self.input_mean, self.input_variance
        return self.adapt_mean, self.adapt_variance

    def _factor(self, value: Any, device: torch.device) -> Tensor:
        """The statistics, at least in float32, with an axis for each axis of the inputs."""
        dtype = torch.promote_types(torch.float32, dtypes.torch_dtype(self.compute_dtype))
        tensor = constant(value, dtype, device)
        sizes = [1] * len(self._broadcast_shape)
        for axis, size in zip(reversed(self._keep_axis), reversed(tensor.shape)):
            sizes[axis] = size
        return tensor.reshape(sizes)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "invert": self.invert,
            "mean": self.input_mean,
            "variance": self.input_variance,
        }


def _numbers(value: ArrayLike | None) -> Any:
    """A given statistic as plain numbers, as the config holds it."""
    if value is None:
        return None
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    return array.tolist()
