"""Torch modules as attributes of a layer: under a mixed dtype policy their calls run under `torch.autocast`.

Under a policy of one type their weights are converted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from torchkeras.core import tree
from torchkeras.core.state import state
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.tensors.dtypes import torch_dtype
from torchkeras.core.torch_internals import call_uncompiled, compiled_call, set_compiled_call
from torchkeras.layers.base.attributes import AttributeTracking
from torchkeras.layers.base.containers import Tracked


def autocast_torch_parts(modules: dict[str, nn.Module | None]) -> bool:
    """Let the torch modules that a layer with a mixed policy holds, also in lists and dicts, run under autocast.

    They keep their weights. Called from outside of such a layer they run as they are.

    Args:
        modules: the modules that the layer holds, by name.

    Returns:
        Whether there are any.
    """
    found = False
    for module in modules.values():
        if module is None or isinstance(module, AttributeTracking):
            continue
        if isinstance(module, (Tracked, nn.ModuleList, nn.ModuleDict)):
            found |= autocast_torch_parts(module._modules)
        elif compiled_call(module) is not None:
            found = True
        elif has_weights_of_torch(module):
            found = True
            if not torch.compiler.is_compiling():
                set_compiled_call(module, functools.partial(_call_in_compute_type, module))
    return found


def convert_torch_parts(layer: Any) -> None:
    """Convert the weights of the torch modules that a layer holds to the one type of its policy.

    Modules in another type than torch's default were converted by the user, and stay as they are.
    """
    policy = layer._tk_policy
    dtype = torch_dtype(policy.variable_dtype)
    if policy.compute_dtype == policy.variable_dtype and dtype.is_floating_point and dtype != torch.get_default_dtype():
        for module in layer._modules.values():
            _convert(module, dtype)


def _convert(module: nn.Module | None, dtype: torch.dtype) -> None:
    """Convert a module, but for the layers in it."""
    if module is None or isinstance(module, AttributeTracking):
        return
    if any(isinstance(part, AttributeTracking) for part in module.modules()):
        for child in module.children():
            _convert(child, dtype)
    elif {p.dtype for p in module.parameters() if p.is_floating_point()} == {torch.get_default_dtype()}:
        module.to(dtype)


def has_weights_of_torch(module: nn.Module, but: torch.dtype | None = None) -> bool:
    """Whether a module that is no layer, or a part of it, has float weights.

    Args:
        module: the module.
        but: weights of this type do not count. Default: `None`.
    """
    if isinstance(module, AttributeTracking):
        return False
    if any(p is not None and p.is_floating_point() and p.dtype != but for p in module._parameters.values()):
        return True
    return any(has_weights_of_torch(child, but) for child in module.children())


def _call_in_compute_type(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """A call of the module, under autocast of the compute type of the layer whose call it is part of."""
    compute_type = state.autocast
    if compute_type is None:
        return call_uncompiled(module, *args, **kwargs)
    return under_autocast(functools.partial(call_uncompiled, module), compute_type, args, kwargs)


def under_autocast(
    call: Callable[..., Any], compute_type: torch.dtype, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """The outputs of a call under `torch.autocast`; float outputs are in the compute type.

    Args:
        call: the function.
        compute_type: the type for `torch.autocast`.
        args, kwargs: the function's arguments.
    """
    device = next((x.device for x in tree.flatten((args, kwargs)) if isinstance(x, torch.Tensor)), current_device())
    if device.type == "meta":  # which has no autocast; shapes are the same in any type
        args, kwargs = tree.map_structure(lambda x: in_type(x, torch.float32), (args, kwargs))
        outputs = call(*args, **kwargs)
    else:
        with torch.autocast(device.type, compute_type):
            outputs = call(*args, **kwargs)
    return in_types(outputs, compute_type)


def in_type(x: Any, dtype: torch.dtype) -> Any:
    """A float tensor in another type; everything else as it is."""
    return x.to(dtype) if isinstance(x, torch.Tensor) and x.is_floating_point() else x


def in_types(values: Any, dtype: torch.dtype) -> Any:
    """The float tensors in nested values in another type."""
    return tree.map_structure(lambda x: in_type(x, dtype), values)
