"""A layer's attributes: what is set as one becomes a part of the layer, and how weights are read."""

from __future__ import annotations

from collections import OrderedDict
from types import BuiltinFunctionType, FunctionType
from typing import Any, Self

import torch
from torch import nn

from torchkeras.core.config.configurable import forgotten_init
from torchkeras.core.state import state
from torchkeras.core.tensors.devices import join_current_device
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.core.variables.variable import Variable, VariableInfo, as_variable
from torchkeras.layers.base.containers import Tracked, holds_state, unwrapped, wrap
from torchkeras.layers.base.untracked import depth as untracked
from torchkeras.layers.base.values import read_weight
from torchkeras.layers.base.weight_walk import (
    assigned_infos,
    note_sublayer,
    note_weight,
    sublayers,
    to_another_name,
    weight_of,
)


class AttributeTracking(nn.Module):
    """An `nn.Module` that owns the weights, layers, seed generators and metrics set as its attributes, as Keras's do.

    They may also stand in lists, dicts, sets and tuples, however deep.
    """

    # The metadata of weights held by attributes; second names of weights that have one already; names that add_weight
    # gave and no assignment has replaced yet; and the ledger of `weight_walk`.
    _tk_infos: dict[str, VariableInfo]
    _tk_aliases: dict[str, VariableInfo]
    _tk_unassigned: set[str]
    # The metadata of weights that were deleted, by name.
    _tk_deleted: dict[str, VariableInfo]
    _tk_made: dict[Any, None]
    _tk_mixed_order: bool
    _tk_sublayers: dict[nn.Module, None]
    _tk_seed_generators: list[SeedGenerator]
    _tk_metrics: list[Any]
    _tk_losses: list[torch.Tensor]
    _tk_trainable: bool
    # Whether a list, dict, set or tuple was ever an attribute.
    _tk_holds_containers: bool
    # A part of a torch module takes that module's mode, see mode.py.
    _tk_follows_mode = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Prepared here, not in __init__, so that a subclass may set layers before it calls super().__init__().
        instance = super().__new__(cls, *args, **kwargs)
        nn.Module.__init__(instance)
        instance.__dict__.update(
            training=False,
            built=False,
            _tk_input_type=None,
            _tk_trainable=True,
            _tk_infos={},
            _tk_aliases={},
            _tk_unassigned=set(),
            _tk_deleted={},
            _tk_made={},
            _tk_mixed_order=False,
            _tk_sublayers={},
            _tk_seed_generators=[],
            _tk_metrics=[],
            _tk_losses=[],
            _tk_has_losses=False,
            _tk_losses_under=0,
            _tk_holds_containers=False,
            _inbound_nodes=[],
        )
        return instance

    def __getattr__(self, name: str) -> Any:
        # Reached for parameters, buffers and submodules alone: those are not in the instance's __dict__.
        own = self.__dict__
        if "_parameters" in own:
            if name in own["_parameters"]:
                value = own["_parameters"][name]
                if not state.special or value is None:
                    return value
                return read_weight(value, own["_tk_infos"].get(name))
            if name in own["_modules"]:
                return own["_modules"][name]
            if name in own["_buffers"]:
                value = own["_buffers"][name]
                if type(value) is torch.Tensor and name in own["_tk_infos"]:
                    value = as_variable(value, False, own["_tk_infos"][name])
                if not state.special or value is None:
                    return value
                return read_weight(value, own["_tk_infos"].get(name))
        return _absent(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if type(value) in _SIMPLE and _holds_nothing(self, name):
            object.__setattr__(self, name, value)
            return
        ready = "_tk_infos" in self.__dict__
        if isinstance(value, _PARTS) and getattr(getattr(type(self), name, None), "fset", None) is not None:
            object.__setattr__(self, name, value)  # a property that takes layers or weights
        elif untracked.scopes and isinstance(value, _PARTS):
            _release(self, name)
            self.__dict__[name] = value
        elif isinstance(value, Variable) and ready:
            _set_variable(self, name, value)
        elif isinstance(value, Tracked):
            _set_tracked(self, name, value)
        elif isinstance(value, nn.Module):
            if not isinstance(value, AttributeTracking):
                join_current_device(value)
            _release(self, name, but_module=True)
            super().__setattr__(name, value)
            note_sublayer(self, value)
        elif _is_property(self, name):
            object.__setattr__(self, name, value)
        elif type(value) in _CONTAINERS and ready and name not in _UNTRACKED and not name.startswith("_tk_"):
            _set_tracked(self, name, wrap(value))
        elif type(value) is tuple and holds_state(value):
            _set_tracked(self, name, wrap(value))
        else:
            _set_plain(self, name, value)
            if isinstance(value, nn.Parameter):
                note_weight(self, value)

    def __delattr__(self, name: str) -> None:
        own = self.__dict__
        if name in own.get("_tk_aliases", ()):
            del own["_tk_aliases"][name]
        elif "_tk_infos" in own and (name in own["_tk_infos"] or isinstance(_held(self, name), Tracked)):
            if name in own["_tk_infos"]:
                own["_tk_deleted"][name] = own["_tk_infos"][name]
            _release(self, name)
        else:
            super().__delattr__(name)

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Hold a parameter as the attribute `name`, as `torch.nn.Module` does.

        Where a weight of that name was deleted, as torch's parametrizations do while they stand in for it, the
        parameter takes its metadata and its place in the order. A parameter that takes another's place does so without
        a look at the other's value: FSDP2 puts whole weights in the places of parts in each step.

        Args:
            name: name of the attribute.
            param: the parameter, or `None`.
        """
        own = self.__dict__
        if name in own.get("_parameters", ()) and isinstance(param, nn.Parameter):
            own["_parameters"][name] = param
            return
        super().register_parameter(name, param)
        info = own["_tk_deleted"].pop(name, None)
        if info is not None and param is not None and info not in own["_tk_infos"].values():
            own["_parameters"][name] = param if isinstance(param, Variable) else as_variable(param, True, info)
            own["_tk_infos"][name] = info
            own["_tk_mixed_order"] = True

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__dict__.get("_tk_aliases", ())})


def _holds_nothing(layer: AttributeTracking, name: str) -> bool:
    """Whether no weight, layer or container has the name, so that a simple value needs no more than to be set."""
    own = layer.__dict__
    if name in own:
        return type(own[name]) in _SIMPLE
    return (
        "_tk_infos" in own
        and name not in own["_parameters"]
        and name not in own["_buffers"]
        and name not in own["_modules"]
        and name not in own["_tk_aliases"]
    )


# Values that are neither weights nor layers and hold none.
_SIMPLE = frozenset({bool, int, float, str, bytes, type(None), FunctionType, BuiltinFunctionType})
_CONTAINERS = (list, dict, set, OrderedDict)
# Values that become parts of a layer where no property takes them and no `DotNotTrackScope` is open.
_PARTS = (torch.Tensor, nn.Module, SeedGenerator, list, dict, set, tuple)
# Lists and dicts that the framework keeps and that hold no state.
_UNTRACKED = frozenset({"_inbound_nodes", "input_spec"})
# Set by the constructor of the base class: a layer without them was never initialized.
_OF_INIT = frozenset(
    {"name", "built", "input_spec", "supports_masking", "activity_regularizer", "_dtype_policy", "_tk_row"}
)


def _is_property(layer: AttributeTracking, name: str) -> bool:
    return isinstance(getattr(type(layer), name, None), property)


def _absent(layer: AttributeTracking, name: str) -> Any:
    """The result of `__getattr__` for a name that is neither a weight nor a submodule."""
    own = layer.__dict__
    if name in own.get("_tk_aliases", ()):
        return weight_of(layer, own["_tk_aliases"][name], None)
    if name in own.get("_tk_forms", ()):
        return own["_tk_forms"][name].shown(layer)
    if name == "_layers" and "_modules" in own:  # Keras's name; a subclass may set an attribute of that name
        return sublayers(layer)
    if name in _OF_INIT and "_tk_infos" in own and "_dtype_policy" not in own:
        raise RuntimeError(forgotten_init("layer", layer))
    found = getattr(type(layer), name, None)
    if isinstance(found, property) and found.fget is not None:
        return found.fget(layer)  # raises again the error inside the property, which says more
    if found is not None and not own.get("built"):
        raise AttributeError(f"You must build the layer before accessing `{name}`.")
    raise AttributeError(f"{type(layer).__name__!r} object has no attribute {name!r}")


def _held(layer: nn.Module, name: str) -> Any:
    own = layer.__dict__
    return own[name] if name in own else own["_modules"].get(name)


def _set_tracked(layer: AttributeTracking, name: str, value: Any) -> None:
    """Hold a list, dict, set or tuple as an attribute; a second attribute for the same one is a second name."""
    if _held(layer, name) is value:
        return
    if value._owner is not None and value._owner is not layer:
        value = wrap(unwrapped(value))
    _release(layer, name)
    layer.__dict__[name] = value
    layer.__dict__["_tk_holds_containers"] = True
    if value._owner is None:
        value.attach(layer, name)


def _set_plain(layer: AttributeTracking, name: str, value: Any) -> None:
    own = layer.__dict__
    if isinstance(value, SeedGenerator):
        _note(own.get("_tk_seed_generators"), value)
    elif hasattr(value, "update_state") and hasattr(value, "reset_state"):
        _note(own.get("_tk_metrics"), value)
    if "_tk_infos" in own:
        if (
            name in own["_tk_aliases"]
            or (value is None and name in own["_tk_infos"])
            or isinstance(_held(layer, name), Tracked)
        ):
            _release(layer, name)
        if value is not None and name in own["_modules"]:
            del own["_modules"][name]
    nn.Module.__setattr__(layer, name, value)


def _note(known: list | None, value: Any) -> None:
    if known is not None and all(value is not other for other in known):
        known.append(value)


def _set_variable(layer: AttributeTracking, name: str, variable: Variable) -> None:
    """Hold a weight as an attribute: under its first name it is registered, any other is a second name for it."""
    own, info = layer.__dict__, variable.info
    former = next((key for key, known in own["_tk_infos"].items() if known is info), None)
    if former is not None and former in own["_tk_unassigned"]:
        own["_tk_unassigned"].discard(former)
        if former == name and name not in own["_tk_aliases"]:
            if name in own and isinstance(held := own.pop(name), Tracked):
                held.detach()
            return
        _rename(layer, former, free := free_name(layer, f"{former}_"))
        _release(layer, name)
        _rename(layer, free, name)
        return
    if former != name:
        _release(layer, name)
    if former is None and info not in assigned_infos(layer) or former == name:
        own["_parameters" if isinstance(variable, nn.Parameter) else "_buffers"][name] = variable
        own["_non_persistent_buffers_set"].discard(name)
        own["_tk_infos"][name] = info
        note_weight(layer, variable)
    else:
        own["_tk_aliases"][name] = info


def _rename(layer: nn.Module, former: str, name: str) -> None:
    own = layer.__dict__
    for place in (own["_parameters"], own["_buffers"], own["_tk_infos"]):
        if former in place:
            items = [(name if key == former else key, value) for key, value in place.items()]
            place.clear()
            place.update(items)


def _release(layer: nn.Module, name: str, but_module: bool = False) -> None:
    """Let go of what an attribute holds; a weight's second name takes over, one without a name keeps its place.

    Args:
        but_module: leave a submodule to `nn.Module`, which puts the next one in its place.
    """
    own = layer.__dict__
    if "_tk_infos" not in own:
        return
    if name in own["_tk_unassigned"]:  # made by add_weight and not assigned: it goes on under another name
        own["_tk_unassigned"].discard(name)
        other = free_name(layer, name)
        _rename(layer, name, other)
        own["_tk_unassigned"].add(other)
        return
    held = own.pop(name, None)
    if held is None:
        held = own["_modules"].get(name)
        if not but_module or isinstance(held, Tracked):
            own["_modules"].pop(name, None)
    if isinstance(held, Tracked) and held._name == name:
        held.detach()
    tensor, info = own["_parameters"].pop(name, None), own["_tk_infos"].pop(name, None)
    if tensor is None:
        tensor = own["_buffers"].pop(name, None)
    own["_tk_aliases"].pop(name, None)
    if info is not None:
        to_another_name(layer, info, tensor)


def free_name(layer: nn.Module, name: str) -> str:
    """`name`, or `name_`, ..., that no weight or submodule has."""
    own = layer.__dict__
    while name in own["_parameters"] or name in own["_buffers"] or name in own["_modules"]:
        name += "_"
    return name
