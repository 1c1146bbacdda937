"""Weights between a model and a torch module that is written by hand."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.user_warnings import warn_user
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.values import assign
from torchkeras.saving.plain_torch.matching import Matching
from torchkeras.saving.plain_torch.state_files import opened_state, shapes_of, write_state
from torchkeras.saving.plain_torch.units import Group, ModelUnits, groups_of

TorchWeights = str | os.PathLike[str] | Mapping[str, Tensor] | torch.nn.Module


def load_torch_weights(
    model: Layer, source: TorchWeights, mapping: Mapping[str, str | None] | None = None, verbose: bool = True
) -> dict[str, str]:
    """Load the weights of a torch module into a model of the same architecture.

    Layers and torch's modules are paired by name, by shape, and by the order in which data meets the layers. Where this
    leaves a choice the function does not guess: it says which weights fit alike. The layouts are converted: `(out, in)`
    matrices, `(out, in, height, width)` kernels, the order of a GRU's gates and the two biases of recurrent modules,
    the packed projections of `nn.MultiheadAttention`. A bias that a layer has and torch's module lacks is set to zeros.

    Names of torchvision, timm and the authors' code are known for `keras.applications`' ResNet and ConvNeXt, those of
    torchvision for Inception V3, whose auxiliary classifier is left out. A dense layer behind `Flatten` gets its
    columns in the order of channels-last images. A batch normalization without a scale or an offset takes the module's
    into its moving averages. Where the architectures differ and the source shows it (strides, epsilons of
    normalizations), a warning says so: a ResNet has its strides elsewhere in torch, see
    `keras.applications.resnet.torch_strides`, and torchvision's Inception V3 averages otherwise, see
    `keras.applications.inception_v3.torch_pooling`.

    Args:
        model: a built model or layer.
        source: a `.safetensors` file (or the index of several), a `.pth`, `.pt`, `.bin` or `.ckpt` file, which is read
            with `weights_only=True`, a state dict, or a module.
        mapping: `{"layer": "torch.module"}` for pairs that are to be made first. Layers within layers are written
            `"outer/inner"`. `{"layer": None}` leaves the layer as it is, `{"torch.module": None}` leaves the module
            out. Default: `None`.
        verbose: whether to print which module each layer got. Default: `True`.

    Returns:
        `{"layer": "torch.module"}` for all pairs. As a `mapping` it makes `save_torch_weights` use torch's names.

    Raises:
        ValueError: some weights fit several layers alike, or none, a normalization has no place for a scale or an
            offset, or a file is damaged. Nothing has been loaded then.

    Example:
        >>> module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> model = keras.Sequential(
        ...     [keras.Input((4,)), keras.layers.Dense(8, "relu", name="a"), keras.layers.Dense(2, name="b")]
        ... )
        >>> keras.saving.load_torch_weights(model, module.state_dict(), verbose=False)
        {'a': '0', 'b': '2'}
        >>> x = torch.ones(1, 4)
        >>> bool(torch.allclose(model(x), module(x)))
        True
    """
    if not model.built:
        raise ValueError(f"Model {model.name!r} has no weights yet: call it on data, or build it, before loading.")
    with opened_state(source) as state:
        matching = _matched(model, groups_of(shapes_of(state)), mapping or {})
        by_layer: dict[int, dict[str, str]] = {}
        for unit_index, group_index in matching.pairs.items():
            unit, group = matching.units[unit_index], matching.groups[group_index]
            by_layer.setdefault(unit.layer, {}).update(_names(unit.keys, group))
        zeros = {(matching.units[i].layer, key) for i in matching.pairs for key in matching.units[i].zeros}
        owners = matching.model.owners
        complete = {
            i: names
            for i, names in by_layer.items()
            if len(names) + sum(layer == i for layer, _ in zeros) == len(owners[i].layout.shapes())
        }
        for i in by_layer.keys() - complete.keys():
            raise ValueError(f"Only a part of {owners[i].name!r} has torch weights; give all of it, or none.")

        def tensors(i: int) -> dict[str, Tensor]:
            shapes = owners[i].layout.shapes()
            found = {key: state[name].reshape(shapes[key]) for key, name in complete[i].items()}
            return found | {key: torch.zeros(shapes[key]) for layer, key in zeros if layer == i}

        folded: dict[int, list[Tensor]] = {}  # before any change: it may refuse
        for i in complete:
            lacks = owners[i].layout.lacks
            if lacks is not None and lacks(tensors(i)):
                folded[i] = owners[i].layout.unpack(tensors(i))
        for i in complete:
            layout = owners[i].layout
            for weight, value in zip(layout.weights, folded.get(i) or layout.unpack(tensors(i))):
                assign(weight, value)
    differences = _differences(matching, source)
    if differences or (matching.table is not None and matching.table.differs(model)):
        _warn_of_differences(matching, differences)
    if folded:
        _warn_of_folded([owners[i].name for i in folded])
    if verbose:
        print(_report(matching))
    return {matching.units[unit].name: matching.groups[group].name for unit, group in sorted(matching.pairs.items())}


def _differences(matching: Matching, source: TorchWeights) -> list[str]:
    """Where a layer and its module have the same weights and compute otherwise, as far as the source shows it."""
    found = []
    modules = dict(source.named_modules()) if isinstance(source, torch.nn.Module) else {}
    for i, j in sorted(matching.pairs.items()):
        unit, name = matching.units[i], matching.groups[j].name
        layer = matching.model.owners[unit.layer].layer
        if name in modules:
            module = modules[name]
            pairs = [(getattr(layer, mine, None), getattr(module, other, None), mine) for mine, other in _COMPARED]
        elif not modules and matching.table is not None and re.search(r"layer\d\.\d+\.conv1$", name):
            pairs = [(getattr(layer, "strides", None), (1,) * layer.rank, "strides")]  # type: ignore[operator]
        else:
            continue
        for mine, other, what in pairs:
            if None not in (mine, other) and not _is_close(mine, other):
                found.append(f"{what} of {unit.name!r}: {mine}, in torch {other}")
    return found


_COMPARED = (("strides", "stride"), ("dilation_rate", "dilation"), ("groups", "groups"), ("epsilon", "eps"))


def _is_close(mine: Any, other: object) -> bool:
    if isinstance(mine, float) and isinstance(other, float):
        return abs(mine - other) < 1e-7
    return tuple(mine) == tuple(other) if isinstance(mine, tuple) and isinstance(other, tuple) else mine == other


def _warn_of_differences(matching: Matching, differences: list[str]) -> None:
    shown = "; ".join(differences[:3]) + (f"; {len(differences) - 3} more" if len(differences) > 3 else "")
    note = "" if matching.table is None or matching.table.note is None else f" {matching.table.note}"
    shown = f" {shown}." if shown else ""
    warn_user(f"The weights are loaded, but the model computes otherwise than the torch module.{shown}{note}")


def _warn_of_folded(names: list[str]) -> None:
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    warn_user(
        f"{shown} have no scale or no offset, and torch's normalizations have them. They are part of the moving "
        f"averages now: in inference the outputs are the module's, and training starts without them."
    )


def _names(keys: tuple[str, ...], group: Group) -> dict[str, str]:
    """The full names of a group's tensors by the names of the layout."""
    if len(keys) == 1 and len(group.keys) == 1:
        return {keys[0]: next(iter(group.keys.values()))}
    return {key: group.keys[key.rpartition(".")[2]] for key in keys}


