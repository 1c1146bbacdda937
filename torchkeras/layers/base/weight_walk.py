"""The weights that a module owns, in order: one answer for `weights`, files, copies and assignments.

Keras's order: a layer's own weights first, those made trainable before the others, each kind in the order in which it
came to the layer (whether it is held by an attribute, a list or a dict); then its sublayers in the order in which they
came. The layer keeps this order in its ledger: `_tk_made` for weights, `_tk_sublayers` for layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from torchkeras.core.types import Store
from torchkeras.core.variables.variable import Variable, VariableInfo

T = TypeVar("T")


class ModuleContainer(nn.Module):
    """The module that torch sees of a list, dict, set or tuple with layers or weights in it: a part of its owner."""

    # A part of a torch module takes that module's mode, see mode.py.
    _tk_follows_mode = True

    # The metadata of the weights in it by key; of those which belong to the owner under another name, by key, too.
    _infos: dict[str, VariableInfo]
    _aliases: dict[str, VariableInfo]


class Attachments:
    """How often a weight or a layer became part of a layer in this process: what is cached of a tree asks for it."""

    count = 0


class OwnWeight(NamedTuple):
    """A weight that a module owns itself.

    Attributes:
        name: the attribute, or `attribute.key` in a list or dict.
        tensor: the parameter or buffer.
        info: the weight's metadata; `None` for a plain parameter or buffer.
    """

    name: str
    tensor: torch.Tensor
    info: VariableInfo | None


# ---------------------------------------------------------------------------- the walk


def own_weights(module: nn.Module) -> list[OwnWeight]:
    """The weights of the module itself, without its sublayers', in Keras's order; buffers only where they are saved."""
    found = list(_held_by(module, ""))
    own = module.__dict__
    if not (own.get("_tk_mixed_order") or any(_containers(module))):
        return found  # attributes stand in the order in which they came
    made = own.get("_tk_made")  # not read before: dynamo (torch 2.9) can't trace a dict with such keys
    if not made:
        return found
    rank = {key: i for i, key in enumerate(made)}
    last = len(rank)
    found.sort(key=lambda w: (not isinstance(w.tensor, nn.Parameter), rank.get(_ledger_key(w.tensor, w.info), last)))
    return found


def _held_by(module: nn.Module, prefix: str) -> Iterator[OwnWeight]:
    own = module.__dict__
    infos = own.get("_infos" if isinstance(module, ModuleContainer) else "_tk_infos", {})
    for name, parameter in own["_parameters"].items():
        if parameter is not None:
            yield OwnWeight(prefix + name, parameter, infos.get(name))
    for name, buffer in own["_buffers"].items():
        if buffer is not None and name not in own["_non_persistent_buffers_set"]:
            yield OwnWeight(prefix + name, buffer, infos.get(name))
    if own["_modules"] and ("_tk_made" in own or isinstance(module, ModuleContainer)):
        for name, child in module._modules.items():
            if isinstance(child, ModuleContainer):
                yield from _held_by(child, f"{prefix}{name}.")


def sublayers(module: nn.Module) -> list[nn.Module]:
    """The modules directly within, also those in lists and dicts, each once, in the order in which they came."""
    if not module._modules:
        return []
    found = unique(_modules_in(module))
    known = module.__dict__.get("_tk_sublayers")
    if known is None:
        return found
    if len(found) == len(known) and all(a is b for a, b in zip(found, known, strict=True)):
        return found
    rank = {id(layer): i for i, layer in enumerate(known)}
    found.sort(key=lambda layer: rank.get(id(layer), len(rank)))
    module.__dict__["_tk_sublayers"] = dict.fromkeys(found)  # those that left are forgotten
    return found


def _modules_in(module: nn.Module) -> Iterator[nn.Module]:
    for child in module._modules.values():
        if isinstance(child, ModuleContainer):
            yield from _modules_in(child)
        elif child is not None:
            yield child


def all_weights(module: nn.Module) -> list[tuple[torch.Tensor, bool]]:
    """Each weight of the module and of all within it once, with whether training changes it.

    As in Keras a module whose own `trainable` is `False` trains nothing. Within it a layer counts as it was set last,
    by itself or by a layer that holds it. A layer that nobody set is frozen inside a frozen one.
    """
    found: list[tuple[torch.Tensor, bool]] = []
    _collect(module, True, set(), found)
    return found if module.__dict__.get("_tk_trainable", True) else [(tensor, False) for tensor, _ in found]


def _collect(module: nn.Module, trains: bool, seen: set[int], found: list[tuple[torch.Tensor, bool]]) -> None:
    if id(module) in seen:
        return
    seen.add(id(module))
    was_set = "_tk_trainable_set" in module.__dict__  # its weights were set then, too, and say themselves
    for _, tensor, info in own_weights(module):
        if id(tensor) not in seen:
            seen.add(id(tensor))
            train = tensor.requires_grad and (info is None or info.trainable)
            found.append((tensor, train and (trains or was_set)))
    if module._modules:
        trains = module.__dict__["_tk_trainable"] if was_set else trains
        for layer in sublayers(module):
            _collect(layer, trains, seen, found)


def layer_tree(module: nn.Module) -> Iterator[Any]:
    """The layers among the module and all within it, each once."""
    seen: set[int] = set()
    waiting = [module]
    while waiting:
        module = waiting.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        if "_tk_made" in module.__dict__:
            yield module
        waiting += [child for child in reversed(module._modules.values()) if child is not None]


def unique(values: Any) -> list:
    """The values without those that came before, by identity."""
    seen: set[int] = set()
    return [value for value in values if not (id(value) in seen or seen.add(id(value)))]  # type: ignore[func-returns-value]


# ---------------------------------------------------------------------------- the ledger


def _ledger_key(tensor: torch.Tensor, info: VariableInfo | None) -> Any:
    """A key that stays the same when torch replaces the tensor: a variable's metadata; a plain tensor itself."""
    return tensor if info is None else info


