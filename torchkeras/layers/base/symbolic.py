"""Layers on KerasTensors: what comes out, found without values, and the node that records it."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from torchkeras.core import naming, tree
from torchkeras.core.state import state
from torchkeras.core.symbolic import infer
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.variables.stateless import CallScope
from torchkeras.core.variables.variable import BufferVariable
from torchkeras.layers.base import inputs as arguments
from torchkeras.layers.base import symbolic_masks
from torchkeras.layers.base.building import Locked, build_for
from torchkeras.layers.base.input_spec import check_inputs
from torchkeras.layers.base.weight_walk import sublayers


def call(layer: Any, args: tuple, kwargs: dict) -> Any:
    """Build the layer, infer its outputs, and record the call as a node."""
    args, kwargs = arguments.convert(layer, args, kwargs)
    if layer.input_spec is not None and layer.built:
        check_inputs(layer.input_spec, arguments.first(args, kwargs), layer.name)
    is_first = not layer.built
    if is_first:
        if layer.input_spec is not None:
            check_inputs(layer.input_spec, arguments.first(args, kwargs), layer.name)
        build_for(layer, args, kwargs)
        layer.built = True
    entry, state.entry = state.entry, state.entry or layer
    try:
        with naming.name_scope(layer.name, caller=layer), Locked(layer):
            cast_args, cast_kwargs = arguments.cast_symbols(layer, args, kwargs)
            outputs = layer.compute_output_spec(*cast_args, **cast_kwargs)
            if (
                is_first
                and not layer._tk_builds_weights
                and any(not getattr(part, "built", True) for part in sublayers(layer))
            ):
                # The shapes came from a rule of the class's: only a run of `call` builds the layers that it uses.
                with contextlib.suppress(NotImplementedError):
                    inferred(layer, args, kwargs)
    finally:
        state.entry = entry
    symbolic_masks.warn_where_lost(layer, args, kwargs)
    outputs = layer._tk_record(args, _noted(layer, args, kwargs), tree.map_structure(_fresh, outputs))
    symbolic_masks.attach(layer, arguments.first(args, kwargs), outputs, kwargs.get("mask"))
    return outputs


def _noted(layer: Any, args: tuple, kwargs: dict) -> dict:
    """The arguments as Keras's files hold them: with what a call of one tensor that needs no cast was completed by."""
    if kwargs or len(args) != 1:
        return kwargs
    spec, x = layer._tk_call_spec, args[0]
    as_it_is = isinstance(x, KerasTensor) and x.dtype == layer.input_dtype
    if not as_it_is and getattr(layer, "_tk_graph", None) is None:
        return kwargs
    noted: dict[str, Any] = {}
    if spec.has_training:
        training = spec.literal_default if state.training is None else state.training
        if training is not None:
            noted["training"] = training
    if "mask" in spec.masks:
        noted["mask"] = tree.map_structure(lambda t: None, x)
    return noted


def _fresh(value: Any) -> Any:
    """A tensor of its own for this node: an inference may hand back its input."""
    if isinstance(value, KerasTensor) and hasattr(value, "_keras_history"):
        return KerasTensor(value.shape, value.dtype)
    return value


def output_spec(layer: Any, args: tuple, kwargs: dict) -> Any:
    """From the class's own `compute_output_shape` where it has one, else by a run of `call` on `meta`."""
    if layer._tk_own_shape_rule:
        shapes = layer.compute_output_shape(**_shape_arguments(layer, args, kwargs))
        return _tensors(shapes, layer.compute_dtype)
    return inferred(layer, args, kwargs)


def _shape_arguments(layer: Any, args: tuple, kwargs: dict) -> dict[str, Any]:
    given = layer._tk_call_spec.bind(args, kwargs)
    parameters = arguments.parameter_names(layer.compute_output_shape)
    first = next(iter(given.values()))
    if len(parameters) == 1:
        return {parameters[0]: arguments.shapes_of(first)}
    shapes = {}
    for i, parameter in enumerate(parameters):
        name = parameter.removesuffix("_shape")
        if name in given:
            shapes[parameter] = arguments.shapes_of(given[name])
        elif i == 0:
            shapes[parameter] = arguments.shapes_of(first)
    return shapes


