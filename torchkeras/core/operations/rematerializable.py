"""How what was made under a `RematScope` is called: a part of the layer and of the operation."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import MethodType
from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.core.operations.remat import RematMode, get_current_remat_mode, remat
from torchkeras.core.state import state
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.dtypes import standardize_dtype

# Output sizes are found once for each shape of the inputs; so many shapes are remembered.
_SHAPES_KEPT = 256


class Rematerializable:
    """A computation with a `call` that a `RematScope` may have computed again in the backward pass."""

    name: str
    _tk_remat_mode: RematMode | None = None
    _tk_own_shape_rule = False

    def _tk_follow_remat_scope(self) -> None:
        """Keep to the scope that is open now. The others pay nothing: only an instance made in one has another call."""
        wanted = get_current_remat_mode()
        if wanted is not None and wanted.mode is not None:
            self.__dict__.update(_tk_remat_mode=wanted, call=self._tk_call_rematerialized)

    def _tk_call_rematerialized(self, *args: Any, **kwargs: Any) -> Any:
        call = _call_of_class(self)
        if state.symbolic or not torch.is_grad_enabled():
            return call(*args, **kwargs)
        return self.rematerialized_call(call, *args, **kwargs)(*args, **kwargs)

    def rematerialized_call(self, layer_call: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """Wrap a call as the `RematScope` demands in which the layer was made.

        Args:
            layer_call: the call.
            *args: its positional arguments.
            **kwargs: its arguments by name.

        Returns:
            The call, or a function that rematerializes it.
        """
        wanted = self._tk_remat_mode
        if wanted is None or wanted.mode is None:
            return layer_call
        if wanted.mode == "activations":
            return _with_activation(self, layer_call)
        if wanted.mode == "list_of_layers" and self.name not in wanted.layer_names:
            return layer_call
        if wanted.mode == "larger_than" and not output_size(self, args, kwargs) > wanted.output_size_threshold:
            return layer_call
        return remat(layer_call)


def _call_of_class(layer: Any) -> Callable:
    """The `call` of the layer's class, bound to the layer, whose own dict has the rematerialized one."""
    if not torch.compiler.is_compiling():
        return MethodType(type(layer).call, layer)

    def call(*args: Any, **kwargs: Any) -> Any:  # dynamo (torch 2.9) traces a closure, and no bound method made by hand
        return type(layer).call(layer, *args, **kwargs)

    return call


def _with_activation(layer: Any, call: Callable) -> Callable:
    """`call`, during which the layer's `activation` is rematerialized."""
    # A property reads the activation of a cell, which is a layer by itself.
    if isinstance(getattr(type(layer), "activation", None), property) or getattr(layer, "activation", None) is None:
        return call

    @functools.wraps(call)
    def with_activation(*args: Any, **kwargs: Any) -> Any:
        own, activation = layer.__dict__, layer.activation
        # In the instance's dict, which is read first: an activation that is a layer stays registered as one.
        registered = "activation" not in own
        own["activation"] = remat(activation)
        try:
            return call(*args, **kwargs)
        finally:
            if registered:
                del own["activation"]
            else:
                own["activation"] = activation

    return with_activation


def output_size(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """The number of elements of all outputs for such arguments, found without computing them.

    While a graph is compiled, outputs whose size no rule of a single layer gives count as large.
    """
    if torch.compiler.is_compiling():
        single = len(args) == 1 and isinstance(args[0], torch.Tensor)
        if not single or not layer._tk_own_shape_rule or layer._modules:
            return math.inf
        return _elements(layer.compute_output_shape(tuple(args[0].shape)))
    shapes = tuple(tuple(t.shape) if isinstance(t, torch.Tensor) else None for t in tree.flatten((args, kwargs)))
    known = layer.__dict__.setdefault("_tk_output_sizes", {})
    if shapes not in known:
        if len(known) >= _SHAPES_KEPT:
            known.clear()
        args, kwargs = tree.map_structure(_symbolic, (args, kwargs))
        outputs = tree.flatten(layer.compute_output_spec(*args, **kwargs))
        known[shapes] = sum(math.prod(d or 1 for d in t.shape) for t in outputs if hasattr(t, "shape"))
    return known[shapes]


def _elements(shapes: Any) -> int:
    if tree.is_shape_tuple(shapes):
        return math.prod(shapes)
    return sum(_elements(shape) for shape in (shapes.values() if isinstance(shapes, dict) else shapes))


def _symbolic(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return KerasTensor(tuple(value.shape), standardize_dtype(value.dtype))
