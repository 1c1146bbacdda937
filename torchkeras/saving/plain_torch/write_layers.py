"""Layers in the source of a torch module: dense, convolutions, pooling, normalization, shapes, merges."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import torch

from torchkeras import layers
from torchkeras.layers.activation.activation import ShapeKeeping
from torchkeras.layers.base.layer import Layer
from torchkeras.layers.convolutional.base_conv import BaseConv, WindowLayer
from torchkeras.layers.convolutional.conv_transpose import BaseConvTranspose
from torchkeras.layers.convolutional.depthwise import BaseDepthwiseConv, BaseSeparableConv
from torchkeras.layers.core.einsum_dense import Terms, parse
from torchkeras.layers.core.lora import LowRankAdaptable
from torchkeras.layers.pooling.adaptive import AdaptiveAveragePooling, BaseAdaptivePooling
from torchkeras.layers.pooling.pooling import BasePooling, MaxPooling
from torchkeras.layers.reshaping.borders import BaseCropping, BaseZeroPadding
from torchkeras.layers.reshaping.up_sampling import BaseUpSampling
from torchkeras.ops.nn.windows import pad_argument, same_sides
from torchkeras.saving.plain_torch.functions import activated
from torchkeras.saving.plain_torch.layouts import State, layout_of
from torchkeras.saving.plain_torch.source import (
    ClassSource,
    NoCounterpartError,
    Value,
    arguments,
    channels_second,
    in_keras_order,
    literal,
    sized,
    writes,
)


def state_of(layer: Layer) -> State:
    """The layer's tensors in torch's layout."""
    if isinstance(layer, LowRankAdaptable) and layer.lora_enabled:
        raise NoCounterpartError("it has a low-rank adapter; save the model and load it, so that the adapter is merged")
    layout = layout_of(layer)
    if layout is None:
        raise NoCounterpartError("no torch module keeps weights like its own")
    return layout.state()


def entering(layer: Layer, x: Value) -> Value:
    """The inputs of a layer with a `data_format`, as `(N, C, ...)`."""
    return channels_second(x) if layer.data_format == "channels_last" else in_keras_order(x)


# ---------------------------------------------------------------------------- dense


@writes(layers.Dense)
def _dense(layer: layers.Dense, w: ClassSource, x: Value) -> Value:
    state = state_of(layer)
    outside, inside = state["weight"].shape
    name = w.module(layer, f"nn.Linear({inside}, {outside}{_without(layer.bias)})", state)
    x = in_keras_order(x)
    return activated(layer.activation, x.of(f"{name}({x.code})"))


def _without(bias: Any) -> str:
    return ", bias=False" if bias is None else ""


@writes(layers.EinsumDense)
def _einsum_dense(layer: layers.EinsumDense, w: ClassSource, x: Value) -> Value:
    state = state_of(layer)
    x = in_keras_order(x)
    terms = parse(layer.equation, x.rank)
    if _is_linear(terms, state):
        state = {**state, "weight": state["weight"].t()}
        outside, inside = state["weight"].shape
        name = w.module(layer, f"nn.Linear({inside}, {outside}{_without(layer.bias)})", state)
        return activated(layer.activation, x.of(f"{name}({x.code})"))
    equation = f"{terms.inputs},{terms.kernel}->{terms.output}"
    shapes = [tuple(state["weight"].shape), *([tuple(state["bias"].shape)] if "bias" in state else [])]
    name = w.module(layer, f"{w.snippet('Einsum')}({arguments(equation, *shapes)})", state)
    return activated(layer.activation, x.of(f"{name}({x.code})"))


def _is_linear(terms: Terms, state: State) -> bool:
    """Whether an equation is one matrix product over the last axis, with a bias for each output."""
    same = terms.inputs[:-1] == terms.output[:-1] and terms.kernel == terms.inputs[-1] + terms.output[-1]
    return same and ("bias" not in state or state["bias"].ndim == 1)


@writes(layers.Embedding)
def _embedding(layer: layers.Embedding, w: ClassSource, x: Value) -> Value:
    state = state_of(layer)
    name = w.module(layer, f"nn.Embedding({arguments(*state['weight'].shape)})", state)
    x = in_keras_order(x)
    mask = w.assign(f"{x.code} != 0", "mask") if layer.mask_zero else None
    return Value(f"{name}({x.code}.long())", mask=mask)


@writes(layers.Masking)
def _masking(layer: layers.Masking, w: ClassSource, x: Value) -> Value:
    x = in_keras_order(x)
    mask = w.assign(f"({x.code} != {literal(layer.mask_value)}).any(-1)", "mask")
    return Value(f"{x.code} * {mask}.unsqueeze(-1)", mask=mask)


@writes(layers.Identity, layers.ActivityRegularization)
def _identity(layer: Layer, w: ClassSource, x: Value) -> Value:
    return x


# ---------------------------------------------------------------------------- activations


@writes(layers.Activation)
def _activation(layer: layers.Activation, w: ClassSource, x: Value) -> Value:
    return activated(layer.activation, x)


@writes(layers.ReLU)
def _relu(layer: layers.ReLU, w: ClassSource, x: Value) -> Value:
    slope, top, threshold = layer.negative_slope or 0.0, layer.max_value, layer.threshold or 0.0
    if threshold:
        code = f"torch.where({x.code} >= {literal(threshold)}, {x.code}, ({x.code} - {literal(threshold)}) * {slope!r})"
    else:
        code = f"F.leaky_relu({x.code}, {literal(float(slope))})" if slope else f"F.relu({x.code})"
    if top is not None:
        code = f"F.relu6({x.code})" if (top, slope, threshold) == (6, 0, 0) else f"{code}.clamp(max={literal(top)})"
    return x.of(code)


@writes(layers.LeakyReLU)
def _leaky_relu(layer: layers.LeakyReLU, w: ClassSource, x: Value) -> Value:
    return x.of(f"F.leaky_relu({x.code}, {literal(float(layer.negative_slope))})")


@writes(layers.ELU)
def _elu(layer: layers.ELU, w: ClassSource, x: Value) -> Value:
    return x.of(f"F.elu({x.code}{'' if layer.alpha == 1 else f', {literal(float(layer.alpha))}'})")


@writes(layers.PReLU)
def _prelu(layer: layers.PReLU, w: ClassSource, x: Value) -> Value:
    shape = tuple(layer.alpha.shape)
    if any(size != 1 for size in shape[:-1]):
        name = w.module(layer, f"{w.snippet('Parameter')}({arguments(*shape)})", {"weight": layer.alpha.detach()})
        x = in_keras_order(x)
        return x.of(f"torch.where({x.code} > 0, {x.code}, {name}() * {x.code})")
    name = w.module(layer, f"nn.PReLU({shape[-1]})", state_of(layer))
    x = channels_second(x)
    return x.of(f"{name}({x.code})")


@writes(layers.Softmax)
def _softmax(layer: layers.Softmax, w: ClassSource, x: Value) -> Value:
    if x.mask is not None:
        raise NoCounterpartError("it takes a mask")
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else (layer.axis,)
    if len(axes) == 1:
        axis = x.axis(axes[0])
        return x.of(f"torch.softmax({x.code}, {-1 if axis == x.rank - 1 else axis})")
    dims = literal(tuple(x.axis(axis) for axis in axes))
    return x.of(f"({x.code} - {x.code}.logsumexp({dims}, keepdim=True)).exp()")


@writes(layers.Dropout)
def _dropout(layer: layers.Dropout, w: ClassSource, x: Value) -> Value:
    if layer.noise_shape is not None:
        raise NoCounterpartError("nn.Dropout has no noise_shape")
    return x.of(f"{w.module(layer, f'nn.Dropout({arguments(layer.rate)})')}({x.code})")


@writes(layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D)
def _spatial_dropout(layer: Layer, w: ClassSource, x: Value) -> Value:
    x = channels_second(x) if layer._channels_last else in_keras_order(x)
    return x.of(f"{w.module(layer, f'nn.Dropout{x.rank - 2}d({arguments(layer.rate)})')}({x.code})")


@writes(layers.AlphaDropout)
def _alpha_dropout(layer: layers.AlphaDropout, w: ClassSource, x: Value) -> Value:
    return x.of(f"{w.module(layer, f'nn.AlphaDropout({arguments(layer.rate)})')}({x.code})")


@writes(layers.Rescaling)
def _rescaling(layer: layers.Rescaling, w: ClassSource, x: Value) -> Value:
    factors = [layer.scale, layer.offset]
    if all(isinstance(value, (int, float)) for value in factors):
        scaled = x.code if layer.scale == 1 else f"{x.code} * {literal(float(layer.scale))}"  # type: ignore[arg-type]
        return x.of(scaled if layer.offset == 0 else f"{scaled} + {literal(float(layer.offset))}")  # type: ignore[arg-type]
    x = in_keras_order(x)
    codes = [
        literal(float(value)) if isinstance(value, (int, float)) else w.tensor(torch.as_tensor(value).float())
        for value in factors
    ]
    return x.of(f"{x.code} * {codes[0]} + {codes[1]}")


@writes(layers.Normalization)
def _normalization(layer: layers.Normalization, w: ClassSource, x: Value) -> Value:
    x = in_keras_order(x)
    mean, variance = layer._tk_statistics(torch.device("cpu"))
    state = {"mean": mean.float(), "variance": variance.float()}
    if layer.invert:
        raise NoCounterpartError("it inverts a normalization")
    name = w.module(layer, f"{w.snippet('Normalize')}({arguments(*mean.shape)})", state)
    return x.of(f"{name}({x.code})")


# ---------------------------------------------------------------------------- convolutions


def _lengths(layer: Layer, x: Value) -> Sequence[int | None]:
    """The spatial sizes of a value that is `(N, C, ...)`."""
    return x.shape[1:-1] if x.swapped else x.shape[2:]


def _padded(layer: WindowLayer, w: ClassSource, x: Value) -> tuple[Value, int | tuple[int, ...]]:
    """The inputs, padded as far as a convolution can't do it itself, and what is left to it."""
    size, steps, dilation = layer.kernel_size, layer.strides, layer.dilation_rate
    if layer.padding == "valid":
        return x, 0
    if layer.padding == "causal":
        before = dilation[0] * (size[0] - 1)
        return (x.of(f"F.pad({x.code}, ({before}, 0))"), 0) if before else (x, 0)
    lengths = _lengths(layer, x)
    if max(steps) > 1 and None in lengths:
        return x.of(f"{w.snippet('pad_same')}({x.code}, {arguments(size, steps, dilation)})"), 0
    sides = [same_sides(n or 0, *dims) for n, *dims in zip(lengths, size, steps, dilation)]
    if all(before == after for before, after in sides):
        return x, sized([before for before, _ in sides])
    return x.of(f"F.pad({x.code}, {literal(pad_argument(sides))})"), 0


