"""Layers that Keras 2 made of TensorFlow's functions: each becomes the op of Keras 3 that computes the same.

`TFOpLambda` is any function, `SlicingOpLambda` is `x[...]`. The config holds the function's name without `tf.`; the
first argument is the call's, all others are keyword arguments of the call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torchkeras.core import registry
from torchkeras.core.operations.op import OPS
from torchkeras.saving.legacy.types import Config
from torchkeras.saving.safety.budget import BadFileError

LAYERS = frozenset({"TFOpLambda", "SlicingOpLambda"})

# A function of the table: the op, and the op's parameter for each of TensorFlow's in order. `_UNUSED` stands for one
# that must be absent, null or false.
Function = tuple[str, dict[str, str]]
_UNUSED = "-"

_BINARY = {
    "__operators__.add": "add",
    "__operators__.eq": "equal",
    "__operators__.ne": "not_equal",
    "math.truediv": "true_divide",
    "math.divide": "true_divide",
    "math.floordiv": "floor_divide",
    "math.floormod": "mod",
    "math.pow": "power",
    **{
        f"math.{name}": name
        for name in (
            "add subtract multiply mod maximum minimum greater greater_equal less less_equal equal "
            "not_equal logical_and logical_or"
        ).split()
    },
}
_UNARY = {
    "math.abs": "absolute",
    "math.logical_not": "logical_not",
    **{
        f"math.{name}": name
        for name in (
            "negative square sqrt rsqrt exp expm1 log log1p sin cos floor ceil round sign erf reciprocal sigmoid tanh"
        ).split()
    },
    "nn.sigmoid": "sigmoid",
    "nn.tanh": "tanh",
}
_OF_FEATURES = {
    f"{module}.{name}": name
    for module, names in (("math", "softplus"), ("nn", "softplus relu relu6 elu selu softsign"))
    for name in names.split()
}
_REDUCTIONS = {
    f"{prefix}math.reduce_{name}": op
    for prefix in ("", "compat.v1.")
    for name, op in {
        **{name: name for name in "mean sum max min prod std any all logsumexp".split()},
        "variance": "var",
    }.items()
}
_NORMALIZE: Function = ("normalize", {"x": "x", "axis": "axis", "epsilon": "epsilon"})
_MATMUL: Function = (
    "matmul",
    {
        "a": "x1",
        "b": "x2",
        **dict.fromkeys(
            "transpose_a transpose_b adjoint_a adjoint_b a_is_sparse b_is_sparse output_type grad_a grad_b".split(),
            _UNUSED,
        ),
    },
)
_TRANSPOSE: Function = ("transpose", {"a": "x", "perm": "axes", "conjugate": _UNUSED})
_EXPAND: Function = ("expand_dims", {"input": "x", "axis": "axis"})
_SQUEEZE: Function = ("squeeze", {"input": "x", "axis": "axis", "squeeze_dims": _UNUSED})
_PAD: Function = (
    "pad",
    {"tensor": "x", "paddings": "pad_width", "mode": "mode", "constant_values": "constant_values"},
)
_WHERE: Function = ("where", {"condition": "condition", "x": "x1", "y": "x2"})
_GATHER: Function = (
    "take",
    {"params": "x", "indices": "indices", "axis": "axis", "batch_dims": _UNUSED, "validate_indices": _UNUSED},
)
_NORM: Function = ("norm", {"tensor": "x", "ord": "ord", "axis": "axis", "keepdims": "keepdims"})
_RESIZE: Function = (
    "image.resize",
    {
        "images": "images",
        "size": "size",
        "method": "interpolation",
        "antialias": "antialias",
        "preserve_aspect_ratio": _UNUSED,
    },
)
_OF_BLOCKS = {"input": "x", "block_size": "block_size", "data_format": "data_format"}

FUNCTIONS: dict[str, Function] = {
    **{name: (op, {"x": "x1", "y": "x2"}) for name, op in _BINARY.items()},
    **{name: (op, {"x": "x"}) for name, op in _UNARY.items()},
    **{name: (op, {"features": "x"}) for name, op in _OF_FEATURES.items()},
    **{name: (op, {"input_tensor": "x", "axis": "axis", "keepdims": "keepdims"}) for name, op in _REDUCTIONS.items()},
    **dict.fromkeys(("compat.v1.reduce_mean", "reduce_mean"), ("mean", {"input_tensor": "x", "axis": "axis"})),
    "math.argmax": ("argmax", {"input": "x", "axis": "axis", "output_type": _UNUSED}),
    "math.argmin": ("argmin", {"input": "x", "axis": "axis", "output_type": _UNUSED}),
    "math.cumsum": ("cumsum", {"x": "x", "axis": "axis", "exclusive": _UNUSED, "reverse": _UNUSED}),
    "nn.silu": ("silu", {"features": "x", "beta": "beta"}),
    "nn.swish": ("silu", {"features": "x", "beta": "beta"}),
    "nn.gelu": ("gelu", {"features": "x", "approximate": "approximate"}),
    "nn.leaky_relu": ("leaky_relu", {"features": "x", "alpha": "negative_slope"}),
    "nn.softmax": ("softmax", {"logits": "x", "axis": "axis"}),
    "compat.v1.nn.softmax": ("softmax", {"logits": "x", "axis": "axis", "dim": _UNUSED}),
    "nn.log_softmax": ("log_softmax", {"logits": "x", "axis": "axis"}),
    **dict.fromkeys(("math.l2_normalize", "nn.l2_normalize", "linalg.l2_normalize"), _NORMALIZE),
    **dict.fromkeys(("linalg.matmul", "matmul"), _MATMUL),
    "nn.bias_add": ("add", {"value": "x1", "bias": "x2", "data_format": "data_format"}),
    "concat": ("concatenate", {"values": "xs", "axis": "axis"}),
    "stack": ("stack", {"values": "x", "axis": "axis"}),
    "unstack": ("unstack", {"value": "x", "num": "num", "axis": "axis"}),
    "split": (
        "split",
        {"value": "x", "num_or_size_splits": "indices_or_sections", "axis": "axis", "num": _UNUSED},
    ),
    "reshape": ("reshape", {"tensor": "x", "shape": "newshape"}),
    **dict.fromkeys(("transpose", "compat.v1.transpose"), _TRANSPOSE),
    **dict.fromkeys(("expand_dims", "compat.v1.expand_dims"), _EXPAND),
    **dict.fromkeys(("squeeze", "compat.v1.squeeze"), _SQUEEZE),
    "tile": ("tile", {"input": "x", "multiples": "repeats"}),
    "repeat": ("repeat", {"input": "x", "repeats": "repeats", "axis": "axis"}),
    "reverse": ("flip", {"tensor": "x", "axis": "axis"}),
    "roll": ("roll", {"input": "x", "shift": "shift", "axis": "axis"}),
    **dict.fromkeys(("pad", "compat.v1.pad"), _PAD),
    "cast": ("cast", {"x": "x", "dtype": "dtype"}),
    "clip_by_value": ("clip", {"t": "x", "clip_value_min": "x_min", "clip_value_max": "x_max"}),
    **dict.fromkeys(("where", "compat.v1.where"), _WHERE),
    "one_hot": (
        "one_hot",
        {
            "indices": "x",
            "depth": "num_classes",
            "on_value": _UNUSED,
            "off_value": _UNUSED,
            "axis": "axis",
            "dtype": "dtype",
        },
    ),
    **dict.fromkeys(("gather", "compat.v1.gather"), _GATHER),
    "zeros_like": ("zeros_like", {"input": "x", "dtype": "dtype"}),
    "ones_like": ("ones_like", {"input": "x", "dtype": "dtype"}),
    "broadcast_to": ("broadcast_to", {"input": "x", "shape": "shape"}),
    "stop_gradient": ("stop_gradient", {"input": "variable"}),
    **dict.fromkeys(("norm", "linalg.norm"), _NORM),
    **dict.fromkeys(("image.resize", "compat.v1.image.resize"), _RESIZE),
    "nn.depth_to_space": ("depth_to_space", _OF_BLOCKS),
    "nn.space_to_depth": ("space_to_depth", _OF_BLOCKS),
    "__operators__.getitem": ("get_item", {"tensor": "x", "slice_spec": "key", "var": _UNUSED}),
}


def upgraded(row: Config, calls: list[Config]) -> Config:
    """The operation of Keras 3 for a layer made of a function of TensorFlow.

    Args:
        row: the serialized layer.
        calls: its calls in the spelling of Keras 3, with the function's own arguments.

    Raises:
        BadFileError: the function is not in the table, or has an argument that the op does not take.
    """
    function = row["config"].get("function")
    if not isinstance(function, str) or function not in FUNCTIONS:
        raise BadFileError(
            f"{row['class_name']} {row.get('name')!r} calls TensorFlow's function tf.{str(function)[:80]}, for which "
            f"no op of Keras 3 is known. Build the model in code and load its weights, or pass a class of your own as "
            f"custom_objects={{{row['class_name']!r}: ...}}."
        )
    return operation(row, function, calls)


def operation(row: Config, function: str, calls: list[Config]) -> Config:
    """A serialized operation for calls of a function of the table.

    Args:
        row: the serialized layer, for its name.
        function: a key of `FUNCTIONS`.
        calls: with the arguments of TensorFlow's function; the first by position.
    """
    op, names = FUNCTIONS[function]
    made = [_bound(row, op, names, call) for call in calls]
    configs = [config for config, _ in made]
    if any(config != configs[0] for config in configs[1:]):
        raise BadFileError(f"Layer {row.get('name')!r} calls tf.{function} several times with other arguments.")
    definition = OPS[op]
    module, class_name = registry.public_name(definition.operation_class)  # type: ignore[misc]
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": row["name"], **(configs[0] if configs else {})},
        "registered_name": class_name,
        "name": row["name"],
        "inbound_nodes": [call for _, call in made],
    }


def _bound(row: Config, op: str, names: dict[str, str], call: Config) -> tuple[Config, Config]:
    """The operation's config, and its call."""
    given = {next(iter(names.values())): call["args"][0]}
    for key, value in call["kwargs"].items():
        target = names.get(key)
        if key == "name" or (target == _UNUSED and not value):
            continue
        if target is None or target == _UNUSED:
            raise BadFileError(
                f"Layer {row.get('name')!r} gives TensorFlow's function the argument {key}={str(value)[:60]}, which "
                f"ops.{op} of Keras 3 does not take. Build the model in code and load its weights."
            )
        given[target] = value
    convert = _CONVERSIONS.get(op)
    if convert is not None:
        convert(given)
    definition = OPS[op]
    config = {key: _tuples(given.pop(key)) for key in list(given) if key in definition.config}
    args = []
    for key in definition.arguments:
        if key not in given:
            break
        args.append(_constant(given.pop(key), definition.lists, key))
    return config, {"args": args, "kwargs": given}


