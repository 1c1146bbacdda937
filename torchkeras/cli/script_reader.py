"""`doctor SCRIPT`: what of a script will not work here, found in its syntax tree. Nothing of the script is run."""

from __future__ import annotations

import ast
import difflib
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from torchkeras.cli import script_advice as advice
from torchkeras.compat.names import PUBLIC_MODULES, SERVED_VERSION
from torchkeras.compat.served import explain_missing, is_served, make_module

_KERAS = "keras"
_ROOTS = {"keras": _KERAS, "torchkeras": _KERAS, "keras_core": _KERAS, "tf_keras": _KERAS}
_CHOICE = ("keras.backend.backend", "keras.config.backend")
_ABSENT = object()


@dataclass(frozen=True, order=True)
class Finding:
    """A place in a script.

    Args:
        line: its line, from 1.
        problem: what will not work.
        remedy: what to write instead.
        fatal: `False` for what runs, but not as the script means it, or needs a switch alone.
    """

    line: int
    problem: str
    remedy: str
    fatal: bool = True


def read_script(source: str, name: str = "<script>") -> list[Finding]:
    """Find what of a script will not work with this package.

    Args:
        source: the text of the script.
        name: the name for messages.

    Returns:
        The findings, in the order of lines.

    Raises:
        ValueError: the text is no Python.
    """
    try:
        tree = ast.parse(source, name)
    except SyntaxError as error:
        raise ValueError(f"{name} is no Python: {error.msg} in line {error.lineno}.") from error
    reader = _Reader()
    reader.visit(tree)
    return sorted(set(reader.findings))