def _window(layer: WindowLayer, padding: int | tuple[int, ...], groups: int) -> str:
    """The arguments of a convolution behind the numbers of channels."""
    named: dict[str, Any] = {}
    if max(layer.strides) > 1:
        named["stride"] = sized(layer.strides)
    if padding:
        named["padding"] = padding
    if max(layer.dilation_rate) > 1:
        named["dilation"] = sized(layer.dilation_rate)
    if groups > 1:
        named["groups"] = groups
    return arguments(sized(layer.kernel_size), **named)


@writes(BaseConv)
def _conv(layer: BaseConv, w: ClassSource, x: Value) -> Value:
    x, padding = _padded(layer, w, entering(layer, x))
    state = state_of(layer)
    channels = state["weight"].shape[1] * layer.groups
    made = f"nn.Conv{layer.rank}d({channels}, {layer.filters}, {_window(layer, padding, layer.groups)}"
    name = w.module(layer, f"{made}{_without(layer.bias)})", state)
    return activated(layer.activation, x.of(f"{name}({x.code})"))


@writes(BaseDepthwiseConv)
def _depthwise(layer: BaseDepthwiseConv, w: ClassSource, x: Value) -> Value:
    x, padding = _padded(layer, w, entering(layer, x))
    channels = layer.kernel.shape[-2]
    made = f"nn.Conv{layer.rank}d({channels}, {channels * layer.depth_multiplier}, {_window(layer, padding, channels)}"
    name = w.module(layer, f"{made}{_without(layer.bias)})", state_of(layer))
    return activated(layer.activation, x.of(f"{name}({x.code})"))


