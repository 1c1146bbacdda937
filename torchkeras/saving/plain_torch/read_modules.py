"""Modules of `torch.nn` as layers: a function for each class makes the layers and calls them on symbolic tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras import layers, ops
from torchkeras.layers.base.values import assign
from torchkeras.saving.plain_torch.layouts import State, layout_of
from torchkeras.saving.plain_torch.source import identifier

FIRST = {"data_format": "channels_first"}
LOWEST = float(torch.finfo(torch.float32).min)


class NotReadableError(ValueError):
    """A module, or a use of it, that no layer can express; the message is the reason."""


class Reading:
    """The layers that are being made for a torch module, and the weights that they will get."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, str], Any] = {}
        self._used: set[str] = set()
        self.weights: list[tuple[Any, State]] = []
        self.frozen: list[Any] = []

    def layer(
        self, module: nn.Module | nn.Parameter, path: str, make: Callable[[str], Any], state: State | None = None
    ) -> Any:
        """The layer for a module, or for a part of it; a module that is called twice has one.

        Args:
            make: makes the layer, given its name.
            state: the layer's tensors in torch's layout.
        """
        key = (id(module), path)
        if key not in self._made:
            wanted = identifier(path.replace(".", "_"))
            name, number = wanted, 1
            while name in self._used:
                name, number = f"{wanted}_{number}", number + 1
            self._used.add(name)
            self._made[key] = make(name)
            parameters = [module] if isinstance(module, nn.Parameter) else list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                self.frozen.append(self._made[key])
            if state:
                self.weights.append((self._made[key], state))
        return self._made[key]

    def assign_weights(self) -> None:
        """Give all layers their weights; all of them are built now."""
        for layer, state in self.weights:
            layout = layout_of(layer)
            if layout is None:
                raise NotReadableError(f"{layer.name} has other weights than the module")
            for weight, value in zip(layout.weights, layout.unpack(state)):
                assign(weight, value.detach())
        for layer in self.frozen:
            layer.trainable = False


Reader = Callable[..., Any]
READERS: dict[type, Reader] = {}


def reads(*classes: type) -> Callable[[Reader], Reader]:
    """Register how modules of these classes are read: `function(module, reading, path, *inputs)`."""

    def register(function: Reader) -> Reader:
        READERS.update(dict.fromkeys(classes, function))
        return function

    return register


