"""Write torchkeras/ops/__init__.pyi: the signatures of `keras.ops` as its callers see them.

    python scripts/op_stubs.py           # write it
    python scripts/op_stubs.py --check   # exit code 1 if it is not what would be written

An op's own annotation says `Tensor`, since that is what its body gets; a caller may give arrays, numbers, lists and
symbolic tensors, too. The stub says so, for type checkers and editors, which take docstrings from the source.
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
STUB = ROOT / "torchkeras" / "ops" / "__init__.pyi"
HEAD = '''"""Written by scripts/op_stubs.py: the ops as callers see them. Do not edit."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.types import ArrayLike

TensorLike: TypeAlias = ArrayLike | KerasTensor
'''
# Public namespaces that an `import torchkeras` brings along, though no line of `ops/__init__.py` names them.
NAMESPACES = ["nn", "numpy"]
# The parameters of a generic that an op's annotation leaves out.
BARE = {"Callable": "Callable[..., Any]", "list": "list[Any]", "dict": "dict[str, Any]", "tuple": "tuple[Any, ...]"}


class _Widened(ast.NodeTransformer):
    """`Tensor` becomes `TensorLike`; other names are collected."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if node.id == "Tensor":
            return ast.Name("TensorLike")
        self.names.add(node.id)
        return ast.Name(BARE.get(node.id, node.id))

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """A list of tensors may be any sequence: `list` is invariant."""
        if ast.unparse(node) == "list[Tensor]":
            self.names.add("Sequence")
            return ast.parse("Sequence[TensorLike]", mode="eval").body
        node.slice = self.visit(node.slice)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if ast.unparse(node) == "torch.Tensor":
            return ast.Name("TensorLike")
        self.generic_visit(node)
        return node


def stub() -> str:
    """The text of the stub."""
    from torchkeras import ops
    from torchkeras.core.operations.op import OPS

    imports: dict[str, str] = {}
    kept, written = [f"from torchkeras.ops import {name} as {name}" for name in NAMESPACES], []
    tree = ast.parse((ROOT / "torchkeras" / "ops" / "__init__.py").read_text(encoding="utf-8"))
    for statement in tree.body:
        if not isinstance(statement, ast.ImportFrom):
            continue
        for alias in statement.names:
            name = alias.asname or alias.name
            function = inspect.unwrap(getattr(ops, name))
            if alias.name not in OPS or not inspect.isfunction(function):
                kept.append(f"from {statement.module} import {alias.name} as {name}")
                continue
            line, names = signature(name, function)
            written.append(line)
            imports.update({used: function.__module__ for used in names if used in function.__globals__})
    for used in ("Tensor", "torch", "TensorLike", "ArrayLike", "KerasTensor", "Any", "Callable", "Sequence"):
        imports.pop(used, None)
    lines = [f"from {module} import {used}" for used, module in sorted(imports.items())]
    return "\n".join([HEAD, *lines, *kept, "", *written, ""])


def signature(name: str, function: object) -> tuple[str, set[str]]:
    """A function's line in the stub, and the names in its annotations."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)).strip())  # type: ignore[arg-type]
    found = tree.body[0]
    assert isinstance(found, ast.FunctionDef)
    widened = _Widened()
    arguments = found.args
    for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if one is not None and one.annotation is not None:
            one.annotation = widened.visit(one.annotation)
    for defaults in (arguments.defaults, arguments.kw_defaults):
        defaults[:] = [ast.Constant(...) if default is not None else None for default in defaults]
    result = ast.unparse(found.returns) if found.returns is not None else "Tensor"
    names = widened.names | {n.id for n in ast.walk(found.returns or ast.Constant(0)) if isinstance(n, ast.Name)}
    return f"def {name}({ast.unparse(arguments)}) -> {result}: ...", names


if __name__ == "__main__":
    text = stub()
    if "--check" in sys.argv[1:]:
        sys.exit(int(not STUB.is_file() or STUB.read_text(encoding="utf-8") != text))
    STUB.write_text(text, encoding="utf-8")
