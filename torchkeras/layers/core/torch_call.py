"""A plain torch module called on a symbolic tensor: `nn.Linear(4, 8)(keras.Input((4,)))`.

While a graph is being built, torch's global module hooks see each call of a plain module on symbolic tensors. The call
becomes that of a `TorchModuleWrapper`. Inside it the module's `forward` computes with `InnerTensor`s, which know shapes
alone. The hooks are there from the first symbolic call until the model is made, so that calls on data never meet them.
Where no model is ever made (a layer called on an Input to build it, say), they go after some calls on data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle

from torchkeras.core import tree
from torchkeras.core.state import state
from torchkeras.core.symbolic import infer, keras_tensor
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.variables.session import at_clear
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.core.torch_module import TorchModuleWrapper


class ModuleCall(NamedTuple):
    """A recorded call of a torch module: the module, and the symbolic tensor that stands for its output."""

    module: nn.Module
    output: KerasTensor


class InnerTensor(KerasTensor):
    """A symbolic tensor inside of a torch module's `forward`; torch's functions and methods give its shape on."""

    _module_call: ModuleCall

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _inner_result(func, args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        method = None if name.startswith("_") else getattr(torch.Tensor, name, None)
        if not callable(method):
            raise AttributeError(f"'KerasTensor' object has no attribute {name!r}")
        return lambda *args, **kwargs: _inner_result(method, (self, *args), kwargs)


def _inner(tensor: KerasTensor, call: ModuleCall) -> InnerTensor:
    inner = InnerTensor(tensor.shape, tensor.dtype)
    inner._module_call = call
    return inner


def _inner_result(function: Callable, args: tuple, kwargs: dict) -> Any:
    """The shape and type of a torch function's result inside of a module's `forward`."""
    call = next(leaf._module_call for leaf in tree.flatten((args, kwargs)) if isinstance(leaf, InnerTensor))
    if getattr(function, "__name__", "") in ("view", "reshape"):  # of an unknown `x.size(0)`
        args = tree.map_structure(lambda value: -1 if value is None else value, args)
    result = infer.infer(function, args, kwargs)
    return tree.map_structure(lambda value: _inner(value, call) if isinstance(value, KerasTensor) else value, result)


def _operator(function: Callable, swapped: bool = False) -> Callable:
    def method(self: InnerTensor, other: Any = None) -> Any:
        args = (self,) if other is None else (other, self) if swapped else (self, other)
        return _inner_result(function, args, {})

    return method


for _name in ("add", "sub", "mul", "truediv", "matmul", "pow"):
    _function = getattr(torch.Tensor, f"__{_name}__")
    setattr(InnerTensor, f"__{_name}__", _operator(_function))
    setattr(InnerTensor, f"__r{_name}__", _operator(_function, swapped=True))
setattr(InnerTensor, "__neg__", _operator(torch.neg))  # noqa: B010  mypy takes an assignment for an operator
setattr(InnerTensor, "__getitem__", _operator(torch.Tensor.__getitem__))  # noqa: B010


# ---------------------------------------------------------------------------- the hooks


def _before_forward(module: nn.Module, args: tuple) -> tuple | None:
    """Record the outermost call of a plain module on symbolic tensors, and give `forward` inner ones."""
    leaves = tree.flatten(args)
    if not any(isinstance(leaf, KerasTensor) for leaf in leaves):
        _count_call_on_data()
        return None
    if isinstance(module, Layer):
        return None
    if any(isinstance(leaf, InnerTensor) for leaf in leaves):
        return None
    if any(isinstance(part, Layer) for part in module.modules()):  # its layers and modules are recorded one by one
        return None
    output = _layer_of(module)(*args)
    if not isinstance(output, KerasTensor):
        raise TypeError(
            f"{type(module).__name__} gives {type(output).__name__}, not one tensor; call it as "
            f"torchkeras.layers.TorchModuleWrapper(module)(...)."
        )
    call = ModuleCall(module, output)
    return tree.map_structure(lambda leaf: _inner(leaf, call) if isinstance(leaf, KerasTensor) else leaf, args)


def _after_forward(module: nn.Module, args: tuple, output: Any) -> KerasTensor | None:
    """The recorded output, in the place of the inner tensor that `forward` gave."""
    for leaf in tree.flatten(args):
        if isinstance(leaf, InnerTensor) and leaf._module_call.module is module:
            return leaf._module_call.output
    return None


def _layer_of(module: nn.Module) -> TorchModuleWrapper:
    """The layer that stands for the module: one and the same at every call, so that its weights are shared."""
    layer = module.__dict__.get("_torchkeras_layer")
    if layer is None:
        layer = module.__dict__["_torchkeras_layer"] = TorchModuleWrapper(module)
    return layer


_hooks: list[RemovableHandle] = []
# Module calls on data since the last symbolic one, and how many of them show that no graph is being built any more.
_calls_on_data = 0
_MAX_CALLS_ON_DATA = 1000


def _count_call_on_data() -> None:
    """Take the hooks out after many calls on data in a row: the graph that was begun is not going to be finished."""
    global _calls_on_data
    if state.symbolic or torch.compiler.is_compiling():
        return
    _calls_on_data += 1
    if _calls_on_data >= _MAX_CALLS_ON_DATA:
        _watch(False)


def _watch(building: bool) -> None:
    """Put torch's global hooks in while a graph is being built, and take them out when its model is made."""
    global _calls_on_data
    _calls_on_data = 0
    if building and not _hooks:
        _hooks.extend((register_module_forward_pre_hook(_before_forward), register_module_forward_hook(_after_forward)))  # type: ignore[arg-type]
    elif not building:
        while _hooks:
            _hooks.pop().remove()


keras_tensor.when_building(_watch)
at_clear(lambda: _watch(False))