def note_weight(owner: nn.Module, tensor: torch.Tensor) -> None:
    """Give a weight its place in the order, unless it has one."""
    Attachments.count += 1
    made = owner.__dict__.get("_tk_made")
    if made is not None:
        made.setdefault(_ledger_key(tensor, tensor.info if isinstance(tensor, Variable) else None))


def note_sublayer(owner: nn.Module, layer: nn.Module) -> None:
    """Give a sublayer its place in the order, unless it has one."""
    Attachments.count += 1
    known = owner.__dict__.get("_tk_sublayers")
    if known is not None:
        known.setdefault(layer)


def add_sublayer(owner: nn.Module, name: str, layer: nn.Module) -> None:
    """Make a layer a submodule without setting an attribute: `name` may be one that the class uses otherwise."""
    owner._modules[name] = layer
    note_sublayer(owner, layer)


def assigned_infos(owner: nn.Module, but: nn.Module | None = None) -> set[VariableInfo]:
    """The metadata of the weights that have a name of the user's choice in the owner, outside of one container."""
    own = owner.__dict__
    found = {info for name, info in own.get("_tk_infos", {}).items() if name not in own["_tk_unassigned"]}
    for container in _containers(owner):
        if container is not but:
            found.update(container._infos.values())
    return found


def _containers(module: nn.Module) -> Iterator[ModuleContainer]:
    for child in module._modules.values() if module._modules else ():
        if isinstance(child, ModuleContainer):
            yield child
            yield from _containers(child)


def hand_over(owner: nn.Module, variable: Variable) -> None:
    """Take a weight from the name that `add_weight` gave it: a list or dict holds it now."""
    own = owner.__dict__
    for name in [name for name in own.get("_tk_unassigned", ()) if own["_tk_infos"].get(name) is variable.info]:
        own["_parameters"].pop(name, None)
        own["_buffers"].pop(name, None)
        own["_tk_infos"].pop(name)
        own["_tk_unassigned"].discard(name)


def weight_of(owner: nn.Module, info: VariableInfo, default: T) -> torch.Tensor | T:
    """The weight with the metadata `info`, as the owner holds it under its first name."""
    for name, known in owner.__dict__["_tk_infos"].items():
        if known is info:
            return getattr(owner, name)
    for container in _containers(owner):
        for key, known in container._infos.items():
            if known is info:
                return container._read_registered(key)  # type: ignore[operator]
    return default


def to_another_name(owner: nn.Module, info: VariableInfo, tensor: torch.Tensor | None) -> None:
    """A weight lost its first name: its second one, if it has any, becomes the first."""
    own = owner.__dict__
    for name, known in own.get("_tk_aliases", {}).items():
        if known is info and tensor is not None:
            del own["_tk_aliases"][name]
            own["_parameters" if isinstance(tensor, nn.Parameter) else "_buffers"][name] = tensor
            own["_tk_infos"][name] = info
            own["_tk_mixed_order"] = True
            return
    for container in _containers(owner):
        if any(known is info for known in container._aliases.values()):
            container.changed()  # type: ignore[operator]
            return


def count_saved(store: Store) -> int:
    """The number of weights in what `save_own_variables` wrote: those under numbers.

    Keys that are no numbers belong to the subclass that wrote them beside the weights.
    """
    return sum(key.isdecimal() for key in store.keys())
