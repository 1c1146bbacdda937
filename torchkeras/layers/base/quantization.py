"""Quantization as all layers know it: the check of the arguments, and errors where a layer has no quantized form."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

from torchkeras.core.quantization_modes import QUANTIZATION_MODES
from torchkeras.core.types import Shape
from torchkeras.dtype_policies import DTypePolicy, Int4DTypePolicy
from torchkeras.quantizers.configs import Int4QuantizationConfig, QuantizationConfig, resolve_config


class Form(Protocol):
    """The form in which a layer keeps a weight; see `layers/weight_forms/`."""

    def shown(self, layer: Any) -> torch.Tensor:
        """The value of the layer's attribute that is named after the weight."""


class _Layer(Protocol):
    name: str
    built: bool
    _tk_is_quantized: bool

    @property
    def dtype_policy(self) -> DTypePolicy: ...

    @property
    def compute_dtype(self) -> str: ...


class Quantizable:
    """The part of a layer that says whether and how it is quantized."""

    name: str
    built: bool
    # Whether the weights have been quantized.
    _tk_is_quantized = False
    # The forms of weights that are not kept as they are, by name.
    _tk_forms: Mapping[str, Form] = {}

    @property
    def quantization_mode(self) -> str | None:
        """The quantization of the layer's weights, such as `"int8"`; `None` for a layer without one."""
        return self.__dict__["_tk_policy"].quantization_mode

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: QuantizationConfig | None = None
    ) -> None:
        """Replace the weights by quantized ones. This layer has no quantized form and raises an error.

        `Dense`, `EinsumDense`, `Embedding` and `ReversibleEmbedding` have one; `Model.quantize` finds them.

        Args:
            mode: quantization: `"int8"`, `"int4"`, `"float8"`, `"ternary"`, `"gptq"` or `"awq"`; `None` takes the
                config's. Default: `None`.
            type_check: whether a subclass of the user's is refused, whose `call` may do more. Default: `True`.
            config: settings of the quantization, such as `keras.quantizers.Int8QuantizationConfig()`; `None` takes the
                mode's defaults. Default: `None`.

        Raises:
            NotImplementedError: always.
        """
        raise not_implemented(self, "quantize")

    def quantized_build(self, input_shape: Shape, mode: str) -> None:
        """Make the weights of a quantized layer, without values. This layer has no quantized form.

        Args:
            input_shape: shape of the weight, or of the inputs.
            mode: quantization, such as `"int8"`.

        Raises:
            NotImplementedError: always.
        """
        raise not_implemented(self, "quantized_build")

    def quantized_call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs of a quantized layer; `layer(inputs)` does so by itself.

        Args:
            *args: positional arguments of `call`.
            **kwargs: arguments of `call` by name.

        Raises:
            NotImplementedError: the layer is not quantized, or has no quantized form.
        """
        mode = self.quantization_mode
        if mode not in QUANTIZATION_MODES:
            raise unknown_mode(mode)
        return getattr(self, f"_{mode}_call")(*args, **kwargs)

    # Keras's names of the calls of a quantized layer, which its subclasses define.

    def _int8_call(self, *args: Any, **kwargs: Any) -> Any:
        raise not_implemented(self, "_int8_call")

    def _int4_call(self, *args: Any, **kwargs: Any) -> Any:
        raise not_implemented(self, "_int4_call")

    def _float8_call(self, *args: Any, **kwargs: Any) -> Any:
        raise not_implemented(self, "_float8_call")

    def _gptq_call(self, *args: Any, **kwargs: Any) -> Any:
        raise not_implemented(self, "_gptq_call")

    def _awq_call(self, *args: Any, **kwargs: Any) -> Any:
        raise not_implemented(self, "_awq_call")

    def _tk_check_quantize(self: _Layer, mode: str) -> None:
        """Raise an error unless the layer can be quantized now."""
        if not self.built:
            raise ValueError(
                f"Cannot quantize a layer that isn't yet built. "
                f"Layer '{self.name}' (of type '{type(self).__name__}') is not built yet."
            )
        if self._tk_is_quantized:
            raise ValueError(
                f"Layer '{self.name}' is already quantized with dtype_policy='{self.dtype_policy.name}'. "
                f"Received: mode={mode}"
            )
        if mode == "int8" and self.compute_dtype == "float16":
            raise ValueError(
                f"Quantization mode='{mode}' doesn't work well with compute_dtype='float16'. Consider loading "
                f"model/layer with another dtype policy such as 'mixed_bfloat16' or 'mixed_float16' before calling "
                f"`quantize()`."
            )

    def _tk_quantize_for_policy(self, policy: DTypePolicy) -> None:
        """Quantize a layer that is built already, since it was given a quantized policy."""
        if policy.quantization_mode == "gptq":
            raise ValueError(
                f"Implicitly enabling GPTQ quantization by setting `dtype_policy` to '{policy.name}' is not supported. "
                f"GPTQ requires a calibration dataset and a `GPTQConfig` object.\n\nPlease use the "
                f"`.quantize('gptq', config=...)` method on the layer or model instead."
            )
        if isinstance(policy, Int4DTypePolicy):
            self.quantize("int4", config=Int4QuantizationConfig(None, None, policy.block_size))
        else:
            self.quantize(policy.quantization_mode)


def checked(quantize: Callable[..., Any]) -> Callable[..., Any]:
    """A `quantize` that gets the mode and its config in any case, of a layer that can be quantized now."""
    if getattr(quantize, "_tk_checked", False):
        return quantize

    @functools.wraps(quantize)
    def checked_quantize(
        self: Any, mode: str | None = None, config: QuantizationConfig | str | None = None, **kwargs: Any
    ) -> Any:
        resolved = resolve_config(mode, config)
        self._tk_check_quantize(resolved.mode)
        return quantize(self, mode=resolved.mode, config=resolved, **kwargs)

    checked_quantize._tk_checked = True  # type: ignore[attr-defined]
    return checked_quantize


Quantizable.quantize = checked(Quantizable.quantize)  # type: ignore[method-assign]


def not_implemented(layer: object, method: str) -> NotImplementedError:
    """The error of a layer that lacks a method."""
    return NotImplementedError(f"Layer {type(layer).__name__} does not have a `{method}` method implemented.")


def unknown_mode(mode: object, modes: tuple[str, ...] = QUANTIZATION_MODES) -> NotImplementedError:
    """The error for a mode that a layer has no form for."""
    return NotImplementedError(
        f"Invalid quantization mode. Expected one of {modes}. Received: quantization_mode={mode}"
    )
