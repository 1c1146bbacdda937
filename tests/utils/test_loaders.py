"""Data sets of the files of a folder, against Keras's own walk, split and readers."""

from __future__ import annotations

import struct
import wave

import keras
import numpy as np
import pytest
import torch
from PIL import Image

import torchkeras as ours
from torchkeras.utils.loaders.resampling import resample

MODES = {"RGB": 3, "RGBA": 4, "L": 1}


@pytest.fixture
def pictures(tmp_path, rng):
    """A folder of three classes with nested folders, pictures of all modes and sizes, and files of other kinds."""
    for number in range(14):
        folder = tmp_path / f"class_{number % 3}" / ("nested" if number % 2 else "")
        folder.mkdir(parents=True, exist_ok=True)
        mode = list(MODES)[number % len(MODES)]
        pixels = rng.integers(0, 256, (*rng.integers(5, 20, 2), MODES[mode])).astype("uint8")
        Image.fromarray(pixels[..., 0] if mode == "L" else pixels).save(folder / f"{number}.png")
        (folder / "notes.md").write_text("no picture")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


# Keras has no way to read the files without TensorFlow or Grain, but its walk and its split are NumPy's.
def keras_files(folder, labels="inferred", class_names=None, shuffle=True, seed=5, split=None, subset=None):
    from keras.src.utils import dataset_utils

    paths, found, names = dataset_utils.index_directory(
        str(folder), labels, (".png",), class_names, shuffle, seed, verbose=False
    )
    paths, found = dataset_utils.get_training_or_validation_split(paths, found, split, subset)
    return paths, None if found is None else list(found), names


CASES = [
    {},
    {"shuffle": False},
    {"labels": None},
    {"class_names": ["class_2", "class_0"]},
    {"split": 0.3, "subset": "training"},
    {"split": 0.3, "subset": "validation", "seed": 9},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_subsets_hold_the_files_and_labels_that_keras_puts_there(pictures, case):
    arguments = {"seed": 5, **case}
    if "split" in arguments:
        arguments["validation_split"] = arguments.pop("split")
    loader = ours.utils.image_dataset_from_directory(pictures, verbose=False, **arguments)
    paths, labels, names = keras_files(pictures, **case)
    assert (loader.file_paths, loader.class_names) == (paths, names)
    assert labels == (None if loader.dataset.labels is None else loader.dataset.labels.tolist())


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"color_mode": "grayscale", "interpolation": "bicubic"},
        {"color_mode": "rgba", "interpolation": "nearest", "crop_to_aspect_ratio": True},
        {"pad_to_aspect_ratio": True, "data_format": "channels_first"},
    ],
    ids=str,
)
def test_pictures_are_those_of_keras_reader(pictures, arguments):
    from keras.src.utils.image_dataset_utils import _load_image_grain

    loader = ours.utils.image_dataset_from_directory(
        pictures, label_mode=None, image_size=(7, 9), shuffle=False, batch_size=5, verbose=False, **arguments
    )
    mine = torch.cat(list(loader))
    channels = {"grayscale": 1, "rgb": 3, "rgba": 4}[arguments.get("color_mode", "rgb")]
    for path, image in zip(loader.file_paths, mine, strict=True):
        theirs = _load_image_grain(
            path,
            (7, 9),
            channels,
            arguments.get("interpolation", "bilinear"),
            arguments.get("data_format", "channels_last"),
            arguments.get("crop_to_aspect_ratio", False),
            arguments.get("pad_to_aspect_ratio", False),
        )
        torch.testing.assert_close(image, theirs)


def test_both_subsets_orders_labels_and_threads(pictures):
    def load(**arguments):
        return ours.utils.image_dataset_from_directory(pictures, image_size=4, verbose=False, seed=3, **arguments)

    training, validation = load(validation_split=0.5, subset="both", label_mode="categorical", batch_size=4)
    assert not set(training.file_paths) & set(validation.file_paths)
    assert [len(training), len(validation)] == [2, 2]
    images, labels = next(iter(validation))  # held out files keep their order
    torch.testing.assert_close(labels, validation.dataset.labels[:4])
    assert (images.shape, labels.dtype) == ((4, 4, 4, 3), torch.float32)

    def passes(loader):
        return [torch.cat(list(loader)).flatten().tolist() for _ in range(2)]

    first, second = passes(load(label_mode=None))
    assert first != second and sorted(first) == sorted(second)
    assert passes(load(label_mode=None, workers=0)) == passes(load(label_mode=None, workers=3)) == [first, second]
    first, second = passes(load(label_mode=None, format="grain"))
    assert first == second
    own = torch.utils.data.DataLoader(training.dataset, batch_size=7, collate_fn=training.dataset.collate)
    assert next(iter(own))[0].shape == (7, 4, 4, 3)