class _Reader(ast.NodeVisitor):
    """Follows the names that stand for modules of Keras, TensorFlow and JAX through a script."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.names: dict[str, str] = {}  # a name of the script -> the dotted name that it stands for
        self.optional = 0  # how many `try: import` are around

    def find(self, node: ast.AST, problem: str, remedy: str, fatal: bool = True) -> None:
        self.findings.append(Finding(node.lineno, problem, remedy, fatal and not self.optional))  # type: ignore[attr-defined]

    # ------------------------------------------------------------------------ imports

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imported(node, alias.name, alias.name)
            bound = alias.asname or alias.name.partition(".")[0]
            self.names[bound] = _canonical(alias.name if alias.asname else bound)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level or node.module is None:
            return
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            self.imported(node, node.module if alias.name == "*" else full, node.module)
            if alias.name != "*":
                self.names[alias.asname or alias.name] = _canonical(full)

    def imported(self, node: ast.AST, full: str, module: str) -> None:
        root, path = full.partition(".")[0], _canonical(full)
        if _is_keras(path):
            if root == "keras":
                remedy = "Write `import torchkeras as keras`, or run `python -m torchkeras as-keras SCRIPT`."
                self.find(node, "`import keras` imports the real Keras.", remedy, fatal=False)
            elif root != "torchkeras":
                text = f"`{root}` is imported for its Keras."
                self.find(node, text, "Write `import torchkeras as keras`.")
            self.check_name(node, path)
        elif root in advice.FRAMEWORKS:
            self.find(node, f"`{full}` is not used or served by this package.", advice.FRAMEWORKS[root])
        elif root in advice.CLIENTS:
            remedy = "Run `python -m torchkeras as-keras SCRIPT`, or write `import torchkeras.as_keras` first."
            self.find(node, f"`{root}` imports `keras` itself.", remedy, fatal=False)

    def visit_Try(self, node: ast.Try) -> None:
        caught = {ast.unparse(part) for handler in node.handlers if handler.type for part in _parts(handler.type)}
        guarded = not caught.isdisjoint({"ImportError", "ModuleNotFoundError", "Exception"})
        self.optional += guarded
        for statement in node.body:
            self.visit(statement)
        self.optional -= guarded
        for rest in (*node.handlers, *node.orelse, *node.finalbody):
            self.visit(rest)

    def visit_If(self, node: ast.If) -> None:
        """Leave out the branches for other backends: `if keras.backend.backend() == "jax":`."""
        wanted = self.backend_of(node.test)
        self.visit(node.test)
        for statement in node.orelse if wanted not in (None, "torch") else node.body:
            self.visit(statement)
        if wanted is None:
            for statement in node.orelse:
                self.visit(statement)

    def backend_of(self, test: ast.expr) -> str | None:
        if not (isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq)):
            return None
        sides = [test.left, test.comparators[0]]
        called = any(isinstance(side, ast.Call) and self.dotted(side.func) in _CHOICE for side in sides)
        names = [side.value for side in sides if isinstance(side, ast.Constant) and isinstance(side.value, str)]
        return names[0] if called and names else None

    # ------------------------------------------------------------------------ names

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        dotted = self.dotted(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.names.pop(target.id, None)
                if dotted is not None:
                    self.names[target.id] = dotted
            if "KERAS_BACKEND" in ast.unparse(target) and getattr(node.value, "value", "torch") != "torch":
                self.find(node, "`KERAS_BACKEND` has no effect: the backend is torch.", "Remove the line.", fatal=False)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        dotted = self.dotted(node)
        if dotted is None:
            self.generic_visit(node)
        elif _is_keras(dotted):
            self.check_name(node, dotted)
        else:
            self.check_framework(node, dotted)

    def dotted(self, node: ast.AST) -> str | None:
        """The dotted name that an expression stands for, if it is one of Keras, TensorFlow or JAX."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute):
            inner = self.dotted(node.value)
            return _canonical(f"{inner}.{node.attr}") if inner is not None else None
        return None

    def check_name(self, node: ast.AST, path: str) -> None:
        """Look a name of Keras up in this package."""
        if path == "keras.src" or path.startswith("keras.src."):
            self.check_private(node, path)
            return
        missing = _missing(path)
        if missing is not None:
            self.find(node, f"There is no `{missing}`.", _instead(missing))

    def check_private(self, node: ast.AST, path: str) -> None:
        module, _, name = path.rpartition(".")
        problem = f"`{path}` is private to Keras."
        if is_served(path) or (is_served(module) and hasattr(make_module(module), name)):
            remedy = "`python -m torchkeras as-keras SCRIPT` serves it; a public name is better."
            self.find(node, problem, remedy, fatal=False)
        else:
            self.find(node, problem, explain_missing(module, name).rpartition(" here. ")[2])

    def check_framework(self, node: ast.Attribute, dotted: str) -> None:
        root, _, rest = dotted.partition(".")
        if rest.startswith("__"):  # such as __version__: the import is the finding
            return
        if root == "tensorflow" and rest:
            first, last = rest.partition(".")[0], rest.rpartition(".")[2]
            remedy = advice.TENSORFLOW.get(first) or _op(last) or advice.FRAMEWORKS[root]
        elif root == "jax" and rest:
            remedy = _op(rest.rpartition(".")[2]) or advice.FRAMEWORKS[root]
        else:
            return
        self.find(node, f"`{dotted}` makes tensors of {'TensorFlow' if root == 'tensorflow' else 'JAX'}.", remedy)

    # ------------------------------------------------------------------------ calls

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        given = [keyword.arg for keyword in node.keywords if keyword.arg is not None]
        dotted = self.dotted(node.func)
        if dotted is not None:
            if _is_keras(dotted):
                self.check_arguments(node, dotted, given)
            return
        if isinstance(node.func, ast.Attribute):
            method = node.func.attr
            if method in advice.METHODS:
                self.find(node, f"`{method}` is no method of models any more.", advice.METHODS[method])
            rows = advice.ARGUMENTS.get(method, {})
            for name in given:
                if name in rows:
                    ignored = (method, name) in advice.IGNORED
                    problem = f"`{name}` has no effect in" if ignored else f"There is no argument `{name}` in"
                    self.find(node, f"{problem} `{method}`.", rows[name], fatal=not ignored)

    def check_arguments(self, node: ast.Call, dotted: str, given: list[str]) -> None:
        found = _lookup(dotted)
        known = _arguments(found) if found is not _ABSENT else None
        for name in given:
            if known is not None and name not in known and f"`{name}`" not in (inspect.getdoc(found) or ""):
                near = difflib.get_close_matches(name, known, 1)
                near = ["learning_rate"] if name == "lr" and "learning_rate" in known else near
                taken = ", ".join(f"`{one}`" for one in sorted(known - {"self"}))
                remedy = f"It may be `{near[0]}`." if near else f"It takes {taken}."
                self.find(node, f"`{dotted}` has no argument `{name}`.", remedy)


