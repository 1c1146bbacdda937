"""Docstrings of public names say what `help()` should say: every argument, its default as it is, a running example.

`COMPLETE` lists the namespaces (and, below them, the rooms) that are held to this. The examples themselves are run
by `tests/test_doctests.py`.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re

import pytest

import torchkeras as keras
from tests.for_each import for_each
from tests.package_imports import parsed, source_names

EVERYTHING = ("*",)
# A public namespace, and what of it is complete: everything, wherever it is defined, or the modules below
# `torchkeras.<namespace>`. The root namespace is "".
COMPLETE: dict[str, tuple[str, ...]] = {
    "": EVERYTHING,
    "activations": EVERYTHING,
    "applications": EVERYTHING,
    "applications.imagenet_utils": EVERYTHING,
    "backend": EVERYTHING,
    "callbacks": EVERYTHING,
    "callbacks.experimental": EVERYTHING,
    "config": EVERYTHING,
    "constraints": EVERYTHING,
    "distillation": EVERYTHING,
    "distributed": EVERYTHING,
    "distribution": EVERYTHING,
    "dtype_policies": EVERYTHING,
    "export": EVERYTHING,
    "initializers": EVERYTHING,
    "layers": EVERYTHING,
    "losses": EVERYTHING,
    "metrics": EVERYTHING,
    "mixed_precision": EVERYTHING,
    "models": EVERYTHING,
    "ops": EVERYTHING,
    "optimizers": EVERYTHING,
    "optimizers.legacy": EVERYTHING,
    "optimizers.schedules": EVERYTHING,
    "preprocessing.image": EVERYTHING,
    "preprocessing.sequence": EVERYTHING,
    "quantizers": EVERYTHING,
    "random": EVERYTHING,
    "regularizers": EVERYTHING,
    "saving": EVERYTHING,
    "tree": EVERYTHING,
    "utils": EVERYTHING,
    "utils.legacy": EVERYTHING,
    "wrappers": EVERYTHING,
    "utils.bounding_boxes": EVERYTHING,
    "visualization": EVERYTHING,
}
# Openings that keep a sentence from having a subject and a verb.
FORBIDDEN_OPENINGS = ("What ", "That of ", "Which ", "That which ")
SECTION = re.compile(r"^(\w[\w ]*):$")
ENTRY = re.compile(r"^    (\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)$")


@functools.cache
def public_names(namespace: str) -> dict[str, object]:
    """The public classes and functions of a namespace, each once, by the first of its names."""
    module, found, seen = keras, {}, set()
    for part in filter(None, namespace.split(".")):
        module = getattr(module, part)
    for name in sorted(vars(module)):
        value = getattr(module, name)
        if name.startswith("_") or id(value) in seen or not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        seen.add(id(value))
        found[name] = value
    return found


def is_complete(value, namespace: str) -> bool:
    """Whether a class or function belongs to the complete part of the namespace."""
    if COMPLETE[namespace] == EVERYTHING:
        return any(value is public for public in public_names(namespace).values())
    return value.__module__.startswith(tuple(f"torchkeras.{namespace}.{room}" for room in COMPLETE[namespace]))


def complete(kind) -> dict[str, object]:
    """The public names of all complete rooms that are classes, or functions."""
    return {
        f"{namespace}.{name}": value
        for namespace in COMPLETE
        for name, value in public_names(namespace).items()
        if kind(value) and is_complete(value, namespace)
    }


def sections(doc: str) -> dict[str, list[str]]:
    """The lines below each heading of a docstring such as `Args:`; those before the first heading under ""."""
    found: dict[str, list[str]] = {"": []}
    heading = ""
    for line in doc.splitlines():
        match = SECTION.match(line)
        if match:
            heading = match.group(1)
        found.setdefault(heading, []).append(line)
    return found


def arguments(doc: str) -> dict[str, tuple[str, int]]:
    """The text of each argument in `Args:`, and its place in an entry that describes several together."""
    found: dict[str, tuple[str, int]] = {}
    names: list[str] = []
    for line in sections(doc).get("Args", [])[1:]:
        match = ENTRY.match(line)
        if match:
            names = [name.lstrip("*") for name in match.group(1).split(", ")]
            found.update({name: (match.group(2), place) for place, name in enumerate(names)})
        elif names:
            found.update({name: (f"{found[name][0]} {line.strip()}", found[name][1]) for name in names})
    return found


def stated_default(text: str, place: int) -> object:
    """The value after `Default:`; with several values, the one at the argument's place in its entry."""
    match = re.search(r"Defaults?: (`[^`]*`(?:, `[^`]*`)*)", text)
    assert match, f"no `Default:` in {text!r}"
    values = [ast.literal_eval(value) for value in re.findall(r"`([^`]*)`", match.group(1))]
    return values[place if len(values) > 1 else 0]


