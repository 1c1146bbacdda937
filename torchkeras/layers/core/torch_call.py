"""A plain torch module called on a symbolic tensor: `nn.Linear(4, 8)(keras.Input((4,)))`.

Torch runs the module's `forward` on the symbolic tensor. At the first torch function in it the whole call is recorded
as that of a `TorchModuleWrapper`; what `forward` computes from there on is known by shape alone, and stands for the
call's output.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import nn

from torchkeras.core import tree
from torchkeras.core.symbolic import infer, keras_tensor
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.torch_internals import module_call
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.core.torch_module import TorchModuleWrapper

_CALL = module_call.__code__


class Within(KerasTensor):
    """A value inside a torch module's call on symbolic tensors; outside it is the call's output."""


class _Recorded:
    """The call that was recorded last: `forward` may run many torch functions, the module is called once."""

    frame: Any = None
    output: Any = None


def torch_function(function: Any, args: tuple, kwargs: dict) -> Any:
    """What a torch function gives for symbolic tensors, or `NotImplemented` outside of a torch module.

    Raises:
        TypeError: the module gives something else than one tensor.
    """
    frame = _outermost_call()
    if frame is None:
        return NotImplemented
    if _Recorded.frame is not frame:
        module, inputs, named = (frame.f_locals[name] for name in ("self", "args", "kwargs"))
        output = _layer_of(module)(*inputs, **named)
        if not isinstance(output, KerasTensor):
            raise TypeError(
                f"{type(module).__name__} gives {type(output).__name__}, not one tensor; call it as "
                f"torchkeras.layers.TorchModuleWrapper(module)(...)."
            )
        _Recorded.frame, _Recorded.output = frame, output
    if getattr(function, "__name__", "") in (
        "view",
        "reshape",
    ):  # of an unknown `x.size(0)`
        args = tree.map_structure(lambda value: -1 if value is None else value, args)
    return tree.map_structure(_inside, infer.infer(function, args, kwargs))


def _inside(value: Any) -> Any:
    if not isinstance(value, KerasTensor):
        return value
    inside = Within(value.shape, value.dtype)
    inside._keras_history = _Recorded.output._keras_history
    return inside


def _outermost_call() -> Any:
    """The frame of the outermost call of a plain torch module that is running, or `None`."""
    found, frame = None, sys._getframe(1)
    while frame is not None:
        if frame.f_code is _CALL and not isinstance(frame.f_locals["self"], Layer):
            found = frame
        frame = frame.f_back
    return found


def _layer_of(module: nn.Module) -> TorchModuleWrapper:
    """The layer that stands for the module: one and the same at every call, so that its weights are shared."""
    layer = module.__dict__.get("_tk_layer")
    if layer is None:
        layer = module.__dict__["_tk_layer"] = TorchModuleWrapper(module)
    return layer


def _operator(function: Any, swapped: bool = False) -> Any:
    def method(self: Within, other: Any = None) -> Any:
        args = (self,) if other is None else (other, self) if swapped else (self, other)
        return torch_function(function, args, {})

    return method


for _name in ("add", "sub", "mul", "truediv", "matmul", "pow"):
    _function = getattr(torch.Tensor, f"__{_name}__")
    setattr(Within, f"__{_name}__", _operator(_function))
    setattr(Within, f"__r{_name}__", _operator(_function, swapped=True))
setattr(Within, "__neg__", _operator(torch.neg))  # noqa: B010  mypy takes an assignment for an operator of the class
setattr(Within, "__getitem__", _operator(torch.Tensor.__getitem__))  # noqa: B010
keras_tensor.torch_function_handler = torch_function
