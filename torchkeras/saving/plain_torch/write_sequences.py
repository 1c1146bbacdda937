"""Recurrent layers, attention, and layers around layers in the source of a torch module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchkeras import activations, layers
from torchkeras.layers.attention.multi_head_attention import MultiHeadAttention
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.recurrent.rnn import RNN
from torchkeras.saving.plain_torch.layouts import attention_layouts, fits_torch_attention, recurrent_kind
from torchkeras.saving.plain_torch.source import (
    ClassSource,
    NoCounterpartError,
    Value,
    arguments,
    in_keras_order,
    literal,
    writes,
)
from torchkeras.saving.plain_torch.write_layers import state_of

# ---------------------------------------------------------------------------- recurrent


def _checked_kind(layer: Layer) -> str:
    """The torch module of a recurrent layer.

    Raises:
        NoCounterpartError: torch's modules compute something else.
    """
    kind = recurrent_kind(layer)
    if kind is None:
        raise NoCounterpartError("nn.GRU has reset_after=True alone" if isinstance(layer, layers.GRU) else "its cell")
    if layer.stateful:
        raise NoCounterpartError("it is stateful: torch's modules keep no state between calls")
    if kind == "RNN":
        if layer.activation not in (activations.tanh, activations.relu):
            raise NoCounterpartError("nn.RNN has tanh and relu alone")
    elif layer.activation is not activations.tanh or layer.recurrent_activation is not activations.sigmoid:
        raise NoCounterpartError(f"nn.{kind} has the activations tanh and sigmoid alone")
    return kind


def _module(layer: Any, one: Any, kind: str, w: ClassSource, both: bool) -> str:
    state = state_of(layer)
    inside = state["weight_ih_l0"].shape[1]
    named: dict[str, Any] = {"batch_first": True}
    if not one.use_bias:
        named["bias"] = False
    if both:
        named["bidirectional"] = True
    if kind == "RNN" and one.activation is activations.relu:
        named["nonlinearity"] = "relu"
    return w.module(layer, f"nn.{kind}({arguments(inside, one.units, **named)})", state)


@writes(layers.LSTM, layers.GRU, layers.SimpleRNN)
def _recurrent(layer: Layer, w: ClassSource, x: Value, initial_state: Any = None) -> Any:
    kind = _checked_kind(layer)
    name = _module(layer, layer, kind, w, both=False)
    x = in_keras_order(x)
    if x.mask is not None:
        if layer.return_state or layer.go_backwards or initial_state is not None:
            raise NoCounterpartError("it takes a mask together with return_state, go_backwards or an initial state")
        repeat = layer.return_sequences and not layer.zero_output_for_mask
        code = f"{w.snippet('run_masked')}({name}, {x.code}, {x.mask}, {layer.return_sequences}, {repeat})"
        return Value(code, mask=x.mask if layer.return_sequences else None)
    source = f"{x.code}.flip(1)" if layer.go_backwards else x.code
    called = f"{name}({source}{_start(kind, initial_state)})"
    if not layer.return_state:
        return Value(f"{called}[0]" if layer.return_sequences else f"{called}[0][:, -1]")
    outputs, h = w.variable("outputs"), w.variable("h")
    if kind == "LSTM":
        c = w.variable("c")
        w.lines.append(f"{outputs}, ({h}, {c}) = {called}")
        states = [Value(f"{h}[0]"), Value(f"{c}[0]")]
    else:
        w.lines.append(f"{outputs}, {h} = {called}")
        states = [Value(f"{h}[0]")]
    return [Value(outputs if layer.return_sequences else f"{outputs}[:, -1]"), *states]


def _start(kind: str, states: Any) -> str:
    """The argument with the first state, `(1, batch, units)` in torch."""
    if states is None:
        return ""
    states = list(states) if isinstance(states, (list, tuple)) else [states]
    codes = [f"{in_keras_order(state).code}.unsqueeze(0)" for state in states]
    return f", ({', '.join(codes)})" if kind == "LSTM" else f", {codes[0]}"


@writes(layers.Bidirectional)
def _bidirectional(layer: layers.Bidirectional, w: ClassSource, x: Value, initial_state: Any = None) -> Any:
    one, other = layer.forward_layer, layer.backward_layer
    kinds = {_checked_kind(one), _checked_kind(other)}
    same = len(kinds) == 1 and (one.units, one.use_bias, one.activation) == (
        other.units,
        other.use_bias,
        other.activation,
    )
    if not same or one.go_backwards or initial_state is not None or layer.return_state:
        raise NoCounterpartError("a bidirectional module of torch has two equal directions, and here no states")
    name = _module(layer, one, kinds.pop(), w, both=True)
    x = in_keras_order(x)
    if x.mask is not None:
        code = f"{w.snippet('run_masked')}({name}, {x.code}, {x.mask}, {layer.return_sequences}, False)"
    elif layer.return_sequences:
        code = f"{name}({x.code})[0]"
    else:
        outputs = w.assign(f"{name}({x.code})[0].unflatten(-1, (2, {one.units}))", "outputs")
        code = f"torch.cat([{outputs}[:, -1, 0], {outputs}[:, 0, 1]], -1)"
    mask = x.mask if layer.return_sequences else None
    if layer.merge_mode == "concat":
        return Value(code, mask=mask)
    both = w.assign(f"{code}.unflatten(-1, (2, {one.units}))", "both")
    if layer.merge_mode is None:
        return [Value(f"{both}[..., 0, :]", mask=mask), Value(f"{both}[..., 1, :]", mask=mask)]
    function = {"sum": "sum", "ave": "mean", "mul": "prod"}[layer.merge_mode]
    return Value(f"{both}.{function}(-2)", mask=mask)


@writes(RNN)
def _other_recurrent(layer: RNN, w: ClassSource, *inputs: Any, **named: Any) -> Value:
    raise NoCounterpartError("torch's recurrent modules have cells of their own alone")


# ---------------------------------------------------------------------------- attention


@writes(MultiHeadAttention)
def _multi_head(
    layer: MultiHeadAttention,
    w: ClassSource,
    query: Value,
    value: Value,
    key: Value | None = None,
    attention_mask: Any = None,
    return_attention_scores: bool = False,
    use_causal_mask: bool = False,
    **named: Any,
) -> Value:
    found = attention_layouts(layer)
    inputs = [in_keras_order(x) for x in (query, value if key is None else key, value)]
    _check_attention(layer, inputs, attention_mask, return_attention_scores)
    if not found:
        raise NoCounterpartError("it has several attention axes, a gate, an output of several axes, or an adapter")
    q, k, v = (x.code for x in inputs)
    if fits_torch_attention(layer):
        state = found["packed"].state()
        width = state["out_proj.weight"].shape[0]
        sizes = [dense.kernel.shape[0] for dense in (layer.key_dense, layer.value_dense)]
        more: dict[str, Any] = {} if sizes == [width, width] else {"kdim": sizes[0], "vdim": sizes[1]}
        if layer.dropout:
            more["dropout"] = layer.dropout
        if "out_proj.bias" not in state:
            more["bias"] = False
        made = f"nn.MultiheadAttention({arguments(width, layer.num_heads, batch_first=True, **more)})"
        name = w.module(layer, made, state)
        causal = ""
        if use_causal_mask:
            mask = _future(layer, w, inputs)
            causal = f", attn_mask={mask}"
        return Value(f"{name}({q}, {k}, {v}, need_weights=False{causal})[0]")
    state = found["separate"].state()
    widths = [state[f"{part}.weight"].shape[1] for part in ("query", "key", "value")]
    positional = (*widths, state["output.weight"].shape[0], layer.num_heads, layer.key_dim, layer.value_dim)
    bias = {} if "query.bias" in state else {"bias": False}
    name = w.module(layer, f"{w.snippet('Attention')}({arguments(*positional, **bias)})", state)
    return Value(f"{name}({q}, {k}, {v}{', is_causal=True' if use_causal_mask else ''})")


def _future(layer: Layer, w: ClassSource, inputs: Sequence[Value]) -> str:
    """The mask of what lies behind each step: kept by the module where the lengths are known."""
    query, key = inputs[0], inputs[1]
    steps, sources = query.shape[1], key.shape[1]
    if steps is not None and sources is not None:
        return w.buffer(f"{layer.name}_future", f"torch.ones({steps}, {sources}, dtype=torch.bool).triu(1)")
    sizes = f"{query.code}.shape[1], {key.code}.shape[1], dtype=torch.bool, device={query.code}.device"
    return w.assign(f"torch.ones({sizes}).triu(1)", "future")


def _check_attention(layer: Layer, inputs: Sequence[Value], mask: Any, scores: Any) -> None:
    if mask is not None or any(x.mask is not None for x in inputs):
        raise NoCounterpartError("it takes a mask")
    if scores:
        raise NoCounterpartError("it returns attention scores")
    if getattr(layer, "sliding_window", None) is not None:
        raise NoCounterpartError("it has a sliding window")


@writes(layers.GroupQueryAttention)
def _group_query(
    layer: layers.GroupQueryAttention,
    w: ClassSource,
    query: Value,
    value: Value,
    key: Value | None = None,
    attention_mask: Any = None,
    return_attention_scores: bool = False,
    use_causal_mask: bool = False,
    **named: Any,
) -> Value:
    inputs = [in_keras_order(x) for x in (query, value if key is None else key, value)]
    _check_attention(layer, inputs, attention_mask, return_attention_scores)
    denses = dict(zip(("query", "key", "value", "output"), layer._projections()))
    if getattr(layer, "use_gate", False) or any(dense.kernel.ndim != 3 for dense in denses.values()):
        raise NoCounterpartError("it has a gate, or an output of several axes")
    state = {}
    for part, dense in denses.items():
        kernel = dense.kernel.detach()
        state[f"{part}.weight"] = (kernel.flatten(0, 1) if part == "output" else kernel.flatten(1)).t()
        if dense.bias is not None:
            state[f"{part}.bias"] = dense.bias.detach().flatten()
    widths = [state[f"{part}.weight"].shape[1] for part in ("query", "key", "value")]
    size = denses["query"].kernel.shape[-1]
    positional = (*widths, state["output.weight"].shape[0], denses["query"].kernel.shape[1], size, size)
    shared = {"shared_heads": denses["key"].kernel.shape[1]} | ({} if "query.bias" in state else {"bias": False})
    name = w.module(layer, f"{w.snippet('Attention')}({arguments(*positional, **shared)})", state)
    codes = ", ".join(x.code for x in inputs)
    return Value(f"{name}({codes}{', is_causal=True' if use_causal_mask else ''})")


@writes(layers.Attention)
def _attention(
    layer: layers.Attention,
    w: ClassSource,
    inputs: Sequence[Value],
    return_attention_scores: bool = False,
    use_causal_mask: bool = False,
) -> Value:
    inputs = [in_keras_order(x) for x in inputs]
    _check_attention(layer, inputs, None, return_attention_scores)
    query, value = inputs[0].code, inputs[1].code
    key = inputs[2].code if len(inputs) > 2 else value
    if layer.score_mode != "dot" or layer.use_scale or isinstance(layer, layers.AdditiveAttention):
        raise NoCounterpartError("its scores are scaled by a weight, or no products")
    causal = ", is_causal=True" if use_causal_mask else ""
    return Value(f"F.scaled_dot_product_attention({query}, {key}, {value}{causal}, scale=1.0)")


# ---------------------------------------------------------------------------- around layers


@writes(layers.SpectralNormalization)
def _spectral_normalization(layer: layers.SpectralNormalization, w: ClassSource, x: Value) -> Value:
    """The layer inside: its kernel was divided by its largest singular value in the last step of training."""
    return w.program.write(layer.layer, w, x)


@writes(layers.TimeDistributed)
def _time_distributed(layer: layers.TimeDistributed, w: ClassSource, x: Value) -> Value:
    x = in_keras_order(x)
    if x.mask is not None and "mask" in layer.layer._tk_call_spec.names:
        raise NoCounterpartError("it takes a mask")
    steps = literal(x.shape[1]) if x.shape[1] is not None else f"{x.code}.shape[1]"
    flat = Value(w.assign(f"{x.code}.flatten(0, 1)", "steps"), (None, *x.shape[2:]))
    inner = in_keras_order(w.program.write(layer.layer, w, flat))
    return Value(f"{inner.code}.unflatten(0, (-1, {steps}))", mask=x.mask)
