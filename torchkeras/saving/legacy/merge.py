"""The `Merge` layer of Keras 1, in a graph and at the head of a Sequential model."""

from __future__ import annotations

from typing import Any

from torchkeras.saving.legacy.nodes import tensor
from torchkeras.saving.legacy.types import Config
from torchkeras.saving.safety.budget import BadFileError

_CLASSES = {"sum": "Add", "mul": "Multiply", "concat": "Concatenate", "ave": "Average", "max": "Maximum", "dot": "Dot"}


def merging_layer(config: Config) -> tuple[str, Config]:
    """The class and arguments of Keras 3's layer that does what a `Merge` layer does.

    Args:
        config: the arguments of `Merge`.

    Raises:
        BadFileError: the mode is a function, or one that Keras 3 does not have.
    """
    mode = config.get("mode")
    if mode == "cos":
        raise BadFileError(
            f"Merge {config.get('name')!r} of Keras 1 has mode='cos', whose outputs have the shape (batch, 1, 1), as "
            f"those of no layer of Keras 3. Build the model in code, with Dot(axes, normalize=True) and "
            f"Reshape((1, 1)) in its place, and load its weights."
        )
    if config.get("mode_type", "raw") != "raw" or mode not in _CLASSES:
        raise BadFileError(
            f"Merge {config.get('name')!r} of Keras 1 has mode={str(mode)[:40]!r} (mode_type="
            f"{config.get('mode_type', 'raw')!r}). The modes that are read are {sorted(_CLASSES)}; a function in a "
            f"file is a risk of arbitrary code execution. Build the model in code and load its weights."
        )
    new: Config = {"name": config.get("name")}
    if mode == "concat":
        new["axis"] = config.get("concat_axis", -1)
    if mode == "dot":
        new["axes"] = _dot_axes(config.get("dot_axes", -1))
    return _CLASSES[mode], new


def _dot_axes(axes: object) -> Any:
    """`[1, 2]` or a number; Keras 1 also has lists of one axis in the list."""
    if isinstance(axes, list):
        return [axis[0] if isinstance(axis, list) and len(axis) == 1 else axis for axis in axes]
    return axes


def starts_with_merge(rows: Any) -> bool:
    """Whether the layers of a Sequential model begin with a `Merge` of other models."""
    return (
        isinstance(rows, list)
        and bool(rows)
        and isinstance(rows[0], dict)
        and rows[0].get("class_name") == "Merge"
        and bool(rows[0].get("config", {}).get("layers"))
    )


def as_graph(rows: list[Config], name: str) -> Config:
    """The config of a functional model for a Sequential model that begins with a `Merge` of other models.

    The layers of the merged models become layers of the whole, as Keras 1 counts them in weight files.

    Args:
        rows: the serialized layers.
        name: of the model.

    Raises:
        BadFileError: a merged model is no Sequential model that states its input's shape.
    """
    layers: list[Config] = []
    inputs: list[list] = []
    merge = rows[0]["config"]
    ends = [_branch(branch, f"{name}_input_{i}", layers, inputs) for i, branch in enumerate(merge["layers"])]
    row = {**rows[0], "config": {**merge, "layers": None}, "name": merge.get("name", "merge")}
    last = _append(layers, row, [{"args": [[tensor(end, 0, 0) for end in ends]], "kwargs": {}}])
    for follower in rows[1:]:
        last = _append(layers, follower, [_call(last)])
    return {"name": name, "layers": layers, "input_layers": inputs, "output_layers": [last, 0, 0]}


def _branch(branch: Config, input_name: str, layers: list[Config], inputs: list[list]) -> str:
    """Append the layers of a merged model; returns the name of its last layer."""
    rows = branch.get("config")
    rows = rows.get("layers") if isinstance(rows, dict) else rows
    shape = rows[0].get("config", {}).get("batch_input_shape") if isinstance(rows, list) and rows else None
    if branch.get("class_name") != "Sequential" or shape is None:
        raise BadFileError(
            f"The Merge layer of Keras 1 joins a {branch.get('class_name')!r} that does not state the shape of its "
            f"input. Build the model in code and load its weights."
        )
    config = {
        "name": input_name,
        "batch_input_shape": shape,
        "dtype": rows[0]["config"].get("input_dtype") or "float32",
    }
    last = _append(layers, {"class_name": "InputLayer", "config": config}, [])
    inputs.append([last, 0, 0])
    for row in rows:
        last = _append(layers, row, [_call(last)])
    return last


def _call(name: str) -> Config:
    return {"args": [tensor(name, 0, 0)], "kwargs": {}}


def _append(layers: list[Config], row: Config, nodes: list[Config]) -> str:
    name = row.get("name") or row.get("config", {}).get("name")
    if not isinstance(name, str):
        raise BadFileError(f"A layer of the Sequential model has no name: {row.get('class_name')!r}.")
    layers.append({**row, "name": name, "inbound_nodes": nodes})
    return name
