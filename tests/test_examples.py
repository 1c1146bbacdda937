"""The examples run, save and load their models, and learn something."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def example(name):
    pytest.importorskip("sklearn", reason="the examples take their data from scikit-learn")
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_text_classification(tmp_path, capsys, monkeypatch):
    module = example("text_classification")
    monkeypatch.setattr(module, "MODULES", ["cluster", "preprocessing"])
    accuracy = module.main(tmp_path, epochs=5)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("  cluster (") and lines[-1].startswith("  preprocessing (")
    assert (tmp_path / "sentences.keras").is_file()
    labels = module.load()[1][1]
    assert accuracy > np.bincount(labels).max() / len(labels) + 0.1, "no better than a guess"


def test_tabular(tmp_path, capsys):
    assert example("tabular").main(tmp_path, epochs=20) > 0.6
    assert "['slim', 'medium', 'heavy']" in capsys.readouterr().out
    assert (tmp_path / "diabetes.keras").is_file()
