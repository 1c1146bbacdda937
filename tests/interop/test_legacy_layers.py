"""Layers beyond those of `layer_cases` in legacy HDF5 files: what one library writes the other reads."""

import warnings

import keras
import numpy as np
import pytest

import torchkeras

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
SEQUENCE, IMAGES, FILMS = (4, 3), (9, 11, 3), (3, 6, 6, 2)
# (shape of a sample, or of several; name of the layer; how it is made)
WITH_WEIGHTS = [
    (SEQUENCE, "LSTM", lambda L: L.LSTM(2)),
    (SEQUENCE, "GRU", lambda L: L.GRU(2, return_sequences=True)),
    (SEQUENCE, "SimpleRNN", lambda L: L.SimpleRNN(2, go_backwards=True)),
    (SEQUENCE, "RNN", lambda L: L.RNN(L.StackedRNNCells([L.LSTMCell(2), L.GRUCell(3), L.SimpleRNNCell(2)]))),
    (SEQUENCE, "Bidirectional", lambda L: L.Bidirectional(L.LSTM(2), merge_mode="sum")),
    (SEQUENCE, "TimeDistributed", lambda L: L.TimeDistributed(L.Dense(2))),
    (SEQUENCE, "EinsumDense", lambda L: L.EinsumDense("abc,cd->abd", (4, 2), bias_axes="d")),
    (SEQUENCE, "SpectralNormalization", lambda L: L.SpectralNormalization(L.Dense(2))),
    (SEQUENCE, "Normalization", lambda L: L.Normalization()),
    ((4, 4, 2), "ConvLSTM1D", lambda L: L.ConvLSTM1D(2, 2)),
    (FILMS, "ConvLSTM2D", lambda L: L.ConvLSTM2D(2, 2)),
    ([SEQUENCE, SEQUENCE], "MultiHeadAttention", lambda L: L.MultiHeadAttention(2, 3)),
    ([SEQUENCE, SEQUENCE], "GroupQueryAttention", lambda L: L.GroupQueryAttention(2, 4, 2)),
]
# Without RandomBrightness, RandomPosterization, Solarization, RandomColorDegeneration, RandomSaturation and
# RandomSharpness, which Keras can't save in this format ("cannot pickle 'module' object"), and Equalization, which it
# can't put in a model.
WITHOUT = [
    ("RandomContrast", {"factor": 0.3}), ("RandomInvert", {}),
    ("RandomGrayscale", {}), ("RandomHue", {"factor": 0.3}),
    ("AutoContrast", {}), ("MixUp", {}), ("CutMix", {}),
    ("RandAugment", {}), ("AugMix", {}), ("Resizing", {"height": 5, "width": 7}),
    ("CenterCrop", {"height": 5, "width": 7}), ("RandomCrop", {"height": 5, "width": 7}), ("RandomFlip", {}),
    ("RandomRotation", {"factor": 0.3}), ("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.2}),
    ("RandomZoom", {"height_factor": 0.3}), ("RandomShear", {"x_factor": 0.3}), ("RandomPerspective", {}),
    ("RandomGaussianBlur", {}), ("RandomErasing", {}),
    ("RandomColorJitter", {"brightness_factor": 0.3, "contrast_factor": 0.3}), ("RandomElasticTransform", {}),
]  # fmt: skip


def both_ways(tmp_path, shapes, make, rng):
    """Save with each library, load with the other, and compare what inference gives."""
    inputs = [rng.random((2, *shape)).astype("float32") for shape in shapes]
    for writer, reader in ((keras, torchkeras), (torchkeras, keras)):
        tensors = [writer.Input(shape) for shape in shapes]
        model = writer.Model(tensors, make(writer.layers)(*tensors))
        model.set_weights([(0.5 + rng.random(w.shape)).astype(str(w.dtype)) for w in model.get_weights()])
        model.save(tmp_path / "m.h5")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = reader.saving.load_model(tmp_path / "m.h5", compile=False)
        found, wanted = (m(inputs if len(inputs) > 1 else inputs[0], training=False) for m in (loaded, model))
        np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("shapes", "name", "make"), WITH_WEIGHTS, ids=[row[1] for row in WITH_WEIGHTS])
def test_layers_with_weights(shapes, name, make, tmp_path, rng):
    both_ways(tmp_path, shapes if isinstance(shapes, list) else [shapes], make, rng)


@pytest.mark.parametrize(("name", "arguments"), WITHOUT, ids=[row[0] for row in WITHOUT])
def test_layers_of_images(name, arguments, tmp_path, rng):
    both_ways(tmp_path, [IMAGES], lambda layers: getattr(layers, name)(**arguments), rng)
