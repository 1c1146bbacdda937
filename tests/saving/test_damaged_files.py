"""Truncated and damaged files are told from good ones, always, with words that say what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from tests.saving.test_atomic_writes import FORMATS, each_format
from torchkeras import layers, models
from torchkeras.saving.safety.budget import BadFileError

FLIPS = 500


@pytest.fixture(params=FORMATS)
def saved(request, tmp_path):
    """A model's file in each format, and what loads it."""
    name, save, load = FORMATS[request.param]
    model = models.Sequential([layers.Input((4,)), layers.Dense(8), layers.Dense(2)])
    save(model, tmp_path / name)
    return tmp_path / name, load


def test_every_flipped_bit_is_noticed(saved, rng):
    path, load = saved
    good = path.read_bytes()
    silent = []
    for place in rng.integers(0, len(good) * 8, FLIPS):
        data = bytearray(good)
        data[place // 8] ^= 1 << (place % 8)
        path.write_bytes(data)
        try:
            load(path)
            silent.append(place)
        except BadFileError as error:
            assert path.name in str(error)
    assert not silent


def test_every_truncation_is_noticed(saved, rng):
    path, load = saved
    good = path.read_bytes()
    step = 23
    for size in range(int(rng.integers(step)), len(good), step):
        path.write_bytes(good[:size])
        with pytest.raises(BadFileError, match="truncated"):
            load(path)


def test_the_good_file_still_loads(saved):
    path, load = saved
    load(path)


@each_format
@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"hello", b"PK\x05\x06" + b"\0" * 18, b"\x80\x04K\x01."])
def test_other_files_are_not_models(tmp_path, kind, content):
    path = tmp_path / FORMATS[kind][0]
    path.write_bytes(content)
    with pytest.raises(BadFileError, match=r"m\.(keras|weights\.h5|safetensors)"):
        FORMATS[kind][2](path)


@each_format
def test_missing_files(tmp_path, kind):
    path = tmp_path / FORMATS[kind][0]
    with pytest.raises(FileNotFoundError, match="no such file") as caught:
        FORMATS[kind][2](path)
    assert isinstance(caught.value, ValueError), "as in Keras"


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
