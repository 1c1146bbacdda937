"""Layers that may keep their weights in another form than as floats: quantized, and adapted by low-rank terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from torchkeras import quantizers
from torchkeras.core import registry
from torchkeras.core.quantization_modes import QUANTIZATION_MODES
from torchkeras.core.types import Config, Shape, Store
from torchkeras.distributed.sharded_weights import refuse_parts
from torchkeras.dtype_policies import DTypePolicy
from torchkeras.dtype_policies import get as get_policy
from torchkeras.layers.base.hooks import default_unless
from torchkeras.layers.base.quantization import not_implemented, unknown_mode
from torchkeras.layers.base.values import assign
from torchkeras.layers.base.weight_walk import count_saved
from torchkeras.layers.core.lora import LowRankAdaptable
from torchkeras.layers.weight_forms.calibrated import AWQForm, CalibratedForm, GPTQForm
from torchkeras.layers.weight_forms.float8 import Float8Form as Float8Form
from torchkeras.layers.weight_forms.form import FORMS, WeightForm
from torchkeras.layers.weight_forms.int4 import Int4Form
from torchkeras.layers.weight_forms.int8 import Int8Form as Int8Form
from torchkeras.layers.weight_forms.layouts import Layout
from torchkeras.layers.weight_forms.products import Product
from torchkeras.layers.weight_forms.ternary import TernaryForm as TernaryForm
from torchkeras.quantizers import QuantizationConfig, Quantizer


class StoredWeights(LowRankAdaptable):
    """A layer whose weights are kept as they are, or each in a `WeightForm`.

    Subclasses say by `_tk_layouts` how their weights lie, build by `quantized_build` where there is a form, and compute
    with `_tk_form` where it is not `None`.
    """

    keras_module = None
    _tk_config_base = True
    # Keras's names of the modes that the layer has a form for.
    _tk_modes: ClassVar[tuple[str, ...]] = QUANTIZATION_MODES
    # The form of the adapted weight; `None` for a layer that is not quantized.
    _tk_form: WeightForm | None = None
    _tk_forms: Mapping[str, WeightForm]
    quantization_config: QuantizationConfig | None
    bias: Tensor | None

    def _tk_layouts(self, shape: tuple[int, ...]) -> Sequence[tuple[Layout, Product | None]]:
        """The layout of each weight that is quantized, and the product with it; the adapted one first.

        Args:
            shape: shape of the adapted weight.
        """
        raise NotImplementedError

    # ------------------------------------------------------------------ quantizing

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: QuantizationConfig | None = None
    ) -> None:
        """Replace the weights by quantized ones.

        Args:
            mode: quantization: `"int8"`, `"int4"`, `"float8"`, `"ternary"`, `"gptq"` or `"awq"`; `None` takes the
                config's. Tables of embeddings know `"int8"` and `"int4"`, `Dense` alone `"ternary"`.
                Default: `None`.
            type_check: whether a subclass of the user's is refused, whose `call` may do more. Default: `True`.
            config: settings of the quantization, such as `keras.quantizers.Int8QuantizationConfig()`; `None` takes the
                mode's defaults. Default: `None`.

        Raises:
            ValueError: the layer is not built or is quantized already, or the mode is unknown, needs a config, or
                contradicts it.
            NotImplementedError: the layer has no form for the mode, or is of a subclass of the user's.

        Example:
            >>> layer = keras.layers.Dense(4)
            >>> layer.build((None, 8))
            >>> layer.quantize("int8")
            >>> [(weight.name, str(weight.dtype)) for weight in layer.weights]
            [('bias', 'torch.float32'), ('kernel', 'torch.int8'), ('kernel_scale', 'torch.float32')]
            >>> layer.dtype_policy.name
            'int8_from_float32'
        """
        refuse_parts(self, "quantize()")
        if type_check and not registry.is_own(self._tk_class):
            raise not_implemented(self, "quantize")
        forms = self._tk_new_forms(tuple(self._tk_own_weight(self._tk_adapted).shape), mode, config)
        if self.lora_enabled and mode is not None and not FORMS[mode].takes_low_rank:
            raise _no_low_rank(mode)
        self.quantization_config = config
        values = {name: self._tk_own_weight(name).detach() for name in forms}
        for name, form in forms.items():
            if not form.keeps_weight:
                delattr(self, name)
                self._tk_deleted.pop(name, None)
        self._tk_take_forms(forms)
        for name, form in forms.items():
            form.fill(self, values[name])
        if self._dtype_policy.quantization_mode is None:
            self.dtype_policy = policy_of(mode, config, self.dtype_policy)
        for form in forms.values():
            form.policy = self._tk_policy

    def quantized_build(self, input_shape: Shape, mode: str, config: QuantizationConfig | None = None) -> None:
        """Make the variables of quantized weights, without values.

        Args:
            input_shape: shape of the weight as floats; the name is Keras's.
            mode: quantization, such as `"int8"`.
            config: settings of the quantization. Default: `None`.

        Raises:
            NotImplementedError: the layer has no form for the mode.
        """
        self._tk_take_forms(self._tk_new_forms(tuple(input_shape), mode, config))

    def quantized_call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs of the quantized layer; `layer(inputs)` does so by itself.

        Args:
            *args: positional arguments of `call`.
            **kwargs: arguments of `call` by name.

        Raises:
            NotImplementedError: the layer is not quantized.
        """
        if self.quantization_mode not in FORMS:
            raise unknown_mode(self.quantization_mode, self._tk_modes)
        return self.call(*args, **kwargs)

    def _tk_new_forms(
        self, shape: tuple[int, ...], mode: str | None, config: QuantizationConfig | None
    ) -> dict[str, WeightForm]:
        if mode not in self._tk_modes or mode not in FORMS:
            raise unknown_mode(mode, self._tk_modes)
        policy = self._tk_policy
        return {
            layout.name: FORMS[mode](layout, product, config, policy) for layout, product in self._tk_layouts(shape)
        }

    def _tk_take_forms(self, forms: dict[str, WeightForm]) -> None:
        self.__dict__["_tk_forms"] = forms
        for form in forms.values():
            form.build(self)
        self.__dict__["_tk_form"] = forms[self._tk_adapted]
        self._tk_is_quantized = self._tk_stored_specially = True
        self._is_quantized = True  # Keras's name, which other packages read

    @property
    def inputs_quantizer(self) -> Quantizer | None:
        """The quantizer of a quantized layer's inputs; `None` where they stay floats."""
        if self._tk_form is None:
            raise AttributeError(f"{type(self).__name__} {self.name!r} is not quantized.")
        return self._tk_form.inputs_quantizer()

    @property
    def _int4_block_size(self) -> int | None:
        """Keras's name of the number of features that share a scale."""
        if not isinstance(self._tk_form, Int4Form):
            raise AttributeError(f"{type(self).__name__} {self.name!r} is not quantized to int4.")
        return self._tk_form.block_size

    def _tk_stored(self) -> Tensor:
        """The weight as it is kept: float, or integers that may be packed."""
        return self._tk_own_weight(self._tk_adapted if self._tk_form is None else self._tk_form.attribute)

    def _tk_keeps(self, name: str) -> bool:
        """Whether the layer has a weight as a float parameter."""
        return name not in self._tk_forms or self._tk_forms[name].keeps_weight

    @property
    def is_gptq_calibrated(self) -> bool:
        """Whether the layer computes with integers that GPTQ found; setting it drops the float weight."""
        return isinstance(self._tk_form, GPTQForm) and not self._tk_form.keeps_weight

    @is_gptq_calibrated.setter
    def is_gptq_calibrated(self, value: bool) -> None:
        self._tk_set_calibrated(value)

    @property
    def is_awq_calibrated(self) -> bool:
        """Whether the layer computes with integers that AWQ found; setting it drops the float weight."""
        return isinstance(self._tk_form, AWQForm) and not self._tk_form.keeps_weight

    @is_awq_calibrated.setter
    def is_awq_calibrated(self, value: bool) -> None:
        self._tk_set_calibrated(value)

    def _tk_set_calibrated(self, value: bool) -> None:
        if value and isinstance(self._tk_form, CalibratedForm):
            self._tk_form.finish(self)

    # ------------------------------------------------------------------ low-rank terms

    def _tk_low_rank_base(self) -> tuple[Tensor | None, tuple[int, ...]]:
        if self._tk_form is None:
            return super()._tk_low_rank_base()
        if not self._tk_form.takes_low_rank:
            raise _no_low_rank(self._tk_form.mode)
        return self._tk_own_weight(self._tk_adapted) if self._tk_form.keeps_weight else None, self._tk_form.layout.shape

    def _tk_shown_weight(self) -> Tensor:
        has_float = self._tk_form is None or self._tk_form.keeps_weight
        return super()._tk_shown_weight() if has_float else self._tk_own_weight(self._tk_adapted)

    def _tk_quantized_product(self, inputs: Tensor) -> Tensor:
        """The product with the quantized weight and the low-rank term of it, without bias."""
        form = self._tk_form
        assert form is not None
        outputs = form.product(self, inputs)
        if not self.lora_enabled:
            return outputs
        return outputs + self._tk_low_rank_product(inputs, form.given_product).to(outputs.dtype)

    def _tk_low_rank_product(self, inputs: Tensor, product: Product) -> Tensor:
        a, b = (getattr(self, f"lora_{self._tk_adapted}_{part}").to(inputs.dtype) for part in "ab")
        factor = self.lora_alpha / self.lora_rank  # type: ignore[operator]
        if product.keeps_last_axis:
            return factor * (product(inputs, a) @ b)
        return factor * product(inputs, a @ b)

    # ------------------------------------------------------------------ files

    @property
    def variable_serialization_spec(self) -> dict[str | None, list[str]]:
        """The names of a file's variables for each mode, in the order in which files number them.

        `None` stands for a layer without quantization. Variables that a layer lacks are left out of its files.

        Example:
            >>> keras.layers.Dense(2).variable_serialization_spec["int8"]
            ['kernel', 'bias', 'kernel_scale']
        """
        raw = [name for name in (self._tk_adapted, "bias") if name == self._tk_adapted or hasattr(self, "use_bias")]
        return {None: raw} | {mode: [n.format(self._tk_adapted) for n in FORMS[mode].names] for mode in FORMS}

    def _tk_saved_attributes(self) -> list[str]:
        """The attributes of the variables that files have, in their order."""
        found: dict[str, None] = {}
        for form in self._tk_forms.values():
            found.update(dict.fromkeys(name for name in form.attributes() if getattr(self, name, None) is not None))
        return list(found)

    @default_unless("_tk_stored_specially")
    def save_own_variables(self, store: Store) -> None:
        if self._tk_form is None:
            return super().save_own_variables(store)
        if not self.built:
            return None
        merged = self._tk_merged() if self.lora_enabled else {}
        for i, name in enumerate(self._tk_saved_attributes()):
            store[str(i)] = merged.get(name, getattr(self, name))
        return None

    @default_unless("_tk_stored_specially")
    def load_own_variables(self, store: Store) -> None:
        if self._tk_form is None:
            return super().load_own_variables(store)
        saved = count_saved(store)
        names = self._tk_form.read_from(self, self._tk_saved_attributes(), saved)
        if saved != len(names):
            raise ValueError(
                f"Layer '{self.name}' expected {len(names)} variables, but received {saved} variables "
                f"during loading. Expected: {names}. The layer is quantized to {self._tk_form.mode}, and the file's is "
                "not, or in another way: load the weights before quantize()."
            )
        for i, name in enumerate(names):
            assign(getattr(self, name), store[str(i)])
        if self.lora_enabled:
            with torch.no_grad():
                for part in "ab":
                    getattr(self, f"lora_{self._tk_adapted}_{part}").zero_()
        for form in self._tk_forms.values():
            form.loaded(self)
        return None

    def _tk_merged(self) -> dict[str, Tensor]:
        """The variables of the adapted weight, quantized again with the low-rank term added."""
        form = self._tk_form
        assert form is not None
        if form.keeps_weight:
            return {form.attribute: self._tk_adapted_weight().detach()}
        with torch.no_grad():
            a, b = (getattr(self, f"lora_{self._tk_adapted}_{part}") for part in "ab")
            factor = self.lora_alpha / self.lora_rank  # type: ignore[operator]
            return form.quantized(form.dequantized(self) + factor * (a @ b), by_default=True)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Make a layer from the result of `get_config()`, without the weights.

        Args:
            config: a dict.

        Returns:
            The layer.
        """
        described: Any = config.get("quantization_config")
        if described is None:
            return super().from_config(config)
        return super().from_config({**config, "quantization_config": quantizers.get(described)})


def _no_low_rank(mode: str) -> NotImplementedError:
    return NotImplementedError(f"lora is not currently supported with {mode.upper()} quantization.")


def policy_of(mode: str | None, config: QuantizationConfig | None, source: DTypePolicy) -> DTypePolicy:
    """The policy of a layer that was quantized."""
    spelled = mode if config is None else config.dtype_policy_string()
    return get_policy(f"{spelled}_from_{source.name}")
