"""Files that no honest program writes. Each maker gets a folder and returns `(door, path)`."""

from __future__ import annotations

import base64
import json
import marshal
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np

from torchkeras import layers, models

MAKERS: dict[str, tuple] = {}


def maker(*expected: str):
    """Register; `expected` are words that the error's message must have."""

    def register(function):
        MAKERS[function.__name__] = (function, expected)
        return function

    return register


def good_model(folder: Path) -> Path:
    path = folder / "good.keras"
    models.Sequential([layers.Input((3,)), layers.Dense(4, name="first"), layers.Dense(2)]).save(path)
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "metadata.json"}


def write(path: Path, contents: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


# ---------------------------------------------------------------------------- configs


def with_layer(folder: Path, layer: dict, name: str) -> tuple[str, str]:
    """A good model with another first layer."""
    contents = members(good_model(folder))
    config = json.loads(contents["config.json"])
    config["config"]["layers"][1] = layer
    contents["config.json"] = json.dumps(config).encode()
    return "load_model", str(write(folder / f"{name}.keras", contents))


def dense_with(folder: Path, name: str, **values) -> tuple[str, str]:
    config = json.loads(members(good_model(folder))["config.json"])["config"]["layers"][1]
    config["config"].update(values)
    return with_layer(folder, config, name)


def lambda_layer(function) -> dict:
    config = {"name": "bad", "trainable": True, "dtype": "float32", "function": function, "arguments": {}}
    return {"module": "keras.layers", "class_name": "Lambda", "config": config, "registered_name": None}


def bytecode(folder: Path) -> dict:
    code = compile(f"open({str(folder / 'sentinel')!r}, 'w')", "<file>", "eval")
    payload = base64.b64encode(marshal.dumps(code)).decode()
    return {"class_name": "__lambda__", "config": {"code": payload, "defaults": None, "closure": None}}


@maker("lambda")
def lambda_bytecode(folder):
    return with_layer(folder, lambda_layer(bytecode(folder)), "lambda")


@maker()
def lambda_bytecode_as_activation(folder):
    return dense_with(folder, "activation", activation=bytecode(folder))


@maker()
def lambda_bytecode_of_keras_2(folder):
    layer = lambda_layer([bytecode(folder)["config"]["code"], None, None])
    layer["config"]["function_type"] = "lambda"
    return with_layer(folder, layer, "lambda2")


def _function(module: str, name: str) -> dict:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


IMPORTABLE = [
    ("os", "system"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("subprocess", "call"),
    ("evil_on_the_path", "boom"),
    ("keras.utils", "get_file"),
    ("keras.saving", "load_model"),
    ("keras.models", "load_model"),
    ("keras.config", "enable_unsafe_deserialization"),
    ("keras.config", "set_floatx"),
    ("keras.datasets.mnist", "load_data"),
    ("torch", "load"),
    ("numpy", "load"),
    ("torchkeras.saving.api", "load_model"),
    ("torchkeras.core.config.serialization", "enable_unsafe_deserialization"),
]
for _module, _name in IMPORTABLE:

    def _make(folder, module=_module, name=_name):
        layer = lambda_layer(_function(module, name))
        layer["config"]["arguments"] = {"path": str(folder / "sentinel")}
        return with_layer(folder, layer, f"function_{name}")

    def _make_activation(folder, module=_module, name=_name):
        return dense_with(folder, f"activation_{name}", activation=_function(module, name))

    MAKERS[f"function_{_module}.{_name}"] = (_make, ())
    MAKERS[f"activation_{_module}.{_name}"] = (_make_activation, ())


@maker("evil_on_the_path")
def class_on_the_path(folder):
    layer = {"module": "evil_on_the_path", "class_name": "Layer", "config": {}, "registered_name": "Layer"}
    return with_layer(folder, layer, "class")


@maker()
def class_without_a_module(folder):
    return with_layer(folder, {"class_name": "evil_on_the_path", "config": {}}, "no_module")


@maker()
def pickled_torch_module(folder):
    class Payload:
        def __reduce__(self):
            return open, (str(folder / "sentinel"), "w")

    config = {"name": "t", "module": base64.b64encode(pickle.dumps(Payload())).decode(), "output_shape": None}
    return with_layer(folder, {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": config}, "torch")


@maker()
def vocabulary_from_a_path(folder):
    config = {"name": "v", "vocabulary": "/etc/hostname", "num_oov_indices": 1}
    return with_layer(folder, {"module": "keras.layers", "class_name": "StringLookup", "config": config}, "vocabulary")


@maker("config.json")
def layer_of_60_million_units(folder):
    return dense_with(folder, "units", units=60_000_000)


@maker("config.json")
def layer_of_exbytes(folder):
    return dense_with(folder, "more_units", units=1 << 58)


@maker()
def huge_string_type(folder):
    array = {"class_name": "__numpy__", "config": {"value": ["a"], "dtype": "<U100000000"}}
    return with_layer(folder, lambda_layer(array), "string")


@maker("nested too deeply")
def nested_json(folder):
    contents = members(good_model(folder)) | {"config.json": b"[" * 200_000 + b"]" * 200_000}
    return "load_model", str(write(folder / "nested.keras", contents))


@maker("nested too deeply")
def nested_objects(folder):
    layer: dict = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}}
    text = json.dumps(layer)
    for _ in range(3000):
        text = '{"module": "keras.layers", "class_name": "TimeDistributed", "config": {"layer": ' + text + "}}"
    contents = members(good_model(folder)) | {"config.json": text.encode()}
    return "load_model", str(write(folder / "nested_objects.keras", contents))


@maker("config.json", "no JSON")
def config_is_no_json(folder):
    contents = members(good_model(folder)) | {"config.json": b'{"class_name": '}
    return "load_model", str(write(folder / "json.keras", contents))


@maker("describes no model")
def config_is_a_list(folder):
    contents = members(good_model(folder)) | {"config.json": b"[1, 2]"}
    return "load_model", str(write(folder / "list.keras", contents))


# ---------------------------------------------------------------------------- archives


def with_member(folder: Path, name: str, data: bytes = b"x", info: zipfile.ZipInfo | None = None) -> tuple[str, str]:
    path = write(folder / "members.keras", members(good_model(folder)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info or name, data)
    return "load_model", str(path)


for _label, _member in {
    "up": "assets/../../escaped",
    "absolute": "/tmp/escaped",
    "backslash": "assets\\..\\..\\escaped",
    "drive": "C:/escaped",
    "dot": "assets/./x",
    "empty_part": "assets//x",
}.items():

    def _traverse(folder, member=_member):
        return with_member(folder, member)

    MAKERS[f"member_{_label}"] = (_traverse, ("outside",))


@maker("link")
def member_is_a_link(folder):
    info = zipfile.ZipInfo("assets/link")
    info.external_attr = 0o120777 << 16
    return with_member(folder, "", b"/etc/passwd", info)


@maker("twice")
def member_is_there_twice(folder):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return with_member(folder, "config.json", b"{}")


@maker("encrypted")
def member_is_encrypted(folder):
    door, path = with_member(folder, "assets/secret")
    data = bytearray(Path(path).read_bytes())
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    Path(path).write_bytes(data)
    return door, path


@maker("config.json", "bomb")
def config_of_130_megabytes(folder):
    path = folder / "spaces.keras"
    contents = members(good_model(folder))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", contents["model.weights.h5"])
        with archive.open("config.json", "w") as member:
            for _ in range(130):
                member.write(b" " * 1_000_000)
    return "load_model", str(path)


@maker("assets", "bomb")
def assets_of_132_megabytes(folder):
    path = write(folder / "assets.keras", members(good_model(folder)))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            with archive.open(f"assets/{i}", "w") as member:
                for _ in range(44):
                    member.write(bytes(1_000_000))
    return "load_model", str(path)


@maker("model.weights.h5")
def no_weights(folder):
    contents = members(good_model(folder))
    del contents["model.weights.h5"]
    return "load_model", str(write(folder / "none.keras", contents))


@maker("corrupt")
def member_claims_more_than_there_is(folder):
    path = Path(good_model(folder))
    data = bytearray(path.read_bytes().replace(b"torchkeras-blocks", b"someother-comment"))
    entry = data.rfind(b"PK\x01\x02")
    struct.pack_into("<II", data, entry + 20, 0xFFFFFFF0, 0xFFFFFFF0)
    path.write_bytes(data)
    return "load_model", str(path)


# ---------------------------------------------------------------------------- HDF5


def weights(folder: Path, name: str, spoil) -> tuple[str, str]:
    """A good weights file in which `spoil(file)` has changed something."""
    path = folder / f"{name}.weights.h5"
    models.Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(2)]).save_weights(path)
    with h5py.File(path, "a") as file:
        del file.attrs["torchkeras_checksum"]
        spoil(file)
    data = path.read_bytes().replace(b"torchkeras-blocks", b"someother-comment")
    path.write_bytes(data)
    return "load_weights", str(path)


KERNEL = "layers/dense/vars/0"
OTHER = "other.h5"


def other_file(folder: Path) -> str:
    path = folder / OTHER
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.zeros((3, 4), "float32")
        file["layers/dense/vars/1"] = np.zeros(4, "float32")
    return str(path)


def replaced_by(folder: Path, name: str, at: str, link) -> tuple[str, str]:
    def spoil(file):
        del file[at]
        file[at] = link

    return weights(folder, name, spoil)


for _place, _at in {"dataset": KERNEL, "group": "layers/dense/vars", "parent": "layers/dense"}.items():

    def _external(folder, at=_at):
        return replaced_by(folder, "external", at, h5py.ExternalLink(other_file(folder), at))

    def _soft(folder, at=_at):
        return replaced_by(folder, "soft", at, h5py.SoftLink(f"/{at.replace('dense', 'dense_1')}"))

    MAKERS[f"external_link_at_the_{_place}"] = (_external, ("external link",))
    MAKERS[f"soft_link_at_the_{_place}"] = (_soft, ("soft link",))


@maker("another file")
def external_storage(folder):
    raw = folder / "raw"
    raw.write_bytes(bytes(48))

    def spoil(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, (3, 4), "float32", external=[(str(raw), 0, 48)])

    return weights(folder, "storage", spoil)


@maker("other datasets")
def virtual_dataset(folder):
    def spoil(file):
        del file[KERNEL]
        layout = h5py.VirtualLayout((3, 4), "float32")
        layout[:] = h5py.VirtualSource(other_file(folder), KERNEL, shape=(3, 4))
        file.create_virtual_dataset(KERNEL, layout)

    return weights(folder, "virtual", spoil)


def dataset(folder: Path, name: str, **arguments) -> tuple[str, str]:
    def spoil(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, **arguments)

    return weights(folder, name, spoil)


@maker("bomb")
def fill_value_of_a_terabyte(folder):
    return dataset(
        folder, "fill", shape=(1 << 40,), dtype="float32", chunks=(1 << 20,), compression="gzip", fillvalue=1.0
    )


@maker("stores")
def kernel_of_a_gigabyte_that_is_not_there(folder):
    return dataset(folder, "kernel", shape=(3, 1 << 27), dtype="float32")


@maker("layers/dense/vars/0")
def chunk_that_unpacks_to_130_megabytes(folder):
    def spoil(file):
        del file[KERNEL]
        made = file.create_dataset(KERNEL, (3, 4), "float32", chunks=(3, 4), compression="gzip")
        packer = zlib.compressobj()
        packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(130)) + packer.flush()
        made.id.write_direct_chunk((0, 0), packed)

    return weights(folder, "chunk", spoil)


