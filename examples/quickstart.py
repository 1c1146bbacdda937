"""Quickstart: train a small convolutional network on handwritten digits, save it, load it, look at its answers.

    python examples/quickstart.py [folder]
    python -m torchkeras run --nproc 2 examples/quickstart.py

Data: 1,797 scanned digits of 8 x 8 pixels, from scikit-learn. Several processes print the same numbers as one, up to
rounding.

Expect a test accuracy of 0.98 to 0.99, after 20 seconds on two cores.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import torchkeras as keras
from torchkeras.distributed import is_main_process  # with several processes, one of them prints and draws

EPOCHS = 40


def say(text: str) -> None:
    if is_main_process():
        print(text, flush=True)


def load() -> tuple[tuple, tuple, tuple]:
    """Images (n, 8, 8, 1) in [0, 1] and labels, in three parts: to train, to validate, to test."""
    data = load_digits()
    images, labels = (data.images / 16).astype("float32")[..., None], data.target.astype("int64")
    rest, test, rest_labels, test_labels = train_test_split(
        images, labels, test_size=300, random_state=42, stratify=labels
    )
    train, val, train_labels, val_labels = train_test_split(
        rest, rest_labels, test_size=150, random_state=42, stratify=rest_labels
    )
    return (train, train_labels), (val, val_labels), (test, test_labels)


def classifier() -> keras.Model:
    inputs = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(inputs)
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(128, activation="relu")(x)
    outputs = keras.layers.Dense(10, activation="softmax", name="digit")(x)
    return keras.Model(inputs, outputs, name="digits")


def draw(history: dict, images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, path: Path) -> None:
    """Curves above; below them 20 test images with the model's answers, wrong ones first and in red."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(12, 7), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[3, 2])
    for axes, name in zip(above.subplots(1, 2), ("loss", "accuracy")):
        epochs = range(1, len(history[name]) + 1)
        axes.plot(epochs, history[name], label="training")
        axes.plot(epochs, history[f"val_{name}"], label="validation")
        axes.set(xlabel="epoch", ylabel=name)
        axes.legend()
    answers = probabilities.argmax(1)
    wrong = np.flatnonzero(answers != labels)
    shown = np.concatenate([wrong, np.setdiff1d(np.arange(len(labels)), wrong)])[:20]
    for axes, i in zip(below.subplots(2, 10).flat, shown):
        axes.imshow(images[i, ..., 0], cmap="gray_r")
        missed = f", not {labels[i]}" if answers[i] != labels[i] else ""
        title = f"{answers[i]} ({probabilities[i].max():.0%}){missed}"
        axes.set_title(title, color="red" if missed else "black", fontsize=9)
        axes.axis("off")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main(folder: Path, epochs: int = EPOCHS, seed: int = 1) -> float:
    keras.utils.set_random_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    train, val, test = load()
    say(f"Digits: {len(train[0])} images to train on, {len(val[0])} to validate, {len(test[0])} to test.")

    model = classifier()
    if is_main_process():
        model.summary()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    say("Training stops when the validation loss has not improved for five epochs.")
    history = model.fit(
        *train,
        validation_data=val,
        batch_size=32,
        epochs=epochs,
        callbacks=[
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=5, restore_best_weights=True),
            keras.callbacks.ModelCheckpoint(folder / "best.keras", monitor="val_loss", save_best_only=True),
        ],
    )

    loss, accuracy = model.evaluate(*test, verbose=0)
    say(f"Test loss {loss:.4f}, test accuracy {accuracy:.4f} after {len(history.history['loss'])} epochs.")

    model.save(folder / "digits.keras")
    loaded = keras.saving.load_model(folder / "digits.keras")
    before, after = model.predict(test[0], verbose=0), loaded.predict(test[0], verbose=0)
    np.testing.assert_allclose(after, before, atol=1e-6)
    say("Saved, loaded again: the predictions are the same.")

    if is_main_process():
        draw(history.history, *test, after, folder / "digits.png")
    say(f"Files in {folder.resolve()}:")
    say("  digits.keras  the model, its optimizer included")
    say("  best.keras    the model at its best epoch, written while it trained")
    say("  digits.png    the curves, and the model's answers on test images")
    return accuracy


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/quickstart"))
