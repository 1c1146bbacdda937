"""Group normalization (Wu and He, 2018)."""

from __future__ import annotations

from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras import constraints, initializers, regularizers
from torchkeras.core.tensors import dtypes
from torchkeras.core.types import Identifier
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.normalization.axes import check_axes


class GroupNormalization(Layer):
    """Divide the channels into groups and normalize each sample's groups by their own mean and variance.

    `outputs = gamma * (inputs - mean) / sqrt(variance + epsilon) + beta`, with mean and variance over the channels of a
    group and over all positions (Wu and He, 2018, arXiv:1803.08494). It does not depend on the batch size.

    Args:
        groups: number of groups, which must divide the number of channels. 1 puts all channels into one group; -1 makes
            each channel a group of its own (instance normalization). Default: `32`.
        axis: the axis of the channels. Default: `-1`.
        epsilon: small number added to the variance. Default: `0.001`.
        center: whether `beta` is added. Default: `True`.
        scale: whether the result is multiplied by `gamma`. Default: `True`.
        beta_initializer, gamma_initializer: how the two weights start: a name or an initializer.
            Defaults: `"zeros"`, `"ones"`.
        beta_regularizer, gamma_regularizer: penalty on a weight, added to the loss. Default: `None`.
        beta_constraint, gamma_constraint: function that maps a weight to an allowed value after each update.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of at least two dimensions.

    Input shape:
        `(batch, ..., channels)`, or any other place of the channels that `axis` gives.

    Output shape:
        The input shape.

    Weights:
        `gamma`, `beta`: `(channels,)`.

    Raises:
        ValueError: `groups` is neither -1 nor a positive int, or does not divide the number of channels.

    Example:
        >>> layer = keras.layers.GroupNormalization(groups=2)
        >>> outputs = layer(torch.tensor([[1.0, 3.0, 10.0, 30.0]]))
        >>> [round(value, 2) for value in outputs.flatten().tolist()]
        [-1.0, 1.0, -1.0, 1.0]
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Identifier = "zeros",
        gamma_initializer: Identifier = "ones",
        beta_regularizer: Identifier | None = None,
        gamma_regularizer: Identifier | None = None,
        beta_constraint: Identifier | None = None,
        gamma_constraint: Identifier | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        if not isinstance(groups, int) or (groups <= 0 and groups != -1):
            raise ValueError(
                "Received an invalid value for argument `groups`, expected a positive integer (or `-1` for instance "
                f"normalization). Received: groups={groups}"
            )
        kwargs["autocast"] = False
        super().__init__(**kwargs)
        self.groups = groups
        self.axis = axis
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        size = input_shape[self.axis]
        if size is None:
            raise ValueError(
                f"Axis {self.axis} of input tensor should have a defined dimension but the layer received an input "
                f"with shape {input_shape}."
            )
        if self.groups == -1:
            self.groups = size
        if size < self.groups:
            raise ValueError(f"Number of groups ({self.groups}) cannot be more than the number of channels ({size}).")
        if size % self.groups:
            raise ValueError(
                f"The number of channels ({size}) must be a multiple of the number of groups ({self.groups}). (Keras "
                f"words it the other way round: the number of groups must be a multiple of the number of channels.) "
                f"Received: input_shape={input_shape}."
            )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: size})
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                name="gamma",
                shape=(size,),
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if self.center:
            self.beta = self.add_weight(
                name="beta",
                shape=(size,),
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )

    def call(self, inputs: Tensor) -> Tensor:
        x = inputs.to(torch.promote_types(inputs.dtype, torch.float32)).movedim(self.axis, 1)
        gamma, beta = (w if w is None else w.to(x.dtype) for w in (self.gamma, self.beta))
        # torch 2.13 fails in the backward of group_norm with a bias and no weight.
        apart = gamma is None and beta is not None
        if gamma is not None and gamma.requires_grad and not x.requires_grad and x.ndim > 3:
            # The backward of torch 2.13 on a CPU crashes for a channels-last input that needs no gradient.
            x = x.contiguous()
        x = F.group_norm(x, self.groups, gamma, None if apart else beta, self.epsilon)
        if apart:
            x = x + beta.view(-1, *(1,) * (x.ndim - 2))
        outputs = x.movedim(1, self.axis)
        return outputs.to(dtypes.torch_dtype(self.compute_dtype))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return check_axes(self.axis, input_shape)