def parameters(callable_) -> dict[str, inspect.Parameter]:
    """The named parameters of a function or of a class's constructor."""
    found = inspect.signature(callable_.__init__ if inspect.isclass(callable_) else callable_).parameters
    return {
        name: parameter
        for name, parameter in found.items()
        if name != "self" and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


classes = for_each(complete(inspect.isclass))
everything = for_each(complete(callable))


@everything
def test_the_first_line_is_a_sentence(value):
    first = (value.__doc__ or "").partition("\n")[0]
    assert first.endswith("."), f"the first line is not a sentence: {first!r}"
    assert not first.startswith(FORBIDDEN_OPENINGS)
    sentences = re.split(r"(?<=\.)\s+", " ".join(inspect.getdoc(value).split(">>>")[0].split()))
    assert not [sentence for sentence in sentences if sentence.startswith(FORBIDDEN_OPENINGS)]


@everything
def test_there_is_an_example(value):
    lines = sections(inspect.getdoc(value))
    example = lines.get("Example", []) + lines.get("Examples", [])
    assert any(line.strip().startswith(">>> ") for line in example)


@everything
def test_every_argument_is_described(value):
    described = arguments(inspect.getdoc(value))
    missing = [name for name in parameters(value) if name not in described]
    assert not missing, f"not described in `Args:`: {missing}"


@everything
def test_no_argument_is_described_that_does_not_exist(value):
    bases = value.__mro__[:-1] if inspect.isclass(value) else [value]
    known = {"kwargs", "args"}.union(*(parameters(base) for base in bases if callable(base)))
    known |= set(inspect.signature(value).parameters)  # `*operands` and `**axes_lengths` too
    if value is keras.Model:  # takes them as `*args` and `**kwargs`, as Keras's does
        known |= {"inputs", "outputs"}
    unknown = [name for name in arguments(inspect.getdoc(value)) if name not in known]
    assert not unknown, f"described in `Args:`, but no parameter: {unknown}"


@everything
def test_defaults_are_those_of_the_signature(value):
    described = arguments(inspect.getdoc(value))
    for name, parameter in parameters(value).items():
        if parameter.default is parameter.empty:
            assert "Default:" not in described[name][0], f"{name} is required"
            continue
        stated = stated_default(*described[name])
        assert stated == parameter.default and type(stated) is type(parameter.default), (
            f"{name}: stated {stated!r}, is {parameter.default!r}"
        )


@classes
def test_public_methods_have_docstrings(cls):
    without = [
        name
        for base in cls.__mro__
        if any(is_complete(base, namespace) for namespace in COMPLETE)
        for name, member in vars(base).items()
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, (property, classmethod, staticmethod)))
        and not inspect.getdoc(getattr(cls, name))
    ]
    assert not without, f"without a docstring: {without}"


# Classes whose methods users call and override.
MAIN_CLASSES = (
    *(keras.Model, keras.Sequential, keras.layers.Layer, keras.Variable, keras.KerasTensor, keras.Operation),
    *(keras.InputSpec, keras.StatelessScope, keras.DTypePolicy, keras.dtype_policies.DTypePolicyMap),
    *(keras.optimizers.Optimizer, keras.optimizers.TorchOptimizer, keras.optimizers.schedules.LearningRateSchedule),
    *(keras.losses.Loss, keras.metrics.Metric, keras.callbacks.Callback, keras.callbacks.CallbackList),
    *(keras.initializers.Initializer, keras.regularizers.Regularizer, keras.constraints.Constraint),
    *(keras.random.SeedGenerator, keras.utils.PyDataset, keras.utils.Progbar),
)
# Those that have no result of their own: they raise an error unless a subclass defines them.
ABSTRACT = ("call", "quantized_call", "update_state")


def public_methods(cls) -> dict[str, object]:
    """The public methods that the package defines for a class, as functions."""
    found = {}
    for name in dir(cls):
        owner = next(base for base in cls.__mro__ if name in vars(base) or base is object)
        member = vars(owner).get(name)
        member = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if not name.startswith("_") and owner.__module__.startswith("torchkeras") and inspect.isfunction(member):
            found[name] = member
    return found


@for_each({cls.__name__: cls for cls in MAIN_CLASSES})
def test_methods_describe_their_arguments_and_what_they_return(cls):
    methods = public_methods(cls)
    methods.pop("forward", None)  # made from `call`
    lacking = {}
    for name, method in methods.items():
        doc = inspect.getdoc(getattr(cls, name)) or ""
        missing = [argument for argument in parameters(method) if argument not in ("cls", *arguments(doc))]
        says_result = "Returns" in sections(doc) or doc.startswith(("Return", "Whether")) or name in ABSTRACT
        if missing or not (says_result or method.__annotations__.get("return") in (None, "None")):
            lacking[name] = missing or "Returns:"
    assert not lacking


@for_each(source_names())
def test_no_docstring_and_no_comment_opens_with_what(path):
    source = path.read_text()
    nodes = [node for node in ast.walk(parsed(path)) if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    texts = [ast.get_docstring(node) or "" for node in nodes]
    texts += [line.rpartition("# ")[2] for line in source.splitlines() if "# " in line]
    sentences = [part for text in texts for part in re.split(r"(?<=[.])\s+", " ".join(text.split(">>>")[0].split()))]
    assert not [sentence for sentence in sentences if sentence.startswith(FORBIDDEN_OPENINGS)]


def test_a_wrong_docstring_is_found():
    def scale(x, factor=2.0, *, offset=None):
        """Multiply and add.

        Args:
            x: an array,
                of any shape.
            factor, offset: numbers. Defaults: `2.0`, `None`.

        Example:
            >>> scale(1.0)
        """

    described = arguments(inspect.getdoc(scale))
    assert list(described) == ["x", "factor", "offset"]
    assert described["x"] == ("an array, of any shape.", 0)
    assert stated_default(*described["factor"]) == 2.0 and stated_default(*described["offset"]) is None
    with pytest.raises(AssertionError, match="no `Default:`"):
        stated_default(*described["x"])
    assert list(parameters(scale)) == ["x", "factor", "offset"]
