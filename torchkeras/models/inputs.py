"""The inputs of a functional model, from the data that it is called on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchkeras.core import tree
from torchkeras.core.operations.tracebacks import complete
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import TORCH_DTYPES
from torchkeras.core.tensors.masks import set_mask
from torchkeras.core.tensors.strings import is_string_array, string_array
from torchkeras.core.user_warnings import warn_user
from torchkeras.layers.core.input_layer import Input
from torchkeras.models.graph import Graph


def standardize(graph: Graph, inputs: Any, name: str, sizes: bool = True) -> list[Any]:
    """The data as a flat list in the order of the model's inputs, in their types and ranks.

    Args:
        sizes: whether sizes must be those of the inputs; else the layers say what they need.

    Raises:
        ValueError: a shape, a number of inputs or a name is not what the model was made with.
    """
    if isinstance(inputs, torch.Tensor) and graph.entry is not None and _is_ready(inputs, graph.entry, sizes):
        return [inputs]
    values = _ordered_values(graph, inputs, name)
    return [_one(graph, value, known, i, name, sizes) for i, (value, known) in enumerate(zip(values, graph.inputs))]


def warn_of_keys(inputs: Any) -> None:
    """Warn where the key of an input in a dict differs from the input's name."""
    if not isinstance(inputs, dict):
        return
    for key, tensor in inputs.items():
        name = tensor.name if isinstance(tensor, KerasTensor) else key
        if name != key:
            warn_user(
                f"When providing `inputs` as a dict, all keys in the dict must match the names of the corresponding "
                f"tensors. Received key {key!r} mapping to value {tensor} which has name {name!r}. Change the tensor "
                f"name to {key!r} (via `Input(..., name={key!r})`)"
            )


def entry_of(tensors: list[KerasTensor]) -> tuple[Any, ...] | None:
    """Type, rank and sizes of a model's only input: what a tensor must have to be taken as it is."""
    if len(tensors) != 1 or tensors[0]._dtype not in TORCH_DTYPES:
        return None
    (known,) = tensors
    fixed = tuple((axis, size) for axis, size in enumerate(known.shape) if axis and size is not None)
    return TORCH_DTYPES[known._dtype], len(known.shape), fixed


def _is_ready(x: torch.Tensor, entry: tuple, sizes: bool) -> bool:
    dtype, rank, fixed = entry
    shape = x.shape
    if x.dtype is not dtype or len(shape) != rank:
        return False
    if sizes:
        for axis, size in fixed:
            if shape[axis] != size:
                return False
    return True


def _ordered_values(graph: Graph, inputs: Any, name: str) -> list:
    struct = graph.inputs_struct
    if isinstance(inputs, (torch.Tensor, KerasTensor)):
        values = [inputs]
    elif isinstance(inputs, dict):
        values = _by_name(graph, inputs, name)
    else:
        if isinstance(struct, dict):
            _check_order(struct, name)
        values = tree.flatten(inputs)
    if len(values) != len(graph.inputs):
        raise complete(
            ValueError(f'Layer "{name}" expects {_expected(graph)}, but it received {len(values)} input tensors.')
        )
    return values


def _expected(graph: Graph) -> str:
    count, struct = len(graph.inputs), graph.inputs_struct
    if isinstance(struct, dict):
        return f"{count} named input(s) with keys {list(struct)}"
    return f"{count} input(s), in the order {[_input_name(t) for t in graph.inputs]}"


def _check_order(struct: dict, name: str) -> None:
    """A list for a dict is read in the order of the sorted keys, which must then be that of the dict."""
    message = (
        f"The structure of `inputs` doesn't match the expected structure: model {name!r} takes a dict of {[*struct]}"
    )
    if list(struct) != sorted(struct):
        raise complete(ValueError(f"{message}; received a list, of which the order would be unclear."))
    warn_user(f"{message}; received a list, which is taken in that order.")


def _by_name(graph: Graph, inputs: dict, name: str) -> list:
    struct = graph.inputs_struct
    wanted = list(struct) if isinstance(struct, dict) else [_input_name(tensor) for tensor in graph.inputs]
    missing = [key for key in wanted if key not in inputs]
    if missing:
        raise complete(
            ValueError(
                f'Missing data for input "{missing[0]}" of model {name!r}. You passed a data dictionary with keys '
                f"{list(inputs)}. Expected the following keys: {wanted}"
            )
        )
    if len(inputs) > len(wanted) and frozenset(inputs) not in graph.warned_keys:
        graph.warned_keys.add(frozenset(inputs))
        warn_user(
            f"The structure of `inputs` doesn't match the expected structure: model {name!r} takes {wanted}; received "
            f"{list(inputs)}. The others are left aside."
        )
    return (
        tree.flatten({key: inputs[key] for key in wanted})
        if isinstance(struct, dict)
        else [inputs[key] for key in wanted]
    )


