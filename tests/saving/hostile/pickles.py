"""Pickles and texts in the place of weights and architectures."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

from tests.saving.hostile.makers import bytecode, lambda_layer, maker, members, with_layer, write


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
