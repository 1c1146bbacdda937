"""Layers that compute with a module of `torch.nn`: the form of a layer under `torch_view`.

A layer under the view has another class for the time: one that is derived from the layer's own and from one of the
classes here. Its weights are parameters of the torch module, in torch's layout, and share the memory of the layer's.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from torchkeras import layers
from torchkeras.core.state import state
from torchkeras.core.tensors.masks import set_mask
from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.types import Store
from torchkeras.core.variables.variable import Variable, VariableInfo, as_variable
from torchkeras.layers.base.input_spec import check_inputs
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.values import assign, read_weight
from torchkeras.layers.base.weight_walk import add_sublayer, own_weights
from torchkeras.utils.torch_view.probing import embedding_weights, linear_weights


@dataclass
class Held:
    """A weight of a layer that is under the view.

    Attributes:
        name: name in the layer, such as `"kernel"`.
        parameter: name in the torch module, such as `"weight"`.
        variable: the layer's weight, which comes back when the view is closed.
    """

    name: str
    parameter: str
    variable: Variable


@dataclass
class Swap:
    """A parameter that takes the place of another, and the views from one layout to the other.

    Attributes:
        old, new: the parameters.
        change: from the layout of `old` to that of `new`.
        back: the way back.
    """

    old: Tensor
    new: Tensor
    change: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]

    def reversed(self) -> Swap:
        """The swap that undoes this one."""
        return Swap(self.new, self.old, self.back, self.change)


class ViewedLayer:
    """Computes with the torch module in its attribute `key` in the place of the layer's own formula.

    A subclass says how the module is made, how the weights lie in it, and how the layer calls it.
    """

    key: ClassVar[str]
    kind: ClassVar[Any]
    name: str
    own_class: ClassVar[type]
    call: Callable[..., Tensor]
    _tk_held: list[Held]
    _tk_names: list[str]
    _tk_splits = None
    _tk_stands_in = True

    # ------------------------------------------------------------------ what a subclass says

    @staticmethod
    def refusal(layer: Layer) -> str | None:
        """The reason why a layer can't be shown as a torch module, or `None`."""
        raise NotImplementedError

    def _tk_module(self) -> nn.Module:
        """The torch module, on the meta device."""
        raise NotImplementedError

    def _tk_there(self, name: str, value: Tensor) -> Tensor:
        """A weight in torch's layout, a view."""
        return value

    def _tk_back(self, name: str, value: Tensor) -> Tensor:
        """A weight of the torch module in the layer's layout."""
        return value

    def _tk_probed(self, module: nn.Module) -> dict[str, Tensor]:
        """The weights, in the module's layout, that a module of any class computes with."""
        raise NotImplementedError

    # ------------------------------------------------------------------ the weights

    def _tk_enter(self) -> None:
        """Move the weights into a new torch module."""
        own = self.__dict__
        own["_tk_names"] = [weight.name for weight in own_weights(self)]  # type: ignore[arg-type]
        held = [Held(*names, own["_parameters"][names[0]]) for names in self._tk_weights()]
        module = self._tk_module()
        module.training = own["training"]
        infos: dict[str, VariableInfo] = {}
        for weight in held:
            info = infos[weight.parameter] = self._tk_shown_info(weight)
            # Tools of torch want their layout contiguous: the layer's weight becomes the view of it.
            value = self._tk_there(weight.name, weight.variable.detach()).contiguous()
            weight.variable.data = self._tk_back(weight.name, value)
            shown = as_variable(value, True, info)
            shown.requires_grad_(weight.variable.requires_grad)
            module.register_parameter(weight.parameter, shown)  # type: ignore[arg-type]
            del own["_parameters"][weight.name], own["_tk_infos"][weight.name]
        module.__dict__["_tk_infos"] = infos
        own["_tk_held"] = held
        # The module says which sizes it takes: a rank's part of them after RowwiseParallel.
        own["_tk_input_spec"], own["input_spec"] = own["input_spec"], None
        add_sublayer(self, self.key, module)  # type: ignore[arg-type]

    def _tk_weights(self) -> list[tuple[str, str]]:
        """The names of the weights in the layer and in the module."""
        pairs = (("kernel", "weight"), ("bias", "bias"))
        return [pair for pair in pairs if self.__dict__["_parameters"].get(pair[0]) is not None]

    def _tk_shown_info(self, weight: Held) -> VariableInfo:
        """The metadata for the weight in torch's layout: regularizer and constraint see the layer's layout."""
        info = copy.copy(weight.variable.info)
        info.memory_order = None
        for kind in ("regularizer", "constraint"):
            rule = getattr(info, kind)
            if rule is not None:
                setattr(info, kind, InLayout(rule, self, weight.name, is_constraint=kind == "constraint"))
        return info

    def _tk_swaps(self) -> list[Swap]:
        """The layer's weights and the parameters of the torch module in their places, as far as it has them."""
        found = []
        for weight in self._tk_held:
            shown = self._tk_torch_module()._parameters.get(weight.parameter)
            if isinstance(shown, Variable):
                there, back = (functools.partial(way, weight.name) for way in (self._tk_there, self._tk_back))
                found.append(Swap(weight.variable, shown, there, back))
        return found

    def _tk_leave(self, values: dict[str, Tensor]) -> None:
        """Take the weights back, with values in the module's layout."""
        own = self.__dict__
        module = own["_modules"].pop(self.key)
        own["_tk_sublayers"].pop(module, None)
        held = own.pop("_tk_held")
        for weight in held:
            variable, value = weight.variable, values[weight.parameter].detach()
            if isinstance(module._parameters.get(weight.parameter), Variable):
                variable.requires_grad_(module._parameters[weight.parameter].requires_grad)  # type: ignore[union-attr]
            back = self._tk_back(weight.name, value)
            if not (back.data_ptr() == variable.data_ptr() and back.stride() == variable.stride()):
                assign(variable, back.to(variable.dtype))
            variable.data = variable.data.contiguous()
            own["_parameters"][weight.name] = variable
            own["_tk_infos"][weight.name] = variable.info
        own["input_spec"] = own.pop("_tk_input_spec")
        order = {name: i for i, name in enumerate(own.pop("_tk_names"))}
        for place in (own["_parameters"], own["_tk_infos"]):
            items = sorted(place.items(), key=lambda item: order.get(item[0], len(order)))
            place.clear()
            place.update(items)

    def _tk_torch_module(self) -> nn.Module:
        module = self.__dict__["_modules"][self.key]
        return module

    def _tk_readable(self) -> bool:
        """Whether the module still has torch's class, so that its weights can be read by name."""
        module = self._tk_torch_module()
        return type(module) is self.kind or (is_parametrized(module) and isinstance(module, self.kind))

    def _tk_is_untouched(self) -> bool:
        """Whether the module is as the view made it, but for the values of its weights."""
        module = self._tk_torch_module()
        return (
            type(module) is self.kind
            and not (module._forward_hooks or module._forward_pre_hooks or module._modules or module._buffers)
            and {name for name, p in module._parameters.items() if p is not None}
            == {w.parameter for w in self._tk_held}
            and all(_is_plain(module._parameters[w.parameter]) for w in self._tk_held)  # type: ignore[arg-type]
        )

    def _tk_values(self) -> dict[str, Tensor]:
        """The values with which the module computes, in its layout, whatever a tool made of it.

        Raises:
            ValueError: the module is not linear in its inputs, or has a bias where the layer has none.
        """
        module = self._tk_torch_module()
        names = [weight.parameter for weight in self._tk_held]
        if self._tk_readable():
            read = {name: getattr(module, name) for name in names}
            if all(_is_plain(value) or is_sharded(value) for value in read.values()):
                with torch.no_grad():
                    return {n: v.full_tensor() if is_sharded(v) else v for n, v in read.items()}
        found = self._tk_probed(module)
        extra = [name for name in found if name not in names]
        if any(bool(found[name].abs().max() > 1e-6) for name in extra):
            raise ValueError(
                f"Layer {self.name!r} has no {' and no '.join(extra)}, "
                f"but the module in its place adds one: {module}. Make the layer with one."
            )
        return found

    def _tk_read(self, name: str) -> Tensor:
        """The weight `name` in the layer's layout, as a part of the torch module's."""
        held = next(weight for weight in self._tk_held if weight.name == name)
        if state.symbolic:
            return torch.empty(held.variable.shape, dtype=held.variable.dtype, device="meta")
        if not self._tk_readable():
            module = self._tk_torch_module()
            raise AttributeError(
                f"Layer {self.name!r} computes with {type(module).__name__}, which a tool put in the place of "
                f"{self.kind.__name__}: it has no {name!r} of its own. The module is its attribute {self.key!r}; "
                f"torch_view(model).close('merge') makes {name!r} of it."
            )
        weight = getattr(self._tk_torch_module(), held.parameter)
        return self._tk_back(name, read_weight(weight, held.variable.info) if state.special else weight)

    # ------------------------------------------------------------------ the call

    def _tk_run(self, inputs: Tensor, given: Tensor | None = None) -> Tensor:
        """The module's outputs for inputs in torch's layout; `given` are those of the layer where they differ.

        Raises:
            ValueError: the module refused the inputs, and they do not fit the layer.
        """
        try:
            return self._tk_torch_module()(inputs)
        except RuntimeError:
            spec = self.__dict__["_tk_input_spec"]
            if spec is not None:
                check_inputs(spec, inputs if given is None else given, self.name)
            raise

    def _tk_is_plain_call(self) -> bool:
        """Whether the call in progress has no values, or others than the module's: the layer's own formula serves."""
        return state.symbolic or (state.stateless is not None and self._tk_readable())

    def _tk_casting(self, inputs: Tensor) -> AbstractContextManager:
        """Torch's autocast in the place of Keras's, which a torch module's reads of its weights do not pass."""
        compute = self.__dict__["_tk_autocast_type"]
        return nullcontext() if compute is None else torch.autocast(inputs.device.type, compute)

    # ------------------------------------------------------------------ files, copies, refusals

    def save_own_variables(self, store: Store) -> None:
        """Write the layer's weights, as a layer that is not under the view has them."""
        values = self._tk_values()
        held = {weight.name: self._tk_back(weight.name, values[weight.parameter].detach()) for weight in self._tk_held}
        for i, name in enumerate(self._tk_names):
            store[str(i)] = held[name] if name in held else self.__dict__["_parameters"][name]

    def load_own_variables(self, store: Store) -> None:
        """Read the layer's weights into the torch module.

        Raises:
            ValueError: a tool changed the module, or the number of weights differs.
        """
        if not self._tk_is_untouched():
            raise ValueError(
                f"Layer {self.name!r} can't load weights: a tool changed its module, which is "
                f"{self._tk_torch_module()}. Merge the module first: torch_view(model).close('merge')."
            )
        if len(store.keys()) != len(self._tk_names):
            raise ValueError(
                f"Layer {self.name!r} has {len(self._tk_names)} weights of its own; the file has {len(store.keys())}."
            )
        module = self._tk_torch_module()
        held = {weight.name: weight.parameter for weight in self._tk_held}
        for i, name in enumerate(self._tk_names):
            if name in held:
                value = torch.as_tensor(store[str(i)])
                assign(module._parameters[held[name]], self._tk_there(name, value))  # type: ignore[arg-type]
            else:
                assign(self.__dict__["_parameters"][name], store[str(i)])

    def enable_lora(self, *args: object, **kwargs: Any) -> None:
        """Raise an error: the weights are a torch module's."""
        raise ValueError(self._tk_closed_only("enable_lora()"))

    def quantize(self, *args: object, **kwargs: Any) -> None:
        """Raise an error: the weights are a torch module's."""
        raise ValueError(self._tk_closed_only("quantize()"))

    def _tk_closed_only(self, what: str) -> str:
        return (
            f"{what} needs layer {self.name!r} as it is; torch_view shows it as a torch module. Close the view first."
        )