@writes(BaseSeparableConv)
def _separable(layer: BaseSeparableConv, w: ClassSource, x: Value) -> Value:
    x, padding = _padded(layer, w, entering(layer, x))
    state = state_of(layer)
    channels, many = layer.depthwise_kernel.shape[-2], state["depthwise.weight"].shape[0]
    kind = f"nn.Conv{layer.rank}d"
    parts = [
        f'("depthwise", {kind}({channels}, {many}, {_window(layer, padding, channels)}, bias=False))',
        f'("pointwise", {kind}({many}, {layer.filters}, 1{_without(layer.bias)}))',
    ]
    name = w.module(layer, f"nn.Sequential(OrderedDict([{', '.join(parts)}]))", state)
    return activated(layer.activation, x.of(f"{name}({x.code})"))


@writes(BaseConvTranspose)
def _conv_transpose(layer: BaseConvTranspose, w: ClassSource, x: Value) -> Value:
    x = entering(layer, x)
    state = state_of(layer)
    crops = layer._crops[-layer.rank :]
    # torch takes `padding` off both ends and puts `output_padding` back at the end, fewer than a stride.
    extra = [before - after for before, after in crops]
    named: dict[str, Any] = {"stride": sized(layer.strides)} if max(layer.strides) > 1 else {}
    if max(layer.dilation_rate) > 1:
        named["dilation"] = sized(layer.dilation_rate)
    steps = [max(s, d) for s, d in zip(layer.strides, layer.dilation_rate)]
    within = all(0 <= more < step for more, step in zip(extra, steps)) and all(before >= 0 for before, _ in crops)
    if within:
        named |= {"padding": sized([before for before, _ in crops])} if any(before for before, _ in crops) else {}
        named |= {"output_padding": sized(extra)} if any(extra) else {}
    channels = state["weight"].shape[0]
    window = arguments(sized(layer.kernel_size), **named)
    made = f"nn.ConvTranspose{layer.rank}d({channels}, {layer.filters}, {window}{_without(layer.bias)})"
    code = f"{w.module(layer, made, state)}({x.code})"
    if not within:
        if layer.bias is not None and any(after < 0 or before < 0 for before, after in crops):
            raise NoCounterpartError("zeros are added behind its result before the bias, which ConvTranspose can't do")
        code = f"F.pad({code}, {literal(pad_argument([(-before, -after) for before, after in crops]))})"
    return activated(layer.activation, x.of(code))