def test_fit_takes_a_loader(pictures):
    loader = ours.utils.image_dataset_from_directory(pictures, image_size=4, verbose=False, batch_size=5)
    model = ours.Sequential([ours.Input((4, 4, 3)), ours.layers.Flatten(), ours.layers.Dense(3)])
    model.compile("sgd", ours.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    assert len(model.fit(loader, validation_data=loader, epochs=2, verbose=0).history["val_loss"]) == 2
    assert model.predict(loader, verbose=0).shape == (14, 3)


def test_broken_files_are_named_and_can_be_left_out(pictures, capsys):
    (pictures / "class_0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    picture = (pictures / "class_1" / "nested" / "1.png").read_bytes()
    (pictures / "class_1" / "cut.png").write_bytes(picture[: len(picture) // 2])

    def load(**arguments):
        return ours.utils.image_dataset_from_directory(pictures, image_size=4, batch_size=16, **arguments)

    with pytest.raises(ValueError, match=r"(broken|cut)\.png"):
        list(load())
    with pytest.raises(ValueError, match=r"2 of 16 files can't be read(?s:.)*broken\.png(?s:.)*cut\.png"):
        load(shuffle=False).scan()
    loader = load(verbose=False)
    assert loader.scan(skip_errors=True) == 2
    assert len(loader.file_paths) == len(loader.dataset) == 14
    assert "Left out 2 files" in capsys.readouterr().out
    assert sum(len(labels) for _, labels in load(skip_errors=True)) == 14


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"labels": "other"}, "`labels` argument should be"),
        ({"label_mode": "other"}, "`label_mode` argument must be"),
        ({"labels": [0] * 14, "class_names": ["a"]}, 'only pass `class_names` if `labels="inferred"`'),
        ({"labels": [0, 1]}, "Expected the lengths of `labels` to match the number of files"),
        ({"class_names": ["wrong"]}, "`class_names` passed did not match"),
        ({"label_mode": "binary"}, "there must be exactly 2"),
        ({"validation_split": 2}, "`validation_split` must be between 0 and 1"),
        ({"validation_split": 0.2, "subset": "other"}, '`subset` must be either "training", "validation" or "both"'),
        ({"subset": "training"}, "`validation_split` must be set"),
        ({"validation_split": 0.2, "subset": "training"}, "must provide a `seed`"),
        ({"format": "other"}, '`format` should be either "tf" or "grain"'),
        ({"color_mode": "other"}, "`color_mode` must be one of"),
        ({"image_size": (1, 2, 3)}, "Invalid `image_size`"),
        ({"interpolation": "other"}, "should be one of"),
        ({"interpolation": "area"}, "TensorFlow alone"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "Only one of"),
        ({"validation_split": 0.01, "subset": "both", "seed": 1}, "No validation images found in directory"),
        ({"labels": None, "class_names": ["a"]}, "cannot be specified"),
    ],
    ids=str,
)
def test_arguments_that_do_not_fit(pictures, arguments, words):
    with pytest.raises(ValueError, match=words):
        ours.utils.image_dataset_from_directory(pictures, verbose=False, **arguments)


def test_folders_without_files(tmp_path):
    with pytest.raises(ValueError, match=r"No images found in directory .* The directory holds no files"):
        ours.utils.image_dataset_from_directory(tmp_path, verbose=False)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.tiff").write_bytes(b"")
    with pytest.raises(ValueError, match=r"Allowed formats: .*1 of \.tiff"):
        ours.utils.image_dataset_from_directory(tmp_path, verbose=False)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ours.utils.text_dataset_from_directory(tmp_path / "nowhere", verbose=False)


def test_links_are_followed_if_asked(pictures, tmp_path_factory):
    top = tmp_path_factory.mktemp("links")
    (top / "a").mkdir()
    (top / "a" / "link").symlink_to(pictures / "class_0", target_is_directory=True)
    with pytest.raises(ValueError, match="No images found"):
        ours.utils.image_dataset_from_directory(top, verbose=False)
    assert len(ours.utils.image_dataset_from_directory(top, follow_links=True, verbose=False).file_paths) == 5


