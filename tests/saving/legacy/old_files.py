"""Files of Keras 1 and 2, made with h5py from what is documented of their layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Weights = dict[str, list[tuple[str, np.ndarray]]]


def write(
    path: Path,
    config: dict | None,
    weights: Weights,
    version: str | None = "2.4.0",
    backend: str | None = "tensorflow",
    training: dict | None = None,
    optimizer: list[tuple[str, np.ndarray]] | None = None,
) -> Path:
    """A whole model, or without a config the weights alone.

    Args:
        weights: for each layer the names and values of its weights.
        version: of Keras, as the file states it.
        backend: likewise.
    """
    with h5py.File(path, "w") as file:
        group: Any = file
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
            group = file.create_group("model_weights")
        if training is not None:
            file.attrs["training_config"] = json.dumps(training).encode()
        if version is not None:
            group.attrs["keras_version"] = version.encode()
        if backend is not None:
            group.attrs["backend"] = backend.encode()
        group.attrs["layer_names"] = np.array([name.encode() for name in weights])
        for layer, named in weights.items():
            put(group.create_group(layer), named)
        if optimizer is not None:
            put(file.create_group("optimizer_weights"), optimizer)
    return path


def put(group: Any, named: list[tuple[str, np.ndarray]]) -> None:
    group.attrs["weight_names"] = np.array([name.encode() for name, _ in named]) if named else np.zeros(0, "S1")
    for name, value in named:
        group[name] = value


def sequential(layers: list[dict], name: str | None = None) -> dict:
    """As Keras 2.2 and later write it; without a name as those before."""
    return {"class_name": "Sequential", "config": layers if name is None else {"name": name, "layers": layers}}


def layer(class_name: str, name: str, **config: Any) -> dict:
    return {"class_name": class_name, "config": {"name": name, "trainable": True, **config}}


def functional(layers: list[dict], inputs: list, outputs: list, name: str = "model_1", kind: str = "Model") -> dict:
    return {
        "class_name": kind,
        "config": {"name": name, "layers": layers, "input_layers": inputs, "output_layers": outputs},
    }


def placed(row: dict, *calls: Any) -> dict:
    """A layer as a part of a graph; each call is `[[layer, node, tensor, kwargs], ...]`."""
    return {
        **row,
        "name": row["config"]["name"] if isinstance(row["config"], dict) else "nested",
        "inbound_nodes": list(calls),
    }


def input_layer(name: str, shape: tuple, dtype: str = "float32") -> dict:
    config = {"batch_input_shape": [None, *shape], "dtype": dtype, "sparse": False, "ragged": False}
    return placed(layer("InputLayer", name, **config))
