"""Makers of files that no honest program writes: each gets a folder and returns `(door, path)`."""

from __future__ import annotations

import base64
import json
import marshal
import zipfile
from pathlib import Path

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


def function_config(module: str, name: str) -> dict:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}