def test_texts(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.txt").write_text(f"{name}{number} ünïcode", encoding="utf-8")
    loader = ours.utils.text_dataset_from_directory(tmp_path, shuffle=False, batch_size=4, max_length=5, verbose=False)
    (texts, labels), (rest, _) = loader
    assert (texts, rest) == (["a0 ün", "a1 ün", "a2 ün", "b0 ün"], ["b1 ün", "b2 ün"])
    assert labels.tolist() == [0, 0, 0, 1]
    single = ours.utils.text_dataset_from_directory(tmp_path, batch_size=None, label_mode="binary", verbose=False)
    text, label = next(iter(single))
    assert isinstance(text, str) and label.shape == (1,)
    (tmp_path / "a" / "latin.txt").write_bytes("ü".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.txt is no text in UTF-8"):
        list(ours.utils.text_dataset_from_directory(tmp_path, verbose=False))


def wav(kind, bits, channels, rate, body, extensible=False):
    """A WAV file by the specification of the format, with a chunk of another kind before the samples."""
    frame = channels * bits // 8
    layout = struct.pack("<HHIIHH", 0xFFFE if extensible else kind, channels, rate, rate * frame, frame, bits)
    if extensible:
        layout += struct.pack("<HHIH", 22, bits, 0, kind) + bytes(14)
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    chunks += b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(("kind", "bits"), [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)])
def test_wav_files(tmp_path, rng, kind, bits, channels):
    if kind == 3:
        values = rng.uniform(-1, 1, (20, channels)).astype(f"f{bits // 8}")
        body, wanted = values.tobytes(), values
    else:
        values = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (20, channels))
        stored = values + 128 if bits == 8 else values
        body = b"".join(int(v).to_bytes(bits // 8, "little", signed=bits > 8) for v in stored.flatten())
        wanted = values / 2 ** (bits - 1)
    (tmp_path / "a").mkdir()
    for extensible in (False, True):
        (tmp_path / "a" / "x.wav").write_bytes(wav(kind, bits, channels, 8000, body, extensible))
        (sounds,) = ours.utils.audio_dataset_from_directory(tmp_path, label_mode=None, verbose=False)
        np.testing.assert_allclose(sounds[0], wanted, atol=1e-7)


def write_sounds(folder, lengths, channels=1):
    folder.mkdir(exist_ok=True)
    for number, steps in enumerate(lengths):
        with wave.open(str(folder / f"{channels}_{number}.wav"), "wb") as file:
            file.setparams((channels, 2, 8000, 0, "NONE", ""))
            file.writeframes(struct.pack("<h", 2**14) * steps * channels)


def test_sounds_of_several_lengths(tmp_path):
    write_sounds(tmp_path / "a", [10, 30])

    def batch(**arguments):
        return next(iter(ours.utils.audio_dataset_from_directory(tmp_path, shuffle=False, verbose=False, **arguments)))

    sounds, labels = batch()
    assert (sounds.shape, labels.tolist()) == ((2, 30, 1), [0, 0])
    assert sounds.sum(1).flatten().tolist() == [5, 15]
    assert batch(output_sequence_length=20)[0].sum(1).flatten().tolist() == [5, 10]
    assert [len(sound) for sound in batch(ragged=True)[0]] == [10, 30]
    assert batch(sampling_rate=4000)[0].shape == (2, 15, 1)
    training, validation = ours.utils.audio_dataset_from_directory(
        tmp_path, validation_split=0.5, subset="both", seed=1, verbose=False
    )
    assert len(training.file_paths) == len(validation.file_paths) == 1
    write_sounds(tmp_path / "a", [10], channels=2)
    with pytest.raises(ValueError, match=r"one number of channels; received \[1, 2\]"):
        batch()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ragged": True, "output_sequence_length": 3}, "Cannot set both `ragged` and `output_sequence_length`"),
        ({"sampling_rate": 1.5}, "should have an integer value"),
        ({"sampling_rate": -1}, "should be higher than 0"),
    ],
)
def test_arguments_of_sounds(tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words):
        ours.utils.audio_dataset_from_directory(tmp_path, **arguments)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no wav", "must begin with RIFF"),
        (wav(1, 16, 1, 8000, b"")[:20], "'fmt ' is missing"),
        (wav(1, 16, 1, 8000, b"")[:-8], "no chunk 'data'"),
        (wav(1, 12, 1, 8000, b""), "1 channels of 12 bits in 1 bytes"),
        (wav(7, 8, 1, 8000, b""), "format 7 with 8 bits"),
    ],
    ids=str,
)
def test_broken_sounds_are_named(tmp_path, data, words):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.wav").write_bytes(data)
    with pytest.raises(ValueError, match=rf"x\.wav.*{words}"):
        list(ours.utils.audio_dataset_from_directory(tmp_path, verbose=False))


