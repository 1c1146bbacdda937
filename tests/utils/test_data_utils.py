"""pad_sequences, split_dataset, images and Config, against Keras."""

from __future__ import annotations

import io

import keras
import numpy as np
import pytest
import torch

import torchkeras as ours

SIDES = ["pre", "post"]


def outcome(function, *args, **kwargs):
    """The result, or the type of the error."""
    try:
        return function(*args, **kwargs)
    except (TypeError, ValueError) as error:
        return type(error)


@pytest.mark.parametrize("padding", SIDES)
@pytest.mark.parametrize("truncating", SIDES)
@pytest.mark.parametrize("maxlen", [None, 0, 1, 3, 9])
@pytest.mark.parametrize("shape", [(), (2,)])
def test_pad_sequences(padding, truncating, maxlen, shape, rng):
    sequences = [rng.random((length, *shape)) for length in (3, 0, 1, 5)]
    kwargs = {"padding": padding, "truncating": truncating, "maxlen": maxlen, "dtype": "float32", "value": -1.5}
    mine = ours.utils.pad_sequences(sequences, **kwargs)
    if maxlen == 0:  # Keras takes all of a sequence's last 0 elements
        assert mine.shape == (4, 0, *shape)
        return
    theirs = keras.utils.pad_sequences(sequences, **kwargs)
    assert mine.dtype == theirs.dtype
    np.testing.assert_array_equal(mine, theirs)


def test_pad_sequences_of_strings():
    words = [["a", "bc"], ["def"]]
    for dtype in (object, "<U2"):
        mine = ours.utils.pad_sequences(words, dtype=dtype, value="pad")
        np.testing.assert_array_equal(mine, keras.utils.pad_sequences(words, dtype=dtype, value="pad"))
    assert ours.utils.pad_sequences([]).shape == (0, 0)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"sequences": 5}, "must be iterable"),
        ({"sequences": [1, 2]}, "must be a list of iterables"),
        ({"sequences": [[1]], "padding": "both"}, 'Padding type "both" not understood'),
        ({"sequences": [[1]], "truncating": "both"}, 'Truncating type "both" not understood'),
        ({"sequences": [["a"]], "value": "x"}, "You should set `dtype=object`"),
        ({"sequences": [[[1, 2]], [[1]]]}, "Shape of sample"),
    ],
)
def test_pad_sequences_refuses(args, words):
    for library in (ours, keras):
        with pytest.raises(ValueError, match=words):
            library.utils.pad_sequences(**args)


SIZES = [None, 0, 0.3, 0.8, 1.0, 3, 10, -1, "a", True]


@pytest.mark.parametrize("left", SIZES)
@pytest.mark.parametrize("right", SIZES)
def test_split_dataset(left, right, rng):
    arrays = [rng.random((10, 2)), np.arange(10)]
    mine = outcome(ours.utils.split_dataset, arrays, left, right)
    theirs = outcome(keras.utils.split_dataset, arrays, left, right, preferred_backend="torch")
    if isinstance(theirs, type) or isinstance(mine, type):
        if (left, right) in {(0.3, 0.3), (0.3, 3), (3, 0.3), (3, 3)}:
            theirs = ValueError  # torch's words: the two parts must be all
            assert [len(part) for part in mine] == [3, 3]
        else:
            assert mine is theirs
        return
    assert [len(part) for part in mine] == [len(part) for part in theirs]
    rows = [row[1].item() for row in mine[0]]
    assert rows == list(range(len(rows)))
    assert [row[1].item() for row in mine[1]] == list(range(10 - len(mine[1]), 10))


def test_split_dataset_shuffles_by_seed():
    def parts(seed):
        return [
            [row[0].item() for row in part]
            for part in ours.utils.split_dataset(np.arange(50), 0.6, shuffle=True, seed=seed)
        ]

    assert parts(1) == parts(1)
    assert parts(1) != parts(2)
    assert sorted(sum(parts(3), [])) == list(range(50))


def test_split_dataset_takes_torch_data_sets_and_refuses_others():
    left, right = ours.utils.split_dataset(torch.utils.data.TensorDataset(torch.arange(4)), right_size=1)
    assert ([row[0].item() for row in left], right[0][0].item()) == ([0, 1, 2], 3)
    with pytest.raises(TypeError, match="must be a `torch.utils.data.Dataset`"):
        ours.utils.split_dataset("abc", 0.5)
    with pytest.raises(ValueError, match="Mismatch found at index 1"):
        ours.utils.split_dataset([np.zeros(3), np.zeros(4)], 0.5)
    with pytest.raises(ValueError, match="empty list"):
        ours.utils.split_dataset([], 0.5)


# ---------------------------------------------------------------------------- images


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("scale", [True, False])
def test_arrays_to_pictures_and_back(channels, data_format, scale, rng):
    shape = (5, 7, channels) if data_format == "channels_last" else (channels, 5, 7)
    image = rng.uniform(-20, 300, shape) if scale else rng.integers(0, 256, shape)
    mine = ours.utils.array_to_img(image, data_format, scale)
    theirs = keras.utils.array_to_img(image, data_format, scale)
    assert (mine.mode, mine.size) == (theirs.mode, theirs.size)
    assert mine.tobytes() == theirs.tobytes()
    for dtype in (None, "uint8"):
        got = ours.utils.img_to_array(mine, data_format, dtype)
        wanted = keras.utils.img_to_array(theirs, data_format, dtype)
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)


