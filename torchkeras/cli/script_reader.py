"""`doctor SCRIPT`: what of a script will not work here, found in its syntax tree. Nothing of the script is run."""

from __future__ import annotations

import ast
import difflib
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType

from torchkeras.cli import script_advice as advice
from torchkeras.compat.names import PUBLIC_MODULES, SERVED_VERSION
from torchkeras.compat.served import explain_missing, is_served, make_module

_KERAS = "keras"
_ROOTS = {"keras": _KERAS, "torchkeras": _KERAS, "keras_core": _KERAS, "tf_keras": _KERAS}
_CHOICE = ("keras.backend.backend", "keras.config.backend")
_BACKENDS = {"tensorflow", "jax", "torch", "numpy", "openvino"}
_BACKEND = "(the name of the backend)"
_DATASET = "(a source of batches)"
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
    return sorted(set(reader.findings) - reader.of_other_backends())


class _Reader(ast.NodeVisitor):
    """Follows the names that stand for modules of Keras, TensorFlow and JAX through a script."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.names: dict[str, str] = {}  # a name of the script -> the dotted name that it stands for
        self.optional = 0  # how many `try: import` are around
        self.switched = False  # whether `import torchkeras.as_keras` was seen
        self.read: set[str] = set()  # names and attributes that the script reads
        self.left_out: set[str] = set()  # the same, of branches for other backends
        self.in_functions: list[tuple[str, int, int]] = []  # the name of a function, and the range of its findings

    def find(self, node: ast.AST, problem: str, remedy: str, fatal: bool = True) -> None:
        self.findings.append(Finding(node.lineno, problem, remedy, fatal and not self.optional))  # type: ignore[attr-defined]

    def of_other_backends(self) -> set[Finding]:
        """The findings in functions that only a branch for another backend calls."""
        unused = self.left_out - self.read
        return {one for name, start, end in self.in_functions if name in unused for one in self.findings[start:end]}

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
        if path == "torchkeras.as_keras":
            self.switched = True
        elif _is_keras(path):
            served = "python -m torchkeras as-keras --tensorflow SCRIPT"
            if full.startswith("tensorflow.keras"):
                self.find(
                    node,
                    "`tensorflow` is imported for its Keras.",
                    f"Write `import torchkeras as keras`, or run `{served}`.",
                    fatal=False,
                )
            elif root == "keras" and not self.switched:
                remedy = "Write `import torchkeras as keras`, or run `python -m torchkeras as-keras SCRIPT`."
                self.find(node, "`import keras` imports the real Keras.", remedy, fatal=False)
            elif root not in ("keras", "torchkeras"):
                text = f"`{root}` is imported for its Keras."
                self.find(node, text, "Write `import torchkeras as keras`.")
            self.check_name(node, path)
        elif root in advice.FRAMEWORKS:
            self.find(node, f"`{full}` is not used or served by this package.", advice.FRAMEWORKS[root])
        elif any(f"{full}.".startswith(f"{name}.") for name in advice.MODULES):
            remedy = next(words for name, words in advice.MODULES.items() if f"{full}.".startswith(f"{name}."))
            self.find(node, f"`{full}` is made for TensorFlow's Keras.", remedy)
        elif (root in advice.CLIENTS or ("keras" in root and root != "torchkeras")) and not self.switched:
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

    def visit_If(self, node: ast.If | ast.IfExp) -> None:
        """Leave out the branches for other backends, such as `if keras.backend.backend() == "jax":`."""
        self.visit(node.test)
        taken = self.truth(node.test)
        for statement in _statements(node.body):
            self.visit(statement) if taken is not False else self.leave_out(statement)
        for statement in _statements(node.orelse):
            self.visit(statement) if taken is not True else self.leave_out(statement)

    visit_IfExp = visit_If  # type: ignore[assignment]

    def visit_Match(self, node: ast.Match) -> None:
        """Leave out the cases of other backends."""
        self.visit(node.subject)
        strings = [_strings(case.pattern) for case in node.cases]
        by_backend = self.is_backend(node.subject) or not {"tensorflow", "jax"}.isdisjoint(sum(strings, ()))
        for case, names in zip(node.cases, strings if by_backend else [()] * len(strings)):
            self.leave_out(case) if names and "torch" not in names else self.generic_visit(case)

    def leave_out(self, node: ast.AST) -> None:
        """Note the names that a branch uses which is never run."""
        self.left_out |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        self.left_out |= {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}

    def truth(self, test: ast.expr) -> bool | None:
        """The value of a condition on the backend or on `TYPE_CHECKING`; `None` if it is on anything else."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self.truth(test.operand)
            return None if inner is None else not inner
        if isinstance(test, ast.BoolOp):
            decides = isinstance(test.op, ast.Or)
            values = {self.truth(part) for part in test.values}
            return decides if decides in values else None if None in values else not decides
        if ast.unparse(test).rpartition(".")[2] == "TYPE_CHECKING":
            return False
        if not isinstance(test, ast.Compare) or len(test.ops) > 1:
            return None
        sides = [test.left, test.comparators[0]]
        names = [name for side in sides for name in _strings(side)]
        # `name == "jax"` asks for the backend whatever `name` is; "numpy" may be anything.
        by_name = _BACKENDS.issuperset(names) and not {"tensorflow", "jax"}.isdisjoint(names)
        if not names or not (by_name or any(map(self.is_backend, sides))):
            return None
        return ("torch" in names) == isinstance(test.ops[0], ast.Eq | ast.In)

    def is_backend(self, node: ast.expr) -> bool:
        """Whether an expression is the name of the backend."""
        if isinstance(node, ast.Call):
            return self.dotted(node.func) in _CHOICE
        return self.dotted(node) == _BACKEND

    # ------------------------------------------------------------------------ scopes

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.names.pop(node.name, None)
        start = len(self.findings)
        self.visit_scope(node)
        self.in_functions.append((node.name, start, len(self.findings)))

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_scope(self, node: ast.AST) -> None:
        """Visit a function, a class or a comprehension: names that it binds hide those outside, in it alone."""
        outer = self.names
        bound = {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)} if hasattr(node, "args") else set()
        self.names = {name: dotted for name, dotted in outer.items() if name not in bound}
        for field, value in ast.iter_fields(node):
            if field == "body" and isinstance(value, list):
                self.visit_body(value)
            else:
                for part in value if isinstance(value, list) else [value]:
                    if isinstance(part, ast.AST):
                        self.visit(part)
        self.names = outer

    def visit_body(self, statements: list[ast.stmt]) -> None:
        """Visit statements up to the end: `if keras.backend.backend() != "jax": return x` may be one."""
        ended = False
        for statement in statements:
            self.leave_out(statement) if ended else self.visit(statement)
            if isinstance(statement, ast.If):
                taken = self.truth(statement.test)
                branch = statement.body if taken else statement.orelse if taken is False else []
                ended |= bool(branch) and isinstance(branch[-1], ast.Return | ast.Raise)

    visit_Lambda = visit_ClassDef = visit_scope
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_scope

    # ------------------------------------------------------------------------ names

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.read.add(node.id)
        else:
            self.names.pop(node.id, None)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        stands_for = self.stands_for(node.value)
        for target in node.targets:
            self.visit(target)
            if isinstance(target, ast.Name) and stands_for is not None:
                self.names[target.id] = stands_for
            if "KERAS_BACKEND" in ast.unparse(target) and getattr(node.value, "value", "torch") != "torch":
                self.find(node, "`KERAS_BACKEND` has no effect: the backend is torch.", "Remove the line.", fatal=False)

    def stands_for(self, value: ast.expr) -> str | None:
        """The dotted name that a name stands for when it is given this value."""
        if not isinstance(value, ast.Call):
            return self.dotted(value)
        if _is_import(value):
            return _canonical(_strings(value.args[0])[0])
        return _BACKEND if self.is_backend(value) else _DATASET if self.is_dataset(value) else None

    def is_dataset(self, node: ast.expr) -> bool:
        """Whether an expression is a dataset of Keras's, or one made of it by a method."""
        if not isinstance(node, ast.Call):
            return self.dotted(node) == _DATASET
        if (self.dotted(node.func) or "").endswith(advice.DATASETS):
            return True
        return isinstance(node.func, ast.Attribute) and self.is_dataset(node.func.value)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        dotted = self.dotted(node)
        self.read.add(node.attr)
        if dotted is None:
            self.generic_visit(node)
            if node.attr == "lr" and ast.unparse(node.value).rpartition(".")[2] == "optimizer":
                self.find(node, "`lr` is no attribute of optimizers any more.", "It is called `learning_rate`.")
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
            return None if inner in (None, _BACKEND, _DATASET) else _canonical(f"{inner}.{node.attr}")
        return None

    def check_name(self, node: ast.AST, path: str) -> None:
        """Look a name of Keras up in this package."""
        if path == "keras.src" or path.startswith("keras.src."):
            self.check_private(node, path)
            return
        missing = _missing(path)
        if missing is not None:
            self.find(node, f"There is no `{missing}`.", _instead(missing))
        elif path.startswith("keras.optimizers.legacy."):
            name = path.rpartition(".")[2]
            self.find(node, f"`{path}` raises an error, as in Keras 3.", f"Use `keras.optimizers.{name}`.")

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
            self.find(node, f"`{dotted}` belongs to TensorFlow.", _for_tensorflow(rest))
        elif root == "jax" and rest:
            remedy = _op(rest.rpartition(".")[2]) or advice.JAX.get(rest.partition(".")[0]) or advice.FRAMEWORKS[root]
            self.find(node, f"`{dotted}` belongs to JAX.", remedy)

    # ------------------------------------------------------------------------ calls

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        if _is_import(node):
            (name,) = _strings(node.args[0])
            self.imported(node, name, name)
        given = [keyword.arg for keyword in node.keywords if keyword.arg is not None]
        dotted = self.dotted(node.func)
        if dotted is not None:
            if _is_keras(dotted):
                self.check_arguments(node, dotted, given)
            return
        if isinstance(node.func, ast.Attribute):
            method = node.func.attr
            if method in advice.DATASET_METHODS and self.is_dataset(node.func.value):
                remedy = "Write what it does as layers of the model, or as a generator. " + advice.DATA
                self.find(node, f"`{method}` is no method of the DataLoader that stands in for tf.data.", remedy)
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
                self.find(node, f"`{dotted}` has no argument `{name}`.", _for_argument(name, known, found))


