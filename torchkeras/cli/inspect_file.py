"""`inspect FILE`: architecture, weights, versions, and what loading would refuse."""

from __future__ import annotations

import argparse
import os
from typing import Any

from torchkeras.cli.opened_file import OpenedFile, opened_file
from torchkeras.cli.registry import DIFFERENT, OK, Command, register
from torchkeras.cli.tables import as_json, fields, section, shape, size, table
from torchkeras.saving.json import build
from torchkeras.saving.legacy.upgrade import upgraded
from torchkeras.saving.refusals import refused_parts

_DESCRIPTION = """Show what is in a file: architecture, weights, versions, and what loading would refuse and why.
Nothing in the file is run.

The file: .keras, a folder, .h5 of Keras 1, 2 and 3, .weights.h5, .weights.json, .safetensors and its index, .pth.

exit code: 0 if it would be loaded, 1 if something in it would be refused, 2 if it is damaged or no such file."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="the file to look into")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--all", action="store_true", help="list all weights, not only the first 100")


def _run(given: argparse.Namespace) -> int:
    with opened_file(given.file) as file:
        found = described(file)
    print(as_json(found) if given.json else _text(found, None if given.all else 100))
    return DIFFERENT if found["refused"] else OK


def described(file: OpenedFile) -> dict[str, Any]:
    """All that is shown, as JSON values."""
    found: dict[str, Any] = {
        "file": file.path,
        "format": file.format,
        "bytes": _bytes_of(file.path),
        "versions": file.about,
        "model": None,
        "layers": [],
        "compiled": None,
        "weights": [
            {"name": t.name, "shape": list(t.shape), "dtype": t.dtype, "bytes": t.size} for t in file.tensors.values()
        ],
        "weight_bytes": file.weight_bytes,
        "refused": [],
    }
    if file.config is not None:
        _describe_model(file, found)
    return found


def _bytes_of(path: str) -> int:
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


def _describe_model(file: OpenedFile, found: dict[str, Any]) -> None:
    """Add what the config says, and, if loading takes it, what the model is."""
    config = file.config
    try:
        config = upgraded(config, file.keras_version) if isinstance(config, dict) else config
        found["refused"] = [{"part": part, "reason": reason} for part, reason in refused_parts(config)]
        model = (
            None
            if found["refused"]
            else build(file.config, None, True, f"{file.path}: the config", file.weight_bytes, file.keras_version)
        )
    except Exception as error:  # whatever loading would say of it
        model = None
        found["refused"].append({"part": "the model", "reason": str(error)})
    if isinstance(config, dict):
        inner = config.get("config")
        found["model"] = {
            "class": config.get("class_name"),
            "name": inner.get("name") if isinstance(inner, dict) else None,
        }
        compiled = config.get("compile_config")
        if isinstance(compiled, dict):
            found["compiled"] = {key: _named(compiled.get(key)) for key in ("optimizer", "loss", "metrics")}
        found["layers"] = _layers_of(model) if model is not None else _layers_said(inner)


def _named(value: Any) -> Any:
    """The name of a serialized object, in short."""
    if isinstance(value, dict) and "class_name" in value:
        return value["config"] if value["class_name"] == "function" else value["class_name"]
    if isinstance(value, dict):
        return {key: _named(one) for key, one in value.items()}
    return [_named(one) for one in value] if isinstance(value, (list, tuple)) else value


def _layers_of(model: Any) -> list[dict[str, Any]]:
    rows = []
    for layer in getattr(model, "layers", [model]):
        rows.append({
            "name": layer.name,
            "class": type(layer).__name__,
            "output": _output_of(layer),
            "parameters": layer.count_params() if layer.built else None,
        })  # fmt: skip
    return rows


def _output_of(layer: Any) -> str | None:
    try:
        return str(layer.output.shape)
    except (AttributeError, ValueError):
        return None


def _layers_said(config: Any) -> list[dict[str, Any]]:
    rows = config.get("layers") if isinstance(config, dict) else None
    found = []
    for row in rows if isinstance(rows, list) else []:
        inner = row.get("config") if isinstance(row, dict) else None
        if isinstance(inner, dict):
            name = row.get("name") or inner.get("name")
            found.append({"name": name, "class": row.get("class_name"), "output": None, "parameters": None})
    return found


# ---------------------------------------------------------------------------- as text


def _text(found: dict[str, Any], limit: int | None) -> str:
    model = found["model"]
    pairs = [
        ("file", found["file"]),
        ("format", found["format"]),
        ("size", size(found["bytes"])),
        *((name.replace("_", " "), value) for name, value in found["versions"].items()),
        ("model", None if model is None else f"{model['class']} {model['name']!r}"),
        *((name, _short(value)) for name, value in (found["compiled"] or {}).items() if value),
        ("weights", f"{len(found['weights'])} tensors, {size(found['weight_bytes'])}"),
    ]
    parts = [fields(pairs)]
    if found["layers"]:
        rows = [
            [
                row["name"],
                row["class"],
                row["output"] or "",
                "" if row["parameters"] is None else f"{row['parameters']:,}",
            ]
            for row in found["layers"]
        ]
        parts.append(section("Layers", table(["name", "class", "output", "parameters"], rows, ["parameters"])))
    shown = found["weights"][:limit]
    if shown:
        lines = [[w["name"], shape(w["shape"]), w["dtype"], size(w["bytes"])] for w in shown]
        text = table(["name", "shape", "type", "size"], lines, ["size"])
        more = len(found["weights"]) - len(shown)
        parts.append(section("Weights", text + (f"\n... and {more} more; --all shows them" if more else "")))
    if found["refused"]:
        lines = [f"  {row['part']}: {row['reason']}" for row in found["refused"]]
        parts.append(section("load_model() would refuse this file", "\n".join(lines)))
    elif found["model"] is not None:
        parts.append(section("Verdict", "load_model() takes this file."))
    return "\n".join(parts)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 80 else f"{text[:77]}..."


register(Command("inspect", "show what is in a file, and what loading would refuse", _DESCRIPTION, _arguments, _run))
