"""How the weights of a layer lie in the torch module that computes the same: names, transpositions, order of gates.

| layer | torch | what differs |
|---|---|---|
| `Dense` | `Linear` | `(in, out)` is `(out, in)` |
| `Conv` | `Conv` | `(*window, in, out)` is `(out, in, *window)` |
| `ConvTranspose` | `ConvTranspose` | `(*window, out, in)` is `(in, out, *window)` |
| `DepthwiseConv` | `Conv` of a group per channel | `(*window, in, multiplier)` is `(in * multiplier, 1, *window)` |
| `BatchNormalization` | `BatchNorm` | names alone |
| `LSTM`, `SimpleRNN` | `LSTM`, `RNN` | transposed; torch adds two biases |
| `GRU` | `GRU` | the same, and the gates update, reset, new are reset, update, new |
| `MultiHeadAttention` | `MultiheadAttention` | query, key and value are one matrix |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from torchkeras import layers
from torchkeras.layers.attention.multi_head_attention import MultiHeadAttention
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.base.weight_walk import own_weights
from torchkeras.layers.convolutional.base_conv import BaseConv
from torchkeras.layers.convolutional.conv_transpose import BaseConvTranspose
from torchkeras.layers.convolutional.depthwise import BaseDepthwiseConv, BaseSeparableConv
from torchkeras.layers.core.lora import LowRankAdaptable

State = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """The weights of one layer here and in torch.

    Attributes:
        kind: the torch module.
        weights: the layer's weights.
        pack: from values of the weights to the module's `state_dict()`.
        unpack: the way back.
        lacks: whether the layer has no place for something in a module's state: a scale that is not ones, an offset
            that is not zeros. `unpack` folds it into other weights, or raises `ValueError`. `None`: it has all places.
    """

    kind: str
    weights: Sequence[Tensor]
    pack: Callable[[Sequence[Tensor]], State]
    unpack: Callable[[State], list[Tensor]]
    lacks: Callable[[State], bool] | None = None

    def state(self) -> State:
        """The weights as torch has them: views, where a view can say it."""
        return self.pack([_plain(weight) for weight in self.weights])

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of `state()`, without computing it."""
        packed = self.pack([torch.empty(w.shape, dtype=w.dtype, device="meta") for w in self.weights])
        return {key: tuple(value.shape) for key, value in packed.items()}


def _plain(weight: Tensor) -> Tensor:
    return weight.detach().as_subclass(Tensor)


Maker = Callable[[Any], Layout | None]
_MAKERS: dict[type, Maker] = {}
M = TypeVar("M", bound=Maker)


def _layout_for(*classes: type) -> Callable[[M], M]:
    def register(maker: M) -> M:
        _MAKERS.update(dict.fromkeys(classes, maker))
        return maker

    return register


def layout_of(layer: Layer) -> Layout | None:
    """The layout of a layer's weights; `None` where no torch module has such weights, or the layer has none."""
    for cls in type(layer).__mro__:
        if cls in _MAKERS:
            return _MAKERS[cls](layer) if layer.built else None
    return None


# ---------------------------------------------------------------------------- parts of layouts

Change = Callable[[Tensor], Tensor]


def _same(x: Tensor) -> Tensor:
    return x


def _transposed(x: Tensor) -> Tensor:
    return x.t()


def _to_window_last(x: Tensor) -> Tensor:
    """`(*window, a, b)` as `(b, a, *window)`."""
    n = x.ndim
    return x.permute(n - 1, n - 2, *range(n - 2))


def _to_window_first(x: Tensor) -> Tensor:
    """`(b, a, *window)` as `(*window, a, b)`."""
    return x.permute(*range(2, x.ndim), 1, 0)


def _one_by_one(kind: str, rows: Sequence[tuple[str, Tensor | None, Change, Change]]) -> Layout:
    """A layout of weights that each are one tensor of the module: `(name, weight, to torch, back)`."""
    used = [(name, weight, there, back) for name, weight, there, back in rows if weight is not None]

    def pack(values: Sequence[Tensor]) -> State:
        return {name: there(value) for (name, _, there, _), value in zip(used, values)}

    def unpack(state: State) -> list[Tensor]:
        return [back(state[name]) for name, _, _, back in used]

    return Layout(kind, [weight for _, weight, _, _ in used], pack, unpack)


