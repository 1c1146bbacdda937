"""A model's graph as classes of torch modules."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torchkeras.core import registry, tree
from torchkeras.core.operations.operation import Operation
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.layers import Lambda
from torchkeras.layers.base.layer import Layer
from torchkeras.saving.plain_torch import write_layers, write_ops, write_sequences  # noqa: F401  they register
from torchkeras.saving.plain_torch.source import (
    EMITTERS,
    ClassSource,
    NoCounterpartError,
    Program,
    Value,
    channels_second,
    in_keras_order,
)

DOC = "The torch form of a Keras model."


@dataclass
class _Nested:
    """A class that was written for a model within the model."""

    source: ClassSource
    swapped: list[bool]
    outputs: Any


class ModelProgram(Program):
    """Writes a model, and notes all layers that have no counterpart in torch."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: dict[str, str] = {}
        self._nested: dict[int, _Nested] = {}

    # -- a graph

    def write_graph(self, graph: Any, w: ClassSource, inputs: Sequence[Value]) -> Any:
        """Write all calls of a graph; gives the values of its outputs, nested as they are."""
        calls, uses = _looked_through(graph)
        left = Counter({value.code: uses[id(tensor)] for value, tensor in zip(inputs, graph.inputs)})
        position = iter(calls)

        def visit(operation: Operation, args: tuple, kwargs: dict[str, Any]) -> Any:
            specs = next(position)
            made = self._attempt(operation, w, args, kwargs, specs)
            given = Counter(v.code for v in tree.flatten((args, kwargs)) if isinstance(v, Value))
            shaped = [
                replace(value, shape=tuple(spec.shape)) for value, spec in zip(tree.flatten(made), tree.flatten(specs))
            ]
            if len(shaped) == 1:
                self._release(w, left, given, keep=shaped[0].code)
            named = [replace(value, code=_named(w, value)) for value in shaped]
            for value, spec in zip(named, tree.flatten(specs)):
                left[value.code] += uses[id(spec)]
            if len(shaped) != 1:
                self._release(w, left, given, keep="")
            return tree.pack_sequence_as(specs, named)

        return graph.walk(list(inputs), visit)

    def _release(self, w: ClassSource, left: Counter, given: Counter, keep: str) -> None:
        """Free the variables that nothing needs after this call."""
        for name, count in given.items():
            left[name] -= count
            if left[name] <= 0 and name != keep:
                w.free(name)

    def _attempt(self, operation: Any, w: ClassSource, args: tuple, kwargs: dict[str, Any], specs: Any) -> Any:
        try:
            made = self.write(operation, w, *args, **kwargs)
            if len(tree.flatten(made)) != len(tree.flatten(specs)):
                raise NoCounterpartError("it has another number of outputs")
            return made
        except NoCounterpartError as error:
            label = f"{type(operation).__name__} {operation.name!r}"
            self.problems.setdefault(label, str(error))
            return tree.map_structure(lambda spec: Value("x"), specs)

    # -- one call

    def write(self, layer: Any, w: ClassSource, *args: Any, **kwargs: Any) -> Any:
        kwargs = {name: value for name, value in kwargs.items() if name != "training" and value is not None}
        graph = getattr(layer, "_tk_graph", None)
        if graph is not None and not kwargs:
            return self._write_nested(layer, graph, w, args)
        emitter = _emitter_of(layer)
        if emitter is not None:
            return emitter(layer, w, *args, **kwargs)
        return self._write_nested(layer, expanded(layer, args, kwargs), w, args)

    def _write_nested(self, layer: Any, graph: Any, w: ClassSource, args: tuple) -> Any:
        values = [value for value in tree.flatten(args) if isinstance(value, Value)]
        if any(value.mask is not None for value in values):
            raise NoCounterpartError("it takes a mask, and consists of layers")
        known = self._nested.get(id(layer))
        if known is None:
            source = ClassSource(self.class_name(layer.name), self, layer)
            names = [source.argument(name) for name in argument_names(graph)]
            inside = [replace(v, code=name, shape=tuple(t.shape)) for v, name, t in zip(values, names, graph.inputs)]
            outputs = self.write_graph(graph, source, inside)
            known = self._nested[id(layer)] = _Nested(source, [v.swapped for v in values], outputs)
            self.classes.append(source.text(names, returned(outputs), DOC))
        codes = [
            (channels_second(value) if swapped else in_keras_order(value)).code
            for value, swapped in zip(values, known.swapped)
        ]
        made = w.module(layer, f"{known.source.name}()", known.source.state)
        w.frozen.update(f"{made.removeprefix('self.')}.{key}" for key in known.source.frozen)
        call = f"{made}({', '.join(codes)})"
        flat = tree.flatten(known.outputs)
        if len(flat) == 1:
            return replace(flat[0], code=call)
        if any(isinstance(part, (list, tuple, dict)) for part in _parts(known.outputs)):
            raise NoCounterpartError("its outputs are nested")
        together = w.assign(call, "outputs")
        keys = list(known.outputs) if isinstance(known.outputs, dict) else range(len(flat))
        return [replace(value, code=f"{together}[{key!r}]") for value, key in zip(flat, keys)]