def _state(module: nn.Module) -> State:
    return {key: value for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")}


def _rank(module: nn.Module) -> int:
    """The number of spatial axes, which ends the names of torch's classes: `Conv2d`."""
    return int(type(module).__name__[-2])


def _refuse(**wrong: Any) -> None:
    """Raise an error if one of the values is set."""
    for name, value in wrong.items():
        if value:
            raise NotReadableError(f"no layer has {name}={value!r}")


def _sizes(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def padded(x: Tensor, sides: Sequence[tuple[int, int]], value: float = 0.0) -> Any:
    """`(N, C, ...)` with a border."""
    if not any(before or after for before, after in sides):
        return x
    return ops.pad(x, ((0, 0), (0, 0), *sides), mode="constant", constant_values=value)


# ---------------------------------------------------------------------------- dense and convolutions


@reads(nn.Linear)
def _linear(module: nn.Linear, r: Reading, path: str, x: Tensor) -> Any:
    use_bias = module.bias is not None
    make = lambda name: layers.Dense(module.out_features, use_bias=use_bias, name=name)
    return r.layer(module, path, make, _state(module))(x)


@reads(nn.Embedding)
def _embedding(module: nn.Embedding, r: Reading, path: str, x: Tensor) -> Any:
    _refuse(max_norm=module.max_norm, scale_grad_by_freq=module.scale_grad_by_freq)
    make = lambda name: layers.Embedding(module.num_embeddings, module.embedding_dim, name=name)
    return r.layer(module, path, make, _state(module))(x)


@reads(nn.Conv1d, nn.Conv2d, nn.Conv3d)
def _conv(module: Any, r: Reading, path: str, x: Tensor) -> Any:
    rank = _rank(module)
    if module.padding_mode != "zeros":
        raise NotReadableError(f"no layer pads with {module.padding_mode!r}")
    window = {"kernel_size": module.kernel_size, "strides": module.stride, "dilation_rate": module.dilation}
    padding = "valid"
    if module.padding == "same" or _is_same(module):
        padding = "same"
    elif module.padding != "valid":
        x = padded(x, [(n, n) for n in module.padding])
    options: dict[str, Any] = {**window, "padding": padding, "use_bias": module.bias is not None, **FIRST}
    groups, outside = module.groups, module.out_channels
    if groups == module.in_channels and groups > 1 and rank < 3:
        cls = getattr(layers, f"DepthwiseConv{rank}D")
        make = lambda name: cls(depth_multiplier=outside // groups, name=name, **options)
    else:
        cls = getattr(layers, f"Conv{rank}D")
        make = lambda name: cls(outside, groups=groups, name=name, **options)
    return r.layer(module, path, make, _state(module))(x)


def _is_same(module: Any) -> bool:
    """Whether the padding is what Keras calls "same": with strides of one, equal at both ends, and not nothing."""
    wanted = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation)]
    return set(module.stride) == {1} and any(wanted) and [2 * p for p in _numbers(module.padding)] == wanted


def _numbers(padding: Any) -> list[int]:
    return [] if isinstance(padding, str) else list(padding)


@reads(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
def _conv_transpose(module: Any, r: Reading, path: str, x: Tensor) -> Any:
    _refuse(groups=module.groups if module.groups > 1 else 0)
    rank = _rank(module)
    extra = tuple(max(0, more - p) for more, p in zip(module.output_padding, module.padding))
    crops = [(p, max(0, p - more)) for more, p in zip(module.output_padding, module.padding)]
    cls = getattr(layers, f"Conv{rank}DTranspose")
    make = lambda name: cls(
        module.out_channels,
        module.kernel_size,
        module.stride,
        output_padding=extra,
        dilation_rate=module.dilation,
        use_bias=module.bias is not None,
        name=name,
        **FIRST,
    )
    x = r.layer(module, path, make, _state(module))(x)
    return x[(slice(None), slice(None), *(slice(a, -b or None) for a, b in crops))] if any(map(any, crops)) else x


# ---------------------------------------------------------------------------- pooling


@reads(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
def max_pool(module: torch.nn.Module, r: Reading, path: str, x: Tensor) -> Any:
    rank = _rank(module)
    dilation = _sizes(module.dilation, rank)
    _refuse(dilation=dilation if max(dilation) > 1 else 0, ceil_mode=module.ceil_mode, indices=module.return_indices)
    size, steps, border = (_sizes(v, rank) for v in (module.kernel_size, module.stride, module.padding))
    cls = getattr(layers, f"MaxPooling{rank}D")
    same = _is_same_pool(x.shape[2:], size, steps, border)
    if not same:
        x = padded(x, [(p, p) for p in border], LOWEST)
    return r.layer(module, path, lambda name: cls(size, steps, "same" if same else "valid", name=name, **FIRST))(x)


def _is_same_pool(lengths: Sequence[Any], size: Any, steps: Any, border: Any) -> bool:
    """Whether a border is what Keras calls "same" for these sizes."""
    if not any(border) or None in lengths:
        return False
    totals = [max(0, k - s + -n % s) for n, k, s in zip(lengths, size, steps)]
    return totals == [2 * p for p in border]


@reads(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
def average_pool(module: torch.nn.Module, r: Reading, path: str, x: Tensor) -> Any:
    rank = _rank(module)
    _refuse(ceil_mode=module.ceil_mode, divisor_override=getattr(module, "divisor_override", None))
    size, steps, border = (_sizes(v, rank) for v in (module.kernel_size, module.stride, module.padding))
    padding = "valid"
    if any(border) and module.count_include_pad:
        x = padded(x, [(p, p) for p in border])
    elif any(border):
        padding = "same"
        if not _is_same_pool(x.shape[2:], size, steps, border):
            raise NotReadableError("no layer leaves such a border out of the mean")
    cls = getattr(layers, f"AveragePooling{rank}D")
    return r.layer(module, path, lambda name: cls(size, steps, padding, name=name, **FIRST))(x)


_ADAPTIVE = [getattr(nn, f"Adaptive{kind}Pool{n}d") for kind in ("Avg", "Max") for n in (1, 2, 3)]


@reads(*_ADAPTIVE)
def adaptive_pool(module: torch.nn.Module, r: Reading, path: str, x: Tensor) -> Any:
    rank = _rank(module)
    kind = "Average" if "Avg" in type(module).__name__ else "Max"
    wanted = _sizes(module.output_size, rank)
    out = tuple(x.shape[2 + i] if n is None else n for i, n in enumerate(wanted))
    if set(out) == {1}:
        cls = getattr(layers, f"Global{kind}Pooling{rank}D")
        return r.layer(module, path, lambda name: cls(keepdims=True, name=name, **FIRST))(x)
    cls = getattr(layers, f"Adaptive{kind}Pooling{rank}D")
    return r.layer(module, path, lambda name: cls(out, name=name, **FIRST))(x)


# ---------------------------------------------------------------------------- normalization


@reads(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
def _batch_norm(module: Any, r: Reading, path: str, x: Tensor) -> Any:
    if module.running_mean is None or module.momentum is None:
        raise NotReadableError("it keeps no running statistics, or their plain average")
    make = lambda name: layers.BatchNormalization(
        axis=1,
        momentum=round(1.0 - module.momentum, 12),
        epsilon=module.eps,
        center=module.affine,
        scale=module.affine,
        name=name,
    )
    return r.layer(module, path, make, _state(module))(x)


@reads(nn.LayerNorm)
def _layer_norm(module: nn.LayerNorm, r: Reading, path: str, x: Tensor) -> Any:
    if module.elementwise_affine and module.bias is None:
        raise NotReadableError("it has a weight and no bias")
    affine = module.elementwise_affine
    axes = list(range(-len(module.normalized_shape), 0))
    make = lambda name: layers.LayerNormalization(
        axis=axes if len(axes) > 1 else -1, epsilon=module.eps, center=affine, scale=affine, name=name
    )
    return r.layer(module, path, make, _state(module))(x)


@reads(nn.RMSNorm)
def _rms_norm(module: nn.RMSNorm, r: Reading, path: str, x: Tensor) -> Any:
    _refuse(elementwise_affine_false=not module.elementwise_affine)
    axes = list(range(-len(module.normalized_shape), 0))
    epsilon = torch.finfo(module.weight.dtype).eps if module.eps is None else module.eps
    make = lambda name: layers.RMSNormalization(axis=axes if len(axes) > 1 else -1, epsilon=epsilon, name=name)
    return r.layer(module, path, make, _state(module))(x)


@reads(nn.GroupNorm)
def _group_norm(module: nn.GroupNorm, r: Reading, path: str, x: Tensor) -> Any:
    make = lambda name: layers.GroupNormalization(
        module.num_groups, axis=1, epsilon=module.eps, center=module.affine, scale=module.affine, name=name
    )
    return r.layer(module, path, make, _state(module))(x)


# ---------------------------------------------------------------------------- activations, dropout, shapes


@reads(nn.PReLU)
def _prelu(module: nn.PReLU, r: Reading, path: str, x: Tensor) -> Any:
    if module.num_parameters != x.shape[1] or len(x.shape) > 2 and None in x.shape[2:]:
        raise NotReadableError("PReLU has a weight for each channel in Keras")
    # Keras's weight has an axis for each of the inputs' but the batch: the channels first, then ones.
    make = lambda name: layers.PReLU(shared_axes=list(range(2, len(x.shape))) or None, name=name)
    return r.layer(module, path, make, _state(module))(x)


@reads(nn.Dropout, nn.AlphaDropout)
def _dropout(module: Any, r: Reading, path: str, x: Tensor) -> Any:
    cls = layers.AlphaDropout if isinstance(module, nn.AlphaDropout) else layers.Dropout
    return r.layer(module, path, lambda name: cls(module.p, name=name))(x)


@reads(nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
def _channel_dropout(module: Any, r: Reading, path: str, x: Tensor) -> Any:
    shape = (None, None, *(1,) * (len(x.shape) - 2))
    return r.layer(module, path, lambda name: layers.Dropout(module.p, noise_shape=shape, name=name))(x)


@reads(nn.Upsample)
def _upsample(module: nn.Upsample, r: Reading, path: str, x: Tensor) -> Any:
    rank = len(x.shape) - 2
    _refuse(size=module.size, align_corners=module.align_corners)
    given = module.scale_factor
    factors = tuple(given) if isinstance(given, tuple) else (given,) * rank
    if any(f != int(f) for f in factors) or module.mode not in ("nearest", "bilinear", "bicubic"):
        raise NotReadableError(f"no layer enlarges by {given} with mode {module.mode!r}")
    if rank == 1:
        return ops.repeat(x, int(factors[0]), axis=2)
    more = {"interpolation": module.mode} if rank == 2 else {}
    cls = getattr(layers, f"UpSampling{rank}D")
    size = tuple(int(f) for f in factors)
    return r.layer(module, path, lambda name: cls(size, name=name, **more, **FIRST))(x)


# ---------------------------------------------------------------------------- recurrent and attention


@reads(nn.LSTM, nn.GRU, nn.RNN)
def _recurrent(module: Any, r: Reading, path: str, x: Tensor, states: Any = None) -> Any:
    _refuse(proj_size=module.proj_size)
    kind = {"LSTM": "LSTM", "GRU": "GRU"}.get(type(module).__name__, "SimpleRNN")
    if states is not None and (module.num_layers > 1 or module.bidirectional):
        raise NotReadableError("first states are read for one layer and one direction alone")
    if not module.batch_first:
        x = ops.transpose(x, (1, 0, 2))
    last: list[list[Any]] = []
    for index in range(module.num_layers):
        x, found = _recurrent_layer(module, r, path, kind, index, x, states)
        last.append(found)
        if module.dropout and index + 1 < module.num_layers:
            x = layers.Dropout(module.dropout)(x)
    if not module.batch_first:
        x = ops.transpose(x, (1, 0, 2))
    stacked = [_Stacked([states for found in last for states in found[part]]) for part in range(len(last[0]))]
    return (x, tuple(stacked)) if kind == "LSTM" else (x, stacked[0])


class _Stacked:
    """The last states of layers and directions; a tensor is made of them only where one is asked for."""

    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts

    def get(self, index: Any) -> Any:
        return self.parts[index] if isinstance(index, int) else self.tensor()[index]

    def tensor(self) -> Any:
        return ops.stack(self.parts, axis=0)


def _recurrent_layer(
    module: torch.nn.Module, r: Reading, path: str, kind: str, index: int, x: Tensor, states: Any
) -> tuple[Any, list[list[Any]]]:
    """One layer of a recurrent module: the outputs of all steps, and for each kind of state those of each direction."""
    options: dict[str, Any] = {"return_sequences": True, "return_state": True, "use_bias": module.bias}
    if kind == "SimpleRNN":
        options["activation"] = module.nonlinearity
    state = {
        key.replace(f"_l{index}", "_l0"): value
        for key, value in _state(module).items()
        if key.removesuffix("_reverse").endswith(f"_l{index}")
    }
    cls = getattr(layers, kind)
    place = path if module.num_layers == 1 else f"{path}_l{index}"
    if module.bidirectional:
        make = lambda name: layers.Bidirectional(cls(module.hidden_size, **options), name=name)
    else:
        make = lambda name: cls(module.hidden_size, name=name, **options)
    layer = r.layer(module, place, make, state)
    outputs = layer(x, initial_state=_first_states(states)) if states is not None else layer(x)
    x, rest = outputs[0], list(outputs[1:])
    kinds = 2 if kind == "LSTM" else 1
    return x, [rest[part::kinds] for part in range(kinds)]


def _first_states(states: Any) -> list[Any]:
    parts = list(states) if isinstance(states, tuple) else [states]
    return [part.get(0) if isinstance(part, _Stacked) else part[0] for part in parts]


@reads(nn.MultiheadAttention)
def _attention(
    module: nn.MultiheadAttention,
    r: Reading,
    path: str,
    query: Any,
    key: Any,
    value: Any,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Any:
    _refuse(
        key_padding_mask=key_padding_mask is not None,
        add_zero_attn=module.add_zero_attn,
        bias_k=module.bias_k is not None,
    )
    if attn_mask is not None and not _is_causal(attn_mask):
        raise NotReadableError("its attn_mask is not the causal one")
    size = module.embed_dim // module.num_heads
    make = lambda name: layers.MultiHeadAttention(
        module.num_heads, size, dropout=module.dropout, use_bias=module.in_proj_bias is not None, name=name
    )
    if not module.batch_first:
        query, key, value = (ops.transpose(x, (1, 0, 2)) for x in (query, key, value))
    layer = r.layer(module, path, make, _state(module))
    outputs = layer(query, value, key, **({"use_causal_mask": True} if attn_mask is not None or is_causal else {}))
    return outputs if module.batch_first else ops.transpose(outputs, (1, 0, 2)), None


@reads(nn.TransformerEncoderLayer)
def _encoder_layer(
    module: nn.TransformerEncoderLayer,
    r: Reading,
    path: str,
    x: Tensor,
    src_mask: Any = None,
    src_key_padding_mask: Any = None,
    is_causal: bool = False,
) -> Any:
    activation = module.activation
    functions = {torch.nn.functional.relu: "relu", torch.nn.functional.gelu: "gelu"}
    name = functions.get(activation) or {nn.ReLU: "relu", nn.GELU: "gelu"}.get(type(activation))
    if name is None:
        raise NotReadableError(f"its activation {activation!r} is neither relu nor gelu")

    def part(which: str, *inputs: Any, **named: Any) -> Any:
        inner = getattr(module, which)
        return READERS[type(inner)](inner, r, f"{path}.{which}", *inputs, **named)

    def attended(y: object) -> Any:
        masks = {"key_padding_mask": src_key_padding_mask, "attn_mask": src_mask, "is_causal": is_causal}
        return part("dropout1", part("self_attn", y, y, y, **masks)[0])

    def transformed(y: object) -> Any:
        inner = part("dropout", layers.Activation(name)(part("linear1", y)))
        return part("dropout2", part("linear2", inner))

    if module.norm_first:
        x = ops.add(x, attended(part("norm1", x)))
        return ops.add(x, transformed(part("norm2", x)))
    x = part("norm1", ops.add(x, attended(x)))
    return part("norm2", ops.add(x, transformed(x)))


@reads(nn.TransformerEncoder)
def _encoder(
    module: nn.TransformerEncoder,
    r: Reading,
    path: str,
    x: Tensor,
    mask: Any = None,
    src_key_padding_mask: Any = None,
    is_causal: Any = None,
) -> Any:
    for i, layer in enumerate(module.layers):
        x = _encoder_layer(layer, r, f"{path}.layers.{i}", x, mask, src_key_padding_mask)  # type: ignore[arg-type]
    norm = module.norm
    return x if norm is None else READERS[type(norm)](norm, r, f"{path}.norm", x)


def learned_constant(parameter: nn.Parameter, r: Reading, path: str, like: Any) -> Any:
    """A parameter `(1, ...)` outside of torch's modules, once per sample: a `Dense` layer of a column of ones.

    Args:
        like: an input of the model, whose batch it gets.
    """
    if parameter.ndim < 2 or parameter.shape[0] != 1:
        raise NotReadableError(
            f"a parameter outside torch's own modules has a layer as (1, ...) alone; its shape is "
            f"{tuple(parameter.shape)}"
        )
    first = like[(slice(None), *(0,) * (len(like.shape) - 2), slice(0, 1))] if len(like.shape) > 1 else like[:, None]
    state = {"weight": parameter.detach().reshape(-1, 1)}
    make = lambda name: layers.Dense(parameter.numel(), use_bias=False, name=name)
    values = r.layer(parameter, path, make, state)(ops.ones_like(first, dtype="float32"))  # type: ignore[arg-type]
    return layers.Reshape(tuple(parameter.shape[1:]))(values)


def _is_causal(mask: Any) -> bool:
    if not isinstance(mask, Tensor) or mask.ndim != 2:
        return False
    blocked = mask if mask.dtype is torch.bool else mask == float("-inf")
    return torch.equal(blocked, torch.ones_like(blocked).triu(1))