@_layout_for(layers.Dense)
def _dense(layer: layers.Dense) -> Layout | None:
    if _is_adapted(layer):
        return None
    return _one_by_one(
        "Linear", [("weight", layer.kernel, _transposed, _transposed), ("bias", layer.bias, _same, _same)]
    )


def of_flattened_images(layout: Layout, size: Sequence[int]) -> Layout:
    """The layout of a dense layer that takes an image in a row: torch's has the channels first.

    Args:
        layout: that of the dense layer by itself.
        size: `(*spatial, channels)` of the image.
    """
    *spatial, channels = size

    def there(x: Tensor) -> Tensor:
        return x.unflatten(1, tuple(size)).movedim(-1, 1).flatten(1)

    def back(x: Tensor) -> Tensor:
        return x.unflatten(1, (channels, *spatial)).movedim(1, -1).flatten(1)

    def pack(values: Sequence[Tensor]) -> State:
        state = layout.pack(values)
        return {**state, "weight": there(state["weight"])}

    def unpack(state: State) -> list[Tensor]:
        return layout.unpack({**state, "weight": back(state["weight"])})

    return Layout(layout.kind, layout.weights, pack, unpack)


def _is_adapted(layer: LowRankAdaptable) -> bool:
    return bool(layer.lora_enabled)


@_layout_for(layers.EinsumDense)
def _einsum_dense(layer: layers.EinsumDense) -> Layout | None:
    if _is_adapted(layer):
        return None
    return _one_by_one("einsum", [("weight", layer.kernel, _same, _same), ("bias", layer.bias, _same, _same)])


@_layout_for(BaseConv)
def _conv(layer: BaseConv) -> Layout | None:
    if _is_adapted(layer):
        return None
    rows = [("weight", layer.kernel, _to_window_last, _to_window_first), ("bias", layer.bias, _same, _same)]
    return _one_by_one(f"Conv{layer.rank}d", rows)


@_layout_for(BaseConvTranspose)
def _conv_transpose(layer: BaseConvTranspose) -> Layout:
    rows = [("weight", layer.kernel, _to_window_last, _to_window_first), ("bias", layer.bias, _same, _same)]
    return _one_by_one(f"ConvTranspose{layer.rank}d", rows)


def _depthwise_changes(kernel: Tensor) -> tuple[Change, Change]:
    channels, multiplier = kernel.shape[-2:]
    n = kernel.ndim

    def there(x: Tensor) -> Tensor:
        return x.permute(n - 2, n - 1, *range(n - 2)).reshape(channels * multiplier, 1, *x.shape[:-2])

    def back(x: Tensor) -> Tensor:
        return x.reshape(channels, multiplier, *x.shape[2:]).permute(*range(2, n), 0, 1)

    return there, back


@_layout_for(BaseDepthwiseConv)
def _depthwise(layer: BaseDepthwiseConv) -> Layout:
    rows = [("weight", layer.kernel, *_depthwise_changes(layer.kernel)), ("bias", layer.bias, _same, _same)]
    return _one_by_one(f"Conv{layer.rank}d", rows)


@_layout_for(BaseSeparableConv)
def _separable(layer: BaseSeparableConv) -> Layout:
    rows = [
        ("depthwise.weight", layer.depthwise_kernel, *_depthwise_changes(layer.depthwise_kernel)),
        ("pointwise.weight", layer.pointwise_kernel, _to_window_last, _to_window_first),
        ("pointwise.bias", layer.bias, _same, _same),
    ]
    return _one_by_one(f"Conv{layer.rank}d", rows)


@_layout_for(layers.Embedding)
def _embedding(layer: layers.Embedding) -> Layout | None:
    if _is_adapted(layer):
        return None
    return _one_by_one("Embedding", [("weight", layer.embeddings, _same, _same)])


@_layout_for(layers.PReLU)
def _prelu(layer: layers.PReLU) -> Layout:
    shape = layer.alpha.shape

    def back(x: Tensor) -> Tensor:
        return x.reshape(shape)

    return _one_by_one("PReLU", [("weight", layer.alpha, torch.flatten, back)])


