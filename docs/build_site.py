"""Build the documentation as a static site that needs no network: `make docs`, or `python docs/build_site.py`.

The pages are docs/*.md, the programs in examples/, the results of the benchmarks and the reference that
`docs/reference.py` writes. They are put together in docs/site/source and built by Sphinx into docs/site/html, whose
index.html a browser opens as a file; the search works there, too. A warning of Sphinx ends the build with exit code 1.
"""

from __future__ import annotations

import argparse
import ast
import re
import shutil
import sys
import textwrap
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))  # the package beside this folder, installed or not

NAVIGATION = {
    "Guides": ["start", "examples/index", "data", "own_steps", "callbacks", "files", "export", "torch_parts"],
    "Speed and scale": ["speed", "precision", "memory", "quantization", "calibration", "distributed", "clusters",
                        "accelerators"],
    "Moving here": ["from_keras", "drop_in", "from_plain_torch", "from_lightning", "from_accelerate", "differences"],
    "Reference": ["reference/index", "ops", "gallery", "benchmarks/index"],
    "The project": ["design", "releasing", "changes", "contributing"],
}  # fmt: skip
FROM_ROOT = {"changes": "CHANGELOG.md", "contributing": "CONTRIBUTING.md"}
LINK_TO = re.compile(r"\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")

SETTINGS = """
project = "torchkeras"
author = "The torchkeras authors"
version = release = {version!r}
extensions = ["myst_parser", "sphinx_copybutton"]
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_block", "colon_fence"]
copybutton_prompt_text = r">>> |\\.\\.\\. |\\$ "
copybutton_prompt_is_regexp = True
html_theme = "furo"
html_title = "torchkeras " + release
html_show_copyright = html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_show_search_summary = False  # a page that is opened as a file may not read the others
html_static_path = ["static"]
html_css_files = ["style.css"]
html_theme_options = {{"navigation_with_keys": True}}
pygments_style, pygments_dark_style = "friendly", "monokai"
"""

# The first lines of an example's docstring: its title, then a sentence.
TITLE = re.compile(r"(?P<title>[^:]+): (?P<rest>.*)", re.DOTALL)


def main(words: list[str] | None = None) -> int:
    """Build the site; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=DOCS / "site", help="the folder; default docs/site")
    parser.add_argument("--guides-only", action="store_true", help="leave the reference out, to try pages quickly")
    given = parser.parse_args(words)
    begin = time.perf_counter()
    source = given.to / "source"
    shutil.rmtree(given.to, ignore_errors=True)
    stage(source, reference=not given.guides_only)
    code = sphinx(source, given.to / "html")
    pages = len(list((given.to / "html").rglob("*.html")))
    print(f"{pages} pages in {time.perf_counter() - begin:.0f} s: {given.to / 'html' / 'index.html'}")
    return code


def stage(source: Path, reference: bool) -> None:
    """Put all pages together in one folder, with links that hold there."""
    import torchkeras

    sys.path.insert(0, str(DOCS))
    from cross_links import linked
    from reference import write_reference

    for folder in ("benchmarks", "examples", "static"):
        (source / folder).mkdir(parents=True)
    namespaces, targets = write_reference(source / "reference") if reference else ([], {})
    pages = {path: path.name for path in DOCS.glob("*.md")}
    pages |= {ROOT / name: f"{page}.md" for page, name in FROM_ROOT.items()}
    pages |= {path: f"benchmarks/{path.name}" for path in (ROOT / "benchmarks" / "results").glob("*.md")}
    pages |= {path: f"examples/{path.stem}.md" for path in (ROOT / "examples").glob("*.py")}
    for path, place in pages.items():
        up = "../" * place.count("/")
        text = example(path) if path.suffix == ".py" else path.read_text(encoding="utf-8")
        text = linked(rewritten(text, path.parent, pages, up), targets, f"{up}reference/")
        if not re.match("# ", text):
            text = f"# {path.stem.capitalize()}\n\n{text}"
        (source / place).write_text(text, encoding="utf-8")
    for picture in (*DOCS.glob("*.png"), *DOCS.glob("*.svg")):
        shutil.copy(picture, source / picture.name)
    shutil.copy(DOCS / "style.css", source / "static")
    write_lists(source, [name.removesuffix(".md") for name in namespaces])
    (source / "conf.py").write_text(SETTINGS.format(version=torchkeras.__version__), encoding="utf-8")


def write_lists(source: Path, namespaces: list[str]) -> None:
    """Write the pages that list other pages, and the front page's navigation."""
    for folder, heading in {"examples": "Examples", "benchmarks": "Measurements"}.items():
        names = sorted(path.stem for path in (source / folder).glob("*.md"))
        names.sort(key=lambda name: (name != "quickstart", name in ("serve", "train")))
        rows = [f"- [{title(source / folder / f'{name}.md')}]({name}.md)" for name in names]
        if folder == "examples":
            rows = [
                f"{row}: {first_line(source / folder / f'{name}.md')}" for row, name in zip(rows, names, strict=True)
            ]
        text = "\n".join([f"# {heading}\n", *rows, "", toctree("", names)])
        (source / folder / "index.md").write_text(text, encoding="utf-8")
    if namespaces:
        rows = [f"| [`{name}`]({name}.md) | {first_line(source / 'reference' / f'{name}.md')} |" for name in namespaces]
        text = "\n".join(["# Reference\n", "{.names}", "| namespace | |", "|---|---|", *rows, ""])
        (source / "reference" / "index.md").write_text(text + "\n" + toctree("", namespaces), encoding="utf-8")
    trees = [toctree(heading, there(source, names)) for heading, names in NAVIGATION.items()]
    with (source / "index.md").open("a", encoding="utf-8") as front:
        front.write("\n" + "\n".join(trees))


