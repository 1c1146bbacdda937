"""Activation functions as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.core.fast_paths.overwriting import RELU, RELU6, Overwriting, find_overwriting
from torchkeras.core.types import Identifier
from torchkeras.core.user_warnings import warn_user
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.joined import JoinedLayers, join_activation
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions

Shape = tuple[int | None, ...]


class ShapeKeeping(Layer):
    """A layer whose outputs have the shape of its inputs, and that passes masks on."""

    _tk_nothing_to_build = True

    keras_module = None

    def __init__(self, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


class Activation(ShapeKeeping):
    """Apply an activation function to each value.

    `outputs = activation(inputs)`.

    Args:
        activation: a name of `keras.activations`, such as `"relu"`, or a callable that maps a tensor to one of its
            shape.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of any shape.

    Input shape:
        `(batch, ...)`, of any rank.

    Output shape:
        The input shape.

    Raises:
        ValueError: there is no activation of that name.

    Example:
        >>> keras.layers.Activation("relu")(torch.tensor([-1.0, 0.0, 2.0])).tolist()
        [0.0, 0.0, 2.0]
        >>> keras.layers.Activation(torch.square)(torch.tensor([-1.0, 3.0])).tolist()
        [1.0, 9.0]
    """

    def __init__(self, activation: Identifier | None, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(inputs)

    def _tk_overwriting(self) -> Overwriting | None:
        return find_overwriting(self.activation)

    def _tk_joined_behind(self, before: Any) -> JoinedLayers | None:
        """One call that computes `before` and this layer, or `None`; a functional model uses it."""
        return join_activation(before, self, Activation.call)


def check_not_negative(layer: str, **values: float | None) -> None:
    """Raise `ValueError` for a named value that is `None` or negative."""
    for name, value in values.items():
        if value is None or value < 0:
            raise ValueError(
                f"The {name} value of a {layer} layer cannot be None or negative value. Expected a float. "
                f"Received: {name}={value}"
            )


class ReLU(ShapeKeeping):
    """Set negative values to zero: the rectified linear unit, with an optional upper limit, threshold and slope.

    `max_value` for `inputs >= max_value`, `inputs` from `threshold` to `max_value`, and
    `negative_slope * (inputs - threshold)` below `threshold`. By default this is `max(inputs, 0)`.

    Args:
        max_value: upper limit of the outputs, not negative; `None` for no limit. Default: `None`.
        negative_slope: slope below `threshold`, not negative. Default: `0.0`.
        threshold: values below it are replaced, not negative. Default: `0.0`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of any shape.

    Input shape:
        `(batch, ...)`, of any rank.

    Output shape:
        The input shape.

    Raises:
        ValueError: an argument is negative, or `negative_slope` or `threshold` is `None`.

    Example:
        >>> x = torch.tensor([-10.0, -1.0, 0.5, 8.0])
        >>> keras.layers.ReLU()(x).tolist()
        [0.0, 0.0, 0.5, 8.0]
        >>> keras.layers.ReLU(max_value=6.0, negative_slope=0.5)(x).tolist()
        [-5.0, -0.5, 0.5, 6.0]
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        if max_value is not None and max_value < 0.0:
            raise ValueError(f"max_value of a ReLU layer cannot be a negative value. Received: max_value={max_value}")
        for name, value in (("negative_slope", negative_slope), ("threshold", threshold)):
            if value is None or value < 0.0:
                raise ValueError(f"{name} of a ReLU layer cannot be None or a negative value. Received: {name}={value}")
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, inputs: Tensor) -> Tensor:
        return activations.relu(
            inputs, negative_slope=self.negative_slope, max_value=self.max_value, threshold=self.threshold
        )

    def _tk_overwriting(self) -> Overwriting | None:
        if self.negative_slope or self.threshold:
            return None
        if self.max_value is None:
            return RELU
        return RELU6 if self.max_value == 6 else None

    def _tk_joined_behind(self, before: Any) -> JoinedLayers | None:
        """One call that computes `before` and this layer, or `None`; a functional model uses it."""
        return join_activation(before, self, ReLU.call)


class LeakyReLUOptions(LayerOptions, total=False):
    """The common arguments, and Keras 2's name of `negative_slope`."""

    alpha: float


class LeakyReLU(ShapeKeeping):
    """Multiply negative values by a small slope and keep the others.

    `inputs` where it is positive, else `negative_slope * inputs`: a unit that never stops learning (Maas et al., 2013).

    Args:
        negative_slope: slope of the negative part, not negative. Keras 2 called it `alpha`, which still works with a
            warning. Default: `0.3`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of any shape.

    Input shape:
        `(batch, ...)`, of any rank.

    Output shape:
        The input shape.

    Raises:
        ValueError: `negative_slope` is `None` or negative.

    Example:
        >>> keras.layers.LeakyReLU(negative_slope=0.5)(torch.tensor([-10.0, -1.0, 5.0])).tolist()
        [-5.0, -0.5, 5.0]
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Unpack[LeakyReLUOptions]) -> None:
        if "alpha" in kwargs:
            negative_slope = kwargs.pop("alpha")
            warn_user("Argument `alpha` is deprecated. Use `negative_slope` instead.")
        super().__init__(**kwargs)  # type: ignore[misc]
        check_not_negative("Leaky ReLU", negative_slope=negative_slope)
        self.negative_slope = negative_slope

    def call(self, inputs: Tensor) -> Tensor:
        return F.leaky_relu(inputs, self.negative_slope)


class ELU(ShapeKeeping):
    """Replace negative values by a saturating exponential and keep the others.

    `inputs` where it is positive, else `alpha * (exp(inputs) - 1)`: the exponential linear unit (Clevert et al., 2015,
    arXiv:1511.07289).

    Args:
        alpha: minus the value to which the negative part tends. Default: `1.0`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of any shape.

    Input shape:
        `(batch, ...)`, of any rank.

    Output shape:
        The input shape.

    Example:
        >>> outputs = keras.layers.ELU(alpha=2.0)(torch.tensor([-1.0, 0.0, 3.0]))
        >>> [round(value, 2) for value in outputs.tolist()]
        [-1.26, 0.0, 3.0]
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Tensor) -> Tensor:
        return F.elu(inputs, self.alpha)