# ---------------------------------------------------------------------------- normalization


Fold = Callable[[State], State]


def _scaled(
    kind: str, scale: Tensor | None, shift: Tensor | None, *more: tuple[str, Tensor], fold: Fold | None = None
) -> Layout:
    """A normalization. Torch has scale and shift or neither: the one that a layer lacks is ones, or zeros.

    Any other one goes by `fold` into the weights that the layer has.
    """
    weights = [w for w in (scale, shift, *(tensor for _, tensor in more)) if w is not None]
    has = (scale is not None, shift is not None)

    def pack(values: Sequence[Tensor]) -> State:
        rest = list(values)
        found: State = {}
        if any(has):
            first = rest[0]
            found["weight"] = rest.pop(0) if has[0] else torch.ones_like(first)
            found["bias"] = rest.pop(0) if has[1] else torch.zeros_like(first)
        return found | {name: value for (name, _), value in zip(more, rest)}

    def unpack(state: State) -> list[Tensor]:
        if lacks(state):
            if fold is None:
                raise ValueError(f"The {kind} of torch has a scale or an offset, for which the layer has no place.")
            state = fold(state)
        names = [name for name, there in zip(("weight", "bias"), has) if there] + [name for name, _ in more]
        return [state[name] for name in names]

    def lacks(state: State) -> bool:
        if all(has) or not any(has):
            return False
        return bool((state["bias"] != 0).any() if has[0] else (state["weight"] != 1).any())

    return Layout(kind, weights, pack, unpack, lacks if any(has) and not all(has) else None)


def _into_statistics(layer: layers.BatchNormalization) -> Fold:
    """`(x - mean) / sqrt(variance + epsilon) * weight + bias` with another mean and variance for what a layer lacks."""

    def fold(state: State) -> State:
        weight, bias, mean, variance = (
            state[name].double() for name in ("weight", "bias", "running_mean", "running_var")
        )
        if not bool((weight > 0).all()):
            raise ValueError(
                f"{layer.name!r} lacks the scale or the offset of torch's normalization. They can be part of its "
                f"moving averages where each scale is positive, and {int((weight <= 0).sum())} are not. Make the layer "
                f"with scale=True and center=True."
            )
        deviation = torch.sqrt(variance + layer.epsilon) / weight
        if layer.beta is None:
            state = {**state, "running_mean": mean - bias * deviation}
        if layer.gamma is None:
            state = {**state, "running_var": deviation.square() - layer.epsilon}
        return state

    return fold


@_layout_for(layers.BatchNormalization)
def _batch_norm(layer: layers.BatchNormalization) -> Layout:
    return _scaled(
        "BatchNorm",
        layer.gamma,
        layer.beta,
        ("running_mean", layer.moving_mean),
        ("running_var", layer.moving_variance),
        fold=_into_statistics(layer),
    )


@_layout_for(layers.LayerNormalization)
def _layer_norm(layer: layers.LayerNormalization) -> Layout:
    return _scaled("LayerNorm", layer.gamma, layer.beta)


@_layout_for(layers.GroupNormalization)
def _group_norm(layer: layers.GroupNormalization) -> Layout:
    return _scaled("GroupNorm", layer.gamma, layer.beta)


@_layout_for(layers.RMSNormalization)
def _rms_norm(layer: layers.RMSNormalization) -> Layout:
    return _one_by_one("RMSNorm", [("weight", layer.scale, _same, _same)])


# ---------------------------------------------------------------------------- recurrent


def _gates_swapped(x: Tensor) -> Tensor:
    """The first two of three gates, along the last axis, in the other order."""
    first, second, last = x.chunk(3, -1)
    return torch.cat([second, first, last], -1)


