"""Exported models run where this library is not importable, for any batch size, and give the model's outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types

import numpy as np
import pytest
import torch

import torchkeras as keras
from tests.torch_promises.cases import MODELS, built
from torchkeras import layers
from torchkeras.core import tree
from torchkeras.export import formats


def sequential_without_shape():
    model = keras.Sequential([layers.Dense(4, activation="gelu"), layers.LayerNormalization(), layers.Dense(2)])
    model(torch.zeros(2, 3))
    return model


def masked_lstm():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(11, 5, mask_zero=True)(inputs)
    x = layers.LSTM(4, return_sequences=True)(x)
    return keras.Model(inputs, layers.GRU(3)(x))


def bidirectional():
    inputs = keras.Input((6, 3))
    return keras.Model(inputs, layers.Bidirectional(layers.LSTM(4))(inputs))


def preprocessed():
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(3, 2, size=(20, 3)).astype("float32"))
    inputs = keras.Input((3,))
    return keras.Model(inputs, layers.Dense(2)(layers.Rescaling(2.0, 1.0)(normalization(inputs))))


def image_pipeline():
    inputs = keras.Input((10, 12, 3))
    x = layers.CenterCrop(8, 8)(layers.Rescaling(1 / 255)(inputs))
    x = layers.RandomFlip()(x)
    x = layers.SeparableConv2D(4, 3)(x)
    return keras.Model(inputs, layers.GlobalMaxPooling2D()(layers.Dropout(0.5)(x)))


def nested_outputs():
    inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((3,), name="b")}
    total = layers.Add()([inputs["a"], inputs["b"]])
    return keras.Model(inputs, {"sum": total, "parts": [layers.Dense(2)(total), keras.ops.tanh(total)]})


def attention():
    inputs = keras.Input((5, 8))
    x = layers.MultiHeadAttention(2, 4)(inputs, inputs, use_causal_mask=True)
    return keras.Model(inputs, layers.LayerNormalization()(x + inputs))


def transposed_convolution():
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2DTranspose(3, 3, strides=2, padding="same")(inputs)
    return keras.Model(inputs, layers.UpSampling2D()(layers.GroupNormalization(3)(x)))


def time_distributed():
    inputs = keras.Input((4, 6, 2))
    return keras.Model(inputs, layers.TimeDistributed(layers.Conv1D(3, 2))(inputs))


class Residual(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(3, activation="relu")
        self.normalization = layers.BatchNormalization()

    def call(self, x, training=None):
        return x + self.normalization(self.hidden(x), training=training)


def subclassed():
    model = Residual()
    model(torch.randn(4, 3), training=True)
    return model


def mixed_precision():
    inputs = keras.Input((3,))
    return keras.Model(inputs, layers.Dense(2, dtype="mixed_bfloat16")(inputs))


def quantized():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.LayerNormalization()(layers.Embedding(9, 5, name="four_table")(inputs))
    x = layers.Dense(7, name="eight")(layers.Dense(4, name="four")(x))
    model = keras.Model(
        inputs, layers.Dense(3, name="three")(layers.EinsumDense("abc,cd->abd", (6, 4), name="fourth")(x))
    )
    for mode, filters in (("int4", "four"), ("int8", "eight"), ("ternary", "three")):
        model.quantize(mode, filters=filters)
    return model


OWN = [
    sequential_without_shape, masked_lstm, bidirectional, preprocessed, image_pipeline, nested_outputs, attention,
    transposed_convolution, time_distributed, subclassed, mixed_precision, quantized,
]  # fmt: skip
NETWORKS = {make.__name__: (make, lambda model, batch: (inputs_for(model, batch),)) for make in OWN} | {
    row.name: (lambda row=row: built(row), lambda model, batch, row=row: row.draw(batch))
    for row in MODELS
    if row.name != "own_layer"  # a layer has no export()
}
AS_ONNX = [name for name in NETWORKS if name != "mixed_precision"]
if not os.environ.get("TORCHKERAS_STRESS"):  # seconds per network: all of them under `make stress`
    NETWORKS = {name: NETWORKS[name] for name in [make.__name__ for make in OWN]}
    AS_ONNX = ["masked_lstm", "nested_outputs", "quantized"]
BATCHES = (1, 3)

# Runs each artifact in a process that can't import this library, and prints the outputs' largest difference.
READER = """
import json, sys
sys.modules["torchkeras"] = None
import numpy as np, torch
from torch.utils import _pytree as pytree
folder, results = sys.argv[1], {}
for name, formats, count in json.loads(sys.argv[2]):
    for format in formats:
        if format == "torch":
            program = torch.export.load(f"{folder}/{name}.pt2").module()
        else:
            import onnxruntime
            session = onnxruntime.InferenceSession(f"{folder}/{name}.onnx")
        for batch in range(count):
            case = torch.load(f"{folder}/{name}.{batch}.pt")
            if format == "torch":
                got = pytree.tree_leaves(program(*case["x"]))
            else:
                values = [t.numpy() for t in pytree.tree_leaves(case["x"])]
                feed = {port.name: value for port, value in zip(session.get_inputs(), values, strict=True)}
                got = [torch.from_numpy(value) for value in session.run(None, feed)]
            wanted = pytree.tree_leaves(case["y"])
            assert len(got) == len(wanted)
            for a, b in zip(got, wanted):
                assert a.shape == b.shape and a.dtype == b.dtype, (name, format, a.shape, b.shape, a.dtype, b.dtype)
                error = (a.double() - b.double()).abs().max().item()
                key = f"{name} {format}"
                results[key] = max(error, results.get(key, 0.0))