# ---------------------------------------------------------------------------- pooling


@writes(BasePooling)
def _pooling(layer: BasePooling, w: ClassSource, x: Value) -> Value:
    x = entering(layer, x)
    rank, size, steps = layer.rank, layer.pool_size, layer.strides
    largest = isinstance(layer, MaxPooling)
    kind = f"nn.{'Max' if largest else 'Avg'}Pool{rank}d"
    window = arguments(sized(size), *([] if steps == size else [sized(steps)]))
    if layer.padding == "valid":
        return x.of(f"{w.module(layer, f'{kind}({window})')}({x.code})")
    lengths = _lengths(layer, x)
    if None not in lengths:
        return _pooled_within(
            layer, w, x, f"{kind}({window}", largest, [same_sides(n, *d) for n, *d in zip(lengths, size, steps)]
        )
    if not largest:
        return x.of(f"{w.snippet('average_same')}({x.code}, {arguments(tuple(size), tuple(steps))})")
    ones = (1,) * rank
    code = f"{w.snippet('pad_same')}({x.code}, {arguments(tuple(size), tuple(steps), ones)}, value=float('-inf'))"
    return x.of(f"{w.module(layer, f'{kind}({window})')}({code})")


def _pooled_within(layer: Layer, w: ClassSource, x: Value, made: str, largest: bool, sides: list[Any]) -> Value:
    """Pooling with a border that is known: the module adds one that is even and no more than half a window."""
    even = all(before == after for before, after in sides)
    if not any(map(any, sides)):
        return x.of(f"{w.module(layer, f'{made})')}({x.code})")
    if even and all(2 * before <= size for (before, _), size in zip(sides, layer.pool_size)):
        border = arguments(padding=sized([before for before, _ in sides]))
        more = "" if largest else ", count_include_pad=False"
        return x.of(f"{w.module(layer, f'{made}, {border}{more})')}({x.code})")
    how = ', value=float("-inf")' if largest else ', "replicate"'
    code = f"F.pad({x.code}, {literal(pad_argument(sides))}{how})"
    return x.of(f"{w.module(layer, f'{made})')}({code})")