@maker("numbers")
def strings_for_weights(folder):
    return dataset(folder, "strings", data=np.array([b"a"] * 12, "S1000").reshape(3, 4))


@maker("numbers")
def objects_for_weights(folder):
    return dataset(folder, "objects", shape=(3, 4), dtype=h5py.string_dtype())


@maker("filters")
def unknown_filter(folder):
    return dataset(folder, "filter", data=np.zeros((3, 4), "float32"), chunks=(3, 4), compression="lzf")


@maker("no HDF5 file")
def weights_are_a_pickle(folder):
    class Payload:
        def __reduce__(self):
            return open, (str(folder / "sentinel"), "w")

    path = folder / "pickle.weights.h5"
    path.write_bytes(pickle.dumps(Payload()) + bytes(64))
    return "load_weights", str(path)


# ---------------------------------------------------------------------------- safetensors


def safetensors_with(folder: Path, name: str, spoil=None, data: bytes | None = None, header: bytes | None = None):
    """A good file without notes of ours, of whose header `spoil(rows)` has changed something."""
    rows = {
        "dense.kernel": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]},
        "dense.bias": {"dtype": "F32", "shape": [4], "data_offsets": [48, 64]},
        "dense_1.kernel": {"dtype": "F32", "shape": [4, 2], "data_offsets": [64, 96]},
        "dense_1.bias": {"dtype": "F32", "shape": [2], "data_offsets": [96, 104]},
    }
    if spoil is not None:
        spoil(rows)
    text = json.dumps(rows).encode() if header is None else header
    path = folder / f"{name}.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + (bytes(104) if data is None else data))
    return "load_weights", str(path)


