"""The house keeps its shape: imports point down, no cycles, public lists hold what they say, files stay readable."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache

import pytest

from tests.for_each import for_each
from tests.package_imports import PACKAGE, imports, modules, parsed, project, source_files, source_names

# Lowest first. A module imports from its own unit and from floors below; the longest prefix says where it lives.
FLOORS = [
    ["core", "version"],
    ["ops", "tree"],
    ["distributed", "activations", "constraints", "dtype_policies", "initializers", "regularizers", "quantizers"],
    ["random", "backend", "config"],
    ["losses", "optimizers"],
    ["metrics"],
    ["layers/base"],
    ["layers"],
    ["saving", "training/data", "reporting"],
    ["callbacks", "downloads"],
    ["training", "export"],
    ["models"],
    ["applications", "datasets", "visualization", "wrappers", "distillation"],
    ["utils", "mixed_precision", "distribution", "legacy"],
    ["preprocessing"],
    ["compat"],
    ["as_keras"],
    ["cli"],
    ["__main__"],
    [""],
]
FLOOR_OF = {unit: floor for floor, units in enumerate(FLOORS) for unit in units}

# How packages are called where their import name differs from their name in an index.
IMPORT_NAMES = {"scikit-learn": "sklearn", "pillow": "PIL"}
FORBIDDEN = {"keras", "tensorflow", "jax", "tf_keras", "keras_core"}

files = for_each(source_names())


def unit_of(module: str) -> str:
    """`torchkeras.layers.base.layer` is of the unit `layers/base`."""
    parts = module.split(".")[1:]
    for end in range(len(parts), -1, -1):
        unit = "/".join(parts[:end])
        if unit in FLOOR_OF:
            return unit
    raise AssertionError("the root is always a unit")


def own_imports(path):
    return [found for found in imports(path) if found.target.split(".")[0] == "torchkeras"]


def _roots(requirements: list[str]) -> set[str]:
    names = [re.match(r"[\w-]+", requirement).group() for requirement in requirements]  # type: ignore[union-attr]
    return {IMPORT_NAMES.get(name, name) for name in names}


RUN_TIME = _roots(project()["dependencies"])
OPTIONAL = _roots([r for reqs in project()["optional-dependencies"].values() for r in reqs]) - FORBIDDEN


@files
def test_imports_point_down(path):
    if path == PACKAGE / "__init__.py":
        return
    module = ".".join(["torchkeras", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
    unit = unit_of(module)
    assert unit, f"{module} lives on no floor: give its folder a place in FLOORS"
    wrong = [
        f"{path}:{found.line} imports {found.target}"
        for found in own_imports(path)
        if unit_of(found.target) != unit and FLOOR_OF[unit_of(found.target)] >= FLOOR_OF[unit]
    ]
    # The list of a namespace may show what its own sub-folders hold.
    if path.name == "__init__.py":
        wrong = [line for line in wrong if f"imports {module}." not in line]
    assert not wrong, "\n".join(wrong)


# Typing imports count: a file that can't be read without another depends on it. Lists (`__init__.py`) hold no ideas,
# and nothing can import `__main__.py`, which stands beside the floor's lowest files.
@cache
def between_files() -> list[tuple[str, str]]:
    return [
        (name, found.target)
        for name, path in modules().items()
        for found in own_imports(path)
        if path.name not in ("__init__.py", "__main__.py") and found.target in modules()
    ]


def _folder_of(module: str) -> str:
    return ".".join(modules()[module].parent.relative_to(PACKAGE.parent).parts)


def test_no_cycles_when_imported():
    run = [(name, f.target) for name, path in modules().items() for f in own_imports(path) if not f.typing_only]
    assert not _cycles((name, target) for name, target in run if target in modules())


def test_no_cycles_of_files():
    assert not _cycles(between_files())


def test_no_cycles_of_folders():
    folders = [(_folder_of(a), _folder_of(b)) for a, b in between_files()]
    cycles = _cycles((a, b) for a, b in folders if a != b)
    examples = [
        f"{a} imports {b}"
        for a, b in between_files()
        for group in cycles
        if _folder_of(a) != _folder_of(b) and {_folder_of(a), _folder_of(b)} <= set(group)
    ]
    assert not cycles, "\n".join(examples)


def test_callbacks_and_reporting_know_nothing_of_what_calls_them():
    wrong = [
        f"{a} imports {b}"
        for a, b in between_files()
        if (a.startswith("torchkeras.callbacks.") and b.startswith("torchkeras.training"))
        or (a.startswith("torchkeras.reporting.") and b.startswith(("torchkeras.training", "torchkeras.callbacks")))
    ]
    assert not wrong, "\n".join(wrong)


def _cycles(edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Groups of nodes that reach each other, and nodes with an edge to themselves."""
    graph: dict[str, set[str]] = defaultdict(set)
    for start, end in edges:
        graph[start].add(end)
        graph[end]
    return [sorted(group) for group in _strong_components(graph) if len(group) > 1 or group[0] in graph[group[0]]]