def _matched(model: Layer, groups: list[Group], mapping: Mapping[str, str | None]) -> Matching:
    """The pairs, for the way in which the torch module keeps the projections of attention."""
    names = {name for group in groups for name, _ in group.signature}
    ways = ["packed"] if names & {"in_proj_weight", "q_proj_weight"} else ["qkv", "separate"]
    models = [ModelUnits(model, way) for way in ways]
    for units in models:
        units.leave_out_biases(groups)
    attempts = [Matching(units, groups, mapping) for units in models]
    best = max(attempts, key=lambda attempt: len(attempt.pairs) / max(1, len(attempt.units)))
    best.check()
    return best


def _report(matching: Matching) -> str:
    """A table: layer, torch's module, how they were paired."""
    rows = [("layer", "torch", "paired by", "shapes in torch")]
    for unit, group in sorted(matching.pairs.items()):
        shapes = ", ".join(str(shape) for _, shape in sorted(matching.groups[group].signature))
        rows.append((matching.units[unit].name, matching.groups[group].name, matching.how[unit], shapes))
    rows += [(matching.units[i].name, "-", "left as it is", "") for i in matching.kept]
    rows += [("-", matching.groups[i].name, "left out", "") for i in matching.ignored]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join([*(cell.ljust(w) for cell, w in zip(row, widths)), row[3]]).rstrip() for row in rows)


