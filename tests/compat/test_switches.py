"""The other ways to have this package as `keras`: the command, the folder for PYTHONPATH, the variable, tensorflow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from torchkeras.cli.as_keras import FOLDER
from torchkeras.cli.main import main
from torchkeras.compat import environment

CHILD = "import keras, torchkeras; assert keras.layers is torchkeras.layers; print(keras.__version__)"
SCRIPT = f"""
import importlib.util, json, subprocess, sys
from tensorflow import keras
import tensorflow.keras as same
import tensorflow.keras.layers as layers
from tensorflow.keras.layers import Dense
assert importlib.import_module("tensorflow.keras") is keras
assert importlib.import_module("tensorflow.keras.layers") is layers and importlib.import_module("json") is json
import keras as served
assert same is keras is served and layers is keras.layers and Dense is layers.Dense
assert sys.argv[1:] == ["--epochs", "3"]
if importlib.util.find_spec("tensorflow") is None:
    for line in ("import tensorflow", "import tensorflow as tf", "from tensorflow import data"):
        try:
            exec(line)
        except ModuleNotFoundError:
            continue
        raise AssertionError(line)
subprocess.run([sys.executable, "-c", {CHILD!r}], check=True)
raise ValueError("the script's own")
"""


def test_a_script_its_children_and_tensorflow_keras(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torchkeras", "as-keras", "--tensorflow", str(script), "--epochs", "3"]
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environ = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environ, cwd=tmp_path)
    assert done.returncode == 1 and "ValueError: the script's own" in done.stderr, done.stderr
    assert done.stdout.startswith("3.")


def test_the_folder_for_the_path(capsys):
    assert main(["as-keras", "--path"]) == 0
    assert capsys.readouterr().out.strip() == str(FOLDER) and (FOLDER / "keras.py").is_file()


def test_a_script_that_is_not_there(capsys):
    assert main(["as-keras", "nowhere.py"]) == 2
    assert "nowhere.py" in capsys.readouterr().err
    assert main(["as-keras"]) == 2


def test_the_variable_must_be_known(monkeypatch):
    monkeypatch.setenv(environment.VARIABLE, "yes")
    with pytest.raises(ValueError, match="must be '1'"):
        environment.serve_if_asked()
    monkeypatch.setenv(environment.VARIABLE, "0")
    environment.serve_if_asked()
