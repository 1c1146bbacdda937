"""Zero padding and the convolution behind it as one call: torch puts zeros there without a padded copy."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core.torch_internals import has_any_global_hook
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.reshaping.borders import BaseZeroPadding, ZeroPadding1D, ZeroPadding2D, ZeroPadding3D

_PADDINGS = (ZeroPadding1D, ZeroPadding2D, ZeroPadding3D)


class ConvolutionWithBorder:
    """Computes `convolution(padding(x))`; the padded tensor is made where somebody could see it.

    Measured on CPU, forward and backward of images (16, 64, 64, 32) with a border of 1 and 32 filters of 3: 0.80 to
    0.88 of the time of the two calls.
    """

    def __init__(self, padding: BaseZeroPadding, convolution: Any, border: tuple[int, ...]) -> None:
        self.padding = padding
        self.convolution = convolution
        self.border = border

    def __call__(self, x: Any) -> Any:
        if self._is_unseen(x):
            return self.convolution(x, border=self.border)
        return self.convolution(self.padding(x))

    def _is_unseen(self, x: Any) -> bool:
        """Whether neither a hook nor a tracer nor a mask's warning would show that there was no padded tensor."""
        padding, convolution = self.padding, self.convolution
        return (
            isinstance(x, torch.Tensor)
            and x.dtype is padding.__dict__["_tk_input_type"]
            and x.ndim == padding.input_spec.ndim
            and getattr(x, "_keras_mask", None) is None
            and padding.activity_regularizer is None
            and _runs_plainly(padding)
            and _runs_plainly(convolution)
            and not has_any_global_hook()
            and not torch.compiler.is_compiling()
        )


def with_border(padding: Any, convolution: Any) -> ConvolutionWithBorder | None:
    """The two layers in one, where torch's convolution can do the padding's work: evenly, over the same dimensions."""
    own = convolution._static_border
    if type(padding) not in _PADDINGS or padding.data_format != convolution.data_format or own is None:
        return None
    if padding.input_spec.ndim != convolution.rank + 2 or any(before != after for before, after in padding._padding):
        return None
    more = convolution._view.sizes([before for before, _ in padding._padding], 0)
    return ConvolutionWithBorder(padding, convolution, tuple(a + b for a, b in zip(own, more, strict=True)))


def _runs_plainly(layer: Layer) -> bool:
    """Whether calling the layer runs its class's own `forward` and nothing besides."""
    own = layer.__dict__
    return (
        not (own["_forward_hooks"] or own["_forward_pre_hooks"] or own["_backward_hooks"] or own["_backward_pre_hooks"])
        and layer._compiled_call_impl is None
        and "forward" not in own
        and "call" not in own
    )
