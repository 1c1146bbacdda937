"""Symmetric quantization: the largest absolute value is mapped to the end of the integer range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from torchkeras import ops
from torchkeras.core.config.configurable import Configurable
from torchkeras.core.types import ArrayLike, Axes, Config


class Quantizer(Configurable):
    """Base of the quantizers: a callable that maps a float tensor to its quantized form.

    Subclasses define `__call__(x)`. This class returns `x` as it is. Also called `keras.Quantizer`.

    Args:
        output_dtype: dtype of the quantized tensor. Default: `"int8"`.

    Example:
        >>> class Rounded(keras.quantizers.Quantizer):
        ...     def __call__(self, x):
        ...         return keras.ops.cast(keras.ops.round(x), self.output_dtype)
        >>> Rounded()(torch.tensor([0.6, 3.2])).tolist()
        [1, 3]
    """

    keras_module = "keras"
    _tk_config_base = True

    def __init__(self, output_dtype: str = "int8") -> None:
        self.output_dtype = output_dtype

    def __call__(self, x: ArrayLike) -> Any:  # subclasses return a tensor, or a tensor and its scale
        return x


def abs_max_quantize(
    inputs: ArrayLike,
    axis: Axes,
    value_range: Sequence[int] = (-127, 127),
    dtype: str = "int8",
    epsilon: float = 1e-07,
    to_numpy: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantize a tensor by its largest absolute value along some axes.

    `scale = value_range[1] / (max(abs(inputs)) + epsilon)` and `outputs = clip(round(inputs * scale), *value_range)`;
    `outputs / scale` gives approximately the inputs back.

    Args:
        inputs: float tensor.
        axis: axis, or axes, over which the maximum is taken. In a `Dense` kernel `(inputs, units)`, `0` gives each unit
            a scale.
        value_range: smallest and largest quantized value. Default: `(-127, 127)`.
        dtype: dtype of the quantized tensor. Default: `"int8"`.
        epsilon: number that is added to the maximum, against division by zero. Default: `1e-07`.
        to_numpy: whether to compute on the CPU, which saves memory on the device; bfloat16 is
            then computed in float32. Default: `False`.

    Returns:
        The quantized tensor, of the shape of `inputs`; and the scale, of the dtype of `inputs`, in which the axes of
        `axis` have size 1.

    Example:
        >>> outputs, scale = keras.quantizers.abs_max_quantize([[0.5, -1.0], [2.0, 0.25]], axis=-1)
        >>> outputs
        tensor([[  63, -127],
                [ 127,   16]], dtype=torch.int8)
        >>> scale.shape
        torch.Size([2, 1])
    """
    axis = axis if isinstance(axis, int) else tuple(axis)
    x = ops.convert_to_tensor(inputs)
    if to_numpy:
        outputs, scale = abs_max_quantize(on_host(x), axis, value_range, dtype, epsilon)
        return outputs.to(x.device), scale.to(x.device, x.dtype)
    largest = ops.max(ops.abs(x), axis=axis, keepdims=True) + epsilon
    # torch computes `number / tensor` as a product with the reciprocal, which rounds twice.
    scale = ops.cast(ops.full_like(largest, value_range[1]) / largest, x.dtype)
    outputs = ops.clip(ops.round(x * scale), value_range[0], value_range[1])
    return ops.cast(outputs, dtype), scale


def on_host(x: torch.Tensor) -> torch.Tensor:
    """The tensor on the CPU; bfloat16, which NumPy lacks, as float32."""
    return x.cpu().float() if x.dtype == torch.bfloat16 else x.cpu()


class AbsMaxQuantizer(Quantizer):
    """Quantize tensors by their largest absolute value along some axes, as `abs_max_quantize` does.

    Args:
        axis: axis, or axes, over which the maximum is taken where a call names none; `None` stands for the last axis.
            Keras advises to name it in the call. Default: `None`.
        value_range: smallest and largest quantized value. Default: `(-127, 127)`.
        epsilon: number that is added to the maximum, against division by zero. Default: `1e-07`.
        output_dtype: dtype of the quantized tensor. Default: `"int8"`.

    Raises:
        ValueError: `output_dtype` is `"int8"`, and `value_range` leaves its interval.

    Example:
        >>> quantizer = keras.quantizers.AbsMaxQuantizer()
        >>> outputs, scale = quantizer(torch.tensor([[1.0, -2.0], [4.0, 3.0]]), axis=0)
        >>> outputs
        tensor([[ 32, -85],
                [127, 127]], dtype=torch.int8)
    """

    keras_module = "keras.quantizers"

    def __init__(
        self,
        axis: Axes | None = None,
        value_range: Sequence[int] = (-127, 127),
        epsilon: float = 1e-07,
        output_dtype: str = "int8",
    ) -> None:
        super().__init__(output_dtype)
        self.axis = (axis,) if isinstance(axis, int) else None if axis is None else tuple(axis)
        self.value_range, self.epsilon = value_range, epsilon
        if output_dtype == "int8" and (value_range[0] < -128 or value_range[1] > 127):
            raise ValueError(
                f"Quantizer with output_dtype='int8' requires value_range to be within the interval [-128, 127]. "
                f"Received: value_range={value_range}"
            )

    def __call__(
        self, x: ArrayLike, axis: Axes | None = None, to_numpy: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the quantized tensor and its scale.

        Args:
            x: float tensor.
            axis: axis, or axes, over which the maximum is taken; `None` stands for the constructor's. Default: `None`.
            to_numpy: whether to compute on the CPU, which saves memory on the device. Default: `False`.
        """
        along = next((given for given in (axis, self.axis) if given is not None), -1)
        return abs_max_quantize(x, along, self.value_range, self.output_dtype, self.epsilon, to_numpy)

    def get_config(self) -> Config:
        """Return the constructor's arguments; `axis` only if it was given."""
        config: Config = {
            "value_range": self.value_range,
            "epsilon": self.epsilon,
            "output_dtype": self.output_dtype,
        }
        return config if self.axis is None else config | {"axis": self.axis}
