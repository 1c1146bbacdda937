"""Zero padding and the convolution after it as one call: torch's convolution pads without a padded copy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torchkeras.core.borders import Border
from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.tensors.masks import get_mask
from torchkeras.core.torch_internals import has_any_global_hook


class PaddedConvolution:
    """Computes `convolution(padding(x))`; the padded tensor is made only where somebody could see it.

    Measured on CPU, forward and backward of images (16, 64, 64, 32) with a padding of 1 and 32 filters of 3: 0.80 to
    0.88 of the time of the two calls.

    Args:
        padding: a layer that pads its inputs with zeros.
        convolution: a layer whose `call` takes `border`, the padding that its inputs should get.
        border: the zeros around the spatial dimensions, for the convolution.
    """

    def __init__(self, padding: Any, convolution: Any, border: Border) -> None:
        self.padding = padding
        self.convolution = convolution
        self.border = border

    def __call__(self, x: Tensor) -> Tensor:
        if self._is_unseen(x):
            return self.convolution(x, border=self.border)
        return self.convolution(self.padding(x))

    def _is_unseen(self, x: Tensor) -> bool:
        """Whether no hook, no exported program and no mask's warning would show that there was no padded tensor."""
        padding, convolution = self.padding, self.convolution
        return (
            isinstance(x, torch.Tensor)
            and self._is_cast_alike(x)
            and x.ndim == padding.input_spec.ndim
            and get_mask(x) is None
            and padding.activity_regularizer is None
            and runs_plainly(padding)
            and runs_plainly(convolution)
            and (torch.compiler.is_compiling() or not has_any_global_hook())
            and not torch.compiler.is_exporting()
        )

    def _is_cast_alike(self, x: Tensor) -> bool:
        """Whether the convolution, given `x`, casts it to the type that the padding would."""
        dtype = self.padding.__dict__["_tk_input_type"]
        return x.dtype is dtype or (
            x.is_floating_point() and dtype is not None and dtype is self.convolution.__dict__["_tk_input_type"]
        )


def padded_convolution(padding: Any, convolution: Any) -> PaddedConvolution | None:
    """The two layers in one, where the convolution can do the padding's work, over the same dimensions.

    Args:
        padding: a layer that does what `BaseZeroPadding` does.
        convolution: a layer that does what `BaseConv` does.
    """
    own = convolution._static_border
    if not fast_paths_enabled() or padding.data_format != convolution.data_format or own is None:
        return None
    if padding.input_spec.ndim != convolution.rank + 2:
        return None
    return PaddedConvolution(padding, convolution, convolution._tk_wider_border(padding._padding))


def runs_plainly(layer: nn.Module) -> bool:
    """Whether calling the layer runs its class's own `forward` and nothing besides."""
    own = layer.__dict__
    return (
        not (own["_forward_hooks"] or own["_forward_pre_hooks"] or own["_backward_hooks"] or own["_backward_pre_hooks"])
        and layer._compiled_call_impl is None
        and "forward" not in own
        and "call" not in own
    )
