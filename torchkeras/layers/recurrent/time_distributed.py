"""TimeDistributed: a layer applied to each time step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.layers.base.layer import Layer
from torchkeras.layers.core.wrapper import Wrapper

_OURS = __name__.partition(".")[0] + "."
# Layers whose result for a sample depends on what else is in the batch, or on earlier calls.
_MIXING = ("BatchNormalization", "SpectralNormalization", "Lambda", "ActivityRegularization", "TorchModuleWrapper")


class TimeDistributed(Wrapper):
    """Applies a layer to each step of `(batch, time, ...)`, with the same weights.

    Where the layer treats the samples of a batch one by one, all steps go through it as one large batch; else it is
    called once a step.
    """

    _tk_config_base = True

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def _step_shape(self, input_shape: Any) -> tuple:
        if not isinstance(input_shape, (tuple, list)) or len(input_shape) < 3:
            raise ValueError(
                "`TimeDistributed` Layer should be passed an `input_shape` with at least 3 dimensions, received: "
                f"{input_shape}"
            )
        return (input_shape[0], *input_shape[2:])

    def build(self, input_shape: Any) -> None:
        super().build(self._step_shape(input_shape))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        output = self.layer.compute_output_shape(self._step_shape(input_shape))
        return (output[0], input_shape[1], *output[1:])

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        spec = self.layer._tk_call_spec
        if mask is not None and (mask.dim() < 2 or mask.shape[:2] != inputs.shape[:2]):
            raise ValueError(
                f"The `mask` passed to the `TimeDistributed` layer has a shape {tuple(mask.shape)}; it must be at "
                f"least 2D, and begin with the inputs' batch size and number of steps, {tuple(inputs.shape[:2])}."
            )
        told = {"training": training} if spec.has_training else {}
        masks = mask if "mask" in spec.names else None
        if samplewise(self.layer, training):
            given = {} if masks is None else {"mask": masks.flatten(0, 1)}
            outputs = self.layer(inputs.flatten(0, 1), **told, **given)
            return outputs.unflatten(0, inputs.shape[:2])
        steps = [
            self.layer(x, **told, **({} if masks is None else {"mask": masks[:, t]}))
            for t, x in enumerate(inputs.unbind(1))
        ]
        return torch.stack(steps, 1)


def samplewise(layer: Layer, training: bool) -> bool:
    """Whether a sample's result is known not to depend on the rest of the batch, nor on how calls are cut."""
    for module in layer.modules():
        if not type(module).__module__.startswith(_OURS) or type(module).__name__ in _MIXING:
            return False
        if getattr(module, "stateful", False) or getattr(module, "activity_regularizer", None) is not None:
            return False
        if training and getattr(module, "seed", None) is not None:
            return False
    return True
