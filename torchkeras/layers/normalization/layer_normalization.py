"""Layer normalization (Ba et al., 2016) and its root-mean-square form."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras import constraints, initializers, regularizers
from torchkeras.core.tensors import dtypes
from torchkeras.core.types import Identifier
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.normalization.axes import axes_last, check_axes, inverse, standardize_axis
from torchkeras.ops.nn.normalization import unit_length


class LayerNormalization(Layer):
    """`gamma * (x - mean) / sqrt(variance + epsilon) + beta`, mean and variance of each sample over `axis`."""

    _tk_config_base = True

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Identifier = "zeros",
        gamma_initializer: Identifier = "ones",
        beta_regularizer: Identifier | None = None,
        gamma_regularizer: Identifier | None = None,
        beta_constraint: Identifier | None = None,
        gamma_constraint: Identifier | None = None,
        **kwargs: Any,
    ) -> None:
        rms_scaling = kwargs.pop("rms_scaling", False)
        if rms_scaling:
            warnings.warn(
                "`rms_scaling=True` is deprecated and divides by the standard deviation; for the root mean square use "
                "`keras.layers.RMSNormalization`.",
                stacklevel=2,
            )
        super().__init__(**{**kwargs, "autocast": False})
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
    """`scale * x / sqrt(mean(x**2) + epsilon)` over `axis` (Zhang and Sennrich, 2019)."""

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
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
    """`x / sqrt(sum(x**2))` over `axis`: vectors of length one."""

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = standardize_axis(axis)
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        return unit_length(inputs, self.axis if isinstance(self.axis, int) else tuple(self.axis), epsilon=1e-12)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return check_axes(self.axis, input_shape)