@writes(BaseAdaptivePooling)
def _adaptive(layer: BaseAdaptivePooling, w: ClassSource, x: Value) -> Value:
    x = entering(layer, x)
    kind = "Avg" if isinstance(layer, AdaptiveAveragePooling) else "Max"
    made = f"nn.Adaptive{kind}Pool{layer.rank}d({arguments(sized(layer.output_size))})"
    return x.of(f"{w.module(layer, made)}({x.code})")


def _global(layer: Layer, x: Value, function: str) -> Value:
    x = entering(layer, x) if x.swapped or layer.data_format == "channels_first" else x
    first = 2 if x.swapped or layer.data_format == "channels_first" else 1
    dims = tuple(range(first, first + x.rank - 2))
    keep = ", keepdim=True" if layer.keepdims else ""
    shown = literal(dims) if len(dims) > 1 else str(dims[0])
    return Value(f"{x.code}.{function}({shown}{keep})", swapped=x.swapped and layer.keepdims)


@writes(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D)
def _global_average(layer: Layer, w: ClassSource, x: Value) -> Value:
    if x.mask is not None and x.rank == 3 and not layer.keepdims:
        x = in_keras_order(x)
        mask = w.assign(f"{x.mask}.unsqueeze(-1).to({x.code}.dtype)", "counted")
        return Value(f"({x.code} * {mask}).sum(1) / {mask}.sum(1)")
    return _global(layer, x, "mean")


@writes(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D)
def _global_max(layer: Layer, w: ClassSource, x: Value) -> Value:
    return _global(layer, x, "amax")


# ---------------------------------------------------------------------------- normalization


@writes(layers.BatchNormalization)
def _batch_norm(layer: layers.BatchNormalization, w: ClassSource, x: Value) -> Value:
    axis = layer.axis % x.rank
    is_last = axis == x.rank - 1
    if layer.renorm:
        raise NoCounterpartError("nn.BatchNorm has no renormalization")
    if not is_last and axis != 1:
        raise NoCounterpartError(f"it normalizes axis {axis}; nn.BatchNorm takes the second one (or Keras's last)")
    x = channels_second(x) if is_last else in_keras_order(x)
    if x.rank > 5:
        raise NoCounterpartError("nn.BatchNorm3d takes five axes at most")
    state = state_of(layer)
    named = {"eps": layer.epsilon, "momentum": round(1.0 - layer.momentum, 12)}
    affine = "" if "weight" in state else ", affine=False"
    made = f"nn.BatchNorm{max(1, x.rank - 2)}d({layer.moving_mean.shape[0]}, {arguments(**named)}{affine})"
    return x.of(f"{w.module(layer, made, state)}({x.code})")


@writes(layers.LayerNormalization)
def _layer_norm(layer: layers.LayerNormalization, w: ClassSource, x: Value) -> Value:
    if layer.rms_scaling:
        raise NoCounterpartError("rms_scaling is no normalization of torch's")
    shape = _trailing(layer.axis, x)
    state = state_of(layer)
    affine = {} if "weight" in state else {"elementwise_affine": False}
    made = f"nn.LayerNorm({arguments(sized_shape(shape), eps=layer.epsilon, **affine)})"
    x = in_keras_order(x)
    return x.of(f"{w.module(layer, made, state)}({x.code})")


def sized_shape(shape: tuple[int | None, ...]) -> Any:
    return shape[0] if len(shape) == 1 else shape


def _trailing(axis: Any, x: Value) -> tuple[int | None, ...]:
    axes = sorted(one % x.rank for one in (axis if isinstance(axis, (list, tuple)) else [axis]))
    if axes != list(range(x.rank - len(axes), x.rank)):
        raise NoCounterpartError(f"it normalizes the axes {axes}; torch's takes the last ones")
    return x.shape[-len(axes) :]