print(json.dumps(results))
"""


def inputs_for(model, batch):
    def draw(spec):
        shape = [batch, *(4 if size is None else size for size in spec.shape[1:])]
        if "int" in spec.dtype:
            return torch.randint(0, 9, shape).to(getattr(torch, spec.dtype))
        return torch.randn(shape)

    if getattr(model, "_tk_graph", None) is None:
        return torch.randn(batch, 3)
    return tree.map_structure(draw, model.input)


@pytest.fixture(scope="module")
def differences(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    plan = []
    for name, (make, draw) in NETWORKS.items():
        model = make()
        formats = ["torch"] + ["onnx"] * (name in AS_ONNX)
        for format in formats:
            suffix = {"torch": "pt2", "onnx": "onnx"}[format]
            model.export(folder / f"{name}.{suffix}", format=format, verbose=False)
        for i, batch in enumerate(BATCHES):
            x = draw(model, batch)
            with torch.no_grad():
                torch.save({"x": x, "y": model(*x, training=False)}, folder / f"{name}.{i}.pt")
        plan.append((name, formats, len(BATCHES)))
    command = [sys.executable, "-c", READER, str(folder), json.dumps(plan)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"{n} torch" for n in NETWORKS] + [f"{n} onnx" for n in AS_ONNX])
def test_artifacts_run_alone(differences, name):
    assert differences[name] < (2e-2 if name.startswith("mixed_precision") else 1e-4)


def dense():
    return keras.Sequential([keras.Input((3,)), layers.Dense(2)])


def test_it_says_what_was_written(tmp_path, capsys):
    dense().export(tmp_path / "model.pt2")
    assert "model.pt2': inputs" in (out := capsys.readouterr().out)
    assert "(?, 3); 2 weights" in out


def test_a_size_that_the_model_fixes_is_named(tmp_path, capsys):
    class RowByRow(keras.Model):
        def call(self, x):
            return torch.stack([x[i] * i for i in range(x.shape[0])])

    model = RowByRow()
    model(torch.ones(2, 4))
    model.export(tmp_path / "model.pt2", format="torch")
    assert "one size only of axis 0" in capsys.readouterr().out


def test_the_model_is_as_before(tmp_path):
    model = subclassed().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    model.export(tmp_path / "model.pt2", format="torch", verbose=False)
    assert [module.training for module in model.modules()] == modes
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name])
    names = torch.export.load(tmp_path / "model.pt2").state_dict
    assert set(names) == set(before)
    assert {type(value) for value in names.values()} <= {torch.Tensor, torch.nn.Parameter}


def test_no_paths_of_this_machine_in_the_file(tmp_path):
    subclassed().export(tmp_path / "model.pt2", format="torch", verbose=False)
    assert b"test_export.py" not in (tmp_path / "model.pt2").read_bytes()


def test_given_signatures_and_shapes(tmp_path):
    model = dense()
    model.export(
        tmp_path / "fixed.pt2", format="torch", verbose=False, input_signature=[keras.InputSpec("float32", (5, 3))]
    )
    program = torch.export.load(tmp_path / "fixed.pt2").module()
    assert program(torch.ones(5, 3)).shape == (5, 2)
    with pytest.raises((AssertionError, RuntimeError)):
        program(torch.ones(4, 3))
    batch = torch.export.Dim("batch", min=1, max=8)
    model.export(tmp_path / "range.pt2", format="torch", verbose=False, dynamic_shapes={0: batch})
    program = torch.export.load(tmp_path / "range.pt2").module()
    assert program(torch.ones(8, 3)).shape == (8, 2)
    with pytest.raises((AssertionError, RuntimeError)):
        program(torch.ones(9, 3))


def test_an_old_file_stays_if_the_export_fails(tmp_path, monkeypatch):
    path = tmp_path / "model.pt2"
    path.write_bytes(b"old")

    def broken(*args):
        args[1].write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch.export, "save", broken)
    with pytest.raises(OSError, match="disk full"):
        dense().export(path, format="torch", verbose=False)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt2"]


class Branching(keras.Model):
    def call(self, x):
        return x * 2 if bool(x[0, 0] > 0) else x


def branching():
    model = Branching()
    model(torch.ones(2, 3))
    return model


REFUSED = {
    "TensorFlow's format": (dense, "model", {}, ValueError, "never uses TensorFlow"),
    "an unknown format": (dense, "m.onnx", {"format": "onx"}, ValueError, "Unrecognized format='onx'.*'onnx'"),
    "another suffix": (dense, "m.txt", {"format": "torch"}, ValueError, r"end with '.pt2'"),
    "an unknown argument": (
        dense, "m.pt2", {"format": "torch", "opset": 3}, ValueError,
        'Unsupported arguments for `format="torch"`: opset',
    ),
    "not built": (lambda: keras.Sequential([layers.Dense(2)]), "m.pt2", {}, ValueError, "not yet been built"),
    "data decides": (branching, "m.pt2", {}, RuntimeError, "Failed to export model 'branching'"),
    "a signature of numbers": (dense, "m.pt2", {"input_signature": [3]}, TypeError, "made of keras.InputSpec"),
    "a folder that is missing": (dense, "no/m.pt2", {}, FileNotFoundError, "There is no folder"),
}  # fmt: skip


@pytest.mark.parametrize("make, name, arguments, error, words", REFUSED.values(), ids=REFUSED)
def test_refused(make, name, arguments, error, words, tmp_path):
    with pytest.raises(error, match=words):
        make().export(tmp_path / name, verbose=False, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format, suffix", [("openvino", "xml"), ("litert", "tflite")])
def test_a_missing_package_is_named(format, suffix, tmp_path, monkeypatch):
    for package in ("openvino", "litert_torch"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"format='{format}' needs the package .*pip install"):
        dense().export(tmp_path / f"m.{suffix}", format=format, verbose=False)


def test_operators_that_openvino_and_litert_can_not_read_are_made_of_others():
    """The shifts of 4-bit weights, the product of integers, and sums with a factor, with the same numbers."""
    model, x = quantized(), torch.randint(-9, 9, (3, 6), dtype=torch.int32)
    with torch.no_grad():
        program, expected = torch.export.export(model, (x,)), model(x)
        changed = program.run_decompositions(formats._plainer_forms())
        before, after = ({str(node.target) for node in one.graph.nodes} for one in (program, changed))
        lacking = {"aten._int_mm.default", "aten.__lshift__.Scalar", "aten.__rshift__.Scalar"}
        assert lacking <= before and not lacking & after
        factors = [n.kwargs.get("alpha", 1) for n in changed.graph.nodes if str(n.target) == "aten.add.Tensor"]
        assert factors and set(factors) == {1}  # of negative indices, counted from the end of the table
        torch.testing.assert_close(changed.module()(x), expected)
    numbers = torch.arange(-128, 128, dtype=torch.int8)
    for bits in range(8):
        assert torch.equal(formats._shift_left(numbers, bits), numbers << bits)
        assert torch.equal(formats._shift_right(numbers, bits), numbers >> bits)


def test_litert_gets_the_program(tmp_path, monkeypatch):
    """By the signature of `litert_torch.convert(module, sample_args, **options)`, whose result has `export(path)`."""
    seen = {}

    class Converted:
        def export(self, path):
            with open(path, "wb") as file:
                file.write(b"tflite")

    def convert(module, sample_args, **options):
        seen.update(output=module(*sample_args), options=options)
        return Converted()

    monkeypatch.setitem(sys.modules, "litert_torch", types.SimpleNamespace(convert=convert))
    dense().export(tmp_path / "m.tflite", format="litert", verbose=False, quant_config="int8")
    assert (tmp_path / "m.tflite").read_bytes() == b"tflite"
    assert seen["output"].shape == (2, 2)
    assert seen["options"] == {"quant_config": "int8"}


# -------------------------------------------------------------------------------------------- archives


def test_an_archive_of_two_endpoints(tmp_path, rng):
    model = dense()
    archive = keras.export.ExportArchive()
    archive.track_and_add_endpoint("serve", model, [keras.InputSpec("float32", (None, 3))])
    archive.add_endpoint("both", lambda a, b: model(a) - model(b), [keras.InputSpec("float32", (None, 3))] * 2)
    archive.add_variable_collection("kernels", [model.layers[0].kernel])
    archive.write_out(tmp_path / "archive", verbose=False)
    a, b = torch.from_numpy(rng.normal(size=(2, 4, 3)).astype("float32"))
    serve, both = (torch.export.load(tmp_path / "archive" / f"{name}.pt2") for name in ("serve", "both"))
    torch.testing.assert_close(serve.module()(a), model(a))
    torch.testing.assert_close(both.module()(a, b), model(a) - model(b))
    assert len(both.state_dict) == 2, "weights of tracked layers stay parameters"
    from safetensors.torch import load_file

    (kernel,) = load_file(tmp_path / "archive" / "kernels.safetensors").values()
    torch.testing.assert_close(kernel, model.layers[0].kernel.detach().as_subclass(torch.Tensor))
    assert len(archive.variables) == len(archive.trainable_variables) == 2


ARCHIVES = {
    "a name twice": (
        lambda archive, model: [archive.add_endpoint("a", model), archive.add_endpoint("a", model)],
        "'a' is already taken",
    ),
    "a function without a signature": (
        lambda archive, model: archive.add_endpoint("a", lambda x: x),
        "needs input_signature",
    ),
    "a path as a name": (lambda archive, model: archive.add_endpoint("../a", model), "name of an endpoint"),
    "no endpoints": (lambda archive, model: archive.write_out("nowhere"), "No endpoints"),
    "tracks a number": (lambda archive, model: archive.track(3), "Invalid resource type"),
    "tracks an unbuilt layer": (lambda archive, model: archive.track(layers.Dense(2)), "not yet been built"),
    "a collection of a number": (lambda archive, model: archive.add_variable_collection("a", 3), "list/tuple/set"),
    "a collection of numbers": (lambda archive, model: archive.add_variable_collection("a", [3]), "to be variables"),
}


@pytest.mark.parametrize("act, words", ARCHIVES.values(), ids=ARCHIVES)
def test_archives_refuse(act, words):
    with pytest.raises(ValueError, match=words):
        act(keras.export.ExportArchive(), dense())