def _parts(outputs: Any) -> Any:
    return outputs.values() if isinstance(outputs, dict) else outputs


def _named(w: ClassSource, value: Value) -> str:
    """A variable for a value; one that is a variable already stays it."""
    return value.code if w.is_live(value.code) else w.assign(value.code)


def _looked_through(graph: Any) -> tuple[list[Any], Counter]:
    """The outputs of each call as symbolic tensors, and how often each tensor is needed."""
    calls: list[Any] = []
    uses: Counter = Counter()

    def visit(operation: Operation, args: tuple, kwargs: dict[str, Any]) -> Any:
        uses.update(id(tensor) for tensor in tree.flatten((args, kwargs)) if isinstance(tensor, KerasTensor))
        calls.append(operation.compute_output_spec(*args, **kwargs))
        return calls[-1]

    uses.update(id(tensor) for tensor in tree.flatten(graph.walk(list(graph.inputs), visit)))
    return calls, uses


def _emitter_of(layer: Layer) -> Any:
    """How calls of a layer or op are written; `None` for a class of the user's with a `call` of its own."""
    for cls in type(layer).__mro__:
        if cls in EMITTERS:
            is_same = registry.is_own(type(layer)) or getattr(type(layer), "call", None) is getattr(cls, "call", None)
            return EMITTERS[cls] if is_same else None
    return None


def expanded(layer: Layer, args: tuple, kwargs: dict[str, Any] | None = None) -> Any:
    """The graph of what a layer that consists of layers does with inputs of these shapes.

    Raises:
        NoCounterpartError: it has weights of its own, or does more than to call layers and ops.
    """
    if not isinstance(layer, Layer):
        raise NoCounterpartError("torch has no function of its kind that is known here")
    if kwargs:
        raise NoCounterpartError(f"it is called with {sorted(kwargs)}")
    if registry.is_own(type(layer)) and not hasattr(layer, "layers") and not isinstance(layer, Lambda):
        raise NoCounterpartError("torch.nn has nothing of its kind")
    symbols = tree.map_structure(lambda v: KerasTensor(v.shape, getattr(v, "dtype", layer.compute_dtype)), args)
    try:
        outputs = layer.call(*symbols)
        function = registry.lookup("keras", "Function")(symbols[0] if len(symbols) == 1 else list(symbols), outputs)
    except Exception as error:  # whatever the user's code says of symbols
        raise NoCounterpartError(f"its call is more than calls of layers and ops ({error})") from error
    if any(operation is layer for operation in function._tk_graph.operations):
        raise NoCounterpartError("its call is no graph of layers and ops")
    return function._tk_graph


def argument_names(graph: Any) -> list[str]:
    """Names for the inputs of a class: those of the input layers, unless Keras numbers them."""
    wanted = [getattr(getattr(t, "_keras_history", None), "operation", t).name for t in graph.inputs]
    auto = [re.fullmatch(r"(input_layer|keras_tensor|input)(_\d+)?", name) is not None for name in wanted]
    if len(wanted) == 1:
        return ["x"] if auto[0] else wanted
    return [f"x{i + 1}" if is_auto else name for i, (name, is_auto) in enumerate(zip(wanted, auto))]


def returned(outputs: Any) -> str:
    """The source of what a class returns."""
    if isinstance(outputs, Value):
        return outputs.code
    if isinstance(outputs, dict):
        return "{" + ", ".join(f"{key!r}: {returned(value)}" for key, value in outputs.items()) + "}"
    items = [returned(value) for value in outputs]
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
