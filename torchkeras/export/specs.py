"""Shapes and types of the inputs that a model is exported for."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core import tree
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.dtypes import TORCH_DTYPES, standardize_dtype
from torchkeras.core.types import Nest
from torchkeras.layers.base.input_spec import InputSpec
from torchkeras.layers.base.layer import Layer

# torch.export takes a size of 1 in its sample as a constant; a size of 2 can stand for all.
SAMPLE_SIZE = 2


def make_input_spec(x: Any) -> InputSpec:
    """The shape, dtype and name of one input.

    Raises:
        TypeError: `x` is of another type.
        ValueError: `x` has no shape or dtype.
    """
    if isinstance(x, InputSpec):
        if x.shape is None or x.dtype is None:
            raise ValueError(f"The `shape` and `dtype` must be provided. Received: x={x}")
        return x
    if isinstance(x, KerasTensor):
        return InputSpec(dtype=x.dtype, shape=(None, *x.shape[1:]), name=x.name)
    if isinstance(x, torch.Tensor):
        return InputSpec(dtype=standardize_dtype(x.dtype), shape=(None, *x.shape[1:]))
    raise TypeError(
        f"An input signature is made of keras.InputSpec, keras.KerasTensor and tensors; received {x!r} of type "
        f"{type(x)}."
    )


def input_signature_of(model: Layer) -> list[Nest[InputSpec]]:
    """The inputs of a built model, one entry per positional argument.

    Raises:
        TypeError: `model` is no layer or model.
        ValueError: it is not built, or nobody knows its inputs.
    """
    if not isinstance(model, Layer):
        raise TypeError(f"The model must be a `keras.Model`. Received: model={model} of the type {type(model)}")
    if not model.built:
        raise ValueError(
            f"The model {model.name!r} provided has not yet been built. It must be built before export: call it on "
            f"data, or build(input_shape)."
        )
    if getattr(model, "_tk_graph", None) is not None:
        return [tree.map_structure(make_input_spec, model.input)]
    shapes = model._tk_build_shapes
    if not shapes:
        raise ValueError(
            f"The model {model.name!r} provided has never called. It must be called at least once before export, or "
            f"give input_signature=[keras.InputSpec(shape=..., dtype=...)]."
        )
    dtype = model.input_dtype
    return [
        tree.map_shape_structure(lambda shape: InputSpec(shape=(None, *shape[1:]), dtype=dtype), shape)
        for shape in shapes.values()
    ]


def sample_of(spec: InputSpec, device: torch.device) -> torch.Tensor:
    """Ones of a spec's shape and type; open sizes are 2."""
    sizes = [SAMPLE_SIZE if size is None else size for size in spec.shape]
    return torch.ones(sizes, dtype=TORCH_DTYPES[spec.dtype], device=device)


def open_sizes(spec: InputSpec) -> dict[int, Any]:
    """torch.export's form of a spec: which axes have any size."""
    return {axis: torch.export.Dim.AUTO for axis, size in enumerate(spec.shape) if size is None}


def input_names(signature: list[Nest[InputSpec]]) -> list[str]:
    """A name for each input, as ONNX needs it."""
    names = [spec.name or f"input_{i}" for i, spec in enumerate(tree.flatten(signature))]
    return [name if names.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(names)]
