"""Layers without weights yet, in torch's walks over a module: a warning in the place of weights that are missing."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from torchkeras.core.user_warnings import warn_user


class WalkOfLayer(set):
    """The memo of a walk that began at a layer. A walk that began at a torch module has a plain set."""


def lacks_weights(module: nn.Module) -> bool:
    """Whether building, which has not happened yet, will give weights to the module or to one within."""
    if getattr(module, "built", True) is False and getattr(type(module), "_tk_builds_weights", False):
        return True
    return any(lacks_weights(child) for child in module.children())


def warn_in_walk(layer: nn.Module, memo: set[nn.Module]) -> None:
    """Warn, once for each layer, that a walk over the parameters of a torch module finds none in the layer.

    Args:
        layer: one that is not built, which the walk has reached.
        memo: the modules that the walk has seen.
    """
    if layer.__dict__.get("_tk_said_unbuilt") or torch.compiler.is_compiling() or not lacks_weights(layer):
        return
    inner = {id(child) for module in memo for child in module.children()}
    outermost = [module for module in memo if id(module) not in inner]
    names = {layer: getattr(layer, "name", "")}
    owner = ""
    if len(outermost) == 1:
        owner = type(outermost[0]).__name__
        names = _unbuilt_in(outermost[0])
    _warn(names, owner)


def warn_of_state(layer: nn.Module, prefix: str) -> None:
    """Warn, once for each layer, that a `state_dict()` lacks the weights of a layer that is not built."""
    if not layer.__dict__.get("_tk_said_unbuilt") and not torch.compiler.is_compiling() and lacks_weights(layer):
        _warn({layer: prefix.rstrip(".") or getattr(layer, "name", "")}, "")


def _unbuilt_in(module: nn.Module, prefix: str = "") -> dict[nn.Module, str]:
    """The outermost layers that lack weights, with their names in the module."""
    found: dict[nn.Module, str] = {}
    for name, child in module.named_children():
        if getattr(child, "built", True) is False and lacks_weights(child):
            found[child] = prefix + name
        else:
            found |= _unbuilt_in(child, f"{prefix}{name}.")
    return found


def _warn(layers: dict[nn.Module, str], owner: str) -> None:
    for layer in layers:
        for module in nn.Module.modules(layer):
            if getattr(module, "built", True) is False:
                module.__dict__["_tk_said_unbuilt"] = True
    listed = ", ".join(f"{name!r} ({type(layer).__name__})" for layer, name in layers.items())
    inside = f" in {owner}" if owner else ""
    warn_user(
        f"Layers without weights yet{inside}: {listed}. They are not built, so parameters() and state_dict() leave "
        f"their weights out. Call the module once on data, or build each with layer.build(input_shape), before you "
        f"make an optimizer or save a state."
    )


def error_of_state(layer: nn.Module, prefix: str, state_dict: dict[str, Any]) -> str | None:
    """The error for a layer that is not built and has values in a state to be loaded; else `None`."""
    if getattr(layer, "built", True) or not any(key.startswith(prefix) for key in state_dict):
        return None
    if not getattr(type(layer), "_tk_builds_weights", False):
        return None
    name = prefix.rstrip(".") or getattr(layer, "name", "")
    return (
        f"The layer {name!r} ({type(layer).__name__}) is not built: it has no weights yet. Call the module on data, or "
        f"build the layer with layer.build(input_shape), before load_state_dict()."
    )
