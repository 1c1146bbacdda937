"""`diff A B`: what differs between two files, in architecture and weights."""

from __future__ import annotations

import argparse
import itertools
from typing import Any

import numpy as np

from torchkeras.cli.opened_file import OpenedFile, opened_file
from torchkeras.cli.registry import DIFFERENT, OK, Command, register
from torchkeras.cli.tables import as_json, section, shape, table
from torchkeras.saving.legacy.upgrade import upgraded

_DESCRIPTION = """Compare two files: the architectures, where both have one, and the weights by name and value.
Where the formats name weights differently, the models are loaded, and their weights compared by the names in
model.state_dict(); optimizers are not compared then.

exit code: 0 if they are the same, 1 if they differ, 2 for an error."""
_NOTHING = "(nothing)"
# Keys of configs that say nothing of what a model computes: where its classes are, and for which shapes it was built.
_SAYS_NOTHING = ("module", "registered_name", "build_config", "build_input_shape")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", help="a file with a model or weights")
    parser.add_argument("b", help="another one")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument(
        "--tolerance", type=float, default=0.0, help="largest difference that counts as none; default 0"
    )
    parser.add_argument("--weights-only", action="store_true", help="do not compare the architectures")


def _run(given: argparse.Namespace) -> int:
    with opened_file(given.a) as a, opened_file(given.b) as b:
        found = {
            "a": given.a,
            "b": given.b,
            "architecture": [] if given.weights_only else _architecture(a, b),
            **_weights(a, b, given.tolerance),
        }
    different = any(found[part] for part in ("architecture", "only_a", "only_b", "differ"))
    print(as_json({**found, "same": not different}) if given.json else _text(found, different))
    return DIFFERENT if different else OK


# ---------------------------------------------------------------------------- architecture


def _architecture(a: OpenedFile, b: OpenedFile) -> list[dict[str, Any]]:
    if a.config is None or b.config is None:
        return []
    mine, theirs = (_comparable(upgraded(file.config, file.keras_version)) for file in (a, b))
    found: list[dict[str, Any]] = []
    _compare("", mine, theirs, found)
    return found


def _comparable(config: Any) -> Any:
    """A config in which a list of layers is a dict by name, so that one that was inserted is one difference."""
    if isinstance(config, dict):
        return {
            key: _comparable(value) for key, value in config.items() if key not in _SAYS_NOTHING and value is not None
        }
    if isinstance(config, list):
        names = [_name_of(item) for item in config]
        if names and None not in names and len(set(names)) == len(names):
            return {name: _comparable(item) for name, item in zip(names, config)}
        return [_comparable(item) for item in config]
    return config


def _name_of(item: Any) -> str | None:
    inner = item.get("config") if isinstance(item, dict) else None
    return inner.get("name") if isinstance(inner, dict) and isinstance(inner.get("name"), str) else None


def _compare(path: str, mine: Any, theirs: Any, found: list[dict[str, Any]]) -> None:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in {**mine, **theirs}:
            _compare(f"{path}.{key}".lstrip("."), mine.get(key, _NOTHING), theirs.get(key, _NOTHING), found)
    elif isinstance(mine, list) and isinstance(theirs, list):
        for i, (one, other) in enumerate(itertools.zip_longest(mine, theirs, fillvalue=_NOTHING)):
            _compare(f"{path}[{i}]", one, other, found)
    elif mine != theirs:
        found.append({"at": path, "a": mine, "b": theirs})


# ---------------------------------------------------------------------------- weights


def _weights(a: OpenedFile, b: OpenedFile, tolerance: float) -> dict[str, Any]:
    if not a.tensors.keys() & b.tensors.keys():
        a, b = (file.without_optimizer() if file.config is None else file.loaded() for file in (a, b))
    both = [name for name in a.tensors if name in b.tensors]
    differ = []
    equal = 0
    for name in both:
        row = _difference(a, b, name, tolerance)
        differ += [row] if row is not None else []
        equal += row is None
    return {
        "only_a": [name for name in a.tensors if name not in b.tensors],
        "only_b": [name for name in b.tensors if name not in a.tensors],
        "differ": differ,
        "equal": equal,
    }


def _difference(a: OpenedFile, b: OpenedFile, name: str, tolerance: float) -> dict[str, Any] | None:
    mine, theirs = a.tensors[name], b.tensors[name]
    if mine.shape != theirs.shape:
        return {"name": name, "what": "shape", "a": list(mine.shape), "b": list(theirs.shape)}
    if mine.dtype != theirs.dtype:
        return {"name": name, "what": "type", "a": mine.dtype, "b": theirs.dtype}
    one, other = a.read(name), b.read(name)
    if np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"):
        return None
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.subtract(one, other, dtype=np.promote_types(one.dtype, np.float64)))
    largest = float(np.nanmax(apart)) if not np.isnan(apart).all() else float("nan")
    unequal = int(np.count_nonzero((one != other) & ~((one != one) & (other != other))))
    if largest <= tolerance and not np.isnan(apart).any():
        return None
    return {
        "name": name,
        "what": "values",
        "a": None,
        "b": None,
        "largest": largest,
        "unequal": unequal,
        "of": one.size,
    }


# ---------------------------------------------------------------------------- as text


def _text(found: dict[str, Any], different: bool) -> str:
    parts = [f"a: {found['a']}\nb: {found['b']}"]
    if found["architecture"]:
        rows = [[row["at"], _short(row["a"]), _short(row["b"])] for row in found["architecture"]]
        parts.append(section("Architecture", table(["at", "a", "b"], rows)))
    lines = [[name, "only in a", ""] for name in found["only_a"]]
    lines += [[name, "only in b", ""] for name in found["only_b"]]
    for row in found["differ"]:
        if row["what"] == "values":
            detail = f"{row['unequal']:,} of {row['of']:,} values, by at most {row['largest']:.3g}"
        else:
            sides = [shape(row[side]) if row["what"] == "shape" else row[side] for side in ("a", "b")]
            detail = f"{sides[0]} and {sides[1]}"
        lines.append([row["name"], row["what"], detail])
    if lines:
        parts.append(section("Weights", table(["name", "what differs", "how"], lines)))
    parts.append(f"\n{'They differ' if different else 'They are the same'}: {found['equal']} tensors are equal.")
    return "\n".join(parts)


def _short(value: Any) -> str:
    if isinstance(value, dict) and "class_name" in value:
        inner = value.get("config")
        name = inner.get("name") if isinstance(inner, dict) else None
        return f"{value['class_name']} {name!r}" if name else str(value["class_name"])
    text = value if value is _NOTHING else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


register(Command("diff", "compare two files: architecture and weights", _DESCRIPTION, _arguments, _run))