def save_torch_weights(
    model: Layer,
    filepath: str | os.PathLike[str],
    mapping: Mapping[str, str | None] | None = None,
    like: TorchWeights | None = None,
) -> None:
    """Save a model's weights as a torch state dict, in torch's layouts.

    Args:
        model: a built model or layer.
        filepath: a path that ends in `.safetensors`, or in `.pth` (`.pt`, `.bin`, `.ckpt`).
        mapping: `{"layer": "torch.module"}`: the names of modules in the file, as `load_torch_weights` returns them.
            Layers that are not in it keep their own name; those with `None` are left out. Default: `None`.
        like: module, state dict or file whose names the file shall have, so that the module loads it strictly. Biases
            of zeros that it lacks are left out, as those of a ResNet; counters of batches are taken from it. Default:
            `None`, all weights of the model.

    Raises:
        ValueError: the name has another ending, two layers get one name, or the names or shapes are not those of
            `like`.
        OSError: the file cannot be written; the error names the path.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="first")])
        >>> keras.saving.save_torch_weights(model, "model.pth", mapping={"first": "fc1"})
        >>> {key: tuple(value.shape) for key, value in torch.load("model.pth").items()}
        {'fc1.weight': (8, 4), 'fc1.bias': (8,)}
    """
    state = torch_state(model, mapping or {}, with_statistics=like is None)
    if like is not None:
        with opened_state(like) as wanted:
            state = _named_as(state, wanted)
    write_state(state, os.fspath(filepath))


def _named_as(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the names of another one, in its order; it may lack biases of zeros.

    Raises:
        ValueError: other names are missing on one of both sides, or a shape differs.
    """
    shapes = shapes_of(wanted)
    extra = [
        name for name, value in state.items() if name not in shapes and (not name.endswith("bias") or bool(value.any()))
    ]
    found = {
        name: wanted[name] if name.endswith("num_batches_tracked") and name not in state else state.get(name)
        for name in shapes
    }
    missing = [name for name, value in found.items() if value is None]
    other = [
        n for n, value in found.items() if value is not None and _without_ones(value.shape) != _without_ones(shapes[n])
    ]
    if extra or missing or other:
        parts = {"`like` lacks": extra, "the model lacks": missing, "the shapes differ of": other}
        listed = "; ".join(f"{what} {', '.join(names[:5])}" for what, names in parts.items() if names)
        raise ValueError(
            f"The names of the model's weights are not those of `like`: {listed}. Give the result of "
            f"load_torch_weights() as `mapping`. A bias that is not zero has no place in a module without one."
        )
    return {name: value.reshape(shapes[name]) for name, value in found.items() if value is not None}


def _without_ones(shape: Sequence[int]) -> list[int]:
    return [size for size in shape if size != 1]


def torch_state(model: Layer, mapping: Mapping[str, str | None], with_statistics: bool = True) -> dict[str, Tensor]:
    """The weights in torch's layouts under torch's names (see `save_torch_weights`).

    Args:
        model: a built model or layer.
        mapping: names of modules by layer.
        with_statistics: whether those of layers with `adapt` are among them, which torch lacks. Default: `True`.
    """
    ways = [way for way in ("packed", "qkv", "separate") if _is_known(ModelUnits(model, way), mapping)] or ["packed"]
    units = ModelUnits(model, ways[0])
    found: dict[str, Tensor] = {}
    for unit in units.units:
        name = mapping.get(unit.name, unit.name.replace("/", "."))
        if name is None or not (with_statistics or not hasattr(units.owners[unit.layer].layer, "adapt")):
            continue
        state = units.owners[unit.layer].layout.state()
        for key in unit.keys:
            last = key.rpartition(".")[2]
            full = _full_name(name, last, units.owners[unit.layer].layout.kind)
            if full in found:
                raise ValueError(f"Two layers would be called {full!r} in the file; give other names in `mapping`.")
            found[full] = state[key]
    return found


def _full_name(name: str, last: str, kind: str) -> str:
    """The name of a tensor in a state dict: a parameter outside torch's modules has none but that of its owner."""
    layer = re.fullmatch(r"(.+)\.l(\d+)", name)
    if layer is not None and "_l0" in last:
        return f"{layer[1]}.{last.replace('_l0', f'_l{layer[2]}')}"
    return name if kind == "Parameter" else f"{name}.{last}".lstrip(".")


def _is_known(units: ModelUnits, mapping: Mapping[str, str | None]) -> bool:
    return set(mapping) <= {unit.name for unit in units.units}
