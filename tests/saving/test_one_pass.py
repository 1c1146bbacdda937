"""Large `.keras` files: written once, and checked while they are read."""

import io
import zipfile
import zlib

import numpy as np
import pytest

import torchkeras as keras
from torchkeras.saving.safety import checksum
from torchkeras.saving.safety.positional import Positional

MIB = 1 << 20


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A file whose weights span several blocks, and the weights."""
    path = tmp_path_factory.mktemp("large") / "m.keras"
    model = keras.Sequential([keras.Input((1100,)), keras.layers.Dense(1700, name="wide"), keras.layers.Dense(3)])
    model.compile("adam", "mse")
    model.save(path)
    return path, model.get_weights()


def test_the_archive_is_a_zip_file_like_any_other(large):
    path, weights = large
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        info = archive.getinfo("model.weights.h5")
        assert info.compress_type == zipfile.ZIP_STORED and info.file_size > sum(w.nbytes for w in weights)
    for found, wanted in zip(keras.models.load_model(path).get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_file_object_and_threads(large):
    path, weights = large
    loaded = keras.models.load_model(io.BytesIO(path.read_bytes()))
    np.testing.assert_array_equal(loaded.get_weights()[0], weights[0])


@pytest.mark.parametrize("place", ["first", "inside", "edge of a block", "kernel's end", "directory", "last"])
def test_a_changed_byte(place, large, tmp_path):
    path, weights = large
    data = bytearray(path.read_bytes())
    kernel = data.index(weights[0].tobytes())
    at = {
        "first": kernel,
        "inside": kernel + 3 * MIB + 17,
        "edge of a block": (kernel // MIB + 2) * MIB,
        "kernel's end": kernel + weights[0].nbytes - 1,
        "directory": len(data) - 200,
        "last": len(data) - 1,
    }[place]
    data[at] ^= 4
    (tmp_path / "changed.keras").write_bytes(data)
    with pytest.raises(ValueError, match="corrupt"):
        keras.models.load_model(tmp_path / "changed.keras")


def test_a_model_of_changed_bytes_is_never_returned_by_load_weights(large, tmp_path):
    path, weights = large
    data = bytearray(path.read_bytes())
    data[data.index(weights[0].tobytes()) + 5 * MIB] ^= 1
    (tmp_path / "changed.keras").write_bytes(data)
    model = keras.models.load_model(path)
    model.set_weights([np.zeros_like(w) for w in weights])
    with pytest.raises(ValueError, match="corrupt"):
        model.load_weights(tmp_path / "changed.keras")
    assert not any(w.any() for w in model.get_weights())


@pytest.mark.parametrize("start", [0, 1, MIB - 1, MIB, MIB + 5])
def test_joined_crcs(start, rng, tmp_path):
    data = rng.bytes(4 * MIB + 123)
    (tmp_path / "data").write_bytes(data)
    with open(tmp_path / "data", "rb") as file:
        for end in (start, start + 7, start + MIB, 3 * MIB, len(data)):
            known = checksum.KnownBlocks()
            known.read(Positional(file), start, end)
            assert checksum.crc32_of(Positional(file), start, end, known) == zlib.crc32(data[start:end])
            read = checksum.KnownBlocks()
            view = memoryview(bytearray(end - start))
            assert read.readinto(Positional(file), start, view) == end - start
            assert bytes(view) == data[start:end] and read.crcs == known.crcs
            assert all(crc == zlib.crc32(data[i * MIB : (i + 1) * MIB]) for i, crc in read.crcs.items())
            read.close()


def test_a_cut_file_is_read_to_its_end(tmp_path, rng):
    (tmp_path / "data").write_bytes(rng.bytes(2 * MIB + 9))
    with open(tmp_path / "data", "rb") as file:
        for size in (3 * MIB, 70 * MIB):
            assert checksum.KnownBlocks().readinto(Positional(file), 5, memoryview(bytearray(size))) == 2 * MIB + 4
