"""All variables of a model as nested dicts, by the parts of their paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from torchkeras.core.tensors.convert import convert_to_numpy
from torchkeras.layers.base.values import assign

if TYPE_CHECKING:
    from torchkeras.layers.base.layer import Layer

_FORMATS = ("backend_tensor", "numpy_array")


def state_tree(model: Layer, value_format: str) -> dict[str, Any]:
    """The variables of a model by kind and path.

    Args:
        model: a `Model`.
        value_format: `"backend_tensor"` or `"numpy_array"`.

    Returns:
        A dict of nested dicts.

    Raises:
        ValueError: the format is unknown, or two variables of a kind have one path.
    """
    if value_format not in _FORMATS:
        raise ValueError(
            f"Invalid `value_format` argument. Expected one of {_FORMATS}. Received: value_format={value_format}"
        )
    found: dict[str, Any] = {}
    for kind, variables in _kinds(model):
        tree = found[kind] = {}
        for path, variable in variables.items():
            *outer, name = path.split("/")
            place = tree
            for part in outer:
                place = place.setdefault(part, {})
            place[name] = np.array(convert_to_numpy(variable)) if value_format == "numpy_array" else variable
    return found


def set_state_tree(model: Layer, tree: dict[str, Any]) -> None:
    """Set the variables whose paths a tree has.

    Args:
        model: a `Model`.
        tree: as `state_tree` returns it; what it lacks stays as it is.

    Raises:
        ValueError: the tree has an unknown kind.
    """
    kinds = dict(_kinds(model))
    unknown = sorted(set(tree) - set(kinds))
    if unknown:
        raise ValueError(f"A state tree has the entries {list(kinds)}; received {unknown} too.")
    for kind, nested in tree.items():
        for path, value in _leaves(nested, ""):
            if path in kinds[kind]:
                assign(kinds[kind][path], value)


def _kinds(model: Any) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    keys = {id(tensor): key.replace(".", "/") for key, tensor in model.named_parameters()}
    yield "trainable_variables", _by_path(model.trainable_variables, keys)
    yield "non_trainable_variables", _by_path(model.non_trainable_variables, keys)
    yield "optimizer_variables", _by_path(getattr(getattr(model, "optimizer", None), "variables", []), keys)
    yield "metrics_variables", _by_path(model.metrics_variables, keys)


def _by_path(variables: list, keys: dict[int, str]) -> dict[str, torch.Tensor]:
    """Variables by path; a parameter of a torch module goes by its key in `state_dict()`."""
    found: dict[str, torch.Tensor] = {}
    for i, variable in enumerate(variables):
        path = getattr(variable, "path", None) or keys.get(id(variable), f"tensor_{i}")
        if path in found:
            raise ValueError(
                f"The following variable path is found twice in the model: '{path}'. Give the layers that hold the two "
                f"variables different names."
            )
        found[path] = variable
    return found


def _leaves(nested: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, value in nested.items():
        inner = f"{path}/{name}" if path else name
        if isinstance(value, dict):
            yield from _leaves(value, inner)
        else:
            yield inner, value
