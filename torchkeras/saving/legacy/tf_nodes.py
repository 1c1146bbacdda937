"""`TensorFlowOpLayer`: a node of TensorFlow's graph as a layer (Keras of TensorFlow 2.0 to 2.3)."""

from __future__ import annotations

from typing import Any

from torchkeras.saving.legacy import tf_ops
from torchkeras.saving.legacy.types import Config
from torchkeras.saving.safety.budget import BadFileError, parse_json

# TensorFlow's node: the function of the table that computes the same, and the names of the node's inputs in order.
_NODES: dict[str, tuple[str, tuple[str, ...]]] = {
    **{
        node: (f"math.{function}", ("x", "y"))
        for node, function in {
            "Add": "add",
            "AddV2": "add",
            "Sub": "subtract",
            "Mul": "multiply",
            "RealDiv": "truediv",
            "FloorDiv": "floordiv",
            "FloorMod": "floormod",
            "Pow": "pow",
            "Maximum": "maximum",
            "Minimum": "minimum",
            "Greater": "greater",
            "GreaterEqual": "greater_equal",
            "Less": "less",
            "LessEqual": "less_equal",
            "Equal": "equal",
            "NotEqual": "not_equal",
            "LogicalAnd": "logical_and",
            "LogicalOr": "logical_or",
        }.items()
    },
    **{
        node: (f"math.{node.lower()}", ("x",))
        for node in ("Abs", "Square", "Sqrt", "Rsqrt", "Exp", "Log", "Log1p", "Sin", "Cos", "Floor", "Ceil", "Round")
    },
    "Neg": ("math.negative", ("x",)),
    "Sign": ("math.sign", ("x",)),
    "Sigmoid": ("math.sigmoid", ("x",)),
    "Tanh": ("math.tanh", ("x",)),
    "Softplus": ("math.softplus", ("features",)),
    "Relu": ("nn.relu", ("features",)),
    "Relu6": ("nn.relu6", ("features",)),
    "Elu": ("nn.elu", ("features",)),
    "Selu": ("nn.selu", ("features",)),
    "Softsign": ("nn.softsign", ("features",)),
    "LeakyRelu": ("nn.leaky_relu", ("features",)),
    "Softmax": ("nn.softmax", ("logits",)),
    "LogSoftmax": ("nn.log_softmax", ("logits",)),
    **{
        node: (f"math.reduce_{node.lower()}", ("input_tensor", "axis"))
        for node in ("Mean", "Sum", "Max", "Min", "Prod", "Any", "All")
    },
    "ArgMax": ("math.argmax", ("input", "axis")),
    "ArgMin": ("math.argmin", ("input", "axis")),
    "MatMul": ("linalg.matmul", ("a", "b")),
    "BatchMatMulV2": ("linalg.matmul", ("a", "b")),
    "BiasAdd": ("nn.bias_add", ("value", "bias")),
    "Reshape": ("reshape", ("tensor", "shape")),
    "Transpose": ("transpose", ("a", "perm")),
    "ExpandDims": ("expand_dims", ("input", "axis")),
    "Squeeze": ("squeeze", ("input",)),
    "Tile": ("tile", ("input", "multiples")),
    "Pad": ("pad", ("tensor", "paddings")),
    "PadV2": ("pad", ("tensor", "paddings", "constant_values")),
    "MirrorPad": ("pad", ("tensor", "paddings")),
    "Cast": ("cast", ("x",)),
    "ClipByValue": ("clip_by_value", ("t", "clip_value_min", "clip_value_max")),
    "SelectV2": ("where", ("condition", "x", "y")),
    "Select": ("where", ("condition", "x", "y")),
    "GatherV2": ("gather", ("params", "indices", "axis")),
    "OneHot": ("one_hot", ("indices", "depth", "on_value", "off_value")),
    "ReverseV2": ("reverse", ("tensor", "axis")),
    "DepthToSpace": ("nn.depth_to_space", ("input",)),
    "SpaceToDepth": ("nn.space_to_depth", ("input",)),
    "ConcatV2": ("concat", ()),
    "Pack": ("stack", ()),
    "StridedSlice": ("__operators__.getitem", ("tensor", "begin", "end", "strides")),
    "ResizeBilinear": ("image.resize", ("images", "size")),
    "ResizeNearestNeighbor": ("image.resize", ("images", "size")),
}
_TYPES = {
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_HALF": "float16",
    "DT_BFLOAT16": "bfloat16",
    "DT_INT32": "int32",
    "DT_INT64": "int64",
    "DT_UINT8": "uint8",
    "DT_BOOL": "bool",
}


