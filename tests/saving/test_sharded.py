"""Weights in several files: the index is data, and the files of two saves are never mixed."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from tests.saving.test_atomic_writes import _load_weights, files_in, make
from torchkeras.saving.safety.budget import BadFileError

SIZE = 180 / 2**30


@pytest.fixture
def index(tmp_path):
    make(1.0).save_weights(tmp_path / "m.weights.json", max_shard_size=SIZE)
    return tmp_path / "m.weights.json"


def spoil(index, change):
    """Another program's index: without our checksums, and changed."""
    about = json.loads(index.read_text())
    del about["metadata"]["torchkeras_checksum"], about["metadata"]["torchkeras_shards"]
    change(about)
    index.write_text(json.dumps(about))
    for path in index.parent.glob("*.h5"):
        path.write_bytes(
            path.read_bytes().replace(b"torchkeras_shard_of", b"x" * 19).replace(b"torchkeras-blocks", b"y" * 17)
        )
        path.write_bytes(path.read_bytes().replace(b"torchkeras_checksum", b"z" * 19))


def test_an_index_of_another_program(index):
    spoil(index, lambda about: None)
    assert _load_weights(index).get_weights()[0][0, 0] == 1.0


@pytest.mark.parametrize("name", ["../m.weights.h5", "/etc/hostname", "a\\b.weights.h5", "C:x.weights.h5", "other", ""])
def test_files_elsewhere_are_refused(index, name):
    def change(about):
        about["weight_map"]["/layers/dense/vars"] = [name]

    spoil(index, change)
    with pytest.raises(BadFileError, match="the folder of the index"):
        _load_weights(index)


def test_a_link_is_refused(index, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shutil.move(tmp_path / "m_00001.weights.h5", elsewhere)
    (tmp_path / "m_00001.weights.h5").symlink_to(elsewhere)
    with pytest.raises(BadFileError, match=r"m_00001\.weights\.h5' is a link"):
        _load_weights(index)


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 3}}', '{"weight_map": {"a": [3]}}']
)
def test_what_is_no_index(index, content):
    index.write_text(content)
    with pytest.raises(BadFileError, match="index|names of files"):
        _load_weights(index)


def test_more_files_than_can_be_open(index):
    def change(about):
        about["weight_map"] |= {f"/{i}/vars": [f"m_{i:05}.weights.h5"] for i in range(501)}

    spoil(index, change)
    with pytest.raises(BadFileError, match="at most 500"):
        _load_weights(index)


def test_a_missing_file_is_named(index, tmp_path):
    os.unlink(tmp_path / "m_00001.weights.h5")
    with pytest.raises(BadFileError, match=r"m_00001\.weights\.h5', which it names, is missing"):
        _load_weights(index)


def test_files_of_two_saves_are_not_mixed(index, tmp_path):
    old = (tmp_path / "m_00001.weights.h5").read_bytes()
    make(2.0).save_weights(index, max_shard_size=SIZE)
    (tmp_path / "m_00001.weights.h5").write_bytes(old)
    with pytest.raises(BadFileError, match="of another save"):
        _load_weights(index)


def test_fewer_files_than_before(index, tmp_path):
    make(2.0).save_weights(index, max_shard_size=1)
    assert set(files_in(tmp_path)) == {"m.weights.json", "m_00000.weights.h5"}


def test_files_of_others_stay(index, tmp_path):
    make(3.0).save_weights(tmp_path / "m_00007.weights.h5")
    make(2.0).save_weights(index, max_shard_size=SIZE)
    assert (tmp_path / "m_00007.weights.h5").exists()
