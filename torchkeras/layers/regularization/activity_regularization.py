"""ActivityRegularization: a penalty on the values that pass through, which stay as they are."""

from __future__ import annotations

from typing import Any, Unpack

from torch import Tensor

from torchkeras import regularizers
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import CommonOptions


class ActivityRegularization(Layer):
    """Return the inputs unchanged, and add a penalty on them to the loss.

    `loss += (l1 * sum(abs(inputs)) + l2 * sum(inputs**2)) / batch_size`.

    Args:
        l1: factor of the sum of absolute values, not negative. Default: `0.0`.
        l2: factor of the sum of squares, not negative. Default: `0.0`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of any shape.

    Input shape:
        `(batch, ...)`, of any rank.

    Output shape:
        The input shape.

    Example:
        >>> layer = keras.layers.ActivityRegularization(l2=0.5)
        >>> layer(torch.tensor([[1.0, 1.0], [2.0, 2.0]])).shape
        torch.Size([2, 2])
        >>> [round(loss.item(), 4) for loss in layer.losses]
        [2.5]
    """

    _tk_nothing_to_build = True

    _tk_config_base = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Unpack[CommonOptions]) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1 = l1
        self.l2 = l2
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        return inputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return config