@writes(layers.RMSNormalization)
def _rms_norm(layer: layers.RMSNormalization, w: ClassSource, x: Value) -> Value:
    made = f"nn.RMSNorm({arguments(sized_shape(_trailing(layer.axis, x)), eps=layer.epsilon)})"
    x = in_keras_order(x)
    return x.of(f"{w.module(layer, made, state_of(layer))}({x.code})")


@writes(layers.GroupNormalization)
def _group_norm(layer: layers.GroupNormalization, w: ClassSource, x: Value) -> Value:
    axis = layer.axis % x.rank
    if axis not in (1, x.rank - 1):
        raise NoCounterpartError(f"it normalizes axis {axis}; nn.GroupNorm takes the second one (or Keras's last)")
    x = channels_second(x) if axis == x.rank - 1 else in_keras_order(x)
    state = state_of(layer)
    affine = {} if "weight" in state else {"affine": False}
    made = f"nn.GroupNorm({arguments(layer.groups, x.shape[axis], eps=layer.epsilon, **affine)})"
    return x.of(f"{w.module(layer, made, state)}({x.code})")


@writes(layers.UnitNormalization)
def _unit_norm(layer: layers.UnitNormalization, w: ClassSource, x: Value) -> Value:
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else (layer.axis,)
    dims = tuple(x.axis(axis) for axis in axes)
    return x.of(f"F.normalize({x.code}, dim={literal(sized_shape(dims))})")


# ---------------------------------------------------------------------------- shapes


@writes(layers.Flatten)
def _flatten(layer: layers.Flatten, w: ClassSource, x: Value) -> Value:
    x = in_keras_order(x)
    if layer.data_format == "channels_first" and x.rank > 2:
        x = x.of(f"{x.code}.movedim(1, -1)")
    return Value(f"{x.code}.unsqueeze(-1)" if x.rank == 1 else f"{x.code}.flatten(1)", swapped=False)


@writes(layers.Reshape)
def _reshape(layer: layers.Reshape, w: ClassSource, x: Value) -> Value:
    x = in_keras_order(x)
    return Value(f"{x.code}.reshape({x.code}.shape[0], {arguments(*layer.target_shape)})")


@writes(layers.Permute)
def _permute(layer: layers.Permute, w: ClassSource, x: Value) -> Value:
    x = in_keras_order(x)
    return Value(f"{x.code}.permute({arguments(0, *layer.dims)})")


@writes(layers.RepeatVector)
def _repeat_vector(layer: layers.RepeatVector, w: ClassSource, x: Value) -> Value:
    return Value(f"{x.code}.unsqueeze(1).expand(-1, {layer.n}, -1)")


def _spatial_first(layer: Layer, x: Value, data_format: str | None) -> int:
    """The axis at which the spatial axes of a value start."""
    return 2 if x.swapped or data_format == "channels_first" else 1


@writes(BaseZeroPadding)
def _zero_padding(layer: BaseZeroPadding, w: ClassSource, x: Value) -> Value:
    x = in_keras_order(x) if layer.data_format == "channels_first" else x
    first = _spatial_first(layer, x, layer.data_format)
    pads = pad_argument(layer._padding)
    return x.of(f"F.pad({x.code}, {literal((0, 0, *pads) if first == 1 else tuple(pads))})")


@writes(BaseCropping)
def _cropping(layer: BaseCropping, w: ClassSource, x: Value) -> Value:
    x = in_keras_order(x) if layer._format == "channels_first" else x
    first = _spatial_first(layer, x, layer._format)
    slices = [":"] * first + [f"{a or ''}:{-b if b else ''}" for a, b in layer._cropping]
    return x.of(f"{x.code}[{', '.join(slices)}]")


@writes(layers.UpSampling1D)
def _up_sampling_1d(layer: layers.UpSampling1D, w: ClassSource, x: Value) -> Value:
    return x.of(f"{x.code}.repeat_interleave({layer.size}, {x.axis(1)})")