class InLayout:
    """A regularizer or constraint of a weight in the layer's layout, for the weight in torch's.

    Args:
        rule: the regularizer or constraint.
        layer: the layer under the view.
        name: the weight's name in the layer.
        is_constraint: whether the result is a weight.
    """

    def __init__(self, rule: Callable, layer: Any, name: str, is_constraint: bool) -> None:
        self.rule, self.layer, self.name, self.is_constraint = rule, layer, name, is_constraint

    def __call__(self, weight: Tensor) -> Tensor:
        result = self.rule(self.layer._tk_back(self.name, weight))
        return self.layer._tk_there(self.name, result) if self.is_constraint else result


def _is_plain(value: object) -> bool:
    return type(value) in (Tensor, nn.Parameter) or isinstance(value, Variable)


def weight_property(name: str) -> property:
    return property(lambda self: self._tk_read(name))


# ---------------------------------------------------------------------------- the kinds of layers


class ViewedDense(ViewedLayer):
    """A `Dense` layer as `nn.Linear`."""

    key, kind = "linear", nn.Linear

    @staticmethod
    def refusal(layer: Layer) -> str | None:
        return refusal_of(layer, "kernel", layers.Dense)

    def _tk_module(self) -> nn.Module:
        features, units = self.__dict__["_parameters"]["kernel"].shape
        return nn.Linear(features, units, bias=len(self._tk_weights()) > 1, device="meta")

    def _tk_there(self, name: str, value: Tensor) -> Tensor:
        return value.t() if name == "kernel" else value

    _tk_back = _tk_there

    def _tk_probed(self, module: nn.Module) -> dict[str, Tensor]:
        shown = self._tk_held[0].variable
        return linear_weights(module, shown.shape[0], shown.dtype)

    def call(self, inputs: Tensor) -> Tensor:
        if self._tk_is_plain_call():
            return self.own_class.call(self, inputs)  # type: ignore[attr-defined]
        with self._tk_casting(inputs):
            outputs = self._tk_run(inputs)
        return self._tk_finish(outputs, None)  # type: ignore[attr-defined]

    def _tk_as_product(self, inputs: Tensor) -> None:
        return None


