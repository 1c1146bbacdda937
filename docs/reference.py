"""Write the pages of the API reference: one for each public name, made of its signature and docstring.

`docs/build_site.py` calls `write_reference`. A page is Markdown: the signature, the text, a list for each section of
arguments, the examples. A class's page has the methods that it adds to those of the base class that has a page itself.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from torchkeras.compat.names import PUBLIC_MODULES

# A section's heading in a docstring: `Args:` in a line of its own.
SECTION = re.compile(r"^([A-Z][A-Za-z ]{2,24}):$", re.MULTILINE)
TITLES = {"Args": "Arguments", "Example": "Example", "Examples": "Examples"}
ENTRY = re.compile(r"^(\*{0,2}\w[\w.]*(?:, \*{0,2}\w+)*): ?", re.MULTILINE)
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


def write_reference(folder: Path) -> list[str]:
    """Write all pages to a folder.

    Returns:
        The names of the files of the namespaces, for the navigation.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pages = public_pages()
    listed: dict[str, list[Page]] = {}
    for page in pages.values():
        (folder / page.file).write_text(text_of(page, pages), encoding="utf-8")
        for name in (page.name, *page.aliases):
            listed.setdefault(name.rpartition(".")[0], []).append(page)
    for namespace, members in listed.items():
        (folder / f"{namespace}.md").write_text(index_of(namespace, members), encoding="utf-8")
    return [f"{name}.md" for name in sorted(listed)]


def public_pages() -> dict[int, Page]:
    """Every public class and function once, by identity, under its first name."""
    pages: dict[int, Page] = {}
    modules = [name for name in sorted(PUBLIC_MODULES) if name not in SKIPPED_MODULES]
    for module in [*sorted(modules, key=depth), ""]:
        namespace = importlib.import_module(f"torchkeras.{module}".rstrip("."))
        for name, value in sorted(vars(namespace).items()):
            if (
                name.startswith("_")
                or isinstance(value, ModuleType)
                or not callable(value)
                or not inspect.getdoc(value)
            ):
                continue
            if not inspect.isclass(value) and not hasattr(value, "__name__"):
                continue
            full = ".".join(filter(None, ("keras", module, name)))
            page = pages.setdefault(id(value), Page(value, full))
            if page.name != full:
                page.aliases.append(full)
                if name == value.__name__ and page.name.rpartition(".")[2] != name:
                    page.aliases.remove(full)
                    page.aliases.append(page.name)
                    page.name = full
    return pages


def depth(module: str) -> tuple[int, bool, str]:
    """`layers` before `ops.nn`; the short lists that repeat others' names last."""
    return module.count("."), module in ("backend", "utils", "models", "mixed_precision", "preprocessing"), module


def index_of(namespace: str, members: list[Page]) -> str:
    """The page of a namespace: its names with their first lines."""
    rows = []
    for page in members:
        spellings = [name for name in (page.name, *page.aliases) if name.rpartition(".")[0] == namespace]
        rows += [(name, page) for name in spellings]
    lines = [
        f"| [`{name.rpartition('.')[2]}`]({page.file}) | {page.summary} |" for name, page in sorted(set(rows), key=_key)
    ]
    first = (importlib.import_module("torchkeras" + namespace.removeprefix("keras")).__doc__ or "").split("\n\n")[0]
    return "\n".join([f"# {namespace}", "", first.replace("\n", " "), "", "| name | |", "|---|---|", *lines, ""])


def _key(row: tuple[str, Page]) -> tuple[str, str]:
    return row[0].lower(), row[0]


# ---------------------------------------------------------------------------- one page


def text_of(page: Page, pages: dict[int, Page]) -> str:
    """The Markdown of a page."""
    namespace = page.name.rpartition(".")[0]
    # An orphan: a thousand entries in every page's navigation would take minutes.
    parts = ["---\norphan: true\n---\n", f"# {page.name}", "", f"In [`{namespace}`]({namespace}.md).", ""]
    parts.append(signature_of(page.value, page.name))
    if page.aliases:
        parts += ["Also: " + ", ".join(f"`{name}`" for name in sorted(page.aliases)) + ".", ""]
    if inspect.isclass(page.value):
        bases = [pages[id(base)] for base in page.value.__mro__[1:] if id(base) in pages]
        if bases:
            parts += [f"A [`{bases[0].name}`]({bases[0].file}).", ""]
    parts.append(markdown(inspect.getdoc(page.value) or "", "##"))
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
        if inspect.getdoc(getattr(owner, name, None)) and not any(hasattr(base, name) for base in bases)
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
        yield markdown(inspect.getdoc(getattr(owner, name)) or "", "####") + "\n"


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
    shown = getattr(default, "__name__", None) or repr(default)
    return f"{parameter.name}={shown if len(shown) < 60 and '<' not in shown else '...'}"


# ---------------------------------------------------------------------------- docstrings


def markdown(docstring: str, heading: str) -> str:
    """A docstring as Markdown: sections become headings, arguments a list, examples code."""
    pieces = SECTION.split(docstring)
    parts = [prose(pieces[0])]
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        indented, rest = _indented(body)
        parts += ["", f"{heading} {TITLES.get(title, title)}", "", section(indented)]
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
