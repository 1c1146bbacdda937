"""Layer normalization (Ba et al., 2016), its root-mean-square form, and normalization to unit length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras import constraints, initializers, regularizers
from torchkeras.core.tensors import dtypes
from torchkeras.core.types import Identifier
from torchkeras.core.user_warnings import warn_user
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.normalization.axes import axes_last, check_axes, inverse, standardize_axis
from torchkeras.ops.nn.normalization import unit_length


class LayerNormalizationOptions(LayerOptions, total=False):
    """The common arguments, and one that is deprecated."""

    rms_scaling: bool


class LayerNormalization(Layer):
    """Normalize each sample by its own mean and variance over `axis`.

    `outputs = gamma * (inputs - mean) / sqrt(variance + epsilon) + beta` (Ba et al., 2016, arXiv:1607.06450). Unlike
    `BatchNormalization`, it does not depend on the rest of the batch and works the same in training and inference.

    Args:
        axis: int or list of ints: the axes over which mean and variance are taken; `gamma` and `beta` have their shape.
            Default: `-1`.
        epsilon: small number added to the variance. Default: `0.001`.
        center: whether `beta` is added. Default: `True`.
        scale: whether the result is multiplied by `gamma`. Default: `True`.
        beta_initializer, gamma_initializer: how the two weights start: a name or an initializer.
            Defaults: `"zeros"`, `"ones"`.
        beta_regularizer, gamma_regularizer: penalty on a weight, added to the loss. Default: `None`.
        beta_constraint, gamma_constraint: function that maps a weight to an allowed value after each update.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`; also `rms_scaling`, which is
            deprecated: `True` divides by the standard deviation without subtracting the mean. Use `RMSNormalization`
            instead.

    Call arguments:
        inputs: tensor of any shape.

    Input shape:
        `(batch, ...)`; the sizes of `axis` must be known.

    Output shape:
        The input shape.

    Weights:
        `gamma`, `beta`: the sizes of `axis`.

    Raises:
        ValueError: the inputs do not have an axis that is given.
        TypeError: `axis` is neither an int nor a list or tuple.

    Example:
        >>> layer = keras.layers.LayerNormalization()
        >>> outputs = layer(torch.tensor([[1.0, 3.0], [10.0, 30.0]]))
        >>> [[round(value, 2) for value in row] for row in outputs.tolist()]
        [[-1.0, 1.0], [-1.0, 1.0]]
    """

    _tk_config_base = True

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Identifier = "zeros",
        gamma_initializer: Identifier = "ones",
        beta_regularizer: Identifier | None = None,
        gamma_regularizer: Identifier | None = None,
        beta_constraint: Identifier | None = None,
        gamma_constraint: Identifier | None = None,
        **kwargs: Unpack[LayerNormalizationOptions],
    ) -> None:
        rms_scaling = kwargs.pop("rms_scaling", False)
        if rms_scaling:
            warn_user(
                "`rms_scaling=True` is deprecated and divides by the standard deviation; for the root mean square use "
                "`keras.layers.RMSNormalization`."
            )
        kwargs["autocast"] = False
        super().__init__(**kwargs)
        self.axis = standardize_axis(axis)
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.rms_scaling = rms_scaling
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        check_axes(self.axis, input_shape)
        self.axis = [self.axis] if isinstance(self.axis, int) else sorted(self.axis)
        shape = tuple(input_shape[axis] for axis in self.axis)
        self.gamma = self.beta = None
        if self.scale or self.rms_scaling:
            self.gamma = self.add_weight(
                name="gamma",
                shape=shape,
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if self.center and not self.rms_scaling:
            self.beta = self.add_weight(
                name="beta",
                shape=shape,
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )
        self._normalized = shape
        self._order = axes_last(self.axis, len(input_shape))
        self._back = None if self._order is None else inverse(self._order)

    def call(self, inputs: Tensor) -> Tensor:
        gamma, beta = self.gamma, self.beta
        x = inputs if inputs.dtype in (torch.float32, torch.float64) else inputs.float()
        if gamma is not None and gamma.dtype != x.dtype:
            gamma = gamma.to(x.dtype)
        if beta is not None and beta.dtype != x.dtype:
            beta = beta.to(x.dtype)
        if self._order:
            x = x.permute(self._order)
        x = self._normalize(x, gamma, beta)
        if self._back:
            x = x.permute(self._back)
        return x.to(dtypes.torch_dtype(self.compute_dtype))

    def _normalize(self, x: Tensor, gamma: Tensor | None, beta: Tensor | None) -> Tensor:
        if not self.rms_scaling:
            return F.layer_norm(x, self._normalized, gamma, beta, self.epsilon)
        dims = tuple(range(-len(self._normalized), 0))
        return x * torch.rsqrt(x.var(dims, correction=0, keepdim=True) + self.epsilon) * gamma

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return check_axes(self.axis, input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rms_scaling": self.rms_scaling}


class RMSNormalization(Layer):
    """Divide each sample by the root of its mean square over `axis`.

    `outputs = scale * inputs / sqrt(mean(inputs**2) + epsilon)`: a layer normalization without a mean and a bias (Zhang
    and Sennrich, 2019, arXiv:1910.07467).

    Args:
        axis: int or list of ints: the axes over which the mean is taken. Default: `-1`.
        epsilon: small number added to the mean square. Default: `1e-06`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of any shape.

    Input shape:
        `(batch, ...)`; the sizes of `axis` must be known.

    Output shape:
        The input shape.

    Weights:
        `scale`: the sizes of `axis`, ones at the start.

    Example:
        >>> layer = keras.layers.RMSNormalization()
        >>> outputs = layer(torch.tensor([[1.0, 7.0]]))
        >>> [round(value, 2) for value in outputs.flatten().tolist()]
        [0.2, 1.4]
    """

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        check_axes(self.axis, input_shape)
        self.axis = [self.axis] if isinstance(self.axis, int) else sorted(self.axis)
        self._normalized = tuple(input_shape[axis] for axis in self.axis)
        self._order = axes_last(self.axis, len(input_shape))
        self._back = None if self._order is None else inverse(self._order)
        self.scale = self.add_weight(name="scale", shape=self._normalized, initializer="ones")

    def call(self, inputs: Tensor) -> Tensor:
        x = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
        if self._order:
            x = x.permute(self._order)
        x = F.rms_norm(x, self._normalized, self.scale.to(x.dtype), self.epsilon)
        if self._back:
            x = x.permute(self._back)
        return x.to(inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return check_axes(self.axis, input_shape)


class UnitNormalization(Layer):
    """Scale each sample to length one over `axis`.

    `outputs = inputs / sqrt(sum(inputs**2))`, the L2 norm.

    Args:
        axis: int or list of ints: the axes over which the sum is taken. Default: `-1`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of any shape.

    Input shape:
        `(batch, ...)`, of any rank.

    Output shape:
        The input shape.

    Raises:
        TypeError: `axis` is neither an int nor a list or tuple.

    Example:
        >>> outputs = keras.layers.UnitNormalization()(torch.tensor([[3.0, 4.0]]))
        >>> [round(value, 2) for value in outputs.flatten().tolist()]
        [0.6, 0.8]
    """

    _tk_nothing_to_build = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.axis = standardize_axis(axis)
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        return unit_length(inputs, self.axis if isinstance(self.axis, int) else tuple(self.axis), epsilon=1e-12)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return check_axes(self.axis, input_shape)