def upgraded(row: Config, calls: list[Config]) -> Config:
    """The operation of Keras 3 for a layer that holds a node of TensorFlow's graph.

    Args:
        row: the serialized layer.
        calls: its calls in the spelling of Keras 3; the first argument has those inputs that are no constants.

    Raises:
        BadFileError: no op of Keras 3 is known for the node.
    """
    definition = row["config"]["node_def"]
    node = (
        parse_json(definition, f"The node of layer {row.get('name')!r}") if isinstance(definition, str) else definition
    )
    kind = node.get("op")
    if kind not in _NODES:
        raise BadFileError(
            f"TensorFlowOpLayer {row.get('name')!r} holds the node {str(kind)[:40]!r} of TensorFlow's graph, for which "
            f"no op of Keras 3 is known. Build the model in code and load its weights."
        )
    function, names = _NODES[kind]
    attributes = {key: _attribute(value) for key, value in node.get("attr", {}).items()}
    constants = {int(place): value for place, value in row["config"].get("constants", {}).items()}
    made = [_call(kind, names, _inputs(call["args"][0], constants), attributes) for call in calls]
    return tf_ops.operation(row, function, made)


def _inputs(given: object, constants: dict[int, Any]) -> list:
    """All inputs of the node in order."""
    tensors = list(given) if isinstance(given, list) else [given]
    count = len(tensors) + len(constants)
    rest = iter(tensors)
    return [constants[place] if place in constants else next(rest) for place in range(count)]


def _attribute(value: object) -> Any:
    """A node's attribute out of the form that protocol buffers have in JSON."""
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((kind, inner),) = value.items()
    if kind == "i":
        return int(inner)
    if kind == "list":
        return [_attribute({key: item}) for key, items in inner.items() for item in items]
    return _TYPES.get(inner, inner) if kind == "type" else inner


def _call(kind: str, names: tuple[str, ...], inputs: list, attributes: Config) -> Config:
    kwargs: Config = {}
    if kind == "ConcatV2":
        *values, kwargs["axis"] = inputs
        return {"args": [values], "kwargs": kwargs}
    if kind == "Pack":
        return {"args": [inputs], "kwargs": {"axis": attributes.get("axis", 0)}}
    if kind == "StridedSlice":
        return {"args": inputs[:1], "kwargs": {"slice_spec": _slices(inputs[1], inputs[2], inputs[3], attributes)}}
    if len(inputs) > len(names):
        raise BadFileError(f"A node {kind!r} of TensorFlow's graph takes {len(names)} inputs; it has {len(inputs)}.")
    kwargs = dict(zip(names[1:], inputs[1:]))
    for key, target in _ATTRIBUTES.get(kind, {}).items():
        if key in attributes:
            kwargs[target] = attributes[key]
    if kind in ("Mean", "Sum", "Max", "Min", "Prod", "Any", "All"):
        kwargs["keepdims"] = bool(attributes.get("keep_dims", False))
    if kind.startswith("Resize"):
        if not attributes.get("half_pixel_centers"):
            raise BadFileError(f"A node {kind!r} without half_pixel_centers resizes images as no op of Keras 3 does.")
        kwargs["method"] = "bilinear" if kind == "ResizeBilinear" else "nearest"
    if kind == "MirrorPad":
        kwargs["mode"] = _text(attributes.get("mode"))
    if kind == "OneHot":
        if kwargs.pop("on_value", 1) != 1 or kwargs.pop("off_value", 0) != 0:
            raise BadFileError("A node 'OneHot' with other values than 1 and 0 has no op of Keras 3.")
    return {"args": inputs[:1], "kwargs": kwargs}


_ATTRIBUTES = {
    "Squeeze": {"squeeze_dims": "axis"},
    "Cast": {"DstT": "dtype"},
    "LeakyRelu": {"alpha": "alpha"},
    "MatMul": {"transpose_a": "transpose_a", "transpose_b": "transpose_b"},
    "BatchMatMulV2": {"adj_x": "adjoint_a", "adj_y": "adjoint_b"},
    "OneHot": {"axis": "axis", "T": "dtype"},
    "DepthToSpace": {"block_size": "block_size"},
    "SpaceToDepth": {"block_size": "block_size"},
}


def _text(value: object) -> str:
    """Bytes are base64 in JSON; the two modes of padding are known by them."""
    return {"UkVGTEVDVA==": "REFLECT", "U1lNTUVUUklD": "SYMMETRIC"}.get(str(value), str(value))


def _slices(begin: list, end: list, strides: list, attributes: Config) -> list:
    """The parts of `x[...]` for the numbers and bit masks of a `StridedSlice`."""
    masks = {
        name: int(attributes.get(f"{name}_mask", 0)) for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    parts: list[Any] = []
    for place, (start, stop, step) in enumerate(zip(begin, end, strides, strict=True)):
        on = {name for name, mask in masks.items() if mask >> place & 1}
        if "ellipsis" in on:
            parts.append({"class_name": "__ellipsis__"})
        elif "new_axis" in on:
            parts.append(None)
        elif "shrink_axis" in on:
            parts.append(start)
        else:
            bounds = {"start": None if "begin" in on else start, "stop": None if "end" in on else stop}
            parts.append({**bounds, "step": step})
    return parts
