"""Conditional GAN: draw the digit that is asked for, with two networks, two optimizers and a custom training step.

    python examples/gan.py [folder]
    python -m torchkeras run --nproc 2 examples/gan.py

Data: 1,797 scanned digits of 8 x 8 pixels, from scikit-learn. How good are the drawings? A classifier that was trained
on the real images reads them.

Expect it to read 98% to 100% of the drawings as the digit that was asked for, after 15 seconds on two cores.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

import torchkeras as keras
from torchkeras import layers
from torchkeras.distributed import is_main_process  # with several processes, one of them prints and draws

EPOCHS = 60
BATCH_SIZE = 32
NOISE = 32


def load() -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 64) from -1 to 1, the range of the generator's tanh, and their digits."""
    images, digits = load_digits(return_X_y=True)
    return (images / 8 - 1).astype("float32"), digits


def build_generator() -> keras.Model:
    """A model from noise and a digit to an image."""
    noise, digit = keras.Input((NOISE,)), keras.Input((), dtype="int32")
    x = layers.Concatenate()([noise, layers.Embedding(10, 16)(digit)])
    for units in (256, 256):
        x = layers.Dense(units)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.LeakyReLU(0.2)(x)
    return keras.Model([noise, digit], layers.Dense(64, activation="tanh")(x), name="generator")


def build_discriminator() -> keras.Model:
    """A model from an image and a digit to a logit: is this a real image of this digit?

    The product with the digit's embedding is a projection discriminator (Miyato and Koyama, 2018, arXiv:1802.05637).
    """
    image, digit = keras.Input((64,)), keras.Input((), dtype="int32")
    x = image
    for units in (256, 128):
        x = layers.Dense(units)(x)
        x = layers.LeakyReLU(0.2)(x)
        x = layers.Dropout(0.4)(x)  # keeps it from memorizing the images
    is_real = layers.Dense(1)(x)
    is_digit = layers.Dot(1)([x, layers.Embedding(10, 128)(digit)])
    return keras.Model([image, digit], layers.Add()([is_real, is_digit]), name="discriminator")


class GAN(keras.Model):
    """A generator and a discriminator that train against each other; `fit` takes images and digits."""

    def __init__(self):
        super().__init__()
        self.generator = build_generator()
        self.discriminator = build_discriminator()
        self.seeds = keras.random.SeedGenerator()
        self.g_loss, self.d_loss = keras.metrics.Mean("g_loss"), keras.metrics.Mean("d_loss")

    def compile(self, g_optimizer, d_optimizer):
        super().compile()
        self.g_optimizer = g_optimizer
        self.d_optimizer = d_optimizer
        self.crossentropy = keras.losses.BinaryCrossentropy(from_logits=True)

    def train_step(self, data):
        images, digits = data
        noise = keras.random.normal((len(images), NOISE), seed=self.seeds)
        fakes = self.generator([noise, digits], training=True)
        on_real = self.discriminator([images, digits], training=True)
        on_fakes = self.discriminator([fakes, digits], training=True)

        # The target 0.9 (label smoothing) keeps the discriminator from being too sure of real images.
        d_loss = self.crossentropy(torch.full_like(on_real, 0.9), on_real)
        d_loss = d_loss + self.crossentropy(torch.zeros_like(on_fakes), on_fakes)
        g_loss = self.crossentropy(torch.ones_like(on_fakes), on_fakes)

        # Both gradients are of the same forward pass, so compute them before either network changes.
        d_weights, g_weights = self.discriminator.trainable_weights, self.generator.trainable_weights
        d_gradients = torch.autograd.grad(d_loss, d_weights, retain_graph=True)
        g_gradients = torch.autograd.grad(g_loss, g_weights)
        self.d_optimizer.apply(d_gradients, d_weights)
        self.g_optimizer.apply(g_gradients, g_weights)

        self.g_loss.update_state(g_loss)
        self.d_loss.update_state(d_loss)
        return {"g_loss": self.g_loss.result(), "d_loss": self.d_loss.result()}


def train_reader(images: np.ndarray, digits: np.ndarray, epochs: int) -> keras.Model:
    """A classifier of the real images."""
    model = keras.Sequential([
        keras.Input((64,)),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, digits, epochs=epochs, verbose=0)
    return model


def draw(real: np.ndarray, drawings: np.ndarray, path: Path) -> None:
    """Ten real images of each digit on the left, ten drawings of each on the right; each column is one digit."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, both = plt.subplots(1, 2, figsize=(11, 5.8), layout="constrained")
    for axes, title, images in zip(both, ("real", "drawn"), (real, drawings)):
        padded = np.pad(images.reshape(10, 10, 8, 8), ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=-1)
        axes.imshow(padded.transpose(0, 2, 1, 3).reshape(120, 120), cmap="gray_r", interpolation="bicubic")
        axes.set_title(title)
        axes.axis("off")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main(folder: Path, epochs: int = EPOCHS, seed: int = 1) -> float:
    keras.utils.set_random_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images, digits = load()
    gan = GAN()
    # Rates that fall to zero let the two networks settle at the end.
    steps = epochs * -(-len(images) // BATCH_SIZE)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    gan.compile(keras.optimizers.Adam(rate, beta_1=0.5), keras.optimizers.Adam(rate, beta_1=0.5))
    gan.fit(images, digits, batch_size=BATCH_SIZE, epochs=epochs, verbose=2)

    asked = np.arange(1000) % 10
    noise = np.random.default_rng(seed).normal(size=(1000, NOISE)).astype("float32")
    drawings = gan.generator.predict([noise, asked], verbose=0)
    reader = train_reader(images, digits, epochs=max(epochs // 2, 1))
    agreement = float((reader.predict(drawings, verbose=0).argmax(1) == asked).mean())
    gan.generator.save(folder / "generator.keras")
    if is_main_process():
        print(f"The classifier reads {agreement:.0%} of the drawings as the digit that was asked for.")
        examples = np.stack([images[digits == digit][:10] for digit in range(10)], axis=1)
        draw(examples.reshape(100, 64), drawings[:100], folder / "digits.png")
        print(f"A hundred of them are in {folder / 'digits.png'}, the generator is in {folder / 'generator.keras'}.")
    return agreement


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/gan"))