def _input_name(tensor: Any) -> str:
    return tensor._keras_history.operation.name


def _one(graph: Graph, value: Any, known: KerasTensor, index: int, name: str, sizes: bool) -> Any:
    if value is None:
        if not getattr(known._keras_history.operation, "optional", False):  # type: ignore[attr-defined]
            raise complete(
                ValueError(f"Input {index} ({_input_name(known)!r}) of model {name!r} is not optional; received None.")
            )
        return None
    if isinstance(value, KerasTensor):
        return _fitted(graph, value, known, index, name, sizes)
    if known._dtype == "string":
        return _fitted(graph, _strings(value, known, name), known, index, name, sizes)
    if not isinstance(value, torch.Tensor):
        if is_string_array(value):
            raise complete(
                ValueError(
                    f"Input {index} ({_input_name(known)!r}) of model {name!r} takes {known._dtype}; received strings: "
                    f"an array of dtype {value.dtype} and shape {value.shape}. Make the input with "
                    f"Input(..., dtype='string') and put StringLookup, TextVectorization or Hashing behind it."
                )
            )
        value = convert_to_tensor(value)
    dtype = TORCH_DTYPES.get(known._dtype)
    if dtype is not None and value.dtype is not dtype:
        mask = getattr(value, "_keras_mask", None)
        value = value.to(dtype)
        set_mask(value, mask)
    return _fitted(graph, value, known, index, name, sizes)


def _strings(value: Any, known: KerasTensor, name: str) -> np.ndarray:
    """The data of an input of strings as an array.

    Raises:
        TypeError: they are numbers.
    """
    if isinstance(value, torch.Tensor):
        raise complete(
            TypeError(
                f"Input {_input_name(known)!r} of model {name!r} takes strings; received a tensor of dtype "
                f"{value.dtype} and shape {tuple(value.shape)}."
            )
        )
    return string_array(value, f"Input {_input_name(known)!r} of model {name!r}")


def _fitted(graph: Graph, value: Any, known: KerasTensor, index: int, name: str, sizes: bool) -> Any:
    """The value with a last axis of 1 added or taken where that makes it fit; an error where nothing does."""
    shape, wanted = value.shape, known.shape
    if len(shape) != len(wanted) and not isinstance(value, KerasTensor):
        if len(shape) == len(wanted) + 1 and shape[-1] == 1:
            value = value.squeeze(-1)
        elif len(shape) == len(wanted) - 1 and wanted and wanted[-1] == 1:
            value = value[..., None]
        shape = value.shape
    if len(shape) == len(wanted):
        if not sizes:
            return value
        for found, size in zip(shape[1:], wanted[1:]):
            if size is not None and found is not None and found != size:
                break
        else:
            return value
    raise complete(
        ValueError(
            f"Invalid input shape for the input with name {_input_name(known)!r} and path {_path(graph, index)!r} of "
            f"model {name!r}: expected shape={wanted}, found shape={tuple(shape)}."
        )
    )


def _path(graph: Graph, index: int) -> str:
    """The keys and indices that lead to an input, as `0.image`."""
    return ".".join(str(key) for key in tree.flatten_with_path(graph.inputs_struct)[index][0])


def attach_masks(values: list[Any], mask: Any) -> None:
    """Put masks given in a call onto the inputs."""
    for value, one in zip(values, tree.flatten(mask)):
        if value is not None and one is not None:
            set_mask(value, one if isinstance(one, torch.Tensor) else convert_to_tensor(one, "bool"))


def with_new_inputs(inputs: Any, outputs: Any) -> tuple[Any, Any]:
    """A copy of the graph's calls behind `inputs` that starts from new input layers; the layers are shared."""
    graph = Graph(inputs, outputs)
    fresh = [
        tensor
        if not tensor._keras_history.operation._inbound_nodes[tensor._keras_history.node_index].input_tensors  # type: ignore[attr-defined]
        else Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=f"{tensor.name}CLONE")
        for tensor in graph.inputs
    ]
    made = graph.walk(list(fresh), lambda operation, args, kwargs: operation(*args, **kwargs))
    return tree.pack_sequence_as(inputs, fresh), made
