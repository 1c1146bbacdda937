"""The layers that have a form under `torch_view`, and the classes that they have there."""

from __future__ import annotations

import copy
import functools
from typing import Any

from torch import nn

from torchkeras import layers
from torchkeras.layers.base.layer import Layer
from torchkeras.utils.torch_view.convolutions import ViewedConv, ViewedConvTranspose, ViewedDepthwiseConv
from torchkeras.utils.torch_view.layers import (
    ViewedDense,
    ViewedEinsumDense,
    ViewedEmbedding,
    ViewedLayer,
    ViewedReversibleEmbedding,
    weight_property,
)

# The layers that have a form under the view, the more special ones first.
_FORMS: tuple[tuple[type, type[ViewedLayer]], ...] = (
    (layers.ReversibleEmbedding, ViewedReversibleEmbedding),
    (layers.Embedding, ViewedEmbedding),
    (layers.EinsumDense, ViewedEinsumDense),
    (layers.Dense, ViewedDense),
    (layers.Conv1D, type("ViewedConv1D", (ViewedConv,), {"kind": nn.Conv1d})),
    (layers.Conv2D, type("ViewedConv2D", (ViewedConv,), {"kind": nn.Conv2d})),
    (layers.Conv3D, type("ViewedConv3D", (ViewedConv,), {"kind": nn.Conv3d})),
    (layers.DepthwiseConv1D, type("ViewedDepthwiseConv1D", (ViewedDepthwiseConv,), {"kind": nn.Conv1d})),
    (layers.DepthwiseConv2D, type("ViewedDepthwiseConv2D", (ViewedDepthwiseConv,), {"kind": nn.Conv2d})),
    (layers.Conv1DTranspose, type("ViewedConv1DTranspose", (ViewedConvTranspose,), {"kind": nn.ConvTranspose1d})),
    (layers.Conv2DTranspose, type("ViewedConv2DTranspose", (ViewedConvTranspose,), {"kind": nn.ConvTranspose2d})),
    (layers.Conv3DTranspose, type("ViewedConv3DTranspose", (ViewedConvTranspose,), {"kind": nn.ConvTranspose3d})),
)


def form_of(layer: nn.Module) -> type[ViewedLayer] | None:
    """The form under the view of a layer's class; `None` if it has none."""
    return next((form for cls, form in _FORMS if isinstance(layer, cls)), None)


@functools.cache
def viewed_class(cls: type) -> type:
    """The class of a layer of class `cls` while it is under the view."""
    form = next(form for base, form in _FORMS if issubclass(cls, base))
    weights = ("embeddings",) if issubclass(form, ViewedEmbedding) else ("kernel", "bias")
    if form is ViewedEinsumDense:
        weights = ("kernel",)
    names: dict[str, object] = {
        "own_class": cls,
        "call": form.call,
        "_tk_unsaved": (form.key,),
        "__doc__": cls.__doc__,
        "__reduce_ex__": _reduced,
        "__deepcopy__": _copied,
    }
    return type(cls.__name__, (form, cls), {**names, **{name: weight_property(name) for name in weights}})


def _blank(cls: type) -> Any:
    """A layer under the view without its state, which a copy or a pickle fills in."""
    return object.__new__(viewed_class(cls))


def _reduced(layer: Layer, protocol: Any) -> Any:
    return _blank, (layer.own_class,), layer.__getstate__()


def _copied(layer: Layer, memo: dict[int, Any]) -> Any:
    twin = memo[id(layer)] = _blank(layer.own_class)
    twin.__dict__.update(copy.deepcopy(layer.__dict__, memo))
    return twin