def _tuples(value: object) -> Any:
    return tuple(value) if isinstance(value, list) and all(isinstance(item, int) for item in value) else value


def _constant(value: object, lists: list[str], key: str) -> Any:
    """An argument of the call; nested lists of numbers are an array."""
    if key in lists or key == "key" or not isinstance(value, list):
        return value
    whole = all(isinstance(number, int) for number in _leaves(value))
    return {"class_name": "__numpy__", "config": {"value": value, "dtype": "int32" if whole else "float32"}}


def _leaves(value: object) -> list:
    return [leaf for item in value for leaf in _leaves(item)] if isinstance(value, list) else [value]


# ---------------------------------------------------------------------------- arguments that mean something else


def _split(given: Config) -> None:
    sizes = given.get("indices_or_sections")
    if isinstance(sizes, list):  # TensorFlow takes sizes, Keras the places where to cut
        given["indices_or_sections"] = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]


def _normalize(given: Config) -> None:
    # TensorFlow's bound is of the sum of squares, Keras's of its root.
    given["epsilon"] = math.sqrt(given.get("epsilon", 1e-12))
    axis = given.get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        given["axis"] = axis[0]


def _leaky_relu(given: Config) -> None:
    given.setdefault("negative_slope", 0.2)


def _gelu(given: Config) -> None:
    given.setdefault("approximate", False)


