"""Write the pages of the API reference: one for each public name, made of its signature and docstring.

`docs/build_site.py` calls `write_reference`. A page is Markdown: the signature, the text, a list for each section of
arguments, the examples. A class's page has the methods that it adds to those of the base class that has a page itself.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from cross_links import linked, targets_of
from reference_groups import GROUPS, INTERNAL, group_of

from torchkeras.compat.names import PUBLIC_MODULES

# A section's heading in a docstring: `Args:` in a line of its own.
SECTION = re.compile(r"^([A-Z][A-Za-z ]{2,24}):$", re.MULTILINE)
TITLES = {"Args": "Arguments", "Example": "Example", "Examples": "Examples"}
ENTRY = re.compile(r"^(\*{0,2}\w[\w.]*(?:, \*{0,2}\w+)*): ?", re.MULTILINE)
# Names that programs take from `keras` itself, although a namespace has them, too.
FROM_ROOT = ("Input", "Model", "Sequential")
SKIPPED_MODULES = ("ops.numpy", "legacy", "legacy.saving", "optimizers.legacy", "utils.legacy")


class Page:
    """A public object: where it is found, and under which other names.

    Args:
        value: the class or function.
        name: its name, such as `keras.layers.Dense`.
    """

    def __init__(self, value: object, name: str) -> None:
        self.value = value
        self.name = name
        self.aliases: list[str] = []

    @property
    def file(self) -> str:
        """The page's file; the number keeps `Add` and `add` apart where a file system does not."""
        last = self.name.rpartition(".")[2]
        return f"{self.name}{'-function' if last[0].islower() else ''}.md"

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.value) or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def write_reference(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Write all pages to a folder.

    Returns:
        The files of the namespaces, for the navigation; and the file of each spelling of a name, for links.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pages = public_pages()
    listed: dict[str, list[Page]] = {}
    for page in pages.values():
        for namespace in sorted({name.rpartition(".")[0] for name in (page.name, *page.aliases)}):
            listed.setdefault(namespace, []).append(page)
    names = {name: page.file for page in pages.values() for name in (page.name, *page.aliases)}
    targets = targets_of(names) | {namespace: f"{namespace}.md" for namespace in listed} | methods_to_link(pages)
    for page in pages.values():
        text = linked(text_of(page, pages), targets, own=page.file)
        (folder / page.file).write_text(text, encoding="utf-8")
    for namespace, members in listed.items():
        (folder / f"{namespace}.md").write_text(index_of(namespace, members), encoding="utf-8")
    return [f"{name}.md" for name in sorted(listed)], targets


def methods_to_link(pages: dict[int, Page]) -> dict[str, str]:
    """The places of a model's methods under the names that guides give them: `model.fit`, `Model.fit`."""
    model = next(page for page in pages.values() if page.name == "keras.Model")
    headings = re.findall(r"^### (\w+)$", text_of(model, pages), re.MULTILINE)
    return {f"{owner}.{name}": f"{model.file}#{name}" for name in headings for owner in ("model", "Model")}


def public_pages() -> dict[int, Page]:
    """Every public class and function once, by identity, under its first name."""
    pages: dict[int, Page] = {}
    modules = [name for name in sorted(PUBLIC_MODULES) if name not in SKIPPED_MODULES]
    for module in [*sorted(modules, key=depth), ""]:
        namespace = importlib.import_module(f"torchkeras.{module}".rstrip("."))
        for name in sorted(getattr(namespace, "__all__", vars(namespace))):
            value = getattr(namespace, name)
            if name.startswith("_") or isinstance(value, ModuleType) or not callable(value):
                continue
            if not inspect.getdoc(value):
                continue
            if not inspect.isclass(value) and not hasattr(value, "__name__"):
                continue
            full = ".".join(filter(None, ("keras", module, name)))
            page = pages.setdefault(id(value), Page(value, full))
            if page.name != full:
                page.aliases.append(full)
                better = name == value.__name__ and page.name.rpartition(".")[2] != name
                if better or (not module and name in FROM_ROOT):
                    page.aliases.remove(full)
                    page.aliases.append(page.name)
                    page.name = full
    return pages


def depth(module: str) -> tuple[int, bool, str]:
    """`layers` before `ops.nn`; the short lists that repeat others' names last."""
    return module.count("."), module in ("backend", "utils", "models", "mixed_precision", "preprocessing"), module


def index_of(namespace: str, members: list[Page]) -> str:
    """The page of a namespace: its names with their first lines, by theme where there are many."""
    groups: dict[str, list[str]] = {title: [] for title in GROUPS.get(namespace, {}).values()}
    for page in sorted(members, key=lambda page: spellings(page, namespace)[0].lower()):
        first, *others = spellings(page, namespace)
        also = f" Also `{'`, `'.join(others)}`." if others else ""
        row = f"| [`{first}`]({page.file}) | {page.summary}{also} |"
        groups.setdefault(group_of(namespace, getattr(page.value, "__module__", "")), []).append(row)
    first = (importlib.import_module("torchkeras" + namespace.removeprefix("keras")).__doc__ or "").split("\n\n")[0]
    parts = [f"# {namespace}", "", first.replace("\n", " "), ""]
    for title, rows in groups.items():
        if rows:
            parts += [f"## {title}\n"] if title else []
            parts += ["{.names}", "| name | |", "|---|---|", *rows, ""]
    return "\n".join(parts)


def spellings(page: Page, namespace: str) -> list[str]:
    """The names under which a namespace has an object, the usual one first."""
    names = [name for name in (page.name, *page.aliases) if name.rpartition(".")[0] == namespace]
    return [name.rpartition(".")[2] for name in names]


# ---------------------------------------------------------------------------- one page


def text_of(page: Page, pages: dict[int, Page]) -> str:
    """The Markdown of a page."""
    namespace = page.name.rpartition(".")[0]
    # An orphan: a thousand entries in every page's navigation would take minutes.
    way = f"[Reference](index.md) / [{namespace}]({namespace}.md)"
    parts = ["---\norphan: true\n---\n", f"{{.way}}\n{way}\n", f"# {page.name}", ""]
    parts.append(signature_of(page.value, page.name))
    facts = []
    if inspect.isclass(page.value):
        bases = [pages[id(base)] for base in page.value.__mro__[1:] if id(base) in pages]
        facts += [f"Base class: [`{bases[0].name}`]({bases[0].file})."] if bases else []
    if page.aliases:
        facts.append("Also: " + ", ".join(f"`{name}`" for name in sorted(page.aliases)) + ".")
    parts += [f"{{.facts}}\n{' '.join(facts)}\n"] if facts else []
    parts.append(markdown(inspect.getdoc(page.value) or "", "## {}"))
    if inspect.isclass(page.value):
        parts += list(methods_of(page.value, pages))
    return "\n".join(parts) + "\n"


def methods_of(owner: type, pages: dict[int, Page]) -> Iterator[str]:
    """The public methods and properties that no base class with a page has."""
    bases = [base for base in owner.__mro__[1:] if id(base) in pages]
    found = {}
    for cls in reversed([cls for cls in owner.__mro__ if cls.__module__.startswith("torchkeras")]):
        found.update({name: value for name, value in vars(cls).items() if not name.startswith("_")})
    new = {
        name: value
        for name, value in found.items()
        if inspect.getdoc(getattr(owner, name, None))
        and name not in INTERNAL
        and not any(hasattr(base, name) for base in bases)
    }
    methods = {name: value for name, value in new.items() if inspect.isfunction(inspect.unwrap(getattr(owner, name)))}
    properties = [name for name, value in new.items() if isinstance(value, property)]
    if properties:
        lines = [f"- **{name}**: {_first(getattr(owner, name))}" for name in sorted(properties)]
        yield "\n".join(["", "## Properties", "", *lines])
    if methods:
        yield "\n## Methods\n"
    for name in sorted(methods):
        yield f"### {name}\n\n{signature_of(getattr(owner, name), name)}"
        yield markdown(inspect.getdoc(getattr(owner, name)) or "", "**{}**") + "\n"


def _first(value: object) -> str:
    return (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")


def signature_of(value: object, name: str) -> str:
    """A signature in a code block: an argument per line where one line is too short; without types."""
    try:
        parameters = list(inspect.signature(value).parameters.values())  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    shown = [_parameter(p) for p in parameters if p.name not in ("self", "cls")]
    for i, parameter in enumerate(p for p in parameters if p.name not in ("self", "cls")):
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown and not any(s.startswith("*") for s in shown):
            shown.insert(i, "*")
            break
    line = f"{name}({', '.join(shown)})"
    if len(line) > 88:
        line = f"{name}(\n" + "".join(f"    {one},\n" for one in shown) + ")"
    return f"```python\n{line}\n```\n"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    if parameter.default is parameter.empty:
        return stars + parameter.name
    default = parameter.default
    shown = getattr(default, "__name__", None) or (json.dumps(default) if isinstance(default, str) else repr(default))
    return f"{parameter.name}={shown if len(shown) < 60 and '<' not in shown else '...'}"


# ---------------------------------------------------------------------------- docstrings


def markdown(docstring: str, heading: str) -> str:
    """A docstring as Markdown: sections become headings, arguments a list, examples code.

    Args:
        docstring: The docstring.
        heading: The form of a heading; `{}` stands for its words.
    """
    pieces = SECTION.split(docstring)
    parts = [prose(pieces[0])]
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        indented, rest = _indented(body)
        parts += ["", heading.format(TITLES.get(title, title)), "", section(indented)]
        if rest.strip():
            parts += ["", prose(rest)]
    return "\n".join(parts)


def _indented(body: str) -> tuple[str, str]:
    """The indented part that belongs to a heading, without its indent, and the text after it."""
    lines = body.strip("\n").split("\n")
    end = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("    ")), len(lines))
    return "\n".join(line[4:] for line in lines[:end]), "\n".join(lines[end:])


