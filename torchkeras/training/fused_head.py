"""The last layer of a model and its crossentropy, computed together where the logits are large and nobody sees them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.fast_paths.padded_convolution import runs_plainly
from torchkeras.core.fast_paths.switch import fast_paths_enabled
from torchkeras.core.library_code import is_library_class
from torchkeras.core.state import state
from torchkeras.core.tensors.sharded import is_sharded
from torchkeras.core.torch_internals import has_any_global_hook
from torchkeras.losses.chunked_crossentropy import Product, takes_product
from torchkeras.training.compile.options import Compiled

LEAST_CLASSES = 4096
LEAST_BYTES = 64 * 2**20
"""Of the logits of a batch; smaller ones are computed at once."""


class FusedHead:
    """The last layer of a functional or Sequential model, whose output is the model's and no other layer's input.

    Args:
        layer: a layer with `_tk_as_product`.
    """

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self._thread = 0
        self._calls = 0
        self._product: Product | None = None
        self._stand_in: Tensor | None = None

    def is_unseen(self) -> bool:
        """Whether no hook, regularizer or setting of the layer would show that there are no logits."""
        layer = self.layer
        return (
            runs_plainly(layer)
            and not layer._modules
            and layer.activity_regularizer is None
            and not has_any_global_hook()
            and not any(is_sharded(weight) for weight in layer.parameters())
        )

    @contextmanager
    def deferring(self) -> Iterator[None]:
        """Inside, a call of the layer gives a stand-in for large logits, and keeps the product that they are."""
        self._thread, self._calls = threading.get_ident(), 0
        self._product = self._stand_in = None
        self.layer.__dict__["call"] = self._call
        try:
            yield
        finally:
            del self.layer.__dict__["call"]

    def _call(self, inputs: Tensor, **kwargs: Any) -> Tensor:
        call = type(self.layer).call.__get__(self.layer)
        if threading.get_ident() != self._thread or state.symbolic:
            return call(inputs, **kwargs)
        parts = self.layer._tk_as_product(inputs, **kwargs)
        if parts is None:
            return call(inputs, **kwargs)
        self._calls += 1
        product = Product(*parts)
        entries = product.inputs.numel() // max(product.inputs.shape[-1], 1) * product.kernel.shape[1]
        if self._calls > 1 or entries * 4 < LEAST_BYTES or product.kernel.dtype is torch.float16:
            return call(inputs, **kwargs)
        self._product, self._stand_in = product, product.stand_in()
        return self._stand_in

    def take(self, outputs: Any) -> Product | None:
        """The logits of the call in `deferring()`, not computed yet; `None` where they were.

        Raises:
            RuntimeError: the stand-in is not the model's output, or not that alone.
        """
        product, stand_in = self._product, self._stand_in
        self._product = self._stand_in = None
        if product is not None and (outputs is not stand_in or self._calls > 1):
            raise RuntimeError(
                f"The layer {self.layer.name!r} is called at other places than at the model's end. Set the environment "
                "variable TORCHKERAS_FAST_PATHS=0, which computes its logits as one tensor."
            )
        return product


def find_head(model: Any, compiled: Compiled | None) -> FusedHead | None:
    """The last layer of a model where a training step needs its logits for the loss alone.

    That is so with the sparse categorical crossentropy of logits, without metrics, where nothing but this library's
    layers stands between the last layer and the loss, and there are at least `LEAST_CLASSES` classes.
    """
    if compiled is None or not fast_paths_enabled() or compiled.metrics or compiled.loss is None:
        return None
    loss = compiled.loss._single
    if not is_library_class(type(loss)) or not takes_product(loss):
        return None
    layer = _last_layer(model)
    if not hasattr(layer, "_tk_as_product") or not is_library_class(type(layer)) or not layer.built:
        return None
    classes = max((size for weight in layer.parameters() for size in weight.shape), default=0)
    return FusedHead(layer) if classes >= LEAST_CLASSES else None


def _last_layer(model: Any) -> Any:
    """The layer that makes the only output of a graph of layers, used nowhere else; `None` for other models."""
    graph = getattr(model, "_tk_graph", None)
    runs_graph = getattr(type(model).call, "_tk_runs_graph", False) and "call" not in model.__dict__
    if graph is None or not runs_graph or len(graph.outputs) != 1:
        return None
    (output,) = graph.outputs
    layer = output._keras_history.operation
    if any(tensor is output for node in graph.nodes for tensor in node.input_tensors):
        return None
    others = [module for module in model.modules() if module is not model and layer in module._modules.values()]
    if others or layer is model:
        return None
    return _last_layer(layer) if getattr(layer, "_tk_graph", None) is not None else layer