def test_gray_pictures_with_large_values(rng):
    image = rng.integers(0, 1000, (4, 5, 1))
    assert (
        ours.utils.array_to_img(image, scale=False).tobytes() == keras.utils.array_to_img(image, scale=False).tobytes()
    )


@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_files(color_mode, channels, as_bytes, tmp_path, rng):
    image = rng.integers(0, 256, (6, 9, channels))
    path = tmp_path / "image.png"
    ours.utils.save_img(path, image, scale=False)
    source = io.BytesIO(path.read_bytes()) if as_bytes else str(path)
    mine, theirs = (library.utils.load_img(source, color_mode) for library in (ours, keras))
    assert (mine.mode, mine.tobytes()) == (theirs.mode, theirs.tobytes())
    np.testing.assert_array_equal(
        keras.utils.img_to_array(keras.utils.load_img(path, {1: "grayscale", 3: "rgb", 4: "rgba"}[channels])), image
    )


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "hamming", "box", "lanczos"])
@pytest.mark.parametrize("keep_aspect_ratio", [True, False])
@pytest.mark.parametrize("size", [(4, 4), (3, 9), (12, 5), (6, 9)])
def test_files_resized(interpolation, keep_aspect_ratio, size, tmp_path, rng):
    path = tmp_path / "image.png"
    keras.utils.save_img(path, rng.random((6, 9, 3)))
    kwargs = {"target_size": size, "interpolation": interpolation, "keep_aspect_ratio": keep_aspect_ratio}
    mine, theirs = (library.utils.load_img(path, **kwargs) for library in (ours, keras))
    assert (mine.size, mine.tobytes()) == (theirs.size, theirs.tobytes())


def test_jpeg_has_no_transparency(tmp_path, rng):
    with pytest.warns(UserWarning, match="does not support RGBA"):
        ours.utils.save_img(tmp_path / "a.jpg", rng.random((4, 5, 4)))
    assert ours.utils.load_img(tmp_path / "a.jpg").size == (5, 4)


def test_wrong_images_are_named(tmp_path, rng):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.png is no image that can be read"):
        ours.utils.load_img(tmp_path / "text.png")
    ours.utils.save_img(tmp_path / "cut.png", rng.random((20, 50, 3)))
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:1500])
    with pytest.raises(ValueError, match=r"cut\.png is no image that can be read"):
        ours.utils.load_img(tmp_path / "cut.png")
    with pytest.raises(FileNotFoundError):
        ours.utils.load_img(tmp_path / "none.png")
    with pytest.raises(TypeError, match="path-like"):
        ours.utils.load_img(5)
    with pytest.raises(ValueError, match="color_mode must be"):
        ours.utils.load_img(tmp_path / "cut.png", "blue")
    with pytest.raises(ValueError, match="Invalid interpolation method"):
        ours.utils.load_img(tmp_path / "cut.png", target_size=(2, 2), interpolation="cubic")
    for shape, words in [((2, 2), "rank 3"), ((2, 2, 2), "Unsupported channel number")]:
        with pytest.raises(ValueError, match=words):
            ours.utils.array_to_img(np.zeros(shape))
    with pytest.raises(ValueError, match="Unsupported image shape"):
        ours.utils.img_to_array(np.zeros((1, 2, 3, 4)))


@pytest.mark.parametrize("shape", [(6, 9, 3), (2, 6, 9, 3)])
@pytest.mark.parametrize("size", [(4, 4), (3, 9), (12, 5)])
@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_smart_resize(shape, size, kind, rng):
    images = rng.random(shape).astype("float32")
    images = torch.from_numpy(images) if kind == "tensor" else images
    mine, theirs = (library.preprocessing.image.smart_resize(images, size) for library in (ours, keras))
    assert type(mine) is type(theirs)
    np.testing.assert_allclose(np.asarray(mine), np.asarray(theirs), atol=1e-5)
    with pytest.raises(ValueError, match="incorrect rank"):
        ours.preprocessing.image.smart_resize(np.zeros((2, 2)), size)


# ---------------------------------------------------------------------------- Config


def test_config():
    config = ours.utils.Config(units=3, rate=0.5)
    config.depth = 2
    config["name"] = "x"
    config.update({"units": 4}, extra=1)
    assert config.pop("extra") == 1
    del config["name"]
    assert (config.units, config["rate"], config.get("none", 7), len(config)) == (4, 0.5, 7, 3)
    assert list(config) == ["depth", "rate", "units"]
    assert dict(config.items()) == config.as_dict() == dict(zip(config.keys(), config.values(), strict=True))
    assert "units" in config and "none" not in config
    with pytest.raises(AttributeError, match=r"Unknown attribute: 'unit'\. Did you mean 'units'\?"):
        _ = config.unit
    config.freeze()
    assert config.frozen
    for change in (
        lambda: setattr(config, "units", 1),
        lambda: config.update(units=1),
        lambda: config.pop("units"),
        lambda: config.__delitem__("units"),
    ):
        with pytest.raises(ValueError, match="config is frozen"):
            change()
    config.unfreeze()
    config.units = 9
    assert config.to_json() == '{"units": 9, "rate": 0.5, "depth": 2}'
