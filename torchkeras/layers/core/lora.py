"""Low-rank adaptation (LoRA, Hu et al., 2021): a trainable low-rank term added to a frozen weight."""

from __future__ import annotations

from typing import Any, Self, overload

import torch
from torch import Tensor

from torchkeras import initializers
from torchkeras.core.state import state
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.types import Identifier, Store
from torchkeras.layers.base.hooks import default_unless
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.values import assign
from torchkeras.layers.base.weight_walk import count_saved, own_weights


class AdaptedWeight:
    """The attribute of the weight that a low-rank term may be added to: the parameter, or the sum.

    Parameters and `state_dict()` have the frozen weight under the attribute's name in both cases. So has the attribute
    between calls while the weight lies in parts on several ranks. Python finds an attribute of the class before it
    calls `Layer.__getattr__`, so that reading a weight this way takes a third of the time. It has no `__set__`:
    assignments go to the layer as without it.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, layer: None, owner: type) -> Self: ...
    @overload
    def __get__(self, layer: Layer, owner: type) -> Tensor: ...
    def __get__(self, layer: Any, owner: type) -> Any:
        if layer is None:
            return self
        if layer._tk_stored_specially:
            return layer._tk_shown_weight()
        value = layer.__dict__["_parameters"].get(self.name)
        if value is None or state.special:
            return Layer.__getattr__(layer, self.name)
        return value


class LowRankAdaptable(Layer):
    """A layer with a weight (named by `adapted`) that can be trained as `weight + alpha / rank * a @ b`.

    Subclasses declare the weight's attribute as an `AdaptedWeight`. Files hold the sum: weights saved with an adapter
    load into a layer without one.
    """

    keras_module = None
    _tk_config_base = True
    _tk_adapted = "kernel"
    lora_rank: int | None
    lora_alpha: float | None
    lora_enabled = False
    # Whether the weight is not just a parameter: it has a low-rank term, or is quantized.
    _tk_stored_specially = False

    def _tk_set_lora(self, rank: int | None, alpha: float | None) -> None:
        """Store the adapter's rank and `alpha`, which is the rank unless given."""
        self.lora_rank = rank
        self.lora_alpha = rank if alpha is None else alpha

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Identifier = "he_uniform",
        b_initializer: Identifier = "zeros",
    ) -> None:
        """Freeze the weight and train a low-rank term that is added to it.

        Args:
            rank: number of columns of `a` and rows of `b`.
            lora_alpha: the term is multiplied by `lora_alpha / rank`; `None` means `rank`. Default: `None`.
            a_initializer, b_initializer: how the two factors start. Defaults: `"he_uniform"`, `"zeros"`.

        Raises:
            ValueError: the layer is not built, has an adapter already, or constrains the weight.
        """
        name = self._tk_adapted
        if getattr(self, f"{name}_constraint"):
            raise ValueError(
                f"Lora is incompatible with {name.removesuffix('s')} constraints. "
                f"Remove the `{name}_constraint` argument."
            )
        if not self.built:
            raise ValueError("Cannot enable lora on a layer that isn't yet built.")
        if self.lora_enabled:
            raise ValueError("lora is already enabled. This can only be done once per layer.")
        weight, shape = self._tk_low_rank_base()
        shapes = {"a": (*shape[:-1], rank), "b": (rank, shape[-1])}
        for part, initializer in (("a", a_initializer), ("b", b_initializer)):
            factor = self.add_weight(
                name=f"lora_{name}_{part}",
                shape=shapes[part],
                initializer=initializers.get(initializer),
                dtype="float32",
                regularizer=getattr(self, f"{name}_regularizer"),
            )
            setattr(self, f"lora_{name}_{part}", factor)
        if weight is not None:
            weight.trainable = False  # type: ignore[attr-defined]
        self.lora_enabled = self._tk_stored_specially = True
        self._tk_set_lora(rank, lora_alpha)

    def _tk_low_rank_base(self) -> tuple[Tensor | None, tuple[int, ...]]:
        """The float weight that the low-rank term is added to, if there is one, and its shape."""
        weight = self._tk_own_weight(self._tk_adapted)
        return weight, tuple(weight.shape)

    def _tk_own_weight(self, name: str) -> Tensor:
        """The weight `name` without a low-rank term."""
        is_hidden = isinstance(getattr(type(self), name, None), AdaptedWeight) and name not in self.__dict__
        return Layer.__getattr__(self, name) if is_hidden else getattr(self, name)

    def _tk_shown_weight(self) -> Tensor:
        """The value of the weight's attribute where the weight is not just a parameter."""
        weight = self._tk_own_weight(self._tk_adapted)
        if not self.lora_enabled or is_sharded(weight):  # FSDP2 looks for its parameter under the attribute
            return weight
        return self._tk_adapted_weight().to(torch_dtype(self.compute_dtype))

    def _tk_adapted_weight(self) -> Tensor:
        """The weight with the low-rank term added, in the type of the weight."""
        weight = self._tk_own_weight(self._tk_adapted)
        if not self.lora_enabled:
            return weight
        a, b = (getattr(self, f"lora_{self._tk_adapted}_{part}") for part in "ab")
        return weight + (self.lora_alpha / self.lora_rank * torch.matmul(a, b)).to(weight.dtype)

    @default_unless("lora_enabled")
    def save_own_variables(self, store: Store) -> None:
        if not self.lora_enabled:
            return super().save_own_variables(store)
        for i, (name, tensor) in enumerate(self._saved_variables()):
            store[str(i)] = self._tk_adapted_weight().detach() if name == self._tk_adapted else tensor
        return None

    @default_unless("lora_enabled")
    def load_own_variables(self, store: Store) -> None:
        if not self.lora_enabled:
            return super().load_own_variables(store)
        saved = self._saved_variables()
        if count_saved(store) != len(saved):
            raise ValueError(
                f"Layer {self.name!r} has {len(saved)} weights beside LoRA's; the file has {count_saved(store)}."
            )
        for i, (_, tensor) in enumerate(saved):
            assign(tensor, store[str(i)])
        with torch.no_grad():
            for part in "ab":
                getattr(self, f"lora_{self._tk_adapted}_{part}").zero_()
        return None

    def _saved_variables(self) -> list[tuple[str, Tensor]]:
        return [(w.name, w.tensor) for w in own_weights(self) if not w.name.startswith("lora_")]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if not config.get("lora_rank"):
            config.pop("lora_rank", None), config.pop("lora_alpha", None)
        return config