def _silu(given: Config) -> None:
    if given.pop("beta", 1.0) != 1.0:
        raise BadFileError("TensorFlow's silu with another beta than 1 has no op of Keras 3.")


def _bias_add(given: Config) -> None:
    if str(given.pop("data_format", None) or "N..C").startswith("NC"):
        raise BadFileError("TensorFlow's bias_add with the channels first has no op of Keras 3.")


def _axis_number(given: Config) -> None:
    axis = given.get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        given["axis"] = axis[0]


def _argmax(given: Config) -> None:
    given.setdefault("axis", 0)


def _take(given: Config) -> None:
    given.setdefault("axis", 0)


def _one_hot(given: Config) -> None:
    given.setdefault("dtype", "float32")


def _pad(given: Config) -> None:
    given["mode"] = str(given.get("mode", "CONSTANT")).lower()
    if given["mode"] != "constant" or not given.get("constant_values"):
        given.pop("constant_values", None)


def _cast(given: Config) -> None:
    given["dtype"] = str(given["dtype"]).removeprefix("tf.")


def _norm(given: Config) -> None:
    if given.get("ord") == "euclidean":
        given["ord"] = None if given.get("axis") is None or isinstance(given["axis"], list) else 2


def _resize(given: Config) -> None:
    method = given.get("interpolation", "bilinear")
    given["interpolation"] = {"lanczos3": "lanczos3", "lanczos5": "lanczos5", "cubic": "bicubic"}.get(method, method)
    given["data_format"] = "channels_last"


def _depth_to_space(given: Config) -> None:
    channels_first = str(given.get("data_format", "NHWC")) == "NCHW"
    given["data_format"] = "channels_first" if channels_first else "channels_last"


def _get_item(given: Config) -> None:
    key = given["key"]
    given["key"] = [_index(part) for part in key] if isinstance(key, list) else [_index(key)]


def _index(part: object) -> Any:
    if isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(part, dict) and "keras_history" not in part.get("config", {}):
        return {"class_name": "__slice__", "config": {key: part.get(key) for key in ("start", "stop", "step")}}
    return part


_CONVERSIONS: dict[str, Callable[[Config], None]] = {
    "split": _split,
    "normalize": _normalize,
    "leaky_relu": _leaky_relu,
    "gelu": _gelu,
    "silu": _silu,
    "add": _bias_add,
    "concatenate": _axis_number,
    "expand_dims": _axis_number,
    "argmax": _argmax,
    "argmin": _argmax,
    "take": _take,
    "one_hot": _one_hot,
    "pad": _pad,
    "cast": _cast,
    "norm": _norm,
    "image.resize": _resize,
    "depth_to_space": _depth_to_space,
    "space_to_depth": _depth_to_space,
    "get_item": _get_item,
}
