"""Dense: one matrix product over the last axis."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.core.affine import affine, is_for_onednn
from torchkeras.layers.core.lora import LowRankAdaptable


class Dense(LowRankAdaptable):
    """`activation(inputs @ kernel + bias)`, for inputs `(*, in)` and a kernel `(in, units)`."""

    _config_base = True

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(units, int) or units <= 0:
            raise ValueError(
                f"Received an invalid value for `units`, expected a positive integer. Received: units={units}"
            )
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = units
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.set_lora(lora_rank, lora_alpha)
        self.quantization_config = quantization_config
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features = input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        else:
            self.bias = None
        self.input_spec = InputSpec(min_ndim=2, axes={-1: features})
        self.built = True
        if self.lora_rank:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    def call(self, inputs: Tensor) -> Tensor:
        kernel, bias = self.adapted_weight() if self.lora_enabled else self.kernel, self.bias
        if inputs.dtype != kernel.dtype:
            inputs = inputs.to(kernel.dtype)
        # addmm on the (in, out) kernel, both ways on CPU: within 6% either way of F.linear on an (out, in) one
        # for 512 and 784 features, batches of 32 to 512; for 4 features 0.9 of it, and 0.8 of F.linear on kernel.t().
        x = inputs if inputs.ndim == 2 else inputs.reshape(-1, kernel.shape[0])
        if not torch.is_grad_enabled() and is_for_onednn(x, kernel):
            x = affine(x, kernel, bias)
        else:
            x = torch.mm(x, kernel) if bias is None else torch.addmm(bias, x, kernel)
        if inputs.ndim != 2:
            x = x.view(*inputs.shape[:-1], self.units)
        if self.activation is not activations.linear and self.activation is not None:
            x = self.activation(x)
        return x

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if config["activity_regularizer"] is None:
            del config["activity_regularizer"]
        return config
