"""Functional models as Keras 1 and 2 wrote them: calls, nested and shared parts, functions of TensorFlow as layers."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
import torch

import torchkeras
from tests.saving.legacy.old_files import functional, input_layer, layer, placed, sequential, write


def load(tmp_path: Any, config: dict, weights: dict | None = None, version: str = "2.4.0") -> Any:
    return torchkeras.saving.load_model(write(tmp_path / "m.h5", config, weights or {}, version), compile=False)


def predict(model: Any, *inputs: np.ndarray) -> np.ndarray:
    return model.predict(list(inputs) if len(inputs) > 1 else inputs[0], verbose=0)


def dense(name: str, kernel: np.ndarray, bias: np.ndarray, **config: Any) -> tuple[dict, dict]:
    row = layer("Dense", name, units=kernel.shape[1], activation="linear", use_bias=True, **config)
    return row, {name: [(f"{name}/kernel:0", kernel), (f"{name}/bias:0", bias)]}


def test_a_shared_layer(tmp_path, rng):
    kernel, bias = rng.normal(size=(3, 3)), rng.normal(size=3)
    row, weights = dense("d", kernel, bias)
    rows = [
        input_layer("x", (3,)),
        placed(row, [["x", 0, 0, {}]], [["d", 0, 0, {}]]),
        placed(layer("Add", "add"), [["d", 0, 0, {}], ["d", 1, 0, {}]]),
    ]
    model = load(tmp_path, functional(rows, [["x", 0, 0]], [["add", 0, 0], ["d", 1, 0]]), weights)
    x = rng.normal(size=(2, 3)).astype("float32")
    once = x @ kernel + bias
    twice = once @ kernel + bias
    total, second = model.predict(x, verbose=0)
    np.testing.assert_allclose(total, once + twice, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(second, twice, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["Model", "Functional", "Sequential"])
def test_nested_models_count_their_calls_from_one(tmp_path, kind, rng):
    kernel, bias = rng.normal(size=(3, 3)), rng.normal(size=3)
    row, weights = dense("d", kernel, bias)
    if kind == "Sequential":
        row["config"]["batch_input_shape"] = [None, 3]
        inner = {"class_name": "Sequential", "config": {"name": "inner", "layers": [row]}}
    else:
        rows = [input_layer("y", (3,)), placed(row, [["y", 0, 0, {}]])]
        inner = functional(rows, [["y", 0, 0]], [["d", 0, 0]], "inner", kind)
    rows = [
        input_layer("x", (3,)),
        placed(inner, [["x", 0, 0, {}]], [["inner", 1, 0, {}]]),
        placed(layer("Concatenate", "c", axis=-1), [["inner", 1, 0, {}], ["inner", 2, 0, {}]]),
    ]
    config = functional(rows, [["x", 0, 0]], [["c", 0, 0], ["inner", 2, 0]])
    model = load(tmp_path, config, {"inner": weights["d"]})
    x = rng.normal(size=(2, 3)).astype("float32")
    once = x @ kernel + bias
    twice = once @ kernel + bias
    both, last = model.predict(x, verbose=0)
    np.testing.assert_allclose(both, np.concatenate([once, twice], -1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(last, twice, rtol=1e-4, atol=1e-5)


def test_an_old_nested_sequential_has_its_name_in_the_row(tmp_path, rng):
    kernel, bias = rng.normal(size=(3, 2)), rng.normal(size=2)
    row, weights = dense("d", kernel, bias, batch_input_shape=[None, 3])
    inner = {**sequential([row]), "name": "inner", "inbound_nodes": [[["x", 0, 0]]]}
    config = functional([input_layer("x", (3,)), inner], [["x", 0, 0]], [["inner", 1, 0]])
    model = load(tmp_path, config, {"inner": weights["d"]}, "2.0.6")
    x = rng.normal(size=(2, 3)).astype("float32")
    np.testing.assert_allclose(predict(model, x), x @ kernel + bias, rtol=1e-4, atol=1e-5)
    assert model.layers[1].name == "inner"


def test_an_encoder_and_a_decoder(tmp_path, rng):
    """The states of one LSTM go into another as further inputs of its call."""

    def make(k: Any) -> Any:
        a, b = k.Input((5, 3), name="a"), k.Input((4, 2), name="b")
        _, h, c = k.layers.LSTM(3, return_state=True, name="encoder")(a)
        return k.Model([a, b], k.layers.LSTM(3, return_sequences=True, name="decoder")(b, initial_state=[h, c]))

    reference = make(keras)
    weights = {
        one.name: [(w.path, np.asarray(w.numpy())) for w in one.weights] for one in reference.layers if one.weights
    }
    lstm = {"units": 3, "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True}
    rows = [
        input_layer("a", (5, 3)),
        input_layer("b", (4, 2)),
        placed(layer("LSTM", "encoder", return_state=True, **lstm), [["a", 0, 0, {}]]),
        placed(
            layer("LSTM", "decoder", return_sequences=True, **lstm),
            [["b", 0, 0, {}], ["encoder", 0, 1, {}], ["encoder", 0, 2, {}]],
        ),
    ]
    model = load(tmp_path, functional(rows, [["a", 0, 0], ["b", 0, 0]], [["decoder", 0, 0]]), weights)
    x = [rng.normal(size=(2, 5, 3)).astype("float32"), rng.normal(size=(2, 4, 2)).astype("float32")]
    np.testing.assert_allclose(predict(model, *x), reference.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


def test_tensors_among_the_keyword_arguments(tmp_path, rng):
    shapes = {"query_shape": [None, 4, 3], "key_shape": [None, 5, 3], "value_shape": [None, 5, 3]}
    attention = layer("MultiHeadAttention", "m", num_heads=2, key_dim=3, **shapes)
    rows = [
        input_layer("q", (4, 3)),
        input_layer("v", (5, 3)),
        placed(attention, [["q", 0, 0, {"value": ["v", 0, 0], "training": False}]]),
    ]
    q, v = keras.Input((4, 3)), keras.Input((5, 3))
    made = keras.layers.MultiHeadAttention(2, 3)
    reference = keras.Model([q, v], made(q, v))
    weights = {"m": [(f"{i}", np.asarray(w.numpy())) for i, w in enumerate(made.weights)]}
    model = load(tmp_path, functional(rows, [["q", 0, 0], ["v", 0, 0]], [["m", 0, 0]]), weights)
    x = [rng.normal(size=(2, 4, 3)).astype("float32"), rng.normal(size=(2, 5, 3)).astype("float32")]
    np.testing.assert_allclose(predict(model, *x), reference.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


def test_a_dict_of_inputs_and_outputs(tmp_path, rng):
    rows = [
        input_layer("a", (3,)),
        input_layer("b", (3,)),
        placed(layer("Add", "s"), [["a", 0, 0, {}], ["b", 0, 0, {}]]),
    ]
    model = load(tmp_path, functional(rows, {"a": ["a", 0, 0], "b": ["b", 0, 0]}, {"sum": ["s", 0, 0]}))
    x = {name: rng.normal(size=(2, 3)).astype("float32") for name in "ab"}
    np.testing.assert_allclose(model.predict(x, verbose=0)["sum"], x["a"] + x["b"], rtol=1e-6)


# ---------------------------------------------------------------------------- functions of TensorFlow


def op(function: str, call: Any) -> dict:
    kind = "SlicingOpLambda" if function.endswith("getitem") else "TFOpLambda"
    config = {"function": function, "dtype": "float32"}
    return placed(layer(kind, "op", **config), call)


def slices(*parts: Any) -> list:
    return [
        {"start": part.start, "stop": part.stop, "step": part.step} if isinstance(part, slice) else part
        for part in parts
    ]


X, Y = ["x", 0, 0], ["y", 0, 0]
NONE = slice(None)

# The function, its call, and the same in torch; both inputs have the shape (2, 4, 3).
FUNCTIONS: list[tuple[str, Any, Any]] = [
    ("math.add", [*X, {"y": Y, "name": None}], lambda x, y: x + y),
    ("__operators__.add", [*X, {"y": 2.0, "name": None}], lambda x, y: x + 2),
    ("math.subtract", ["_CONSTANT_VALUE", -1, 1.0, {"y": X, "name": None}], lambda x, y: 1 - x),
    ("math.multiply", [*X, {"y": [[[1.0, 2.0, 3.0]]], "name": None}], lambda x, y: x * torch.tensor([1.0, 2.0, 3.0])),
    ("math.truediv", [*X, {"y": 4.0}], lambda x, y: x / 4),
    ("math.pow", [*X, {"y": 2}], lambda x, y: x**2),
    ("math.maximum", [*X, {"y": Y}], torch.maximum),
    ("math.greater", [*X, {"y": 0.0}], lambda x, y: x > 0),
    ("math.reduce_mean", [*X, {"axis": [1, 2], "keepdims": True}], lambda x, y: x.mean((1, 2), keepdim=True)),
    ("math.reduce_sum", [*X, {"axis": 1}], lambda x, y: x.sum(1)),
    ("math.reduce_max", [*X, {"axis": -1, "keepdims": False}], lambda x, y: x.amax(-1)),
    ("math.reduce_std", [*X, {"axis": 1}], lambda x, y: x.std(1, unbiased=False)),
    ("math.reduce_variance", [*X, {"axis": [1]}], lambda x, y: x.var(1, unbiased=False)),
    ("math.argmax", [*X, {"axis": 1}], lambda x, y: x.argmax(1)),
    ("math.abs", X, lambda x, y: x.abs()),
    ("math.square", [*X, {"name": None}], lambda x, y: x * x),
    ("math.exp", X, lambda x, y: x.exp()),
    ("math.sigmoid", X, lambda x, y: x.sigmoid()),
    ("math.tanh", X, lambda x, y: x.tanh()),
    ("nn.relu", X, lambda x, y: x.relu()),
    ("nn.leaky_relu", X, lambda x, y: torch.nn.functional.leaky_relu(x, 0.2)),
    ("nn.gelu", X, lambda x, y: torch.nn.functional.gelu(x)),
    ("nn.silu", [*X, {"beta": 1.0}], lambda x, y: torch.nn.functional.silu(x)),
    ("nn.softmax", [*X, {"axis": 1}], lambda x, y: x.softmax(1)),
    ("math.l2_normalize", [*X, {"axis": [2]}], lambda x, y: torch.nn.functional.normalize(x, dim=2)),
    ("linalg.matmul", [*X, {"b": Y, "transpose_b": False}], None),
    ("concat", [[*X, {"axis": -1}], [*Y, {"axis": -1}]], lambda x, y: torch.cat([x, y], -1)),
    ("stack", [[*X, {"axis": 1}], [*Y, {"axis": 1}]], lambda x, y: torch.stack([x, y], 1)),
    ("split", [*X, {"num_or_size_splits": [1, 3], "axis": 1}], lambda x, y: x[:, :1]),
    ("reshape", [*X, {"shape": [-1, 12]}], lambda x, y: x.reshape(-1, 12)),
    ("transpose", [*X, {"perm": [0, 2, 1]}], lambda x, y: x.permute(0, 2, 1)),
    ("expand_dims", [*X, {"axis": 1}], lambda x, y: x[:, None]),
    ("compat.v1.squeeze", [*X, {"axis": None}], lambda x, y: x),
    ("tile", [*X, {"multiples": [1, 2, 1]}], lambda x, y: x.tile(1, 2, 1)),
    ("reverse", [*X, {"axis": [1]}], lambda x, y: x.flip(1)),
    ("pad", [*X, {"paddings": [[0, 0], [1, 2], [0, 0]]}], lambda x, y: torch.nn.functional.pad(x, (0, 0, 1, 2))),
    ("cast", [*X, {"dtype": "int32"}], lambda x, y: x.int()),
    ("clip_by_value", [*X, {"clip_value_min": -0.5, "clip_value_max": 0.5}], lambda x, y: x.clip(-0.5, 0.5)),
    ("gather", [*X, {"indices": [2, 0], "axis": 1}], lambda x, y: x[:, [2, 0]]),
    ("stop_gradient", X, lambda x, y: x),
    ("__operators__.getitem", [*X, {"slice_spec": slices(NONE, 0)}], lambda x, y: x[:, 0]),
    (
        "__operators__.getitem",
        [*X, {"slice_spec": slices(NONE, slice(1, None, 2), None)}],
        lambda x, y: x[:, 1::2, None],
    ),
    ("__operators__.getitem", [*X, {"slice_spec": [{"class_name": "__ellipsis__"}, -1]}], lambda x, y: x[..., -1]),
]


@pytest.mark.parametrize("function, call, expected", FUNCTIONS, ids=lambda v: v if isinstance(v, str) else "")
def test_functions_of_tensorflow(tmp_path, function, call, expected, rng):
    shape_y = (3, 4) if expected is None else (4, 3)
    rows = [input_layer("x", (4, 3)), input_layer("y", shape_y), op(function, call)]
    # TensorFlow's functions have no list around their call; those of several tensors have the list itself.
    model = load(tmp_path, functional(rows, [X, Y], [["op", 0, 0]], kind="Functional"))
    x, y = rng.normal(size=(2, 4, 3)).astype("float32"), rng.normal(size=(2, *shape_y)).astype("float32")
    want = (expected or torch.matmul)(torch.tensor(x), torch.tensor(y)).numpy()
    np.testing.assert_allclose(predict(model, x, y), want, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "m.keras")
    again = torchkeras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(predict(again, x, y), predict(model, x, y))


@pytest.mark.parametrize(
    "function, call, words",
    [
        ("math.multiply", [*X, {"y": 2.0, "surprise": 1}], "surprise"),
        ("linalg.matmul", [*X, {"b": Y, "transpose_b": True}], "transpose_b"),
        ("raw_ops.ReadFile", X, "ReadFile"),
    ],
)
def test_what_no_op_computes_is_refused(tmp_path, function, call, words):
    rows = [input_layer("x", (4, 3)), input_layer("y", (4, 3)), op(function, call)]
    with pytest.raises(ValueError, match=words):
        load(tmp_path, functional(rows, [X, Y], [["op", 0, 0]]))


def node(kind: str, constants: dict | None = None, **attributes: Any) -> dict:
    definition = {"name": "op", "op": kind, "input": ["x"], "attr": {"T": {"type": "DT_FLOAT"}, **attributes}}
    return layer("TensorFlowOpLayer", "op", node_def=json.dumps(definition), constants=constants or {})


NODES: list[tuple[dict, int, Any]] = [
    (node("AddV2"), 2, lambda x, y: x + y),
    (node("Mul", {"1": 2.0}), 1, lambda x, y: x * 2),
    (node("Sub", {"0": 1.0}), 1, lambda x, y: 1 - x),
    (node("Relu"), 1, lambda x, y: x.relu()),
    (node("Mean", {"1": [1, 2]}, keep_dims={"b": True}), 1, lambda x, y: x.mean((1, 2), keepdim=True)),
    (node("Sum", {"1": -1}), 1, lambda x, y: x.sum(-1)),
    (node("ConcatV2", {"2": -1}), 2, lambda x, y: torch.cat([x, y], -1)),
    (node("Pack", axis={"i": "1"}), 2, lambda x, y: torch.stack([x, y], 1)),
    (node("Reshape", {"1": [-1, 12]}), 1, lambda x, y: x.reshape(-1, 12)),
    (node("Transpose", {"1": [0, 2, 1]}), 1, lambda x, y: x.permute(0, 2, 1)),
    (node("ExpandDims", {"1": 1}), 1, lambda x, y: x[:, None]),
    (node("Cast", DstT={"type": "DT_INT32"}), 1, lambda x, y: x.int()),
    (
        node(
            "StridedSlice",
            {"1": [0, 0], "2": [0, 1], "3": [1, 1]},
            begin_mask={"i": "1"},
            end_mask={"i": "1"},
            shrink_axis_mask={"i": "2"},
        ),
        1,
        lambda x, y: x[:, 0],
    ),
    (node("LeakyRelu", alpha={"f": 0.3}), 1, lambda x, y: torch.nn.functional.leaky_relu(x, 0.3)),
]


@pytest.mark.parametrize("row, inputs, expected", NODES)
def test_nodes_of_tensorflows_graph(tmp_path, row, inputs, expected, rng):
    call = [[*X, {}], [*Y, {}]][:inputs]
    rows = [input_layer("x", (4, 3)), input_layer("y", (4, 3)), {**placed(row, call), "name": "tf_op_layer_op"}]
    model = load(tmp_path, functional(rows, [X, Y], [["tf_op_layer_op", 0, 0]]), version="2.2.4-tf")
    x, y = (rng.normal(size=(2, 4, 3)).astype("float32") for _ in range(2))
    want = expected(torch.tensor(x), torch.tensor(y)).numpy()
    np.testing.assert_allclose(predict(model, x, y), want, rtol=1e-5, atol=1e-6)
