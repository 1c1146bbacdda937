"""The parts of a model that have weights, in the order in which data meets them, and those of a torch state dict."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from torchkeras.core import tree
from torchkeras.layers.attention.multi_head_attention import MultiHeadAttention
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.weight_walk import own_weights, sublayers
from torchkeras.layers.core.dense import Dense
from torchkeras.layers.reshaping.reshape import Flatten, Permute, Reshape
from torchkeras.saving.plain_torch.layouts import Layout, attention_layouts, layout_of, of_flattened_images, own_layout

# Names of a module's parts that belong together: "weight", "bias_hh_l0_reverse", "in_proj_bias".
_OF_ONE_MODULE = re.compile(
    r"weight|bias|running_mean|running_var|in_proj_(weight|bias)|[qkv]_proj_weight|num_batches_tracked"
)
_LAYER = re.compile(r"_l(\d+)(?=$|_reverse$)")  # of a recurrent module with several
Signature = frozenset[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Unit:
    """The part of a layer that one torch module holds.

    Attributes:
        name: the path of layer names, and the part of the layer: `"block/conv"`, `"separable/pointwise"`.
        layer: the layer's place in the model's order.
        keys: the names that the layout gives to the tensors.
        signature: the names within the torch module, with the shapes.
        above: a bit for each unit from which data comes here.
        is_parameter: whether it is one parameter outside of torch's own modules.
        zeros: names of the layout that have no tensor in the torch module and are zeros: a bias that only the layer
            has.
    """

    name: str
    layer: int
    keys: tuple[str, ...]
    signature: Signature
    above: int
    is_parameter: bool = False
    zeros: tuple[str, ...] = ()


@dataclass
class Owner:
    """A layer with weights."""

    name: str
    layer: nn.Module
    layout: Layout


class ModelUnits:
    """All units of a model.

    Args:
        model: built.
        attention: which layout a `MultiHeadAttention` has, see `attention_layouts`.
    """

    def __init__(self, model: nn.Module, attention: str = "packed") -> None:
        self.owners: list[Owner] = []
        self.units: list[Unit] = []
        self._attention = attention
        self._known: dict[int, int] = {}
        self._flattened: dict[
            int, tuple[int, ...]
        ] = {}  # by the id of a layer: the image whose values it takes in a row
        self._enter("", model, 0, root=True)

    def _enter(self, path: str, layer: Any, above: int, root: bool = False) -> int:
        """Add what is in a layer; returns the bits of all that data has met behind it."""
        if id(layer) in self._known:
            return above | self._known[id(layer)]
        name = path if root else f"{path}/{layer.name}".lstrip("/")
        before = len(self.units)
        layout = self._layout(layer)
        if root and (layout is not None or not hasattr(layer, "layers")):
            name = layer.name
        if layout is not None:
            self._add(Owner(name, layer, layout), above)
            above = self._behind(above, before)
        else:
            graph = getattr(layer, "_tk_graph", None)
            if any(True for _ in own_weights(layer)):
                self._add(Owner(name, layer, own_layout(layer)), above)
                above = self._behind(above, before)
            if graph is not None:
                above = self._enter_graph(name, graph, above)
            else:
                for inner in _layers_in(layer):
                    above |= self._enter(name, inner, above)
        self._known[id(layer)] = sum(1 << i for i in range(before, len(self.units)))
        return above

    def _layout(self, layer: Layer) -> Layout | None:
        found = self._layout_of_images(layer)
        if found is not None and id(layer) in self._flattened:
            return of_flattened_images(found, self._flattened[id(layer)])
        return found

    def _layout_of_images(self, layer: Layer) -> Layout | None:
        if isinstance(layer, MultiHeadAttention):
            found = attention_layouts(layer)
            return found.get(self._attention) or found.get("separate")
        return layout_of(layer)

    def _enter_graph(self, name: str, graph: Any, above: int) -> int:
        met = {id(tensor): above for tensor in graph.inputs}
        images = Images()
        for node in graph.nodes:
            if node.is_input:
                continue
            images.follow(node)
            if isinstance(node.operation, Dense) and (size := images.flattened_before(node)) is not None:
                self._flattened[id(node.operation)] = size
            before = above
            for tensor in node.input_tensors:
                before |= met.get(id(tensor), 0)
            behind = self._enter(name, node.operation, before) if isinstance(node.operation, nn.Module) else before
            met.update((id(tensor), behind) for tensor in node.output_tensors)
        for tensor in tree.flatten(graph.outputs_struct):
            above |= met.get(id(tensor), 0)
        return above

    def _behind(self, above: int, before: int) -> int:
        return above | sum(1 << i for i in range(before, len(self.units)))

    def _add(self, owner: Owner, above: int) -> None:
        index = len(self.owners)
        self.owners.append(owner)
        shapes = owner.layout.shapes()
        if owner.layout.kind == "Parameter":
            for key, shape in shapes.items():
                name = f"{owner.name}/{key}".lstrip("/")
                self.units.append(Unit(name, index, (key,), frozenset([(key, shape)]), above, is_parameter=True))
            return
        for prefix, rows in _by_module(shapes).items():
            name = f"{owner.name}/{prefix.replace('.', '/')}".strip("/")
            keys = tuple(f"{prefix}.{key}".lstrip(".") for key in rows)
            self.units.append(Unit(name, index, keys, frozenset(rows.items()), above))
            above |= 1 << (len(self.units) - 1)

    def leave_out_biases(self, groups: Sequence[Group]) -> None:
        """Take biases as zeros where no torch module has the weight with a bias, but some have it without.

        Convolutions before a normalization need none; those of `keras.applications` have one.
        """
        known = {group.signature for group in groups}
        for i, unit in enumerate(self.units):
            kind = self.owners[unit.layer].layout.kind
            rest = frozenset(row for row in unit.signature if row[0] != "bias")
            if kind.startswith(("Conv", "Linear")) and unit.signature not in known and rest in known and len(rest) == 1:
                biases = tuple(key for key in unit.keys if key.rpartition(".")[2] == "bias")
                keys = tuple(key for key in unit.keys if key not in biases)
                self.units[i] = replace(unit, keys=keys, signature=rest, zeros=biases)

    def comes_before(self, first: int, second: int) -> bool:
        """Whether data passes one unit on its way to another."""
        return bool(self.units[second].above >> first & 1)


def _layers_in(layer: Layer) -> list[Any]:
    """The layers of a layer without a graph; of a Sequential model that is not built, in its order."""
    row = layer.__dict__.get("_tk_row")
    return [one for one in (row or sublayers(layer)) if isinstance(one, nn.Module)]


def _by_module(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, dict[str, tuple[int, ...]]]:
    """Tensors grouped by what stands before the last dot of their names."""
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, shape in shapes.items():
        prefix, _, last = key.rpartition(".")
        found.setdefault(prefix, {})[last] = shape
    return found


class Images:
    """Follows the tensors of a graph that are images with their channels last, and the values of one in a row."""

    def __init__(self) -> None:
        self._images: set[int] = set()
        self._rows: dict[int, tuple[int, ...]] = {}

    def follow(self, node: Any) -> None:
        """Note the outputs of a node; the nodes come in the order of the graph."""
        operation, inputs, outputs = node.operation, node.input_tensors, node.output_tensors
        form = getattr(operation, "data_format", None)
        if len(outputs) != 1 or not inputs:
            return
        output, shape = outputs[0], inputs[0].shape
        if isinstance(operation, Flatten):
            if form == "channels_first" and len(shape) > 2:
                self._rows[id(output)] = (*shape[2:], shape[1])
            elif id(inputs[0]) in self._images:
                self._rows[id(output)] = tuple(shape[1:])
        elif form == "channels_last" and len(output.shape) > 2:
            self._images.add(id(output))
        elif form is None and not isinstance(operation, (Reshape, Permute)) and output.shape == shape:
            if any(id(tensor) in self._images for tensor in inputs):
                self._images.add(id(output))
            if id(inputs[0]) in self._rows and not isinstance(operation, Dense):
                self._rows[id(output)] = self._rows[id(inputs[0])]

    def flattened_before(self, node: Any) -> tuple[int, ...] | None:
        """The sizes `(*spatial, channels)` of the image whose values a node takes in a row; `None` for other inputs."""
        size = self._rows.get(id(node.input_tensors[0]))
        known = size is not None and None not in size
        return size if known and size[-1] > 1 and any(n > 1 for n in size[:-1]) else None  # type: ignore[index]


# ---------------------------------------------------------------------------- torch's side


@dataclass(frozen=True)
class Group:
    """The tensors of one torch module, or one parameter that belongs to none of torch's own modules.

    Attributes:
        name: the module's name, or the parameter's.
        keys: the full names by the names within the module.
        signature: the names within the module, with the shapes.
    """

    name: str
    keys: Mapping[str, str]
    signature: Signature


def groups_of(shapes: Mapping[str, tuple[int, ...]]) -> list[Group]:
    """The groups of a state dict, in its order. Counters of batches are left out."""
    rows: dict[str, dict[str, str]] = {}
    is_one_module = not any("." in key for key in shapes)
    for key in shapes:
        prefix, _, last = key.rpartition(".")
        if last == "num_batches_tracked":
            continue
        layer = _LAYER.search(last)
        if layer is not None:
            rows.setdefault(f"{prefix}.l{layer[1]}".lstrip("."), {})[_LAYER.sub("_l0", last)] = key
        elif _OF_ONE_MODULE.fullmatch(last) and (prefix or is_one_module):
            rows.setdefault(prefix, {})[last] = key
        else:
            rows.setdefault(key, {})[last] = key
    for name in [name for name in rows if name.endswith(".l0") and f"{name[:-1]}1" not in rows]:
        rows = {key.removesuffix(".l0") if key == name else key: row for key, row in rows.items()}
    return [
        Group(name, keys, frozenset((last, shapes[key]) for last, key in keys.items())) for name, keys in rows.items()
    ]


def described(signature: Signature) -> str:
    """A signature for people: `weight (64, 3, 7, 7), bias (64,)`."""
    return ", ".join(f"{name} {shape}" for name, shape in sorted(signature, key=lambda row: (row[0] != "weight", row)))


def values_of(state: Mapping[str, Tensor], group: Group) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a group by their names within the module."""
    return ((last, state[key]) for last, key in group.keys.items())
