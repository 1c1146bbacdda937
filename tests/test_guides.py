"""The code in README.md and docs/*.md: it runs, or names only what there is; links lead somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import torchkeras as keras
from tests.package_imports import ROOT
from torchkeras.cli.script_reader import read_script

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A block of code, and the comment above it that says why it is not run.
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+) -->\n+)?```python\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def blocks(page: Path) -> list[tuple[str, str | None, int]]:
    """Each block of Python of a page: its code, the reason not to run it, its first line."""
    text = page.read_text(encoding="utf-8")
    return [(m["code"], m["reason"], text.count("\n", 0, m.start("code")) + 1) for m in BLOCK.finditer(text)]


# README.md's first block is run by `make dist ARGS=--install`; the others are parts.
WITH_CODE = [page for page in PAGES[1:] if any(reason is None for _, reason, _ in blocks(page))]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda path: path.name)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    """The blocks of a page are one program."""
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    names: dict[str, object] = {"__name__": "guide"}
    for code, reason, line in blocks(page):
        if reason is None:
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), names)


@pages
def test_code_is_python_and_names_what_there_is(page):
    """Blocks marked as other frameworks' own code are exempt from the second."""
    for code, reason, line in blocks(page):
        ast.parse(code, str(page))
        if "own code" not in (reason or ""):
            found = [finding for finding in read_script("import torchkeras as keras\n" + code) if finding.fatal]
            assert not found, f"{page.name}, block at line {line}: {found}"


@pages
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target, anchor in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        found = page.parent / target if target else page
        assert found.exists(), f"{page.name} links to {target}, which is not there"
        if anchor and found.suffix == ".md":
            assert anchor in headings(found), f"{page.name} links to {target}#{anchor}"


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_the_runner_runs_and_reads():
    assert {"start.md", "data.md", "own_steps.md", "callbacks.md", "speed.md", "export.md"} <= {
        p.name for p in WITH_CODE
    }
    assert all(reason.strip() for page in PAGES for _, reason, _ in blocks(page) if reason is not None)
