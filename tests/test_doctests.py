"""The examples in docstrings run, and print what they say."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest
import torch

import torchkeras as keras
from tests.package_imports import PACKAGE, module_name, source_files

WITH_EXAMPLES = [module_name(path) for path in source_files() if ">>>" in path.read_text()]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_print_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    found = doctest.DocTestFinder(exclude_empty=True).find(module, name, globs={})
    problems: list[str] = []
    for test in found:
        keras.utils.set_random_seed(0)
        test.globs.update(keras=keras, np=np, torch=torch)
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=problems.append)
    assert not problems, "".join(problems)


def test_the_examples_are_looked_for_in_the_package():
    assert PACKAGE.is_dir() and len(source_files()) > 300
