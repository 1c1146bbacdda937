"""TimeDistributed: a layer applied to each time step."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor

from torchkeras.core import registry
from torchkeras.core.types import Shape
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.options import LayerOptions
from torchkeras.layers.base.weight_walk import ModuleContainer
from torchkeras.layers.core.wrapper import Wrapper


class TimeDistributed(Wrapper):
    """Apply a layer to each step of sequences, with the same weights.

    `outputs[:, t] = layer(inputs[:, t])` for each step `t`: for example a convolution over each frame of a video.

    Where the layer treats each sample of a batch by itself, all steps go through it as one large batch; otherwise it is
    called once per step.

    Args:
        layer: the layer to apply.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of at least three dimensions, whose second axis is time.
        training: passed to the layer if it takes it. Default: the training mode of the call.
        mask: booleans whose first axes are `(batch, time)`, passed step by step to the layer if it takes a mask.
            Default: the inputs' own mask.

    Input shape:
        `(batch, time, ...)`.

    Output shape:
        `(batch, time, ...)`, with the layer's output shape behind the time axis.

    Raises:
        ValueError: the inputs have less than three dimensions, or the mask does not fit them.

    Example:
        >>> layer = keras.layers.TimeDistributed(keras.layers.Conv2D(8, 3))
        >>> layer(torch.zeros(2, 5, 16, 16, 3)).shape
        torch.Size([2, 5, 14, 14, 8])
    """

    _tk_config_base = True

    def __init__(self, layer: Layer, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def _step_shape(self, input_shape: Shape) -> tuple:
        if not isinstance(input_shape, (tuple, list)) or len(input_shape) < 3:
            raise ValueError(
                "`TimeDistributed` Layer should be passed an `input_shape` with at least 3 dimensions, received: "
                f"{input_shape}"
            )
        return (input_shape[0], *input_shape[2:])

    def build(self, input_shape: Shape) -> None:  # type: ignore[override]
        super().build(self._step_shape(input_shape))

    def compute_output_shape(self, input_shape: Shape) -> tuple[Any, ...]:
        output = self.layer.compute_output_shape(self._step_shape(input_shape))
        return (output[0], input_shape[1], *output[1:])

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        spec = self.layer._tk_call_spec
        if mask is not None and (mask.dim() < 2 or mask.shape[:2] != inputs.shape[:2]):
            raise ValueError(
                f"The `mask` passed to the `TimeDistributed` layer has a shape {tuple(mask.shape)}; it must be at "
                f"least 2D, and begin with the inputs' batch size and number of steps, {tuple(inputs.shape[:2])}."
            )
        options: dict[str, Any] = {"training": training} if spec.has_training else {}
        masks = mask if "mask" in spec.names else None
        if is_samplewise(self.layer, training):
            if masks is not None:
                options["mask"] = masks.flatten(0, 1)
            outputs = self.layer(inputs.flatten(0, 1), **options)
            return outputs.unflatten(0, inputs.shape[:2])
        steps = []
        for t, x in enumerate(inputs.unbind(1)):
            if masks is not None:
                options["mask"] = masks[:, t]
            steps.append(self.layer(x, **options))
        return torch.stack(steps, 1)


def is_samplewise(layer: Layer, training: bool | None) -> bool:
    """Whether a sample's outputs certainly depend on no other sample of the batch and on no earlier call.

    It is known of Keras's layers, except those that set `_tk_mixes_samples`. A user's class may do anything in `call`.
    """
    for module in layer.modules():
        if isinstance(module, ModuleContainer):  # only holds layers, which are looked at themselves
            continue
        if registry.public_name(type(module)) is None or getattr(module, "_tk_mixes_samples", False):
            return False
        if getattr(module, "stateful", False) or getattr(module, "activity_regularizer", None) is not None:
            return False
        if training and getattr(module, "seed", None) is not None:
            return False
    return True
