"""The state of a layer as a torch module: weights, sublayers, and how they are named, read and moved."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from torchkeras import constraints, dtype_policies, initializers, regularizers
from torchkeras.core import naming, tree
from torchkeras.core.state import state
from torchkeras.core.tensors.convert import convert_to_numpy, convert_to_tensor
from torchkeras.core.tensors.dtypes import is_float, standardize_dtype
from torchkeras.core.tensors.sharded import dtensors, is_sharded
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.core.variables.variable import BufferVariable, Variable, VariableInfo, as_variable
from torchkeras.layers.base import losses
from torchkeras.layers.base.containers import Container, attach_all, holds_layers, wrap


class StatefulModule(nn.Module):
    """An `nn.Module` whose parameters and buffers are Keras variables."""

    name: str
    _tk_trainable: bool

    # A part of a torch module takes that module's mode, see mode.py.
    _tk_follows_mode = True

    # Lists, dicts and tuples of layers set as attributes; what they hold stands in `_modules` under the same name.
    _tk_held: dict[str, Any]
    _tk_infos: dict[str, VariableInfo]
    _tk_seed_generators: list[SeedGenerator]
    _tk_metrics: list

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Made ready here, not in __init__, so that a subclass may set layers before it calls super().__init__().
        instance = super().__new__(cls, *args, **kwargs)
        nn.Module.__init__(instance)
        instance.__dict__.update(
            training=False,
            _tk_trainable=True,
            _tk_held={},
            _tk_infos={},
            _tk_seed_generators=[],
            _tk_metrics=[],
            _tk_losses=[],
            _tk_has_losses=False,
            _tk_losses_under=0,
            _inbound_nodes=[],
        )
        return instance

    # ------------------------------------------------------------------ attributes

    def __getattr__(self, name: str) -> Any:
        # Reached for parameters, buffers and submodules alone: those are not in the instance's __dict__.
        own = self.__dict__
        if "_parameters" in own:
            if name in own["_parameters"]:
                value = own["_parameters"][name]
                return self._tk_read(name, value) if state.special else value
            if name in own["_modules"] and name not in own["_tk_held"]:
                return own["_modules"][name]
            if name in own["_buffers"]:
                value = own["_buffers"][name]
                if type(value) is torch.Tensor and name in own["_tk_infos"]:
                    value = as_variable(value, False, own["_tk_infos"][name])
                return self._tk_read(name, value) if state.special else value
            if name in own["_tk_held"]:
                held = own["_tk_held"][name]
                # torch.func.functional_call and torch.export walk to `blocks.0.kernel` by getattr and want modules.
                if (
                    not torch.compiler.is_dynamo_compiling()
                    and sys._getframe(1).f_globals.get("__name__") == _TORCH_WALKER
                ):
                    return own["_modules"].get(name, held)
                return held
        if name == "_layers" and "_modules" in own:  # Keras's name; a subclass may set an attribute of that name
            return direct_sublayers(self)
        found = getattr(type(self), name, None)
        if isinstance(found, property) and found.fget is not None:
            return found.fget(self)  # raises again what brought us here, which says more
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__dict__.get("_tk_held", ())})

    def _tk_read(self, name: str, value: Any) -> Any:
        """A weight as the call in progress wants it: symbolic, replaced, or cast."""
        if value is None:
            return None
        if state.symbolic:
            meta = torch.empty_like(value, device="meta")
            return as_variable(meta, False, self._tk_infos.get(name)) if isinstance(value, BufferVariable) else meta
        if state.stateless is not None and isinstance(value, Variable):
            replaced = state.stateless.get_current_value(value)
            value = value if replaced is None else replaced
        if state.autocast is not None and value.is_floating_point() and value.dtype != state.autocast:
            info = self._tk_infos.get(name)
            if (info is None or info.autocast) and isinstance(value, nn.Parameter):
                return value.to(state.autocast)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Variable) and "_tk_infos" in self.__dict__:
            self._tk_adopt(name, value)
        elif isinstance(value, nn.Module) and not isinstance(value, Container):
            self._tk_drop_container(name)
            self.__dict__.pop(name, None)
            super().__setattr__(name, value)
            losses.note_attachment()
        elif isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
        elif type(value) in (list, dict, set, OrderedDict) and "_modules" in self.__dict__ and name not in _INTERNAL:
            self._tk_set_container(name, wrap(value))
        elif type(value) is tuple and holds_layers(value):
            self._tk_drop(name)
            value = wrap(value)
            container = Container(value)
            attach_all(value, self, container)
            container.sync()
            self._modules[name] = container
            self._tk_held[name] = value
        else:
            if isinstance(value, SeedGenerator) and "_tk_seed_generators" in self.__dict__:
                if all(value is not known for known in self._tk_seed_generators):
                    self._tk_seed_generators.append(value)
            elif hasattr(value, "update_state") and hasattr(value, "reset_state") and "_tk_metrics" in self.__dict__:
                if all(value is not known for known in self._tk_metrics):
                    self._tk_metrics.append(value)
            self._tk_set_plain(name, value)

    def _tk_set_plain(self, name: str, value: Any) -> None:
        self._tk_drop_container(name)
        if value is not None and name in self.__dict__.get("_modules", ()):
            del self._modules[name]
        super().__setattr__(name, value)

    def _tk_drop_container(self, name: str) -> None:
        if self.__dict__.get("_tk_held", {}).pop(name, None) is not None:
            self._modules.pop(name, None)

    def _tk_drop(self, name: str) -> None:
        """Let go of whatever an attribute held."""
        for place in (self.__dict__, self._tk_held, self._modules, self._parameters, self._buffers, self._tk_infos):
            place.pop(name, None)

    def _tk_set_container(self, name: str, value: Any) -> None:
        self._tk_drop(name)
        self._tk_held[name] = value
        value._attach(self, name)

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__.get("_tk_held", ()):
            self._tk_drop_container(name)
            return
        if name in self.__dict__.get("_tk_infos", {}):
            del self._tk_infos[name]
        super().__delattr__(name)

    def _tk_adopt(self, name: str, variable: Variable) -> None:
        """Register a variable as the attribute `name`, in the place where `add_weight` put it."""
        self.__dict__.pop(name, None)
        place, other = (self._parameters, self._buffers)
        if not isinstance(variable, nn.Parameter):
            place, other = other, place
        other.pop(name, None)
        former = next((key for key, known in place.items() if known is variable), None)
        if former is None:
            place[name] = variable
        elif former != name:
            items = [(name if key == former else key, known) for key, known in place.items() if key != name]
            place.clear()
            place.update(items)
            self._tk_infos.pop(former, None)
        self._non_persistent_buffers_set.discard(name)
        self._tk_infos[name] = variable.info
        losses.note_attachment()

    # ------------------------------------------------------------------ weights

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str | None = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Any:
        """Make a weight: a parameter, or with `trainable=False` a buffer. Assign it to an attribute.

        Args:
            shape: default `()`.
            initializer: default `"glorot_uniform"` for floats, `"zeros"` for the rest.
            dtype: default: the layer's variable dtype.
            regularizer, constraint: by name or callable.
        """
        if "_dtype_policy" not in self.__dict__:
            raise RuntimeError(
                f"{type(self).__name__}.__init__() must call super().__init__() before it makes weights."
            )
        if isinstance(shape, str):
            raise ValueError(f"A weight's name is given as a keyword argument: add_weight(name={shape!r}, ...).")
        shape = () if shape is None else ((shape,) if isinstance(shape, int) else tuple(shape))
        if None in shape:
            raise ValueError(
                f"A weight's shape must be fully known; layer {self.name!r} asked for {shape} for {name!r}. "
                f"Give the missing sizes in the input shape."
            )
        dtype = standardize_dtype(dtype) if dtype is not None else self.variable_dtype  # type: ignore[attr-defined]
        if initializer is None:
            initializer = "glorot_uniform" if is_float(dtype) else "zeros"
        with naming.name_scope(self.name, caller=self):
            variable: Any = Variable(
                initializers.get(initializer),
                shape=shape,
                dtype=dtype,
                trainable=trainable,
                autocast=autocast,
                aggregation=aggregation,
                name=name,
            )
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        variable.overwrite_with_gradient = overwrite_with_gradient
        key = variable.name.replace(".", "_")
        while key in self._parameters or key in self._buffers or key in self._modules:
            key += "_"
        # Registered at once; the attribute that it is assigned to renames it.
        (self._parameters if trainable else self._buffers)[key] = variable
        self._tk_infos[key] = variable.info
        if not self._tk_trainable and trainable:
            variable.trainable = False
        return variable

    def _tk_own_variables(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, parameter in self._parameters.items():
            if parameter is not None:
                yield name, parameter
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                yield name, buffer

    def _tk_all_weights(self, seen: set[int] | None = None) -> Iterator[tuple[torch.Tensor, bool]]:
        """Each weight once, own ones first, with whether it may be trained."""
        seen = set() if seen is None else seen
        if id(self) in seen:
            return
        seen.add(id(self))
        for name, tensor in self._tk_own_variables():
            if id(tensor) not in seen:
                seen.add(id(tensor))
                info = self._tk_infos.get(name)
                yield tensor, self._tk_trainable and tensor.requires_grad and (info is None or info.trainable)
        for child in self._modules.values():
            if child is not None:
                for tensor, trainable in _weights_of(child, seen):
                    yield tensor, trainable and self._tk_trainable

    @property
    def weights(self) -> list:
        """All weights, own ones first, then the sublayers'; without seeds' and metrics' state."""
        return [tensor for tensor, _ in self._tk_all_weights()]

    @property
    def trainable_weights(self) -> list:
        """The weights that training changes now."""
        return [tensor for tensor, trainable in self._tk_all_weights() if trainable]

    @property
    def non_trainable_weights(self) -> list:
        return [tensor for tensor, trainable in self._tk_all_weights() if not trainable]

    @property
    def variables(self) -> list:
        """Weights and the state of seed generators, layer by layer; `metrics_variables` has that of metrics."""
        found: list = []
        _collect_variables(self, found, set())
        return _unique(found)

    add_variable = add_weight

    @property
    def torch_params(self) -> dict[str, torch.Tensor]:
        """All variables by path, as Keras's torch backend offers them."""
        return {getattr(v, "path", str(i)): v for i, v in enumerate(self.variables)}

    @property
    def trainable_variables(self) -> list:
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list:
        trainable = {id(v) for v in self.trainable_weights}
        return [v for v in self.variables if id(v) not in trainable]

    @property
    def metrics(self) -> list:
        """The metrics set as attributes of the layer and its sublayers."""
        return _unique([m for layer in self._tk_layer_tree() for m in layer._tk_metrics])

    @property
    def metrics_variables(self) -> list:
        return [v for metric in self.metrics for v in metric.variables]

    def _tk_layer_tree(self) -> Iterator[StatefulModule]:
        """The layer itself and all layers within, each once."""
        for module in self.modules():
            if isinstance(module, StatefulModule):
                yield module

    def _flatten_layers(self, recursive: bool = True, include_self: bool = True) -> list:
        found: list = [self] if include_self else []
        for child in direct_sublayers(self):
            found.append(child)
            if recursive and isinstance(child, StatefulModule):
                found += child._flatten_layers(include_self=False)
        return found

    @property
    def trainable(self) -> bool:
        """Whether training changes the layer's weights. Setting it reaches all sublayers and `requires_grad`."""
        return self._tk_trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = bool(value)
        object.__setattr__(self, "_tk_trainable", value)
        if "_parameters" not in self.__dict__:
            return
        for parameter in self._parameters.values():
            if isinstance(parameter, Variable):
                parameter.trainable = value
            elif parameter is not None:
                parameter.requires_grad_(value)
        for child in self._modules.values():
            if child is not None:
                _set_trainable(child, value)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the values of `weights` as NumPy arrays."""
        return [_copy_of(tensor) for tensor in self.weights]

    def set_weights(self, weights: list) -> None:
        """Put values of the form of `get_weights()` in; nothing changes unless all fit.

        Raises:
            ValueError: the number of values or a shape differs.
        """
        own = self.weights
        if len(own) != len(weights):
            raise ValueError(
                f"Layer {self.name!r} has {len(own)} weights; set_weights() received {len(weights)} values."
            )
        for tensor, value in zip(own, weights):
            if tuple(tensor.shape) != tuple(np.shape(value)):
                raise ValueError(
                    f"Layer {self.name!r}: weight {getattr(tensor, 'path', '')!r} has shape {tuple(tensor.shape)}; "
                    f"received a value of shape {tuple(np.shape(value))}."
                )
        for tensor, value in zip(own, weights):
            assign(tensor, value)

    def count_params(self) -> int:
        """The number of scalars in `weights`.

        Raises:
            ValueError: the layer is not built.
        """
        if not getattr(self, "built", True):
            raise ValueError(f"Layer {self.name!r} has no weights yet: build it, or call it on data, first.")
        return sum(tensor.numel() for tensor in self.weights)

    # ------------------------------------------------------------------ as a torch module

    def _apply(self, fn: Callable, recurse: bool = True) -> StatefulModule:
        super()._apply(fn, recurse)
        # Torch makes new objects where it moves to another kind of device; the class and the facts are put back.
        for name, info in self._tk_infos.items():
            for place in (self._parameters, self._buffers):
                tensor = place.get(name)
                if tensor is not None and not isinstance(tensor, Variable) and type(tensor).__name__ != "DTensor":
                    if place is self._parameters and type(tensor) is not nn.Parameter:
                        continue
                    variable = as_variable(tensor.detach(), place is self._parameters, info)
                    variable.requires_grad_(tensor.requires_grad)
                    place[name] = variable
        self._tk_follow_dtype(fn)
        return self

    def _tk_follow_dtype(self, fn: Callable) -> None:
        """`.half()` and `.to(dtype)` change the layer's dtype policy too."""
        policy = self.dtype_policy  # type: ignore[attr-defined]
        if policy.compute_dtype != policy.variable_dtype or policy.variable_dtype not in _FLOATS:
            return
        probe = torch.zeros((), dtype=_FLOATS[policy.variable_dtype])
        try:
            moved = fn(probe)
        except (RuntimeError, NotImplementedError, TypeError):
            return
        if moved.dtype != probe.dtype and moved.is_floating_point():
            self.dtype_policy = dtype_policies.get(standardize_dtype(moved.dtype))

    def train(self, mode: bool = True) -> Self:
        """Set the training mode of the layer and of all layers within, as for any torch module.

        A mode that was set once stays when the layer becomes part of another module.
        """
        self.__dict__["_tk_mode_chosen"] = True
        return super().train(mode)

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        if not getattr(self, "built", True) and not set(state_dict) <= set(self.state_dict()):
            raise ValueError(
                f"{type(self).__name__} {self.name!r} has no weights yet: build it, or call it on data, before "
                f"load_state_dict()."
            )
        result = super().load_state_dict(state_dict, strict=strict, assign=assign)
        if assign:
            self._apply(lambda t: t)
        return result


