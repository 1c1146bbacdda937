"""Dense: one matrix product over the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.core.fast_paths.linear import linear
from torchkeras.core.fast_paths.overwriting import find_overwriting, may_overwrite
from torchkeras.core.types import Identifier
from torchkeras.distributed.split_layers import Split
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.options import CommonOptions
from torchkeras.layers.core.lora import AdaptedWeight
from torchkeras.layers.core.stored_weights import StoredWeights
from torchkeras.layers.weight_forms.layouts import Layout, MatrixLayout
from torchkeras.layers.weight_forms.products import Product
from torchkeras.quantizers import QuantizationConfig

_IDENTITIES = (None, activations.linear)  # not called: an op costs a microsecond


class Dense(StoredWeights):
    """Multiply the last axis of the inputs by a matrix of weights, add a bias and apply an activation.

    `outputs = activation(inputs @ kernel + bias)`: a fully connected layer.

    Args:
        units: number of output features, a positive int.
        activation: function applied to the result: a name such as `"relu"`, or a callable. `None` leaves the result
            as it is. Default: `None`.
        use_bias: whether a bias is added. Default: `True`.
        kernel_initializer, bias_initializer: how the weights start: a name or an initializer.
            Defaults: `"glorot_uniform"`, `"zeros"`.
        kernel_regularizer, bias_regularizer: penalty on a weight, added to the loss. Default: `None`.
        activity_regularizer: penalty on the outputs, divided by the batch size and added to the loss. Default: `None`.
        kernel_constraint, bias_constraint: function that maps a weight to an allowed value after each update.
            Default: `None`.
        lora_rank: rank of a low-rank adapter (LoRA, Hu et al., 2021, arXiv:2106.09685). With a rank, the kernel is
            frozen and only `lora_kernel_a` and `lora_kernel_b` of that rank train. Default: `None`, no adapter.
        lora_alpha: the adapter's product is multiplied by `lora_alpha / lora_rank`; `None` means `lora_rank`.
            Default: `None`.
        quantization_config: settings of the quantization that the dtype policy names, or that `quantize` gave.
            Default: `None`.
        **kwargs: `name`, `trainable`, `dtype` and the other arguments of `Layer`.

    Call arguments:
        inputs: tensor of at least two dimensions.

    Input shape:
        `(batch, ..., features)`; `features` must be known and stay the same after the first call.

    Output shape:
        `(batch, ..., units)`.

    Weights:
        `kernel`: `(features, units)`. `bias`: `(units,)`, if `use_bias`.

    Raises:
        ValueError: `units` is no positive int, or later inputs have another number of features.

    Example:
        >>> layer = keras.layers.Dense(3, activation="relu")
        >>> layer(torch.ones(2, 5)).shape
        torch.Size([2, 3])
        >>> [tuple(weight.shape) for weight in layer.weights]
        [(5, 3), (3,)]
        >>> summing = keras.layers.Dense(1, kernel_initializer="ones")
        >>> summing(torch.tensor([[1.0, 2.0, 3.0]])).tolist()
        [[6.0]]
    """

    _tk_config_base = True
    kernel = AdaptedWeight()

    def __init__(
        self,
        units: int,
        activation: Identifier | None = None,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        activity_regularizer: Identifier | None = None,
        kernel_constraint: Identifier | None = None,
        bias_constraint: Identifier | None = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: QuantizationConfig | None = None,
        **kwargs: Unpack[CommonOptions],
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
        self._tk_set_lora(lora_rank, lora_alpha)
        self.quantization_config = quantization_config
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features = input_shape[-1]
        shape = (features, self.units)
        if self.quantization_mode is not None:
            self.quantized_build(shape, self.quantization_mode, self.quantization_config)
        if self._tk_keeps("kernel"):
            self.kernel = self.add_weight(
                name="kernel",
                shape=shape,
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
        if self._tk_stored_specially:
            return self._tk_call_stored(inputs)
        if self.activation in _IDENTITIES:
            return linear(inputs, self.kernel, self.bias)
        form = find_overwriting(self.activation)
        if form is not None and may_overwrite(form):
            return linear(inputs, self.kernel, self.bias, form)
        return self.activation(linear(inputs, self.kernel, self.bias))

    def _tk_as_product(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor | None] | None:
        """Inputs, matrix and bias where a call is their product and nothing else, else `None`."""
        if self._tk_stored_specially or self.activation not in _IDENTITIES:
            return None
        return inputs, self.kernel, self.bias

    def _tk_call_stored(self, inputs: Tensor) -> Tensor:
        form = self._tk_form
        if form is None:
            return self._tk_finish(linear(inputs, self.kernel, self.bias), None)
        return self._tk_finish(self._tk_quantized_product(inputs), form.bias(self.bias))

    @property
    def _kernel(self) -> Tensor:
        """Keras's name of the weight as it is kept, which other packages read."""
        return self._tk_stored()

    def _tk_layouts(self, shape: tuple[int, ...]) -> Sequence[tuple[Layout, Product | None]]:
        return [(MatrixLayout("kernel", shape), None)]

    _tk_split_weight = "kernel"

    def _tk_splits(self) -> tuple[Split, Split] | None:
        return None if self._tk_stored_specially else (Split(inputs=-1), Split(outputs=-1))

    def _tk_product(self, inputs: Tensor, weight: Tensor) -> Tensor:
        return linear(inputs, weight, None)

    def _tk_finish(self, outputs: Tensor, bias: Tensor | None) -> Tensor:
        outputs = outputs if bias is None else outputs + bias
        return outputs if self.activation in _IDENTITIES else self.activation(outputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if config["activity_regularizer"] is None:
            del config["activity_regularizer"]
        return config