def section(text: str) -> str:
    """The inside of a section: examples, a list of named things, or prose."""
    if ">>>" in text:
        return prose(text)
    if not ENTRY.match(text):
        return prose(text)
    entries = ENTRY.split(text)
    lines = []
    for names, words in zip(entries[1::2], entries[2::2], strict=True):
        shown = ", ".join(f"**{name}**" if "*" not in name else f"**`{name}`**" for name in names.split(", "))
        body = "\n".join(line.strip() for line in words.strip().split("\n"))
        lines.append(f"- {shown}: " + body.replace("\n", "\n  "))
    return "\n".join(lines)


def prose(text: str) -> str:
    """Text in which examples and indented blocks become fenced code."""
    parts = []
    for block in re.split(r"\n{2,}", text.strip("\n")):
        lines = block.split("\n")
        first = next((i for i, line in enumerate(lines) if line.lstrip().startswith(">>>")), None)
        if first is not None:
            parts += ["\n".join(lines[:first])] if first else []
            parts.append("```pycon\n" + inspect.cleandoc("\n".join(["", *lines[first:]])) + "\n```")
        elif all(line.startswith("    ") for line in lines):
            parts.append("```text\n" + inspect.cleandoc("\n".join(["", *lines])) + "\n```")
        else:
            parts.append(block)
    return "\n\n".join(parts)
