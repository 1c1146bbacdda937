"""A model into a file: its config, its weights, and the files that its layers keep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.nn.utils.parametrize import is_parametrized

from torchkeras.core.config.serialization import serialize_keras_object
from torchkeras.core.user_warnings import warn_user
from torchkeras.core.variables.seeds import SeedGenerator
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.weight_walk import layer_tree
from torchkeras.saving.formats.base import ModelTarget, WeightsTarget
from torchkeras.saving.json import dumped
from torchkeras.saving.refusals import warning_for
from torchkeras.saving.walk import named_tensors, own_variables, saveables


def write_model(model: Layer, target: ModelTarget) -> None:
    """Write all parts of a model; warn if loading will refuse one of them."""
    config = serialize_keras_object(model)
    target.config(dumped(config).encode())
    refused = warning_for(config)
    if refused is not None:
        warn_user(refused)
    parametrized = [layer.name for layer in layer_tree(model) if is_parametrized(layer)]
    if parametrized:
        warn_user(
            f"load_model() will refuse the model that is being saved: torch computes weights of {parametrized} by "
            f"parametrizations, which the file does not describe. Before saving call "
            f"torch.nn.utils.parametrize.remove_parametrizations(layer, name), or read the file with load_weights() "
            f"into a model with the same parametrizations."
        )
    objects = list(saveables(model, _left_out(model)))
    with target.weights() as weights:
        _save_objects(objects, weights)
    with_files = [(path, obj) for path, obj in objects if hasattr(obj, "save_assets")]
    if with_files:
        with target.assets() as folder:
            for path, obj in with_files:
                own = folder / path
                own.mkdir(parents=True, exist_ok=True)
                obj.save_assets(str(own))


def save_state(model: Layer, target: WeightsTarget, skip: Iterable[Any] = ()) -> None:
    """Write the weights of the model and of all that it holds.

    Args:
        skip: objects to leave out, with what is in them.
    """
    if target.tensor_names is not None:
        for name, tensor in named_tensors(model):
            target.tensor_names.setdefault(id(tensor), name)
    _save_objects(saveables(model, [*skip, *_left_out(model)]), target)


def _save_objects(objects: Iterable[tuple[str, Any]], target: WeightsTarget) -> None:
    """Write the weights of each object; one that overrides `save_own_variables` decides what it writes."""
    for path, obj in objects:
        name = getattr(obj, "name", None)
        name = name if isinstance(name, str) and not isinstance(obj, SeedGenerator) else None
        variables = own_variables(obj)
        if variables is not None:
            entry = target.entry(path, name)
            for i, (_, tensor) in enumerate(variables):
                entry[str(i)] = tensor
        elif hasattr(obj, "save_own_variables"):
            obj.save_own_variables(target.entry(path, name))
        elif isinstance(obj, torch.nn.Module):
            entry = target.entry(path, name)
            for key, value in obj.state_dict().items():
                if isinstance(value, torch.Tensor):
                    entry[key] = value


def _left_out(model: Layer) -> list[Any]:
    """The optimizer of a model with layers that stand in for others: its state has the layout of those layers."""
    optimizer = getattr(model, "optimizer", None)
    if getattr(optimizer, "built", False) and any(
        getattr(layer, "_tk_stands_in", False) for layer in layer_tree(model)
    ):
        warn_user(
            "The file gets no state of the optimizer, whose variables are those of torch modules under torch_view. "
            "Close the view before saving to keep the state."
        )
        return [optimizer]
    return []