def _recurrent(layer: Layer, kind: str, suffix: str = "") -> Layout:
    """A layer with one cell: two matrices, and two biases in torch, of which Keras has the sum (GRU: both)."""
    cell = layer.cell
    is_gru = kind == "GRU"
    order = _gates_swapped if is_gru else _same
    names = [f"{name}_l0{suffix}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]

    def pack(values: Sequence[Tensor]) -> State:
        found = {name: order(value).t() for name, value in zip(names, values[:2])}
        if cell.use_bias:
            bias = order(values[2])
            both = bias.unbind(0) if is_gru else (bias, torch.zeros_like(bias))
            found |= dict(zip(names[2:], both))
        return found

    def unpack(state: State) -> list[Tensor]:
        found = [order(state[name].t()) for name in names[:2]]
        if cell.use_bias:
            both = [state[name] for name in names[2:]]
            found.append(order(torch.stack(both)) if is_gru else both[0] + both[1])
        return found

    weights = [cell.kernel, cell.recurrent_kernel] + ([cell.bias] if cell.use_bias else [])
    return Layout(kind, weights, pack, unpack)


@_layout_for(layers.LSTM)
def _lstm(layer: layers.LSTM) -> Layout:
    return _recurrent(layer, "LSTM")


@_layout_for(layers.GRU)
def _gru(layer: layers.GRU) -> Layout | None:
    return _recurrent(layer, "GRU") if layer.reset_after else None


@_layout_for(layers.SimpleRNN)
def _simple_rnn(layer: layers.SimpleRNN) -> Layout:
    return _recurrent(layer, "RNN")


RECURRENT: dict[type, str] = {layers.LSTM: "LSTM", layers.GRU: "GRU", layers.SimpleRNN: "RNN"}


def recurrent_kind(layer: Layer) -> str | None:
    """The torch module of a recurrent layer; `None` where there is none of its kind."""
    kind = next((kind for cls, kind in RECURRENT.items() if isinstance(layer, cls)), None)
    return None if kind == "GRU" and not layer.reset_after else kind


@_layout_for(layers.Bidirectional)
def _bidirectional(layer: layers.Bidirectional) -> Layout | None:
    both = layer.forward_layer, layer.backward_layer
    kinds = {recurrent_kind(one) for one in both}
    if len(kinds) != 1 or None in kinds or both[0].units != both[1].units or both[0].use_bias != both[1].use_bias:
        return None
    kind = kinds.pop()
    parts = [_recurrent(one, str(kind), suffix) for one, suffix in zip(both, ("", "_reverse"))]
    count = len(parts[0].weights)

    def pack(values: Sequence[Tensor]) -> State:
        return parts[0].pack(values[:count]) | parts[1].pack(values[count:])

    def unpack(state: State) -> list[Tensor]:
        return parts[0].unpack(state) + parts[1].unpack(state)

    return Layout(str(kind), [*parts[0].weights, *parts[1].weights], pack, unpack)


# ---------------------------------------------------------------------------- attention


def _parameters_of(layer: MultiHeadAttention) -> list[Tensor]:
    """Kernels of query, key, value and output, then their biases."""
    denses = [layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense]
    return [dense.kernel for dense in denses] + [dense.bias for dense in denses if dense.bias is not None]


def _is_plain_attention(layer: MultiHeadAttention) -> bool:
    """Whether the projections are matrices alone: rank 3, no gate, an output of one axis, no low-rank adapters."""
    denses = [layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense]
    return (
        type(layer)._projections is MultiHeadAttention._projections
        and not layer.use_gate
        and not any(dense.lora_enabled for dense in denses)
        and layer.output_dense.kernel.ndim == 3
        and tuple(layer.attention_axes) == (1,)
        and layer.query_dense.kernel.ndim == 3
    )


def fits_torch_attention(layer: MultiHeadAttention) -> bool:
    """Whether `nn.MultiheadAttention` can compute the layer: its heads divide the width of queries and outputs."""
    query, value, output = layer.query_dense.kernel, layer.value_dense.kernel, layer.output_dense.kernel
    width = query.shape[0]
    return (
        _is_plain_attention(layer)
        and layer.num_heads * layer.key_dim == width
        and layer.value_dim == layer.key_dim
        and output.shape[-1] == width
        and value.shape[1:] == query.shape[1:]
    )


def attention_layouts(layer: MultiHeadAttention) -> dict[str, Layout]:
    """The ways in which torch modules keep these projections: `"packed"`, `"qkv"`, `"separate"`."""
    if not layer.built or not _is_plain_attention(layer):
        return {}
    found = {"separate": _separate_attention(layer)}
    widths = {dense.kernel.shape[0] for dense in (layer.query_dense, layer.key_dense, layer.value_dense)}
    if fits_torch_attention(layer):
        found["packed"] = _packed_attention(layer, len(widths) == 1)
        if len(widths) == 1:
            found["qkv"] = _renamed(found["packed"], "in_proj_", "qkv.", "out_proj.", "proj.")
    return found


@_layout_for(MultiHeadAttention)
def _attention(layer: MultiHeadAttention) -> Layout | None:
    found = attention_layouts(layer)
    return found.get("packed") or found.get("separate")


def _matrices(values: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Kernels `(in, heads, size)` as `(heads * size, in)`, the output's as `(out, heads * size)`; and the biases."""
    kernels = [value.flatten(1).t() for value in values[:3]] + [values[3].flatten(0, 1).t()]
    return kernels, [value.flatten() for value in values[4:]]


def _kernels(matrices: Sequence[Tensor], biases: Sequence[Tensor], like: Sequence[Tensor]) -> list[Tensor]:
    return [m.t().reshape(k.shape) for m, k in zip(matrices, like)] + [
        b.reshape(k.shape) for b, k in zip(biases, like[4:])
    ]


def _packed_attention(layer: MultiHeadAttention, equal_widths: bool) -> Layout:
    weights = _parameters_of(layer)
    apart = ("q_proj_weight", "k_proj_weight", "v_proj_weight")

    def pack(values: Sequence[Tensor]) -> State:
        kernels, biases = _matrices(values)
        first = {"in_proj_weight": torch.cat(kernels[:3])} if equal_widths else dict(zip(apart, kernels))
        state = first | {"out_proj.weight": kernels[3]}
        return state | ({"in_proj_bias": torch.cat(biases[:3]), "out_proj.bias": biases[3]} if biases else {})

    def unpack(state: State) -> list[Tensor]:
        kernels = list(state["in_proj_weight"].chunk(3)) if equal_widths else [state[name] for name in apart]
        biases = [*state["in_proj_bias"].chunk(3), state["out_proj.bias"]] if len(weights) > 4 else []
        return _kernels([*kernels, state["out_proj.weight"]], biases, weights)

    return Layout("MultiheadAttention", weights, pack, unpack)


def _separate_attention(layer: MultiHeadAttention) -> Layout:
    weights = _parameters_of(layer)
    names = ("query", "key", "value", "output")

    def pack(values: Sequence[Tensor]) -> State:
        kernels, biases = _matrices(values)
        state = {f"{name}.weight": kernel for name, kernel in zip(names, kernels)}
        return state | {f"{name}.bias": bias for name, bias in zip(names, biases)}

    def unpack(state: State) -> list[Tensor]:
        biases = [state[f"{name}.bias"] for name in names] if len(weights) > 4 else []
        return _kernels([state[f"{name}.weight"] for name in names], biases, weights)

    return Layout("Linear", weights, pack, unpack)


def _renamed(layout: Layout, *pairs: str) -> Layout:
    """The same under other beginnings of names: `old, new, old, new`."""
    news = list(zip(pairs[::2], pairs[1::2]))

    def changed(state: State, rows: list[tuple[str, str]]) -> State:
        found = {}
        for name, value in state.items():
            old, new = next(((old, new) for old, new in rows if name.startswith(old)), ("", ""))
            found[new + name.removeprefix(old)] = value
        return found

    return Layout(
        "Linear",
        layout.weights,
        lambda values: changed(layout.pack(values), news),
        lambda state: layout.unpack(changed(state, [(new, old) for old, new in news])),
    )


@_layout_for(layers.TorchModuleWrapper)
def _torch_module(layer: layers.TorchModuleWrapper) -> Layout:
    tensors = layer.module.state_dict(keep_vars=True)
    rows = [(name, tensor, _same, _same) for name, tensor in tensors.items() if isinstance(tensor, Tensor)]
    return _one_by_one(type(layer.module).__name__, rows)


def own_layout(layer: Layer) -> Layout:
    """A layout for a layer that has none in the table: each of its own weights under its own name, as it is."""
    return _one_by_one("Parameter", [(weight.name, weight.tensor, _same, _same) for weight in own_weights(layer)])