def row_with(**values):
    return lambda rows: rows["dense.kernel"].update(values)


SPOILED = {
    "claims_a_terabyte": (row_with(shape=[1 << 20, 1 << 20]), "claims"),
    "sizes_overflow": (row_with(shape=[1 << 62, 1 << 62], data_offsets=[0, 0]), "claims"),
    "negative_size": (row_with(shape=[-3, -4]), "no sizes"),
    "sizes_are_floats": (row_with(shape=[3.0, 4]), "no sizes"),
    "sizes_are_bools": (row_with(shape=[True, 12]), "no sizes"),
    "too_many_axes": (row_with(shape=[1] * 5000 + [12]), "no sizes"),
    "overlapping": (lambda rows: rows["dense.bias"].update(data_offsets=[40, 56]), "overlaps"),
    "with_a_gap": (lambda rows: rows.pop("dense.bias"), "gap"),
    "beyond_the_end": (lambda rows: rows.update(x={"dtype": "U8", "shape": [99], "data_offsets": [104, 203]}), "trunc"),
    "unknown_type": (row_with(dtype="OBJECT"), "dtype"),
    "type_is_a_list": (row_with(dtype=["F32"]), "dtype"),
    "row_is_a_list": (lambda rows: rows.update(x=[1, 2]), "must have"),
    "metadata_of_numbers": (lambda rows: rows.update(__metadata__={"a": 1}), "strings"),
    "notes_of_nothing": (lambda rows: rows.update(__metadata__={"torchkeras_objects": "[1]"}), "checksum"),
    "other_shapes": (row_with(shape=[4, 3]), "shapes must match"),
}
for _label, (_spoil, _word) in SPOILED.items():

    def _spoiled(folder, label=_label, spoil=_spoil):
        return safetensors_with(folder, label, spoil)

    MAKERS[f"safetensors_{_label}"] = (_spoiled, (_word,))