def _strong_components(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other: two depth-first passes, the second against the arrows."""

    def visit(start: str, edges: dict[str, set[str]], seen: set[str]) -> list[str]:
        seen.add(start)
        order, stack = [], [(start, iter(sorted(edges[start])))]
        while stack:
            node, targets = stack[-1]
            following = next((t for t in targets if t not in seen), None)
            if following is None:
                order.append(node)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(sorted(edges[following]))))
        return order

    backwards: dict[str, set[str]] = defaultdict(set, {node: set() for node in graph})
    for node, targets in graph.items():
        for target in targets:
            backwards[target].add(node)
    seen: set[str] = set()
    finished = [node for start in graph if start not in seen for node in visit(start, graph, seen)]
    seen = set()
    return [visit(start, backwards, seen) for start in reversed(finished) if start not in seen]


def test_the_cycle_finder_finds_cycles():
    assert _cycles([("a", "b"), ("b", "a"), ("c", "a"), ("d", "d")]) in (
        [["a", "b"], ["d"]],
        [["d"], ["a", "b"]],
    )
    assert sorted(map(len, _strong_components({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}))) == [1, 3]
    assert sorted(map(len, _strong_components({"a": {"b", "c"}, "b": {"c"}, "c": set()}))) == [1, 1, 1]


@files
def test_imports_inside_functions_are_of_optional_packages(path):
    # torch's module for TensorBoard can't be imported without that optional package.
    wrong = [
        f"{path}:{f.line} imports {f.target}"
        for f in imports(path)
        if f.in_function and _root(f) not in OPTIONAL and not f.target.startswith("torch.utils.tensorboard")
    ]
    assert not wrong, "\n".join(wrong)


@files
def test_imports_at_the_top_are_of_declared_packages(path):
    # ml_dtypes gives NumPy its names of bfloat16 and float8 when it is imported, so it can't wait to be asked for.
    allowed = RUN_TIME | set(sys.stdlib_module_names) | {"torchkeras", "ml_dtypes"}
    wrong = [
        f"{path}:{f.line} imports {f.target}"
        for f in imports(path)
        if not f.in_function and not f.typing_only and _root(f) not in allowed
    ]
    assert not wrong, "\n".join(wrong)


@files
def test_other_frameworks_are_never_imported(path):
    assert not {_root(found) for found in imports(path)} & FORBIDDEN


def _root(found) -> str:
    return found.target.split(".")[0]


@files
def test_files_stay_readable(path):
    lines = len(path.read_text().splitlines())
    assert lines <= 600, f"{path} has {lines} lines; which second idea does it hold?"


# Files that still look at a caller's frame or at the module of a class, and how often. An entry goes when its file no
# longer does; none is added: a class attribute or a method says what a class is.
FRAMES_TO_REMOVE: Counter[str] = Counter({})
MODULES_TO_REMOVE: Counter[str] = Counter(
    {
        "core/config/serialization.py": 2,
        "losses/torch_loss.py": 1,
        "metrics/mean.py": 1,
    }
)


def _lookups(tree: ast.AST, names: set[str]) -> int:
    """How often attributes are read by these names, or the names stand as strings that `getattr` may look up."""
    nodes = list(ast.walk(tree))
    attributes = [node.attr for node in nodes if isinstance(node, ast.Attribute)]
    strings = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return sum(name in names for name in attributes + strings)


@pytest.mark.parametrize(
    ("names", "to_remove"),
    [({"_getframe", "currentframe", "f_back"}, FRAMES_TO_REMOVE), ({"__module__"}, MODULES_TO_REMOVE)],
    ids=["frames", "modules"],
)
def test_nothing_is_done_by_the_callers_frame_or_the_module_of_a_class(names, to_remove):
    looks = {path.relative_to(PACKAGE).as_posix(): _lookups(parsed(path), names) for path in source_files()}
    more = Counter(looks) - to_remove
    assert not more, more


@for_each({name: path for name, path in source_names().items() if path.name == "__init__.py"})
def test_init_files_are_lists(path):
    for node in parsed(path).body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        names = (
            {ast.unparse(target) for target in node.targets}
            if isinstance(node, ast.Assign)
            else {ast.unparse(node.target)}
            if isinstance(node, ast.AnnAssign)
            else set()
        )
        assert (
            docstring
            or isinstance(node, (ast.Import, ast.ImportFrom))
            or (names and names <= {"__all__", "__version__"})
        ), f"{path}:{node.lineno} holds more than imports: {ast.unparse(node)[:80]}"


# Importing these puts this package in the place of Keras, which other tests of the process compare it with.
SWITCHES = {"torchkeras.as_keras", "torchkeras.as_keras.switch", "torchkeras.compat.on_path.keras"}


@for_each({name: name for name in sorted(set(modules()) - SWITCHES)})
def test_every_module_can_be_imported_and_keeps_its_list(name):
    module = importlib.import_module(name)
    missing = [public for public in getattr(module, "__all__", ()) if not hasattr(module, public)]
    assert not missing, f"{name}.__all__ lists what {name} has not: {missing}"


@files
def test_warnings_point_at_the_users_line(path):
    if path == PACKAGE / "core" / "user_warnings.py":
        return
    plain = [node.lineno for node in ast.walk(parsed(path)) if _is_plain_warning(node)]
    assert not plain, f"{path}, lines {plain}: a stacklevel goes wrong when a function moves; call core's warn_user()"


def _is_plain_warning(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("warnings.warn", "warn")


@files
def test_private_names_of_torch_have_one_room(path):
    if path == PACKAGE / "core" / "torch_internals.py":
        return
    found = [f"{path}:{line} uses {name}" for line, name in private_torch_names(parsed(path))]
    assert not found, "name it in core/torch_internals.py:\n" + "\n".join(found)


def private_torch_names(tree: ast.AST) -> list[tuple[int, str]]:
    """Lines and dotted names where a module, class or function of torch's is named by a private name.

    Private attributes of objects (a module's own `_buffers`) are not seen: their type is not known here.
    """
    roots: dict[str, str] = {}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "torch":
                    roots[alias.asname or "torch"] = alias.name if alias.asname else "torch"
                    found += [(node.lineno, alias.name)] if _is_private(alias.name) else []
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "torch":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                roots[alias.asname or alias.name] = name
                found += [(node.lineno, name)] if _is_private(name) else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            dotted = ast.unparse(node)
            first = dotted.split(".")[0]
            if first in roots and re.fullmatch(r"[\w.]+", dotted):
                found.append((node.lineno, roots[first] + dotted[len(first) :]))
    return sorted(set(found))


def _is_private(dotted: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in dotted.split("."))


def test_private_names_are_found_under_any_import():
    source = (
        "import torch\nimport torch.nn.functional as F\nfrom torch import nn\nfrom torch._C import _x\n"
        "import torch._d as d\ntorch._foreach_add(a)\nF._one()\nnn.modules.module._two\n"
        "torch.nn.Parameter.__new__\nself._modules\ntorch.add(x)._y\n"
    )
    found = private_torch_names(ast.parse(source))
    assert [line for line, _ in found] == [4, 5, 6, 7, 8]
    assert found[-1][1] == "torch.nn.modules.module._two"
