"""8-bit floats in training: inputs, weight and gradients are rounded to them, with scales from the last steps.

The weight stays a float parameter. Three pairs of variables have the scale of what is rounded and its largest absolute
values of the last steps; they are trainable, and an optimizer overwrites them by what stands in the place of their
gradients (Micikevicius et al., 2022, "FP8 Formats for Deep Learning").
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from torchkeras.core.state import state
from torchkeras.dtype_policies import QuantizedFloat8DTypePolicy
from torchkeras.layers.weight_forms.float8_product import (
    BACKWARD,
    FORWARD,
    fits,
    float8_product,
    multiplies_float8,
    next_values,
)
from torchkeras.layers.weight_forms.form import WeightForm, register, variable
from torchkeras.layers.weight_forms.layouts import columns_of, rows_of
from torchkeras.quantizers import quantize_and_dequantize


@register
class Float8Form(WeightForm):
    """`product(rounded(inputs), rounded(weight))`, and a rounded gradient in the backward pass."""

    mode = "float8"
    names = (
        "{}",
        "bias",
        *("inputs_scale", "inputs_amax_history"),
        *("{}_scale", "{}_amax_history"),
        *("outputs_grad_scale", "outputs_grad_amax_history"),
    )
    keeps_weight = True

    def build(self, layer: nn.Module) -> None:
        length = QuantizedFloat8DTypePolicy.default_amax_history_length
        length = getattr(self.policy, "amax_history_length", length)
        for rounded in ("inputs", self.name, "outputs_grad"):
            for part, shape, initializer in (("scale", (), "ones"), ("amax_history", (length,), "zeros")):
                variable(
                    layer,
                    f"{rounded}_{part}",
                    shape=shape,
                    initializer=initializer,
                    dtype="float32",
                    trainable=True,
                    autocast=False,
                    overwrite_with_gradient=True,
                )

    def quantized(self, value: Tensor, by_default: bool = False) -> dict[str, Tensor]:
        return {}

    def dequantized(self, layer: nn.Module) -> Tensor:
        return self.float_weight(layer)

    def product(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        if layer.lora_enabled:
            raise NotImplementedError("A layer quantized to float8 doesn't support LoRA.")
        training = layer.training if state.training is None else state.training
        weight, dtype = self.float_weight(layer), self.policy.compute_dtype
        scales = [self._scales(layer, name) for name in ("inputs", self.name, "outputs_grad")]
        if self._is_one_kernel(inputs, weight):

            def compute(rows: Tensor) -> Tensor:
                return float8_product(rows, weight.reshape(rows.shape[1], -1), scales, training, dtype)

            return self.given_product.by_rows(inputs, compute)
        rounded = [
            _RoundedForward.apply(value, *pair, training, dtype)
            for value, pair in zip((inputs, weight), scales, strict=False)
        ]
        return _RoundedBackward.apply(self.given_product(*rounded), *scales[2], training, dtype)

    def _is_one_kernel(self, inputs: Tensor, weight: Tensor) -> bool:
        """Whether the device multiplies the 8-bit floats themselves."""
        return (
            multiplies_float8(inputs.device)
            and self.given_product.is_one
            and inputs.dtype == weight.dtype
            and fits(rows_of(self.layout), columns_of(self.layout), self.policy.compute_dtype)
        )

    def _scales(self, layer: nn.Module, rounded: str) -> tuple[Tensor, Tensor]:
        return getattr(layer, f"{rounded}_scale"), getattr(layer, f"{rounded}_amax_history")

    def bias(self, bias: Tensor | None) -> Tensor | None:
        if bias is None or self.policy.compute_dtype != "float32":
            return bias
        return bias.to(torch.bfloat16).to(bias.dtype)  # as Keras, which lets kernels add a bias of 16 bits


class _RoundedForward(torch.autograd.Function):
    """Round values in the forward pass; the gradients of scale and history are their next values."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, history: Tensor, training: bool, dtype: str) -> Tensor:
        ctx.updates = (None, None)
        if training:
            ctx.updates = next_values(x, scale, history, FORWARD)
        return quantize_and_dequantize(x, scale, FORWARD, dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple:  # type: ignore[override]
        return upstream, *ctx.updates, None, None


class _RoundedBackward(torch.autograd.Function):
    """Leave values as they are, and round their gradient.

    In training the gradients of scale and history are their next values.
    """

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, scale: Tensor, history: Tensor, training: bool, dtype: str) -> Tensor:
        ctx.save_for_backward(scale, history)
        ctx.dtype, ctx.training = dtype, training
        return outputs.view_as(outputs)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple:  # type: ignore[override]
        scale, history = ctx.saved_tensors
        updates: tuple[Tensor | None, Tensor | None] = (None, None)
        if ctx.training:
            updates = next_values(upstream, scale, history, BACKWARD)
        return quantize_and_dequantize(upstream, scale, BACKWARD, ctx.dtype), *updates, None, None
