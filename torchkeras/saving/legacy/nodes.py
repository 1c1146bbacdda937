"""Calls in functional configs: from the lists of Keras 1 and 2 to the dicts of Keras 3.

Keras 1 and 2 write a call as `[[layer, node, tensor, kwargs], ...]`, one row per input tensor; ops of TensorFlow as a
single row `[layer, node, tensor, kwargs]`. Keras 3 writes `{"args": [...], "kwargs": {...}}`.
"""

from __future__ import annotations

from typing import Any

from torchkeras.saving.legacy.types import Config
from torchkeras.saving.safety.budget import BadFileError

# Layers that Keras 1 and 2 call on `[inputs, *initial_state]`.
RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"})
_CONSTANT = "_CONSTANT_VALUE"


def tensor(name: str, node: int, index: int) -> Config:
    """The reference to an output of a layer's call, as Keras 3 writes it."""
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, node, index]}}


def is_reference(value: object) -> bool:
    """Whether a value is a row `[layer, node, tensor]`, with or without kwargs."""
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and all(type(number) is int for number in value[1:3])
        and (len(value) == 3 or isinstance(value[3], dict))
    )


def _is_constant(value: object) -> bool:
    return isinstance(value, list) and len(value) in (3, 4) and value[0] == _CONSTANT


def upgraded_call(node: object, class_name: str, offsets: dict[str, int]) -> Config:
    """One call of a layer in the spelling of Keras 3.

    Args:
        node: the entry of `inbound_nodes`.
        class_name: of the layer.
        offsets: for nested models the number of their first call in this config.

    Raises:
        BadFileError: the entry is no call.
    """
    if isinstance(node, dict) and "args" in node:
        return node
    kwargs: Config = {}
    inputs = _inputs(node, offsets, kwargs)
    if isinstance(inputs, list) and len(inputs) == 1 and not _is_row(node):
        inputs = inputs[0]
    kwargs = {key: _argument(value, offsets) for key, value in kwargs.items() if value is not None}
    if class_name in RECURRENT and isinstance(inputs, list):
        inputs, state = inputs[0], inputs[1:]
        kwargs["initial_state"] = state
    return {"args": [inputs], "kwargs": kwargs}


def _is_row(node: object) -> bool:
    return is_reference(node) or _is_constant(node)


def _inputs(node: Any, offsets: dict[str, int], kwargs: Config) -> Any:
    """The first argument: a tensor, a constant, or a nest of them; `kwargs` takes what the rows have beside it."""
    if _is_row(node):
        if len(node) > 3:
            kwargs.update(node[3])
        return node[2] if _is_constant(node) else _reference(node, offsets)
    if isinstance(node, dict):
        return {key: _inputs(value, offsets, kwargs) for key, value in node.items()}
    if isinstance(node, list) and node:
        return [_inputs(value, offsets, kwargs) for value in node]
    raise BadFileError(f"The config has {node!r} among its `inbound_nodes`, which is no call of a layer.")


def _reference(row: list, offsets: dict[str, int]) -> Config:
    name, node, index = row[:3]
    return tensor(name, node - offsets.get(name, 0), index)


def _argument(value: Any, offsets: dict[str, int]) -> Any:
    """A keyword argument of a call, in which rows of names and numbers stand for tensors."""
    if is_reference(value):
        return _reference(value, offsets)
    if isinstance(value, list):
        return [_argument(item, offsets) for item in value]
    if isinstance(value, dict):
        return {key: _argument(item, offsets) for key, item in value.items()}
    return value


def offsets(rows: list[Config], ends: list) -> dict[str, int]:
    """The number of the first call of each nested model, by the model's name.

    Keras 1 and 2 count a nested model's calls from 1 where it has inputs of its own.

    Args:
        rows: the serialized layers.
        ends: the model's `input_layers` and `output_layers`.
    """
    nested = {
        row["name"]: len(row.get("inbound_nodes") or ())
        for row in rows
        if row.get("class_name") in ("Sequential", "Model", "Functional") and isinstance(row.get("name"), str)
    }
    if not nested:
        return {}
    highest = dict.fromkeys(nested, 0)
    _note_highest([[row.get("inbound_nodes") for row in rows], ends], highest)
    return {name: 1 for name, calls in nested.items() if highest[name] >= calls > 0}


def _note_highest(value: Any, highest: dict[str, int]) -> None:
    if is_reference(value):
        if value[0] in highest:
            highest[value[0]] = max(highest[value[0]], value[1])
        value = value[3:]
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _note_highest(item, highest)


def upgraded_ends(ends: Any, offsets: dict[str, int], counted_from_one: frozenset[str]) -> Any:
    """`input_layers` or `output_layers`; a single tensor stands by itself, not in a list.

    Args:
        ends: rows `[layer, node, tensor]` in lists or dicts.
        offsets: see `upgraded_call`.
        counted_from_one: the nested functional models, whose calls Keras 3 counts from 1 here.
    """
    if is_reference(ends):
        name, node, index = ends[:3]
        return [name, node - offsets.get(name, 0) + (name in counted_from_one), index]
    if isinstance(ends, dict):
        return {key: upgraded_ends(value, offsets, counted_from_one) for key, value in ends.items()}
    if isinstance(ends, list):
        found = [upgraded_ends(value, offsets, counted_from_one) for value in ends]
        return found[0] if len(found) == 1 else found
    raise BadFileError(f"The config has {ends!r} for an input or output of the model, which names no tensor.")
