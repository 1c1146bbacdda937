"""The pages of the documentation's site: every public name has one, links are those of the site."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from types import ModuleType

import pytest

import torchkeras as keras
from tests.package_imports import ROOT


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


reference, build_site = script("reference"), script("build_site")
PAGES = reference.public_pages()


@pytest.mark.parametrize(
    "namespace", ["layers", "losses", "metrics", "optimizers", "callbacks", "ops", "random", "saving"]
)
def test_every_public_name_has_a_page(namespace):
    listed = {name for page in PAGES.values() for name in (page.name, *page.aliases)}
    public = [
        name
        for name, value in vars(getattr(keras, namespace)).items()
        if not name.startswith("_") and callable(value) and not isinstance(value, ModuleType)
    ]
    assert len(public) > 5
    assert not [name for name in public if f"keras.{namespace}.{name}" not in listed]


def test_no_two_pages_share_a_file():
    files = [page.file.lower() for page in PAGES.values()]
    assert len(files) == len(set(files)) > 700


@pytest.mark.parametrize("value", [keras.layers.Dense, keras.ops.scatter, keras.Model, keras.losses.Huber])
def test_a_page_has_the_signature_the_arguments_and_the_examples(value):
    text = reference.text_of(PAGES[id(value)], PAGES)
    for name in inspect.signature(value).parameters:
        assert re.search(rf"\b{name}\b", text), name
    assert "## Example" in text and text.count("```") % 2 == 0
    examples = re.findall(r"^```pycon\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert examples and all(example.startswith(">>> ") for example in examples)


def test_sections_become_headings_lists_and_code():
    docstring = inspect.cleandoc(
        """Do it.

        A text with `code`.

        Args:
            x, y: tensors,
                in two lines.
            **kwargs: more.

        Returns:
            A tensor.

        Example:
            >>> keras.ops.abs(-1)
            tensor(1)
        """
    )
    text = reference.markdown(docstring, "##")
    assert text.startswith("Do it.\n\nA text with `code`.\n\n## Arguments\n\n- **x**, **y**: tensors,\n  in two lines.")
    assert "- **`**kwargs`**: more." in text and "## Returns\n\nA tensor." in text
    assert text.endswith("## Example\n\n```pycon\n>>> keras.ops.abs(-1)\ntensor(1)\n```")


def test_pages_are_staged_with_links_that_hold(tmp_path):
    """A page of the navigation that is not there is left out, and links out of docs/ become names."""
    source = tmp_path / "source"
    build_site.stage(source, reference=False)
    front = (source / "index.md").read_text()
    assert "[Start](start.md)" in front and "nonsense" not in front
    for page in source.rglob("*.md"):
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
    absent = [
        name for names in build_site.NAVIGATION.values() for name in names if not (source / f"{name}.md").is_file()
    ]
    assert not any(f"({name}.md)" in front for name in absent)
