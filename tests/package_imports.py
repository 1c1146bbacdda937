"""The package as its source says: modules, what each imports and where."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "torchkeras"


class Import(NamedTuple):
    """One imported module, as a dotted name, with its place."""

    target: str
    line: int
    in_function: bool
    typing_only: bool


def source_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def source_names() -> dict[str, Path]:
    """The files of the package by their place in it."""
    return {str(path.relative_to(PACKAGE)): path for path in source_files()}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for path in source_files()}


@cache
def imports(path: Path) -> tuple[Import, ...]:
    """All imports of a file; `from package import module` counts as an import of the module."""
    return tuple(_walk(parsed(path), path, in_function=False, typing_only=False))


def _walk(node: ast.AST, path: Path, in_function: bool, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
            continue  # no expression holds an import
        inside = in_function or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
        typed = typing_only or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
        for target in _targets(child, path):
            yield Import(target, child.lineno, in_function, typing_only)  # type: ignore[attr-defined]
        yield from _walk(child, path, inside, typed)


def _targets(node: ast.AST, path: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = module_name(path).split(".")
            up = node.level - (path.name == "__init__.py")
            base = ".".join([*package[: len(package) - up], *filter(None, [base])])
        for alias in node.names:
            name = f"{base}.{alias.name}"
            yield name if name in modules() else base


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
