"""Build the documentation as a static site that needs no network: `make docs`, or `python docs/build_site.py`.

The pages are docs/*.md, the results of the benchmarks and the reference that `docs/reference.py` writes. They are put
together in docs/site/source and built by Sphinx into docs/site/html, whose index.html a browser opens as a file; the
search works there, too. A warning of Sphinx ends the build with exit code 1. A page of the navigation that is not there
is left out.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))  # the package beside this folder, installed or not

NAVIGATION = {
    "Guides": ["start", "data", "own_steps", "callbacks", "files", "export", "gallery", "torch_parts", "ops"],
    "Speed and scale": ["speed", "memory", "quantization", "calibration", "distributed", "clusters", "accelerators"],
    "Moving here": ["from_keras", "drop_in", "from_plain_torch", "from_lightning", "from_accelerate", "differences"],
    "The project": ["design", "releasing", "changes", "contributing"],
}
FROM_ROOT = {"changes": "CHANGELOG.md", "contributing": "CONTRIBUTING.md"}
LINK_TO = re.compile(r"\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")

SETTINGS = """
project = "torchkeras"
author = "The torchkeras authors"
version = release = {version!r}
extensions = ["myst_parser"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
html_theme = "furo"
html_title = "torchkeras " + release
html_show_copyright = html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_static_path = []
html_theme_options = {{"navigation_with_keys": True}}
pygments_style, pygments_dark_style = "friendly", "monokai"
"""

FRONT = """# torchkeras

`import torchkeras as keras`: the public API of Keras 3, made of PyTorch and nothing else. A layer is a
`torch.nn.Module`, a weight is a `torch.nn.Parameter`, `fit()` is a torch training loop, and Keras's files go in and
out.

```python
import torchkeras as keras

layers = [keras.layers.Dense(128, activation="relu"), keras.layers.Dense(10, activation="softmax")]
model = keras.Sequential([keras.Input((784,)), *layers])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(images, labels, epochs=3)  # on one process, or on many: torchrun train.py
model.save("model.keras")  # Keras reads it
```

![A training in a terminal, and the curves of its loss](run.svg)
"""


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

    (source / "benchmarks").mkdir(parents=True)
    pages = {path: path.name for path in DOCS.glob("*.md")}
    pages |= {ROOT / name: f"{page}.md" for page, name in FROM_ROOT.items()}
    pages |= {path: f"benchmarks/{path.name}" for path in (ROOT / "benchmarks" / "results").glob("*.md")}
    for path, place in pages.items():
        text = rewritten(path, pages, source / place, source)
        if not re.match("# ", text):
            text = f"# {path.stem.capitalize()}\n\n{text}"
        (source / place).write_text(text, encoding="utf-8")
    for picture in (*DOCS.glob("*.png"), *DOCS.glob("*.svg")):
        shutil.copy(picture, source / picture.name)
    benchmarks = sorted(path.stem for path in (source / "benchmarks").glob("*.md"))
    table = "\n".join(f"- [{name}]({name}.md)" for name in benchmarks)
    (source / "benchmarks" / "index.md").write_text(f"# Measurements\n\n{table}\n\n{toctree('', benchmarks)}", "utf-8")
    names = write(source) if reference else []
    (source / "index.md").write_text(front(source, names), encoding="utf-8")
    (source / "conf.py").write_text(SETTINGS.format(version=torchkeras.__version__), encoding="utf-8")


def write(source: Path) -> list[str]:
    """Write the reference, and the page that lists its namespaces."""
    sys.path.insert(0, str(DOCS))
    from reference import write_reference

    names = [name.removesuffix(".md") for name in write_reference(source / "reference")]
    table = "\n".join(f"- [`{name}`]({name}.md)" for name in names)
    (source / "reference" / "index.md").write_text(f"# Reference\n\n{table}\n\n{toctree('', names)}", encoding="utf-8")
    return names


def rewritten(path: Path, pages: dict[Path, str], place: Path, source: Path) -> str:
    """A page whose links lead to other pages of the site; links to other files of the repository become their names."""

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        found = (path.parent / target).resolve()
        if found.suffix == ".png" or found.suffix == ".svg":
            return match[0]
        if found in pages:
            up = "../" * (len(place.relative_to(source).parts) - 1)
            return f"[{text}]({up}{pages[found]}{anchor})"
        name = target.lstrip("./")
        return f"`{name}`" if text == name else f"{text} (`{name}`)"

    return LINK_TO.sub(link, path.read_text(encoding="utf-8"))


def toctree(caption: str, entries: list[str]) -> str:
    """The directive that puts pages into the navigation."""
    head = ["```{toctree}", ":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join([*head, "", *entries, "```", ""])


def front(source: Path, reference: list[str]) -> str:
    """The front page."""
    parts = [FRONT]
    listed = set()
    for caption, names in NAVIGATION.items():
        there = [name for name in names if (source / f"{name}.md").is_file()]
        listed |= set(there)
        parts += [f"## {caption}\n", *(f"- [{title(source / f'{name}.md')}]({name}.md)" for name in there), ""]
        parts.append(toctree(caption, there))
    others = sorted(path.stem for path in source.glob("*.md") if path.stem not in {*listed, "index"})
    lists = [*(["reference/index"] if reference else []), "benchmarks/index", *others]
    parts += ["## Reference\n"]
    parts += ["- [Every public name](reference/index.md)"] if reference else []
    parts += [
        "- [Measurements](benchmarks/index.md)",
        *(f"- [{title(source / f'{n}.md')}]({n}.md)" for n in others),
        "",
    ]
    return "\n".join([*parts, toctree("Reference", lists)])


def title(page: Path) -> str:
    """The first heading of a page."""
    return re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)[1]  # type: ignore[index]


def sphinx(source: Path, target: Path) -> int:
    """Run Sphinx; 0 if it had nothing to say."""
    from sphinx.cmd.build import build_main

    return build_main(["-b", "html", "-q", "-W", "--keep-going", "-j", "2", str(source), str(target)])


if __name__ == "__main__":
    sys.exit(main())
