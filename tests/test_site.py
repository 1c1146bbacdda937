"""The pages of the documentation's site: every public name has one, links are those of the site."""

from __future__ import annotations

import inspect
import re
import sys
from types import ModuleType

import pytest

import torchkeras as keras
from tests.package_imports import ROOT

sys.path.insert(0, str(ROOT / "docs"))
import build_site
import cross_links
import reference

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
    text = reference.markdown(docstring, "## {}")
    assert text.startswith("Do it.\n\nA text with `code`.\n\n## Arguments\n\n- **x**, **y**: tensors,\n  in two lines.")
    assert "- **`**kwargs`**: more." in text and "## Returns\n\nA tensor." in text
    assert text.endswith("## Example\n\n```pycon\n>>> keras.ops.abs(-1)\ntensor(1)\n```")


def test_names_in_code_become_links_once():
    targets = cross_links.targets_of({
        "keras.layers.Dense": "Dense.md", "keras.ops.sum": "sum.md", "keras.losses.Poisson": "a.md",
        "keras.metrics.Poisson": "b.md",
    })  # fmt: skip
    text = "# `Dense`\n\n`Dense`, `ops.sum()`, `sum`, `Dense`, `Poisson`, [`keras.ops.sum`](x)\n```\n`Dense`\n```\n"
    assert cross_links.linked(text, targets, "r/") == text.replace("\n`Dense`,", "\n[`Dense`](r/Dense.md),", 1).replace(
        "`ops.sum()`", "[`ops.sum()`](r/sum.md)"
    )
    assert cross_links.linked("`Dense`", targets, own="Dense.md") == "`Dense`"


def test_methods_of_the_package_alone_are_left_out():
    from reference_groups import INTERNAL

    page = PAGES[id(keras.callbacks.EarlyStopping)]
    assert "file_path" in INTERNAL and "### file_path" not in reference.text_of(page, PAGES)
    classes = [page.value for page in PAGES.values() if inspect.isclass(page.value)]
    assert not [name for name in INTERNAL if not any(hasattr(cls, name) for cls in classes)], "no class has these"


def test_models_are_named_as_programs_name_them():
    assert {"keras.Model", "keras.Sequential", "keras.Input"} <= {page.name for page in PAGES.values()}


def test_a_module_of_one_file_has_pages_for_its_public_names_only():
    names = {name for page in PAGES.values() for name in (page.name, *page.aliases)}
    found = {name for name in names if name.startswith("keras.applications.convnext.")}
    assert found == {f"keras.applications.convnext.{name}" for name in keras.applications.convnext.__all__}


def test_a_large_namespace_is_listed_by_theme():
    members = [PAGES[id(value)] for value in (keras.layers.Conv2D, keras.layers.LSTM, keras.layers.RandomFlip)]
    text = reference.index_of("keras.layers", members)
    assert re.findall("^## (.+)$", text, re.MULTILINE) == ["Convolution", "Recurrence", "Images"]
    assert "Also `Convolution2D`" in text
    everything = [page for page in PAGES.values() if page.name.startswith(("keras.layers.", "keras.ops."))]
    assert not [page.name for page in everything
                if reference.group_of(page.name.rpartition(".")[0], page.value.__module__) == "Other"
                and page.name.rpartition(".")[2] not in ("serialize", "deserialize")]  # fmt: skip


def test_an_example_becomes_a_page_of_text_and_code():
    page = build_site.example(ROOT / "examples" / "tabular.py")
    assert page.startswith("# Tabular data\n\n") and "```shell\npython examples/tabular.py" in page
    assert "\n```python\nimport sys\n" in page and page.endswith('"outputs/tabular"))\n```\n')
    assert "Expect" in page.split("```python")[0]


def test_pages_are_staged_with_links_that_hold(tmp_path):
    """A page of the navigation that is not there is left out, and links out of docs/ become names."""
    source = tmp_path / "source"
    build_site.stage(source, reference=False)
    front = (source / "index.md").read_text()
    assert "[Getting started](start.md)" in front and ":caption: Moving here" in front
    pages = list(source.rglob("*.md"))
    for page in pages:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
    listed = set(
        re.findall(r"^[\w/]+$", "\n".join(page.read_text() for page in pages if page.stem == "index"), re.MULTILINE)
    )
    for page in pages:
        assert {page.stem, str(page.relative_to(source).with_suffix(""))} & {*listed, "index"}, f"{page} is in no list"