@maker("nested too deeply")
def safetensors_nested(folder):
    return safetensors_with(folder, "nested", header=b'{"a":' + b"[" * 200_000)


@maker("twice")
def safetensors_with_a_key_twice(folder):
    return safetensors_with(folder, "twice", header=b'{"a":1,"a":2}')


@maker("header")
def safetensors_all_header(folder):
    return safetensors_with(folder, "header", header=b"{" + b"[]," * (10 << 20))


@maker("100000 tensors")
def safetensors_of_tiny_rows(folder):
    rows = {str(i): {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(100_000)}
    return safetensors_with(folder, "rows", lambda old: (old.clear(), old.update(rows)), b"")


@maker("no safetensors file")
def safetensors_is_a_pickle(folder):
    path = folder / "pickle.safetensors"
    path.write_bytes(b"\x80\x04\x95" + bytes(6) + b"c" * 500)
    return "load_weights", str(path)


def index_of(folder: Path, shard: str):
    path = folder / "m.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": {"dense.kernel": shard}}))
    return "load_weights", str(path)


for _label, _shard in {"up": "../other.safetensors", "absolute": "/etc/x.safetensors", "text": "notes.txt"}.items():

    def _index(folder, shard=_shard):
        return index_of(folder, shard)

    MAKERS[f"safetensors_index_{_label}"] = (_index, ("beside",))