class PReLU(ShapeKeeping):
    """Multiply negative values by a learned slope and keep the others.

    `inputs` where it is positive, else `alpha * inputs`, with a weight `alpha` (He et al., 2015, arXiv:1502.01852).

    Args:
        alpha_initializer: how the slopes start: a name or an initializer. Default: `"Zeros"`.
        alpha_regularizer: penalty on the slopes, added to the loss. Default: `None`.
        alpha_constraint: function that maps the slopes to allowed values after each update. Default: `None`.
        shared_axes: axes, counted from 1, along which one slope is shared; an int or a list of ints. `[1, 2]` learns
            one slope per channel of `(batch, height, width, channels)`. Default: `None`, a slope for each position.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of at least two dimensions.

    Input shape:
        `(batch, ...)`, of any rank.

    Output shape:
        The input shape.

    Weights:
        `alpha`: the input shape without the batch axis, with 1 for the shared axes.

    Example:
        >>> layer = keras.layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25), shared_axes=[1])
        >>> layer(torch.tensor([[-4.0, 0.0, 2.0]])).tolist()
        [[-1.0, 0.0, 2.0]]
        >>> tuple(layer.alpha.shape)
        (1,)
    """

    def __init__(
        self,
        alpha_initializer: Identifier = "Zeros",
        alpha_regularizer: Identifier | None = None,
        alpha_constraint: Identifier | None = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        if shared_axes is not None:
            shared_axes = list(shared_axes) if isinstance(shared_axes, Sequence) else [shared_axes]
        self.shared_axes = shared_axes

    def build(self, input_shape: Shape) -> None:
        shared = self.shared_axes or ()
        shape = list(input_shape[1:])
        if not all(1 - len(shape) <= axis <= len(shape) for axis in shared):
            raise ValueError(
                f"shared_axes must be axes from 1 to {len(shape)} for inputs of shape {tuple(input_shape)}; received "
                f"{list(shared)}."
            )
        for axis in shared:
            shape[axis - 1] = 1
        self.alpha = self.add_weight(
            name="alpha",
            shape=tuple(shape),
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )
        axes = {i: input_shape[i] for i in range(1, len(input_shape)) if i not in shared} if shared else {}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=axes)

    def call(self, inputs: Tensor) -> Tensor:
        return torch.where(inputs > 0, inputs, self.alpha * inputs)


class Softmax(ShapeKeeping):
    """Turn scores into probabilities that sum to one over `axis`.

    `outputs = exp(inputs) / sum(exp(inputs))`.

    Args:
        axis: int, or several ints, over which the sum is taken. Default: `-1`.
        **kwargs: `name`, `trainable`, `dtype`, `activity_regularizer` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of scores (logits).
        mask: booleans that broadcast to the inputs. Positions where it is False get probability 0. Default: `None`.

    Input shape:
        `(batch, ...)`, of any rank.

    Output shape:
        The input shape.

    Raises:
        ValueError: the mask does not broadcast to the inputs.

    Example:
        >>> layer = keras.layers.Softmax()
        >>> layer(torch.tensor([0.0, 0.0])).tolist()
        [0.5, 0.5]
        >>> layer(torch.tensor([0.0, 5.0, 0.0]), mask=torch.tensor([True, False, True])).tolist()
        [0.5, 0.0, 0.5]
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            mask = self._checked(mask, inputs)
            inputs = torch.where(mask, inputs, -3e4 if inputs.dtype == torch.float16 else -1e9)
        axes = self.axis if isinstance(self.axis, (tuple, list)) else (self.axis,)
        if len(axes) == 1:
            outputs = activations.softmax(inputs, axis=axes[0])
        else:
            outputs = torch.exp(inputs - torch.logsumexp(inputs, tuple(axes), keepdim=True))
        return outputs if mask is None else torch.where(mask, outputs, 0.0)

    def _checked(self, mask: Tensor, inputs: Tensor) -> Tensor:
        pairs = zip(mask.shape[::-1], inputs.shape[::-1], strict=False)
        if mask.ndim > inputs.ndim or any(m not in (1, n) for m, n in pairs):
            raise ValueError(
                "The `mask` must be broadcastable to `inputs` and must not have more dimensions. "
                f"Received: inputs.shape={tuple(inputs.shape)}, mask.shape={tuple(mask.shape)}"
            )
        return mask if mask.dtype == torch.bool else mask > 0.5