def there(source: Path, names: list[str]) -> list[str]:
    """The pages of a list whose files exist."""
    return [name for name in names if (source / f"{name}.md").is_file()]


def example(path: Path) -> str:
    """The page of a program: its docstring as text, then its code."""
    code = path.read_text(encoding="utf-8")
    tree = ast.parse(code)
    doc = ast.get_docstring(tree) or ""
    found = TITLE.match(doc)
    if not found:
        raise ValueError(f"The docstring of {path} must start with a title and a colon.")
    text = re.sub(
        r"(?m)(?:^ {4}.*\n?)+", lambda block: f"```shell\n{textwrap.dedent(block[0]).strip()}\n```\n", found["rest"]
    )
    body = "\n".join(code.split("\n")[tree.body[0].end_lineno :]).strip()
    picture = f"![A picture that the program draws](../example_{path.stem}.png)\n\n"
    shown = picture if (DOCS / f"example_{path.stem}.png").is_file() else ""
    head = f"# {found['title']}\n\n{text[0].upper()}{text[1:]}\n\n{shown}"
    return f"{head}## `examples/{path.name}`\n\n```python\n{body}\n```\n"


def rewritten(text: str, folder: Path, pages: dict[Path, str], up: str) -> str:
    """A page whose links lead to other pages of the site; links to other files of the repository become their names."""

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match[1], match[2], match[3] or ""
        found = (folder / target).resolve()
        if found.suffix == ".png" or found.suffix == ".svg":
            return match[0]
        if found in pages:
            return f"[{words}]({up}{pages[found]}{anchor})"
        if (ROOT / "examples") == found:
            return f"[{words}]({up}examples/index.md)"
        name = target.lstrip("./")
        return f"`{name}`" if words == name else f"{words} (`{name}`)"

    return LINK_TO.sub(link, text)


def toctree(caption: str, entries: list[str]) -> str:
    """The directive that puts pages into the navigation."""
    head = ["```{toctree}", ":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join([*head, "", *entries, "```", ""])


def title(page: Path) -> str:
    """The first heading of a page."""
    return re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)[1]  # type: ignore[index]


def first_line(page: Path) -> str:
    """The first line below a page's heading."""
    return page.read_text(encoding="utf-8").split("\n")[2]


def sphinx(source: Path, target: Path) -> int:
    """Run Sphinx; 0 if it had nothing to say."""
    from sphinx.cmd.build import build_main

    return build_main(["-b", "html", "-q", "-W", "--keep-going", "-j", "2", str(source), str(target)])


if __name__ == "__main__":
    sys.exit(main())
