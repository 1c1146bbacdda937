"""Masks on symbolic tensors, and a warning where an op drops one that a layer behind it would use.

When a model runs, masks ride on the tensors themselves. On a symbolic tensor `_keras_mask` is the symbolic mask: it can
be given to a layer explicitly (`lstm(x, mask=x._keras_mask)`) or be an output of the model.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from torchkeras.core import tree
from torchkeras.core.operations.operation import Operation
from torchkeras.core.state import state
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import Nest
from torchkeras.core.user_warnings import warn_user


class MaskRule(Operation):
    """A layer's `compute_mask`, where it is written in functions that only tensors with values can go through."""

    keras_module = None

    def __init__(self, layer: Any) -> None:
        super().__init__(name=f"{layer.name}_mask")
        self.layer = layer

    def call(self, inputs: Nest[torch.Tensor], previous_mask: Nest[torch.Tensor | None]) -> Any:
        return self.layer.compute_mask(inputs, previous_mask)


def attach(
    layer: Any, inputs: Nest[KerasTensor], outputs: Nest[KerasTensor], explicit: Nest[KerasTensor] | None = None
) -> None:
    """Put the symbolic masks that a layer's `compute_mask` finds onto its symbolic outputs.

    Args:
        explicit: the mask that the call was given, in the place of those on the inputs.
    """
    if not (layer.supports_masking or layer._tk_own_mask_rule):
        return
    previous = explicit
    if explicit is None:
        previous = tree.map_structure(lambda t: getattr(t, "_keras_mask", None), inputs)
    if all(mask is None for mask in tree.flatten(previous)) and not layer._tk_own_mask_rule:
        return
    flat = tree.flatten(_computed(layer, inputs, previous))
    tensors = tree.flatten(outputs)
    if len(flat) == 1:
        flat = flat * len(tensors)
    for tensor, mask in zip(tensors, flat):
        if isinstance(tensor, KerasTensor) and isinstance(mask, KerasTensor):
            tensor._keras_mask = mask  # type: ignore[attr-defined]


def _computed(layer: Any, inputs: Any, previous: Any) -> Any:
    try:
        return layer.compute_mask(inputs, previous)
    except (TypeError, AttributeError, ValueError):  # torch's functions, on symbolic tensors
        pass
    try:
        return MaskRule(layer)(inputs, previous)
    except (NotImplementedError, RuntimeError, TypeError, AttributeError, ValueError):
        return None  # it needs values: the mask is known when the model runs


# ---------------------------------------------------------------------------- masks that get lost


def warn_where_lost(layer: Any, args: tuple, kwargs: dict[str, Any]) -> None:
    """Warn if a layer that uses masks is called on the result of an op whose own input had a mask."""
    names = layer._tk_call_spec.masks
    if not names or len(args) != 1 or not isinstance(args[0], KerasTensor):
        return
    if getattr(args[0], "_keras_mask", None) is not None or any(kwargs.get(name) is not None for name in names):
        return
    operation = _op_that_lost_it(args[0])
    if operation is not None:
        _warn(layer, operation.name)


def _op_that_lost_it(x: KerasTensor) -> Operation | None:
    """The op, among those between `x` and the layers before it, that had a masked input of the same leading sizes."""
    history = getattr(x, "_keras_history", None)
    while history is not None and isinstance(history.operation, Operation):
        sources = history.operation._inbound_nodes[history.node_index].input_tensors
        alike = [source for source in sources if source.shape[:-1] == x.shape[:-1]]
        if any(getattr(source, "_keras_mask", None) is not None for source in alike):
            return history.operation
        history = getattr(alike[0], "_keras_history", None) if alike else None
    return None


def _warn(layer: Any, function: str) -> None:
    warn_user(
        f"Layer {layer.name!r} ({type(layer).__name__}) uses masks, but gets none: {function!r} was applied to a "
        f"tensor with a mask, and functions do not pass masks on. Do it in a layer with supports_masking=True, or pass "
        f"the mask explicitly: layer(x, mask=masked._keras_mask)."
    )


class MaskWatch(TorchFunctionMode):
    """While a model is called for the first time: warn where a function drops a mask that a layer would have used.

    Later calls are not watched and pay nothing.
    """

    def __enter__(self) -> MaskWatch:
        self._hook: RemovableHandle = register_module_forward_pre_hook(_before_layer)
        state.own_modes += 1
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._hook.remove()
        state.own_modes -= 1
        super().__exit__(kind, error, traceback)

    def __torch_function__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and args and isinstance(args[0], (torch.Tensor, list, tuple)):
            for source in args[0] if isinstance(args[0], (list, tuple)) else args:
                if isinstance(source, torch.Tensor) and source is not result and _is_alike(source, result):
                    by = getattr(source, "_tk_lost_mask", None) or getattr(func, "__name__", str(func))
                    result._tk_lost_mask = by  # type: ignore[attr-defined]
                    break
        return result


def _is_alike(source: torch.Tensor, result: torch.Tensor) -> bool:
    """Whether the mask of `source`, or one that it lost, would have fitted `result`."""
    if getattr(source, "_keras_mask", None) is None and getattr(source, "_tk_lost_mask", None) is None:
        return False
    return source.dim() == result.dim() and source.shape[:-1] == result.shape[:-1]


def _before_layer(module: nn.Module, args: tuple) -> None:
    spec = getattr(module, "_tk_call_spec", None)
    if spec is None or not spec.masks or len(args) != 1 or not isinstance(args[0], torch.Tensor):
        return
    function = getattr(args[0], "_tk_lost_mask", None)
    if function is not None and getattr(args[0], "_keras_mask", None) is None:
        _warn(module, function.strip("_"))