@maker("incomplete")
def safetensors_index_of_nothing(folder):
    return index_of(folder, "m-00001-of-00001.safetensors")


# The same files, read as the weights of a torch module.
for _name, (_make, _) in list(MAKERS.items()):
    if _name.startswith("safetensors"):

        def _as_torch(folder, make=_make):
            return "load_torch_weights", make(folder)[1]

        MAKERS[f"torch_{_name}"] = (_as_torch, ())


# ---------------------------------------------------------------------------- pickles


@maker("makes a")
def pickle_of_a_bytearray_of_any_size(folder):
    import torch

    path = folder / "array.pth"
    torch.save({"dense.weight": torch.zeros(4, 3)}, path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    (names,) = (name for name in contents if name.endswith("data.pkl"))
    contents[names] = b"\x80\x02}X\x01\x00\x00\x00ac__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85Rs."
    return "load_torch_weights", str(write(path, contents))


@maker("packed")
def pickle_that_is_packed(folder):
    path = write(folder / "packed.pth", {"archive/data.pkl": bytes(200_000_000)}, zipfile.ZIP_DEFLATED)
    return "load_torch_weights", str(path)


@maker("damaged")
def pickle_that_runs_code(folder):
    class Payload:
        def __reduce__(self):
            return open, (str(folder / "sentinel"), "w")

    path = folder / "code.pth"
    path.write_bytes(pickle.dumps({"a": Payload()}, protocol=2))
    return "load_torch_weights", str(path)


@maker("nested too deeply")
def text_of_nothing(folder):
    path = folder / "text.json"
    path.write_text("[" * 100_000)
    return "model_from_json", str(path)


@maker("lambda")
def lambda_bytecode_in_json(folder):
    _, made = with_layer(folder, lambda_layer(bytecode(folder)), "lambda_json")
    path = folder / "lambda.json"
    path.write_bytes(members(Path(made))["config.json"])
    os.unlink(made)
    return "model_from_json", str(path)


# ---------------------------------------------------------------------------- what a config asks for


def through_json(folder: Path, layer: dict, door: str, compiled: dict | None = None) -> tuple[str, str]:
    """A model with another first layer, for a door that has no file of weights."""
    config = json.loads(members(good_model(folder))["config.json"])
    config["config"]["layers"][1] = layer
    config["compile_config"] = compiled
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return door, str(path)


def _dense(units: int) -> dict:
    config = {"name": "first", "units": units}
    return {"module": "keras.layers", "class_name": "Dense", "config": config, "registered_name": None}


def _metric(name: str, **config) -> dict:
    metric = {"module": "keras.metrics", "class_name": name, "config": config, "registered_name": None}
    return {"optimizer": "sgd", "loss": "mse", "metrics": [metric]}


def _lambda_of(name: str, **arguments) -> dict:
    layer = lambda_layer(_function("keras.ops", name))
    layer["config"]["arguments"] = arguments
    return layer


CONFIG_DOORS = ("model_from_json", "deserialize_keras_object", "from_config")
for _door in CONFIG_DOORS:
    MAKERS[f"billion_units_{_door}"] = (
        lambda folder, door=_door: through_json(folder, _dense(10**9), door),
        ("set_max_model_bytes",),
    )
    MAKERS[f"layers_of_3_gigabytes_{_door}"] = (
        lambda folder, door=_door: through_json(folder, _dense(1 << 58), door),
        ("set_max_model_bytes",),
    )

COUNTS = {
    "AUC": {"num_thresholds": 10**9},
    "MeanIoU": {"num_classes": 10**9},
    "OneHotMeanIoU": {"num_classes": 10**8},
    "IoU": {"num_classes": 10**6, "target_class_ids": [0]},
    "SensitivityAtSpecificity": {"specificity": 0.5, "num_thresholds": 10**9},
    "PrecisionAtRecall": {"recall": 0.5, "num_thresholds": 10**8},
}
for _name, _config in COUNTS.items():
    for _door in ("model_from_json", "deserialize_keras_object", "load_model"):

        def _counts(folder, name=_name, config=_config, door=_door):
            if door != "load_model":
                return through_json(folder, _dense(4), door, _metric(name, **config))
            contents = members(good_model(folder))
            found = json.loads(contents["config.json"]) | {"compile_config": _metric(name, **config)}
            contents["config.json"] = json.dumps(found).encode()
            return door, str(write(folder / "counts.keras", contents))

        MAKERS[f"count_{_name}_{_door}"] = (_counts, ())


@maker("objects")
def ten_million_pieces(folder):
    config = json.loads(members(good_model(folder))["config.json"])
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, 10**7]
    config["config"]["layers"][1:] = [_lambda_of("unstack", axis=1)]
    path = folder / "pieces.json"
    path.write_text(json.dumps(config))
    return "model_from_json", str(path)