_FLOATS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
_TORCH_WALKER = "torch.nn.utils._named_member_accessor"
_INTERNAL = frozenset(
    {
        "_tk_infos",
        "_tk_seed_generators",
        "_tk_metrics",
        "_tk_losses",
        "_inbound_nodes",
        "_tk_init_args",
        "_tk_build_shapes",
        "input_spec",
    }
)


def _copy_of(tensor: torch.Tensor) -> np.ndarray:
    if isinstance(tensor, Variable):
        return tensor.numpy()
    return np.array(convert_to_numpy(tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor))


def assign(tensor: torch.Tensor, value: Any) -> None:
    """Put a value into a weight of any kind."""
    if isinstance(tensor, Variable):
        tensor.assign(value)
        return
    value = convert_to_tensor(value, tensor.dtype, tensor.device)
    if is_sharded(tensor):  # each rank keeps its part
        value = dtensors().distribute_tensor(value, tensor.device_mesh, tensor.placements)
    with torch.no_grad():
        tensor.copy_(value)


def _unique(values: list) -> list:
    seen: set[int] = set()
    unique = []
    for value in values:
        if id(value) not in seen:
            seen.add(id(value))
            unique.append(value)
    return unique


def direct_sublayers(module: nn.Module) -> list:
    """The modules held in the attributes of `module`, in lists and dicts too, each once."""
    children: list = []
    for child in module._modules.values():
        if isinstance(child, Container):
            children.extend(direct_sublayers(child))
        elif child is not None:
            children.append(child)
    return _unique(children)