def _parts(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _canonical(path: str) -> str:
    """A dotted name in which Keras is `keras`, whatever package it was imported from."""
    for prefix in ("tensorflow.keras", "tensorflow.python.keras", "tensorflow.compat.v1.keras"):
        if path == prefix or path.startswith(f"{prefix}."):
            return _KERAS + path[len(prefix) :]
    root, dot, rest = path.partition(".")
    return _ROOTS.get(root, root) + dot + rest


def _is_keras(path: str) -> bool:
    return path == _KERAS or path.startswith(f"{_KERAS}.")


def _lookup(path: str) -> object:
    """The object of this package under a name of Keras. A module that Keras does not have counts as absent."""
    found: object = sys.modules["torchkeras"]
    place = ""
    for part in path.split(".")[1:]:
        found = getattr(found, part, _ABSENT)
        place = f"{place}.{part}".removeprefix(".")
        if isinstance(found, ModuleType) and place not in PUBLIC_MODULES:
            return _ABSENT
    return found


def _missing(path: str) -> str | None:
    """The first part of a dotted name that this package lacks; attributes of objects are not looked at."""
    parts = path.split(".")
    for end in range(2, len(parts) + 1):
        holder = _lookup(".".join(parts[: end - 1]))
        if not isinstance(holder, ModuleType):
            return None
        if _lookup(".".join(parts[:end])) is _ABSENT:
            return ".".join(parts[:end])
    return None


def _instead(path: str) -> str:
    """Say what to write instead of a name that is not there."""
    for known, words in advice.OTHER_NAMES.items():
        if path == known or path.startswith(f"{known}."):
            return words
    module, _, name = path.rpartition(".")
    if module == "keras.backend" and _op(name):
        return _op(name)
    places = [f"`{place}`" for place in _elsewhere(name)]
    if places:
        return f"It is {places[0]}."
    holder = _lookup(module)
    known = [one for one in dir(holder) if not one.startswith("_") and _lookup(f"{module}.{one}") is not _ABSENT]
    near = difflib.get_close_matches(name, known, 1, 0.75)
    return f"It may be `{module}.{near[0]}`." if near else f"Keras {SERVED_VERSION} has no such name, either."


def _elsewhere(name: str) -> Iterator[str]:
    """Public namespaces that have a name."""
    package = sys.modules["torchkeras"]
    for place, module in vars(package).items():
        if isinstance(module, ModuleType) and not place.startswith("_") and hasattr(module, name):
            if not isinstance(getattr(module, name), ModuleType):
                yield f"keras.{place}.{name}"


def _op(name: str) -> str:
    found = _lookup(f"keras.ops.{name}")
    return f"Use `keras.ops.{name}`." if found is not _ABSENT and not isinstance(found, ModuleType) else ""


def _arguments(function: object) -> set[str] | None:
    """The names of the arguments of a function or class; `None` where it takes any."""
    try:
        signature = inspect.signature(function)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    known: set[str] = set()
    for parameter in signature.parameters.values():
        if parameter.kind is not parameter.VAR_KEYWORD:
            known.add(parameter.name)
            continue
        owner = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
        options = _options(owner, str(parameter.annotation))
        if options is None:
            return None
        known |= options
    return known


def _options(owner: object, annotation: str) -> set[str] | None:
    """The keys of the typed dict in `**kwargs: Unpack[...]`."""
    if not annotation.startswith("Unpack["):
        return None
    typed = getattr(inspect.unwrap(owner), "__globals__", {}).get(annotation[7:-1])  # type: ignore[arg-type]
    keys = getattr(typed, "__required_keys__", frozenset()) | getattr(typed, "__optional_keys__", frozenset())
    return set(keys) or None