@pytest.mark.parametrize(("rate", "new"), [(8000, 16000), (44100, 16000), (16000, 8000), (100, 33)])
def test_resampling_keeps_a_tone_below_the_limit_and_removes_one_above(rate, new):
    def tone(frequency, rate):
        return torch.sin(2 * torch.pi * frequency * torch.arange(rate // 4 if rate > 999 else rate * 4) / rate)

    low, high = min(rate, new) * 0.1, min(rate, new) * 0.7
    got = resample(tone(low, rate).unsqueeze(1), rate, new)
    wanted = tone(low, new)
    assert got.shape == (-(-len(tone(low, rate)) * new // rate), 1)
    inner = slice(30, min(len(got), len(wanted)) - 30)
    torch.testing.assert_close(got[inner, 0], wanted[inner], atol=5e-3, rtol=0)
    if rate > new and high < rate / 2:
        assert resample(tone(high, rate).unsqueeze(1), rate, new)[inner].abs().max() < 0.02


SERIES = [
    {"sequence_length": 4},
    {"sequence_length": 3, "sequence_stride": 2, "sampling_rate": 2, "start_index": 2, "end_index": 25},
    {"sequence_length": 5, "shuffle": True, "batch_size": 7},
    {"sequence_length": 4, "sequence_stride": 3, "batch_size": None},
]


@pytest.mark.parametrize("case", SERIES, ids=str)
@pytest.mark.parametrize("kind", ["float32", "float64", "int64"])
def test_timeseries_by_their_formula(case, kind, rng):
    data = (rng.random((30, 2)) * 100).astype(kind)
    targets = (rng.random(28) * 100).astype(kind)
    loader = ours.utils.timeseries_dataset_from_array(data, targets, **case)
    pairs = (
        list(loader) if case.get("batch_size", 1) is None else [p for x, y in loader for p in zip(x, y, strict=True)]
    )
    start, end = case.get("start_index", 0), case.get("end_index", 30)
    rate, length = case.get("sampling_rate", 1), case["sequence_length"]
    last = min(end - start - (length - 1) * rate, 28)
    wanted = [
        (data[start:end][s : s + length * rate : rate], targets[start:][s])
        for s in range(0, last, case.get("sequence_stride", 1))
    ]
    assert len(pairs) == len(wanted)
    if case.get("shuffle"):
        assert any(not np.allclose(mine, theirs) for (mine, _), (theirs, _) in zip(pairs, wanted, strict=True))
        pairs = sorted(pairs, key=lambda pair: pair[0].flatten().tolist())
        wanted = sorted(wanted, key=lambda pair: pair[0].flatten().tolist())
    for (window, target), (rows, value) in zip(pairs, wanted, strict=True):
        np.testing.assert_allclose(window, rows, rtol=1e-6)
        np.testing.assert_allclose(target, value, rtol=1e-6)
        assert str(window.dtype) == f"torch.{kind}"


@pytest.mark.parametrize(
    "arguments",
    [
        {"start_index": -1},
        {"start_index": 10},
        {"end_index": 3, "start_index": 4},
        {"end_index": 10},
        {"end_index": -1},
        {"sampling_rate": 0},
        {"sampling_rate": 10},
        {"sequence_stride": 0},
        {"sequence_stride": 10},
        {"format": "other"},
    ],
    ids=str,
)
def test_timeseries_refuses_what_keras_refuses(arguments):
    for library in (ours, keras):
        with pytest.raises(ValueError, match=f"`{list(arguments)[0]}`"):
            library.utils.timeseries_dataset_from_array(np.arange(10), None, 3, **arguments)


@pytest.mark.parametrize("name", ["image", "text", "audio"])
def test_a_directory_that_is_not_there(name, tmp_path):
    (tmp_path / "pets").mkdir()
    (tmp_path / "file").write_text("x")
    read = getattr(ours.utils, f"{name}_dataset_from_directory")
    with pytest.raises(FileNotFoundError, match=rf"no such directory to read {name}.* files.*{tmp_path}.*pets.*petz"):
        read(tmp_path / "petz" / "train")
    with pytest.raises(NotADirectoryError, match="this is a file.*file"):
        read(tmp_path / "file")