@writes(BaseUpSampling)
def _up_sampling(layer: BaseUpSampling, w: ClassSource, x: Value) -> Value:
    mode = getattr(layer, "interpolation", "nearest")
    if mode not in ("nearest", "bilinear", "bicubic"):
        raise NoCounterpartError(f"nn.Upsample has no interpolation {mode!r}")
    x = entering(layer, x)
    made = f"nn.Upsample({arguments(scale_factor=tuple(float(n) for n in layer.size), mode=mode)})"
    return x.of(f"{w.module(layer, made)}({x.code})")


# ---------------------------------------------------------------------------- merges


def _alike(inputs: Sequence[Value]) -> list[Value]:
    """The inputs in one order: as they are if they agree, else Keras's; with as many axes as that with most has."""
    rank = max(x.rank for x in inputs)
    if any(x.rank != rank for x in inputs):
        ordered = [in_keras_order(x) for x in inputs]
        return [x.of(x.code + ".unsqueeze(1)" * (rank - x.rank)) for x in ordered]
    if len({x.swapped for x in inputs}) > 1:
        return [in_keras_order(x) for x in inputs]
    return list(inputs)


def _joined(inputs: Sequence[Value], code: str) -> Value:
    return Value(code, swapped=inputs[0].swapped)


def _operators(sign: str) -> Any:
    def write(layer: Any, w: ClassSource, inputs: Sequence[Value]) -> Value:
        inputs = _alike(inputs)
        return _joined(inputs, f" {sign} ".join(x.code if "." not in x.code else f"({x.code})" for x in inputs))

    return write


writes(layers.Add)(_operators("+"))
writes(layers.Subtract)(_operators("-"))
writes(layers.Multiply)(_operators("*"))


@writes(layers.Average)
def _average(layer: layers.Average, w: ClassSource, inputs: Sequence[Value]) -> Value:
    inputs = _alike(inputs)
    return _joined(inputs, f"({' + '.join(x.code for x in inputs)}) / {len(inputs)}")


def _folded(function: str) -> Any:
    def write(layer: Any, w: ClassSource, inputs: Sequence[Value]) -> Value:
        inputs = _alike(inputs)
        code = inputs[0].code
        for x in inputs[1:]:
            code = f"{function}({code}, {x.code})"
        return _joined(inputs, code)

    return write


writes(layers.Maximum)(_folded("torch.maximum"))
writes(layers.Minimum)(_folded("torch.minimum"))


@writes(layers.Concatenate)
def _concatenate(layer: layers.Concatenate, w: ClassSource, inputs: Sequence[Value]) -> Value:
    inputs = _alike(inputs)
    axis = inputs[0].axis(layer.axis)
    shown = -1 if axis == inputs[0].rank - 1 else axis
    return _joined(inputs, f"torch.cat([{', '.join(x.code for x in inputs)}], {shown})")


@writes(layers.Dot)
def _dot(layer: layers.Dot, w: ClassSource, inputs: Sequence[Value]) -> Value:
    x, y = (in_keras_order(one) for one in inputs)
    axes = [axis % one.rank for axis, one in zip(layer._axes([x.rank, y.rank]), (x, y))]
    letters = string.ascii_lowercase[1:]
    first = ["a", *letters[: x.rank - 1]]
    second = ["a", *letters[x.rank - 1 : x.rank + y.rank - 2]]
    second[axes[1]] = first[axes[0]]
    out = [c for c in first if c != first[axes[0]]] + [c for c in second[1:] if c != second[axes[1]]]
    codes = [f"F.normalize({one.code}, dim={axis})" if layer.normalize else one.code for one, axis in zip((x, y), axes)]
    code = f'torch.einsum("{"".join(first)},{"".join(second)}->{"".join(out)}", {codes[0]}, {codes[1]})'
    return Value(f"{code}.unsqueeze(-1)" if len(out) == 1 else code)


@writes(layers.TorchModuleWrapper)
def _torch_module(layer: layers.TorchModuleWrapper, w: ClassSource, *inputs: Value) -> Value:
    name = w.module(layer, w.program.constant(layer.module))
    return Value(f"{name}({', '.join(in_keras_order(x).code for x in inputs)})")


@writes(ShapeKeeping)
def _unknown(layer: Layer, w: ClassSource, *inputs: Value) -> Value:
    raise NoCounterpartError("torch.nn has nothing of its kind")