def _op_node(folder: Path, op: str, config: dict, args: list, kwargs: dict | None = None) -> tuple[str, str]:
    """A functional model with a call of an op on constants."""
    row = {
        "module": f"keras.src.ops.numpy.{op}",
        "class_name": op,
        "config": config,
        "registered_name": op,
        "name": "op",
    }
    row["inbound_nodes"] = [{"args": args, "kwargs": kwargs or {}}]
    row["module"] = "keras.src.ops.nn" if op == "OneHot" else "keras.src.ops.numpy"
    inputs = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, 3], "name": "in"},
        "name": "in",
        "inbound_nodes": [],
        "registered_name": None,
    }
    model = {"name": "m", "layers": [inputs, row], "input_layers": [["in", 0, 0]], "output_layers": [["op", 0, 0]]}
    path = folder / "op.json"
    text = {"module": "keras.src.models.functional", "class_name": "Functional", "config": model}
    path.write_text(json.dumps(text | {"registered_name": "Functional"}))
    return "model_from_json", str(path)


CONSTANT_NODES = {
    "Repeat": ({"repeats": 2 * 10**9}, [1.0]),
    "Pad": ({"pad_width": [[0, 2 * 10**9]]}, [[1.0]]),
    "OneHot": ({"num_classes": 2 * 10**9}, [[1]]),
    "Linspace": ({"num": 2 * 10**9}, [0.0, 1.0]),
    "Bincount": ({"minlength": 2 * 10**9}, [[1]]),
    "Tile": ({"repeats": [2 * 10**9]}, [[1.0]]),
    "Arange": ({}, [0, 2 * 10**9]),
}
for _op, (_config, _args) in CONSTANT_NODES.items():
    MAKERS[f"constant_node_{_op}"] = (
        lambda folder, op=_op, config=_config, args=_args: _op_node(folder, op, config, args),
        (),
    )


@maker("no model")
def root_is_an_optimizer(folder):
    path = folder / "root.json"
    root = {"module": "keras.optimizers", "class_name": "SGD", "config": {}, "registered_name": None}
    path.write_text(json.dumps(root))
    return "model_from_json", str(path)


@maker("no model")
def root_is_an_array(folder):
    path = folder / "root.json"
    path.write_text(json.dumps({"class_name": "__numpy__", "config": {"value": [1.0], "dtype": "float32"}}))
    return "model_from_json", str(path)


@maker("no model")
def root_is_an_optimizer_in_a_file(folder):
    root = {"module": "keras.optimizers", "class_name": "SGD", "config": {}, "registered_name": None}
    contents = members(good_model(folder)) | {"config.json": json.dumps(root).encode()}
    return "load_model", str(write(folder / "root.keras", contents))


@maker("must be a string")
def name_is_a_dict(folder):
    config = json.loads(members(good_model(folder))["config.json"])["config"]["layers"][1]
    config["config"]["name"] = {}
    return with_layer(folder, config, "name")


@maker("twice")
def duplicate_keys(folder):
    path = folder / "keys.json"
    path.write_text('{"class_name": "Sequential", "class_name": "Dense", "config": {"name": "m", "layers": []}}')
    return "model_from_json", str(path)


# ---------------------------------------------------------------------------- time


@maker("chunks")
def chunks_of_one_number(folder):
    return dataset(folder, "chunks", data=np.ones((3, 10_000), "float32"), chunks=(1, 1))


@maker("nested")
def groups_3000_deep(folder):
    def spoil(file):
        group = file
        for _ in range(3000):
            group = group.create_group("a")

    return weights(folder, "groups", spoil)
