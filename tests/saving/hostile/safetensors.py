"""Safetensors files with headers that lie."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from tests.saving.hostile.makers import MAKERS, maker


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
