"""Functions and methods of torch as ops of Keras, for the nodes of a traced module; the tensors are symbolic."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchkeras import layers, ops
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.saving.plain_torch.read_modules import READERS, NotReadableError, Reading, _Stacked, padded

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
METHODS: dict[str, Callable[..., Any]] = {}


def _function(*torch_functions: Any, methods: str = "") -> Callable[[Callable], Callable]:
    def register(function: Callable) -> Callable:
        FUNCTIONS.update((one, function) for one in torch_functions if one is not None)
        METHODS.update(dict.fromkeys(methods.split(), function))
        return function

    return register


# ---------------------------------------------------------------------------- elementwise

_ONE: dict[str, Callable[..., Any]] = {
    "relu": ops.relu,
    "relu6": ops.relu6,
    "sigmoid": ops.sigmoid,
    "tanh": ops.tanh,
    "selu": ops.selu,
    "silu": ops.silu,
    "mish": lambda x: x * ops.tanh(ops.softplus(x)),
    "softplus": ops.softplus,
    "softsign": ops.softsign,
    "hardswish": ops.hard_silu,
    "hardsigmoid": ops.hard_sigmoid,
    "hardtanh": ops.hard_tanh,
    "logsigmoid": ops.log_sigmoid,
    "tanhshrink": ops.tanh_shrink,
    "exp": ops.exp,
    "log": ops.log,
    "sqrt": ops.sqrt,
    "rsqrt": ops.rsqrt,
    "abs": ops.abs,
    "square": ops.square,
    "neg": ops.negative,
    "sin": ops.sin,
    "cos": ops.cos,
    "erf": ops.erf,
    "floor": ops.floor,
    "log1p": ops.log1p,
}


def _of_one(function: Callable) -> Callable:
    return lambda x, inplace=False: function(x)


for _name, _op in _ONE.items():
    _places = [getattr(home, _name, None) for home in (torch, F)]
    _function(*_places, methods=_name)(_of_one(_op))
_function(operator.neg)(ops.negative)


def _with_numbers(name: str, function: Callable) -> None:
    METHODS[name] = function
    for home in (torch, operator):
        if hasattr(home, name):
            FUNCTIONS[getattr(home, name)] = function


for _names, _op in {
    "add": ops.add,
    "sub": ops.subtract,
    "mul": ops.multiply,
    "truediv": ops.true_divide,
    "div": ops.true_divide,
    "pow": ops.power,
    "matmul": ops.matmul,
    "maximum": ops.maximum,
    "minimum": ops.minimum,
    "bmm": ops.matmul,
    "iadd": ops.add,
    "imul": ops.multiply,
}.items():
    _with_numbers(_names, _op)


@_function(F.gelu)
def _gelu(x: Tensor, approximate: str = "none") -> Any:
    return ops.gelu(x, approximate=approximate == "tanh")


@_function(F.leaky_relu)
def _leaky_relu(x: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    return ops.leaky_relu(x, negative_slope)


@_function(F.elu)
def _elu(x: Tensor, alpha: float = 1.0, inplace: bool = False) -> Any:
    return ops.elu(x, alpha)


@_function(F.celu)
def _celu(x: Tensor, alpha: float = 1.0, inplace: bool = False) -> Any:
    return ops.celu(x, alpha)


@_function(F.softshrink)
def _soft_shrink(x: Tensor, lambd: float = 0.5) -> Any:
    return ops.soft_shrink(x, lambd)


@_function(F.hardshrink)
def _hard_shrink(x: Tensor, lambd: float = 0.5) -> Any:
    return ops.hard_shrink(x, lambd)


@_function(torch.softmax, F.softmax, methods="softmax")
def _softmax(x: Tensor, dim: int = -1, **rest: Any) -> Any:
    return ops.softmax(x, axis=dim)


@_function(torch.log_softmax, F.log_softmax, methods="log_softmax")
def _log_softmax(x: Tensor, dim: int = -1, **rest: Any) -> Any:
    return ops.log_softmax(x, axis=dim)


@_function(torch.clamp, methods="clamp")
def _clamp(x: Tensor, min: Any = None, max: Any = None) -> Any:
    x = x if min is None else ops.maximum(x, min)
    return x if max is None else ops.minimum(x, max)


@_function(torch.where)
def _where(condition: Any, x: Tensor, y: Any) -> Any:
    return ops.where(condition, x, y)


for _name, _op in {"gt": ops.greater, "ge": ops.greater_equal, "lt": ops.less, "le": ops.less_equal}.items():
    _with_numbers(_name, _op)


@_function(F.dropout)
def _dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    return layers.Dropout(p)(x)


@_function(F.normalize)
def _normalize(x: Tensor, p: float = 2.0, dim: Any = 1, **rest: Any) -> Any:
    if p != 2:
        raise NotReadableError("only lengths with p=2 are read")
    return layers.UnitNormalization(axis=list(dim) if isinstance(dim, tuple) else dim)(x)


METHODS.update(dict.fromkeys(["contiguous", "detach", "clone", "cpu"], lambda x, *rest, **named: x))


@_function(methods="to type")
def _to(x: Tensor, *rest: Any, **named: Any) -> Any:
    dtype = next((one for one in (*rest, *named.values()) if isinstance(one, torch.dtype)), None)
    return x if dtype is None else ops.cast(x, str(dtype).removeprefix("torch."))


METHODS["float"] = lambda x: ops.cast(x, "float32")
METHODS["long"] = lambda x: x if "int" in x.dtype else ops.cast(x, "int32")

# ---------------------------------------------------------------------------- along axes


def _reduction(function: Callable) -> Callable:
    def reduced(x: Tensor, dim: Any = None, keepdim: bool = False, **rest: Any) -> Any:
        return function(x, axis=tuple(dim) if isinstance(dim, list) else dim, keepdims=keepdim)

    return reduced


for _name, _op in {
    "mean": ops.mean,
    "sum": ops.sum,
    "amax": ops.max,
    "amin": ops.min,
    "logsumexp": ops.logsumexp,
    "prod": ops.prod,
}.items():
    _function(getattr(torch, _name), methods=_name)(_reduction(_op))


@_function(torch.argmax, methods="argmax")
def _argmax(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    return ops.argmax(x, axis=dim, keepdims=keepdim)


@_function(torch.cat, torch.concat)
def _cat(tensors: Any, dim: int = 0) -> Any:
    return ops.concatenate(list(tensors), axis=dim)


@_function(torch.stack)
def _stack(tensors: Any, dim: int = 0) -> Any:
    return ops.stack(list(tensors), axis=dim)


@_function(torch.chunk, methods="chunk")
def _chunk(x: Tensor, chunks: int, dim: int = 0) -> Any:
    if x.shape[dim] is None or x.shape[dim] % chunks:
        raise NotReadableError("chunks of different sizes")
    return tuple(ops.split(x, chunks, axis=dim))


@_function(torch.split, methods="split")
def _split(x: Tensor, size: Any, dim: int = 0) -> Any:
    length = x.shape[dim]
    if not isinstance(size, int):
        places = [sum(size[: i + 1]) for i in range(len(size) - 1)]
        return tuple(ops.split(x, places, axis=dim))
    return _chunk(x, length // size, dim)


@_function(torch.einsum)
def _einsum(equation: str, *operands: Any) -> Any:
    return ops.einsum(equation, *operands)


@_function(F.scaled_dot_product_attention)
def _attend(query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
            scale: Any = None) -> Any:  # fmt: skip
    if attn_mask is not None:
        raise NotReadableError("it has an attn_mask")
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) * scale
    if is_causal:
        scores = scores + torch.full((query.shape[-2], key.shape[-2]), -1e9).triu(1).numpy()
    return ops.matmul(ops.softmax(scores, axis=-1), value)


# ---------------------------------------------------------------------------- shapes


def _reshaped(x: Tensor, sizes: Any) -> Any:
    """A reshape with `None` for the size of the batch, which stays unknown."""
    sizes = list(sizes)
    if None in sizes and -1 in sizes and None not in x.shape[1:]:
        known = math.prod(size for size in sizes if size not in (None, -1))
        sizes[sizes.index(-1)] = math.prod(x.shape[1:]) // known
    if sizes.count(None) + sizes.count(-1) > 1:
        raise NotReadableError(f"the shape {sizes} has more than one unknown size")
    return ops.reshape(x, tuple(-1 if size is None else size for size in sizes))


@_function(torch.reshape, methods="reshape view")
def _reshape(x: Tensor, *sizes: object) -> Any:
    return _reshaped(x, sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes)


@_function(torch.flatten, methods="flatten")
def _flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Any:
    rank = len(x.shape)
    start, end = start_dim % rank, end_dim % rank
    if start == 1 and end == rank - 1:
        return layers.Flatten(data_format="channels_last")(x)
    joined = x.shape[start : end + 1]
    size = None if None in joined else math.prod(joined)
    return _reshaped(x, [*x.shape[:start], size, *x.shape[end + 1 :]])


@_function(torch.unflatten, methods="unflatten")
def _unflatten(x: Tensor, dim: int, sizes: Any) -> Any:
    dim = dim % len(x.shape)
    sizes = list(sizes)
    if -1 in sizes and x.shape[dim] is not None:
        sizes[sizes.index(-1)] = x.shape[dim] // math.prod(size for size in sizes if size != -1)
    return _reshaped(x, [*x.shape[:dim], *sizes, *x.shape[dim + 1 :]])


@_function(torch.permute, methods="permute")
def _permute(x: Tensor, *dims: Any) -> Any:
    dims = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    return ops.transpose(x, tuple(dim % len(x.shape) for dim in dims))


@_function(torch.transpose, torch.swapaxes, methods="transpose swapaxes")
def _transpose(x: Tensor, dim0: int, dim1: int) -> Any:
    return ops.swapaxes(x, dim0, dim1)


@_function(torch.movedim, methods="movedim")
def _movedim(x: Tensor, source: Any, destination: Any) -> Any:
    return ops.moveaxis(x, source, destination)


@_function(torch.unsqueeze, methods="unsqueeze")
def _unsqueeze(x: Tensor, dim: int) -> Any:
    return ops.expand_dims(x, dim)


@_function(torch.squeeze, methods="squeeze")
def _squeeze(x: Tensor, dim: Any = None) -> Any:
    if dim is None:
        raise NotReadableError("squeeze() without an axis depends on the size of the batch")
    return ops.squeeze(x, dim) if x.shape[dim] == 1 else x


@_function(torch.flip, methods="flip")
def _flip(x: Tensor, *dims: Any) -> Any:
    return ops.flip(x, axis=dims[0] if len(dims) == 1 else dims)


@_function(torch.repeat_interleave, methods="repeat_interleave")
def _repeat_interleave(x: Tensor, repeats: int, dim: int | None = None) -> Any:
    return x if repeats == 1 and dim is not None else ops.repeat(x, repeats, axis=dim)


@_function(methods="expand")
def _expand(x: Tensor, *sizes: object) -> Any:
    sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    if len(sizes) != len(x.shape):
        raise NotReadableError("it adds axes")
    for axis, (size, own) in enumerate(zip(sizes, x.shape)):
        if size not in (-1, None, own):
            x = ops.repeat(x, size, axis=axis)
    return x


@_function(methods="size")
def _size(x: Tensor, dim: int | None = None) -> Any:
    return tuple(x.shape) if dim is None else x.shape[dim]


METHODS["dim"] = lambda x: len(x.shape)


@_function(operator.getitem)
def _getitem(x: Tensor, index: Any) -> Any:
    if isinstance(x, _Stacked):
        return x.get(index)
    return x[index]


@_function(F.pad)
def _pad(x: Tensor, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    sides = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)][::-1]
    front = [(0, 0)] * (len(x.shape) - len(sides))
    if mode == "constant":
        value = 0.0 if value is None else max(float(value), torch.finfo(torch.float32).min)
        sides = [*front, *sides]
        if not any(map(any, sides[:2])):
            return padded(x, sides[2:], value)
        return ops.pad(x, tuple(sides), mode="constant", constant_values=value)
    modes = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return ops.pad(x, (*front, *sides), mode=modes[mode])


# ---------------------------------------------------------------------------- functions that are modules


def _as_module(make: Callable[..., nn.Module]) -> Callable:
    """A function that does what a module without weights does."""

    def call(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        module = make(*args, **kwargs)
        return READERS[type(module)](module, Reading(), type(module).__name__.lower(), x)

    return call


for _n in (1, 2, 3):
    for _kind in ("Max", "Avg"):
        _function(getattr(F, f"{_kind.lower()}_pool{_n}d"))(_as_module(getattr(nn, f"{_kind}Pool{_n}d")))
        _function(getattr(F, f"adaptive_{_kind.lower()}_pool{_n}d"))(
            _as_module(getattr(nn, f"Adaptive{_kind}Pool{_n}d"))
        )
_function(F.interpolate)(_as_module(nn.Upsample))

# ---------------------------------------------------------------------------- modules that are functions

_MODULES: dict[type, Callable[[Any, Any], Any]] = {
    **{
        cls: (lambda module, x, function=FUNCTIONS[function]: function(x))  # type: ignore[misc]
        for cls, function in {
            nn.ReLU: F.relu, nn.ReLU6: F.relu6, nn.SELU: F.selu, nn.SiLU: F.silu, nn.Mish: F.mish,
            nn.Sigmoid: torch.sigmoid, nn.Tanh: torch.tanh, nn.Softplus: F.softplus, nn.Softsign: F.softsign,
            nn.Hardswish: F.hardswish, nn.Hardsigmoid: F.hardsigmoid, nn.LogSigmoid: F.logsigmoid,
            nn.Tanhshrink: F.tanhshrink,
        }.items()
    },
    nn.Identity: lambda module, x: x,
    nn.GELU: lambda module, x: _gelu(x, module.approximate),
    nn.LeakyReLU: lambda module, x: _leaky_relu(x, module.negative_slope),
    nn.ELU: lambda module, x: _elu(x, module.alpha),
    nn.CELU: lambda module, x: _celu(x, module.alpha),
    nn.Softshrink: lambda module, x: _soft_shrink(x, module.lambd),
    nn.Hardshrink: lambda module, x: _hard_shrink(x, module.lambd),
    nn.Hardtanh: lambda module, x: _clamp(x, module.min_val, module.max_val),
    nn.Softmax: lambda module, x: _softmax(x, -1 if module.dim is None else module.dim),
    nn.LogSoftmax: lambda module, x: _log_softmax(x, -1 if module.dim is None else module.dim),
    nn.Softmax2d: lambda module, x: _softmax(x, 1),
    nn.Flatten: lambda module, x: _flatten(x, module.start_dim, module.end_dim),
    nn.Unflatten: lambda module, x: _unflatten(x, module.dim, module.unflattened_size),
    nn.ZeroPad1d: lambda module, x: _pad(x, module.padding),
    nn.ZeroPad2d: lambda module, x: _pad(x, module.padding),
    nn.ZeroPad3d: lambda module, x: _pad(x, module.padding),
    nn.ConstantPad2d: lambda module, x: _pad(x, module.padding, value=module.value),
    nn.ReflectionPad2d: lambda module, x: _pad(x, module.padding, "reflect"),
}  # fmt: skip
for _cls, _reader in _MODULES.items():
    READERS[_cls] = lambda module, r, path, x, reader=_reader: reader(module, x)


def is_symbolic(value: object) -> bool:
    """Whether a value is known only when the model runs."""
    return isinstance(value, (KerasTensor, _Stacked))