class ViewedEinsumDense(ViewedLayer):
    """An `EinsumDense` layer whose equation is one matrix product as `nn.Linear`."""

    key, kind = "linear", nn.Linear
    _matmul_axes: int
    _rows: int
    _bias_in_matmul: bool
    _tk_shapes: dict[str, tuple[int, ...]]

    @staticmethod
    def refusal(layer: Layer) -> str | None:
        reason = refusal_of(layer, "kernel", layers.EinsumDense)
        if reason is None and not layer._matmul_axes:
            return f"the equation {layer.equation!r} is not one matrix product of the last axes"
        return reason

    def _tk_weights(self) -> list[tuple[str, str]]:
        return super()._tk_weights()[: 1 + self._bias_in_matmul]

    def _tk_module(self) -> nn.Module:
        columns = self.__dict__["_parameters"]["kernel"].numel() // self._rows
        return nn.Linear(self._rows, columns, bias=self._bias_in_matmul, device="meta")

    def _tk_there(self, name: str, value: Tensor) -> Tensor:
        return value.reshape(self._rows, -1).t() if name == "kernel" else value.reshape(-1)

    def _tk_back(self, name: str, value: Tensor) -> Tensor:
        shape = self._tk_shapes[name]
        return (value.t() if name == "kernel" else value).reshape(shape)

    def _tk_enter(self) -> None:
        parameters = self.__dict__["_parameters"]
        self.__dict__["_tk_shapes"] = {name: parameters[name].shape for name, _ in self._tk_weights()}
        super()._tk_enter()

    def _tk_probed(self, module: nn.Module) -> dict[str, Tensor]:
        return linear_weights(module, self._rows, self._tk_held[0].variable.dtype)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if self._tk_is_plain_call():
            return self.own_class.call(self, inputs)  # type: ignore[attr-defined]
        with self._tk_casting(inputs):
            outputs = self._tk_run(inputs.flatten(-self._matmul_axes), inputs)
        # The first size may be a rank's part of the whole, see ColwiseParallel.
        outputs = outputs.unflatten(-1, (-1, *self._tk_held[0].variable.shape[self._matmul_axes + 1 :]))
        return self._tk_finish(outputs, None if self._bias_in_matmul else self.bias)  # type: ignore[attr-defined]


