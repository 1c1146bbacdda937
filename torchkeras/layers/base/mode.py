"""Training mode of a module that becomes part of another one.

A layer that nobody put into a mode by `train()` or `eval()` takes the mode of the module that it becomes part of:
dropout is on in `torch.nn.Sequential(keras_model)` while that trains. A plain torch module, which starts in training
mode, takes the mode of the layer that it becomes part of: a Keras model's `model(x)` is inference throughout.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from torchkeras.layers.base.weight_walk import Attachments


def take_mode(parent: nn.Module, name: str, child: nn.Module | None) -> None:
    """Put `child` into the mode of `parent`, of which it becomes the submodule `name`, where the rule above says so."""
    if child is None or _has_no_mode(type(parent)) or child.training is parent.training:
        return
    if is_keras(child):
        if not child.__dict__.get("_tk_mode_chosen") and not torch.compiler.is_exporting():
            _set(child, parent.training)
    elif is_keras(parent):
        child.train(parent.training)


def _has_no_mode(cls: type) -> bool:
    """Whether modules of the class only hand calls on, such as the one that `torch.compile` makes."""
    return getattr(cls, "_tk_leaves_modes", False) or isinstance(getattr(cls, "training", None), property)


def is_keras(module: nn.Module) -> bool:
    """Whether the module is a layer, or a list or dict of layers; classes say so by `_tk_follows_mode`."""
    return getattr(type(module), "_tk_follows_mode", False)


def _set(module: nn.Module, mode: bool) -> None:
    """Put the module and those within into the mode, but for those for which a user chose one."""
    if module.__dict__.get("_tk_mode_chosen"):
        return
    module.training = mode
    for child in module.children():
        _set(child, mode)


def _note_attachment(parent: nn.Module, name: str, child: nn.Module | None) -> None:
    """A layer may come into a model through a torch module too, such as a `torch.nn.Sequential` in an attribute."""
    if child is not None and not is_keras(parent):
        Attachments.count += 1


register_module_module_registration_hook(take_mode)
register_module_module_registration_hook(_note_attachment)