def _tensors(shapes: Any, dtype: str) -> Any:
    if tree.is_shape_tuple(shapes):
        return KerasTensor(tuple(shapes), dtype)
    if isinstance(shapes, dict):
        return {name: _tensors(shape, dtype) for name, shape in shapes.items()}
    return type(shapes)(_tensors(shape, dtype) for shape in shapes)


def output_shape(layer: Any, args: tuple, kwargs: dict) -> Any:
    """The output shapes by a run without values; the arguments are shapes.

    Raises:
        NotImplementedError: the run fails.
    """
    dtype = layer.compute_dtype

    def tensor(value: Any) -> Any:
        return _tensors(value, dtype) if isinstance(value, (list, tuple, dict)) else value

    inputs = tuple(tensor(value) for value in args)
    named = {name.removesuffix("_shape"): tensor(value) for name, value in kwargs.items()}
    if set(named) == {"input"}:
        inputs, named = (named["input"],), {}
    build_for(layer, inputs, named)
    try:
        outputs = inferred(layer, inputs, named)
    except NotImplementedError as error:
        if not _names_the_missing_method(error):
            raise
        raise NotImplementedError(
            f"Layer {type(layer).__name__} does not have a `compute_output_shape` method implemented. It needs "
            f"`def compute_output_shape(self, input_shape)`, or a call() from which the shape can be found."
        ) from None
    return tree.map_structure(lambda t: t.shape if isinstance(t, KerasTensor) else None, outputs)


def inferred(layer: Any, args: tuple, kwargs: dict) -> Any:
    """The outputs as KerasTensors by a run of `call` on `meta`, or where it needs values, with ones.

    Raises:
        NotImplementedError: the run fails.
    """
    try:
        return infer.infer(layer.forward, args, kwargs)
    except (RuntimeError, NotImplementedError, TypeError) as error:
        if _names_the_missing_method(error):
            raise
        _check_for_configs(layer, error)
        if _wants_values(error):
            # Constants that the layer holds, NumPy's functions, decisions by value: no state changes meanwhile.
            scope = CallScope((), [(v, v) for v in layer.variables if isinstance(v, BufferVariable)])
            scope.drops_losses = True
            with contextlib.suppress(Exception), scope:
                return infer.infer(layer.forward, args, kwargs, with_ones=True)
        shapes = [getattr(t, "shape", None) for t in tree.flatten(args)]
        raise NotImplementedError(
            f"The output shape of layer {layer.name!r} ({type(layer).__name__}) for inputs of shape {shapes} could "
            f"not be found by running call() without values: {error}. Define compute_output_shape(input_shape) in "
            f"the class."
        ) from error


def _wants_values(error: Exception) -> bool:
    """Whether it was for `meta` that a run failed, and not for an output whose size lies in the values."""
    return bool(_META.search(str(error))) and not _OPEN_SIZES.search(str(error))


_META = re.compile("meta", re.IGNORECASE)
_OPEN_SIZES = re.compile("nonzero|unique|bincount|masked_select|repeat_interleave")


def _check_for_configs(layer: Any, error: Exception) -> None:
    """Say so where `call` failed because an attribute holds the config of a layer in the place of the layer."""
    configs = [
        name
        for name, value in vars(layer).items()
        if isinstance(value, dict) and {"class_name", "config"} <= value.keys()
    ]
    if configs and isinstance(error, TypeError):
        raise TypeError(
            f"Attributes {configs} of layer {layer.name!r} ({type(layer).__name__}) hold configs, not objects. Layers "
            f"and other objects that get_config() returns must be made again in from_config(), where they are "
            f"explicitly deserialized by keras.saving.deserialize_keras_object(). {error}"
        ) from None


def _names_the_missing_method(error: Exception) -> bool:
    return isinstance(error, NotImplementedError) and "must define call()" in str(error)