def _parts(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _statements(branch: list[ast.stmt] | ast.expr) -> list[ast.stmt] | list[ast.expr]:
    return branch if isinstance(branch, list) else [branch]


def _is_import(call: ast.Call) -> bool:
    """Whether a call is `importlib.import_module("name")` or `__import__("name")`."""
    function = ast.unparse(call.func).rpartition(".")[2]
    return function in ("import_module", "__import__") and bool(call.args) and len(_strings(call.args[0])) == 1


def _strings(node: ast.AST) -> tuple[str, ...]:
    """The strings in a constant, in a tuple, list or set of constants, or in the pattern of a `case`."""
    if isinstance(node, ast.Constant):
        return (node.value,) if isinstance(node.value, str) else ()
    if isinstance(node, ast.MatchValue):
        return _strings(node.value)
    parts = getattr(node, "elts", None) or getattr(node, "patterns", None) or ()
    return tuple(name for part in parts for name in _strings(part))


def _canonical(path: str) -> str:
    """A dotted name in which Keras is `keras`, whatever package it was imported from.

    This package itself, and those of its modules that Keras does not have, keep `torchkeras` in their names.
    """
    for prefix in ("tensorflow.keras", "tensorflow.python.keras", "tensorflow.compat.v1.keras"):
        if path == prefix or path.startswith(f"{prefix}."):
            return _KERAS + path[len(prefix) :]
    root, dot, rest = path.partition(".")
    first = rest.partition(".")[0]
    if root == "torchkeras" and (not rest or first not in PUBLIC_MODULES and find_spec(f"torchkeras.{first}")):
        return path
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


def _for_tensorflow(name: str) -> str:
    """Say what to write instead of a name of TensorFlow's: `math.reduce_sum`."""
    first, last = name.partition(".")[0], name.rpartition(".")[2]
    if name in advice.TENSORFLOW:
        return advice.TENSORFLOW[name]
    if last in advice.DTYPES:
        return f'Write `"{last}"`.'
    if first == "random" and _lookup(f"keras.random.{last}") is not _ABSENT:
        return f"Use `keras.random.{last}`."
    if first in ("image", "linalg") and _op(f"{first}.{last}"):
        return _op(f"{first}.{last}")
    if first in ("math", "nn", "linalg", "signal", "sets", last):
        words = _op(last) or advice.TENSORFLOW.get(last)
        if words:
            return words
    return advice.TENSORFLOW.get(first) or advice.FRAMEWORKS["tensorflow"]


def _for_argument(name: str, known: set[str], function: object) -> str:
    """Say what to write instead of an argument that a function does not take."""
    words = advice.OLD_ARGUMENTS.get(name, name)
    if words in known:
        return f"It is called `{words}`."
    if " " in words:
        return words
    near = difflib.get_close_matches(name, known, 1)
    own = [one for one in inspect.signature(function).parameters if one not in ("self", "args", "kwargs")]  # type: ignore[arg-type]
    taken = ", ".join(f"`{one}`" for one in own)
    return f"It may be `{near[0]}`." if near else f"It takes {taken}."


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
