"""FAQ 4: the settings file `keras.json`."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

from tests import fresh_process
from torchkeras.core import settings, settings_file

DEFAULTS = {"floatx": "float32", "epsilon": 1e-7, "backend": "torch", "image_data_format": "channels_last"}
SCRIPT = """
import torchkeras as keras
print(keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format(), keras.config.backend())
"""


def printed(*scripts: str, **environment: str) -> list[str]:
    """Run programs in fresh processes, at the same time and without this process's KERAS_HOME; return their output."""
    processes = fresh_process.run_together(list(scripts), without=("KERAS_HOME",), **environment)
    for process in processes:
        assert process.returncode == 0, process.stderr
    return [process.stdout.strip() for process in processes]


def test_the_first_import_writes_the_defaults_even_two_at_once(tmp_path):
    home = tmp_path / "a" / "b"
    assert printed(SCRIPT, SCRIPT, KERAS_HOME=str(home)) == ["float32 1e-07 channels_last torch"] * 2
    assert json.loads((home / "keras.json").read_text()) == DEFAULTS
    assert [path.name for path in home.iterdir()] == ["keras.json"]


def test_a_file_of_keras_for_another_backend_is_read_and_kept(tmp_path):
    text = json.dumps(
        {"floatx": "float64", "epsilon": 1e-5, "backend": "tensorflow", "image_data_format": "channels_first"}
    )
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(text)
    found = printed(SCRIPT, HOME=str(tmp_path), USERPROFILE=str(tmp_path))
    assert found == ["float64 1e-05 channels_first torch"]
    assert (tmp_path / ".keras" / "keras.json").read_text() == text


def test_real_keras_reads_the_file_written_here(tmp_path):
    settings_file.write_if_missing(tmp_path / "keras.json", DEFAULTS)
    found = printed(SCRIPT.replace("torchkeras", "keras"), KERAS_HOME=str(tmp_path))
    assert found == ["float32 1e-07 channels_last torch"]


def test_an_import_does_not_fail_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    assert printed(SCRIPT, KERAS_HOME=str(tmp_path / "file" / "below")) == ["float32 1e-07 channels_last torch"]


def test_the_temporary_directory_stands_in_for_a_home_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert settings_file.keras_home() == tmp_path / ".keras"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    assert settings_file.keras_home() == Path(tempfile.gettempdir()) / ".keras"


@pytest.mark.parametrize(
    "key, value, allowed",
    [
        ("floatx", "float31", "'bfloat16', 'float16', 'float32', 'float64'"),
        ("floatx", ["float32"], "'bfloat16', 'float16', 'float32', 'float64'"),
        ("epsilon", "small", "a number"),
        ("epsilon", None, "number"),
        ("image_data_format", "channels_middle", "'channels_first', 'channels_last'"),
    ],
)
def test_a_bad_value_names_the_file_the_key_and_what_is_allowed(key, value, allowed, tmp_path):
    path = tmp_path / "keras.json"
    path.write_text(json.dumps({key: value}))
    with pytest.raises(ValueError, match=f"Invalid `{key}` configuration") as error:
        settings.load_settings(path)
    assert str(path) in str(error.value) and allowed in str(error.value) and repr(value) in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_file_that_holds_no_settings_is_ignored_with_a_warning(text, tmp_path):
    path = tmp_path / "keras.json"
    path.write_text(text)
    with pytest.warns(UserWarning, match="keras.json is ignored"):
        settings.load_settings(path)
    assert path.read_text() == text


def test_a_file_that_is_there_is_not_written_over(tmp_path, monkeypatch):
    path = tmp_path / "keras.json"
    path.write_text("mine")
    settings_file.write_if_missing(path, DEFAULTS)
    assert path.read_text() == "mine"

    def without_hard_links(*args):
        raise PermissionError

    monkeypatch.setattr(os, "link", without_hard_links)
    settings_file.write_if_missing(path, DEFAULTS)
    assert path.read_text() == "mine"
    settings_file.write_if_missing(tmp_path / "other.json", DEFAULTS)
    assert json.loads((tmp_path / "other.json").read_text()) == DEFAULTS
