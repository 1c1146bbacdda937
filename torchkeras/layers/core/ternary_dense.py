"""TernaryDense: a dense layer that is trained with weights of -1, 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, Unpack

from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.core.fast_paths.linear import linear
from torchkeras.core.types import Identifier
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.options import CommonOptions
from torchkeras.layers.core.lora import AdaptedWeight
from torchkeras.layers.core.stored_weights import StoredWeights
from torchkeras.layers.weight_forms.layouts import Layout, MatrixLayout
from torchkeras.layers.weight_forms.products import Product
from torchkeras.quantizers import QuantizationConfig
from torchkeras.quantizers.ternary import ternarize


class TernaryDense(StoredWeights):
    """Multiply the last axis of the inputs by a matrix of -1, 0 and 1, scale, add a bias and apply an activation.

    `outputs = activation(scale * (inputs @ values) + bias)`. In each call the float kernel is rounded to `values`: 0
    within the threshold, else its sign. The scale is `mean(|kernel|)`, and the threshold half of it; where a threshold
    is given, the scale is 1 (Ma et al., 2024, "The Era of 1-bit LLMs: All Large Language Models are in 1.58 Bits",
    arXiv:2402.17764). Gradients pass the rounding as if it were the identity, so that the float kernel trains.

    `quantize("ternary")` keeps the values alone, five in a byte, with the same outputs. A trained `Dense` is quantized
    in the same way by its own `quantize("ternary")`.

    Args:
        units: number of output features, a positive int.
        threshold: largest absolute value of the kernel that counts as 0; 0.0 leaves no zeros. Default: `None`, half of
            `mean(|kernel|)`.
        activation: function applied to the result: a name such as `"relu"`, or a callable. `None` leaves the result
            as it is. Default: `None`.
        use_bias: whether a bias is added. Default: `True`.
        kernel_initializer, bias_initializer: how the weights start: a name or an initializer.
            Defaults: `"glorot_uniform"`, `"zeros"`.
        kernel_regularizer, bias_regularizer: penalty on a weight, added to the loss. Default: `None`.
        activity_regularizer: penalty on the outputs, divided by the batch size and added to the loss. Default: `None`.
        kernel_constraint, bias_constraint: function that maps a weight to an allowed value after each update.
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
        ValueError: `units` is no positive int, `threshold` is no number or negative, or later inputs have another
            number of features.

    Example:
        >>> layer = keras.layers.TernaryDense(2, kernel_initializer=keras.initializers.Constant([[3.0, -1.0]]))
        >>> layer(torch.ones(1, 1)).tolist()  # the mean is 2, and 1 is within the threshold
        [[2.0, 0.0]]
        >>> layer.quantize("ternary")
        >>> layer(torch.ones(1, 1)).tolist(), layer.kernel.tolist()
        ([[2.0, 0.0]], [[1, 0]])
    """

    _tk_config_base = True
    kernel = AdaptedWeight()
    _tk_modes = ("ternary",)
    quantization_config: QuantizationConfig | None = None
    lora_rank = lora_alpha = None

    def __init__(
        self,
        units: int,
        threshold: float | None = None,
        activation: Identifier | None = None,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        activity_regularizer: Identifier | None = None,
        kernel_constraint: Identifier | None = None,
        bias_constraint: Identifier | None = None,
        **kwargs: Unpack[CommonOptions],
    ) -> None:
        if not isinstance(units, int) or units <= 0:
            raise ValueError(
                f"Received an invalid value for `units`, expected a positive integer. Received: units={units}"
            )
        if threshold is not None and (not isinstance(threshold, (int, float)) or threshold < 0):
            raise ValueError(
                f"Received an invalid value for `threshold`, expected a non-negative float or None. "
                f"Received: threshold={threshold}"
            )
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units, self.threshold = units, threshold
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features = input_shape[-1]
        shape = (features, self.units)
        if self.quantization_mode is not None:
            self.quantized_build(shape, self.quantization_mode)  # type: ignore[arg-type]
        else:
            self.kernel = self.add_weight(
                name="kernel",
                shape=shape,
                initializer=self.kernel_initializer,
                regularizer=self.kernel_regularizer,
                constraint=self.kernel_constraint,
                autocast=False,
            )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: features})
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        form = self._tk_form
        if form is None:
            outputs = self._tk_product(inputs, self.kernel)
        else:
            outputs = form.product(self, inputs)
        return self._tk_finish(outputs, self.bias)

    def _tk_product(self, inputs: Tensor, weight: Tensor) -> Tensor:
        values, scale = ternarize(weight, self.threshold)
        # The difference of the weight to itself is 0: the values are exact, and the gradient is that of the weight.
        values = (values.detach() + (weight - weight.detach())).to(inputs.dtype)
        return linear(inputs, values, None) * scale.to(inputs.dtype)

    def _tk_finish(self, outputs: Tensor, bias: Tensor | None) -> Tensor:
        outputs = outputs if bias is None else outputs + bias
        return outputs if self.activation in (None, activations.linear) else self.activation(outputs)

    @property
    def _kernel(self) -> Tensor:
        """Keras's name of the weight as it is kept, which other packages read."""
        return self._tk_stored()

    def _tk_layouts(self, shape: tuple[int, ...]) -> Sequence[tuple[Layout, Product | None]]:
        return [(MatrixLayout("kernel", shape, threshold=self.threshold), None)]

    def enable_lora(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise an error: the kernel is rounded in each call, so that a low-rank term has nothing to be added to.

        Args:
            *args, **kwargs: not used.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            f"TernaryDense {self.name!r} has no low-rank adapter, because its kernel is rounded to -1, 0 and 1 in each "
            f"call. Train the kernel itself, or use Dense."
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.units)