def _collect_variables(module: nn.Module, found: list, seen: set[int]) -> None:
    if id(module) in seen:
        return
    seen.add(id(module))
    if isinstance(module, StatefulModule):
        found += [tensor for _, tensor in module._tk_own_variables()]
        seeds = module._tk_seed_generators + [v for v in tree.flatten(module._tk_held) if isinstance(v, SeedGenerator)]
        found += [v for seed in seeds for v in seed.variables]
    else:
        found += [p for p in module._parameters.values() if p is not None]
        found += [
            b for n, b in module._buffers.items() if b is not None and n not in module._non_persistent_buffers_set
        ]
    for child in module._modules.values():
        if child is not None:
            _collect_variables(child, found, seen)


def _weights_of(module: nn.Module, seen: set[int]) -> Iterator[tuple[torch.Tensor, bool]]:
    if isinstance(module, StatefulModule):
        yield from module._tk_all_weights(seen)
        return
    own = [p for p in module._parameters.values() if p is not None]
    own += [b for n, b in module._buffers.items() if b is not None and n not in module._non_persistent_buffers_set]
    for tensor in own:
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield tensor, tensor.requires_grad
    for child in module._modules.values():
        if child is not None:
            yield from _weights_of(child, seen)


def _set_trainable(module: nn.Module, value: bool) -> None:
    if isinstance(module, StatefulModule):
        module.trainable = value
        return
    for parameter in module._parameters.values():
        if isinstance(parameter, Variable):
            parameter.trainable = value
        elif parameter is not None and (parameter.is_floating_point() or parameter.is_complex()):
            parameter.requires_grad_(value)
    for child in module._modules.values():
        if child is not None:
            _set_trainable(child, value)
