"""Truncated and damaged files are told from good ones, always, with words that say what is wrong."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.saving.stress import stress_count
from tests.saving.test_atomic_writes import FORMATS, each_format, files_in
from torchkeras import layers, models
from torchkeras.saving.safety.budget import BadFileError

FLIPS = stress_count(500, 10_000)
CUTS = stress_count(60, 10_000)


@pytest.fixture(params=FORMATS)
def saved(request, tmp_path):
    """A model saved in each format: its files with their contents, and a function that loads it."""
    name, save, load = FORMATS[request.param]
    model = models.Sequential([layers.Input((4,)), layers.Dense(8), layers.Dense(2)])
    save(model, tmp_path / name)
    good = {tmp_path / file: data for file, data in files_in(tmp_path).items()}
    return good, lambda: load(tmp_path / name)


def test_every_flipped_bit_is_noticed(saved, rng):
    good, load = saved
    silent = []
    sizes = np.array([len(data) for data in good.values()])
    # As many flips in small files (an index, metadata) as in large ones.
    for _ in range(FLIPS):
        path = list(good)[rng.integers(len(good))]
        place = rng.integers(len(good[path]) * 8)
        data = bytearray(good[path])
        data[place // 8] ^= 1 << (place % 8)
        path.write_bytes(data)
        try:
            load()
            silent.append((path.name, place))
        except BadFileError as error:
            assert path.name in str(error) or path.parent.name in str(error)
        path.write_bytes(good[path])
    assert not silent, sizes


def test_every_truncation_is_noticed(saved, rng):
    good, load = saved
    for path, data in good.items():
        step = max(1, len(data) // CUTS)
        for size in range(int(rng.integers(step)), len(data), step):
            path.write_bytes(data[:size])
            with pytest.raises(BadFileError, match="truncated|corrupt"):
                load()
        path.write_bytes(data)


def test_the_good_file_still_loads(saved):
    _, load = saved
    load()


SINGLE_FILES = pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "folder"])


@SINGLE_FILES
@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"hello", b"PK\x05\x06" + b"\0" * 18, b"\x80\x04K\x01."])
def test_other_files_are_not_models(tmp_path, kind, content):
    path = tmp_path / FORMATS[kind][0]
    path.write_bytes(content)
    with pytest.raises(BadFileError, match=r"m\.(keras|h5|weights\.(h5|json)|safetensors)"):
        FORMATS[kind][2](path)


@each_format
def test_missing_files(tmp_path, kind):
    path = tmp_path / FORMATS[kind][0]
    with pytest.raises(FileNotFoundError, match="no such file") as caught:
        FORMATS[kind][2](path)
    assert isinstance(caught.value, ValueError), "as in Keras"


@each_format
def test_pipes_and_devices_are_not_read(tmp_path, kind):
    """They may wait, or give bytes for ever."""
    name, _, load = FORMATS[kind]
    (tmp_path / "null").mkdir()
    (tmp_path / "null" / name).symlink_to(os.devnull)
    os.mkfifo(tmp_path / name)
    with open(os.open(tmp_path / name, os.O_RDWR | os.O_NONBLOCK), "wb"):  # a reader does not wait for a writer
        for path in (tmp_path / name, tmp_path / "null" / name):
            with pytest.raises(BadFileError, match="no regular file") as caught:
                load(path)
            assert str(path) in str(caught.value)


def test_damage_leaves_the_live_model_as_it_was(tmp_path, rng):
    path = tmp_path / "m.weights.h5"
    model = models.Sequential([layers.Input((4,)), layers.Dense(8), layers.Dense(2)])
    model.save_weights(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    other = models.Sequential([layers.Input((4,)), layers.Dense(8), layers.Dense(2)])
    before = other.get_weights()
    with pytest.raises(BadFileError, match="checksum"):
        other.load_weights(path)
    for old, new in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
