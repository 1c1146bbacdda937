"""What a user gets from the registry: metadata, extras, licence, and names that editors and type checkers see."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import runpy
import tomllib
from pathlib import Path

import pytest

import torchkeras
from tests.package_imports import PACKAGE, ROOT, module_name, project, source_files
from torchkeras.cli.script_reader import _arguments
from torchkeras.core.config.keywords import accepted_keywords

SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text())
INITS = [path for path in source_files() if path.name == "__init__.py"]


def test_the_version_is_written_once():
    assert "version" in project()["dynamic"] and "version" not in project()
    assert SETUP["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "torchkeras.version.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", torchkeras.__version__)


def test_the_licence_is_named_and_there():
    assert project()["license"] == "Apache-2.0"  # an SPDX expression, PEP 639
    assert all((ROOT / name).is_file() for name in project()["license-files"])
    assert not [row for row in project()["classifiers"] if row.startswith("License ::")], "PEP 639 forbids both"


def test_the_classifiers_are_the_matrix():
    minors = [row.rpartition(" ")[2] for row in project()["classifiers"] if "Python :: 3." in row]
    matrix = (ROOT / "scripts" / "matrix.py").read_text()
    assert minors == re.findall(r"3\.\d+", re.search(r"^PYTHONS = .*$", matrix, re.MULTILINE).group())
    assert project()["requires-python"] == f">={minors[0]}"
    oldest = re.search(r'^TORCHES = \("([\d.]+)"', matrix, re.MULTILINE).group(1)
    assert f"torch>={oldest}" in project()["dependencies"]


def test_extras_that_errors_name_exist():
    named = {
        (extra, module_name(path))
        for path in source_files()
        for group in re.findall(r"torchkeras-native\[([\w,]+)\]", path.read_text())
        for extra in group.split(",")
    }
    assert len(named) > 3
    assert not [row for row in named if row[0] not in project()["optional-dependencies"]]


# Names that a type checker does not export: the module that has the object uses this name for another one.
SECOND_NAMES = {"saving": {"custom_object_scope"}, "utils": {"custom_object_scope"}}
# A checker reads `ops/__init__.pyi` in the place of these.
SECOND_NAMES |= {"ops": {"hard_swish", "swish", "abs", "conj"}, "nn": {"hard_swish", "swish"}, "numpy": {"abs", "conj"}}


@pytest.mark.parametrize("path", INITS, ids=lambda p: str(p.relative_to(PACKAGE).parent))
def test_public_names_are_seen_without_running(path: Path):
    """A public name is imported under its own name (`import X as X`, or in `__all__`), so that editors complete it."""
    tree = ast.parse(path.read_text())
    listed = {name for node in tree.body if isinstance(node, ast.Assign) for name in ast.literal_eval(node.value)}
    imported = [alias for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    exported = {alias.asname for alias in imported if alias.asname}
    hidden = {alias.asname or alias.name for alias in imported if alias.asname != alias.name} - listed
    hidden = {name for name in hidden - SECOND_NAMES.get(path.parent.name, set()) if not name.startswith("_")}
    assert not hidden, f"a type checker does not export {hidden}: write `import X as X`"
    if path.parent.name == "as_keras":  # to import it is to serve it, which needs a process without Keras
        return
    submodules = {found.stem for found in path.parent.iterdir()}
    public = {name for name in vars(importlib.import_module(module_name(path))) if not name.startswith("_")}
    assert public - submodules <= exported | {alias.name for alias in imported}


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()
    assert "py.typed" in SETUP["tool"]["setuptools"]["package-data"]["torchkeras"]


def test_the_stub_of_the_ops_is_what_the_ops_say():
    """`python scripts/op_stubs.py` writes it; type checkers read it in the place of `torchkeras/ops/__init__.py`."""
    done = runpy.run_path(str(ROOT / "scripts" / "op_stubs.py"))
    written = done["stub"]()
    assert done["STUB"].read_text() == written, "run: python scripts/op_stubs.py"
    names = {node.name for node in ast.parse(written).body if isinstance(node, ast.FunctionDef)}
    imported = [alias for node in ast.parse(written).body if isinstance(node, ast.ImportFrom) for alias in node.names]
    public = {name for name, value in vars(torchkeras.ops).items() if name[0] != "_" and inspect.isfunction(value)}
    assert public <= names | {alias.asname for alias in imported}
    assert "def add(x1: TensorLike, x2: TensorLike) -> Tensor: ..." in written


# Arguments of a base that a subclass sets itself, so that its callers can't.
SET_BY_THE_CLASS = {"activity_regularizer", "cell", "factor", "score_mode"}
# Their signature names arguments of `Layer`, which the keys of a typed dict may not repeat.
UNTYPED = {"HashedCrossing", "InputLayer", "IntegerLookup", "Layer", "StringLookup", "TextVectorization",
           "TorchModuleWrapper"}  # fmt: skip


def test_editors_complete_all_arguments_of_a_layer():
    layers = {name: cls for name, cls in vars(torchkeras.layers).items() if isinstance(cls, type)}
    typed = {name: _arguments(cls) for name, cls in layers.items()}
    assert {name for name, keys in typed.items() if keys is None} == UNTYPED
    missing = {name: accepted_keywords(layers[name])[0] - keys for name, keys in typed.items() if keys is not None}
    hidden = {name: {key for key in keys if key[0] != "_"} - SET_BY_THE_CLASS for name, keys in missing.items()}
    assert not {name: keys for name, keys in hidden.items() if keys}


def test_the_stub_has_the_namespaces_of_the_ops():
    stub = ast.parse((PACKAGE / "ops" / "__init__.pyi").read_text())
    imported = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert {"image", "linalg", "nn", "numpy"} <= imported