class ViewedEmbedding(ViewedLayer):
    """An `Embedding` layer as `nn.Embedding`."""

    key, kind = "embedding", nn.Embedding

    @staticmethod
    def refusal(layer: Layer) -> str | None:
        return refusal_of(layer, "embeddings", layers.Embedding)

    def _tk_weights(self) -> list[tuple[str, str]]:
        return [("embeddings", "weight")]

    def _tk_module(self) -> nn.Module:
        rows, columns = self.__dict__["_parameters"]["embeddings"].shape
        return nn.Embedding(rows, columns, device="meta")

    def _tk_probed(self, module: nn.Module) -> dict[str, Tensor]:
        return embedding_weights(module, self._tk_held[0].variable.shape[0])

    def call(self, inputs: Tensor) -> Tensor:
        if self._tk_is_plain_call():
            return self.own_class.call(self, inputs)  # type: ignore[attr-defined]
        return self._tk_finish(self._tk_run(_as_indices(inputs)), None)  # type: ignore[attr-defined]


class ViewedReversibleEmbedding(ViewedEmbedding):
    """A `ReversibleEmbedding` layer; scores read the table of `nn.Embedding`."""

    @staticmethod
    def refusal(layer: Layer) -> str | None:
        return refusal_of(layer, "embeddings", layers.ReversibleEmbedding)

    def call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        layer: Any = self
        if reverse or self._tk_is_plain_call():
            return self.own_class.call(self, inputs, reverse=reverse)  # type: ignore[attr-defined]
        vectors = layer._tk_finish(self._tk_run(_as_indices(inputs)), None)
        mask = layers.Embedding.compute_mask(layer, inputs)
        if mask is not None:
            set_mask(vectors, mask)
        return vectors

    def _tk_as_product(self, inputs: Tensor, reverse: bool = False) -> None:
        return None


def _as_indices(inputs: Tensor) -> Tensor:
    return inputs if inputs.dtype in (torch.int64, torch.int32) else inputs.to(torch.int32)


def refusal_of(layer: Layer, name: str, base: type) -> str | None:
    if type(layer).call is not base.call:  # type: ignore[attr-defined]
        return "its class has a call() of its own"
    if getattr(layer, "lora_enabled", False):
        return "it has a low-rank adapter already (enable_lora)"
    if layer.quantization_mode is not None:
        return f"it is quantized ({layer.quantization_mode})"
    weight = layer._parameters.get(name)
    if not isinstance(weight, Variable):
        return f"its {name} is no plain weight: it is parametrized or lies in parts"
    return None
