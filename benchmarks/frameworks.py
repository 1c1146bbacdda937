"""Steps of `fit` against Lightning, Accelerate and a plain torch loop: the same module, data, optimizer and batches.

    pip install lightning accelerate
    python benchmarks/frameworks.py            # writes benchmarks/results/frameworks.md
    python benchmarks/frameworks.py --quick    # few samples, one round, nothing written

All contenders train the same networks of `torch.nn` in one process and take turns; torchkeras trains them inside a
`TorchModuleWrapper`, and, as "own layers", built of its own layers. Lightning's bar, logger, checkpoints and summary
are off, and so is the bar of `fit`. What counts is the processor time of the best epoch of each, on one thread: it
changes little where other programs run. All take the same `DataLoader`, without workers. All have the memory that
`fit` keeps between steps (`core/fast_paths/freed_memory.py`): in a process of its own the plain loop of the convnet
takes 1.2 to 1.4 times as long.
"""

from __future__ import annotations

import argparse
import logging
import platform
import time
import warnings
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import torchkeras as keras

RESULTS = Path(__file__).resolve().parent / "results" / "frameworks.md"
Train = Callable[[], object]


def mlp() -> nn.Module:
    """784-512-512-10 with ReLU."""
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def small_mlp() -> nn.Module:
    """32-64-64-10 with ReLU, where what surrounds the kernels counts most."""
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def convnet() -> nn.Module:
    """Two convolutions of 32 and 64 channels on 28x28 pixels."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1600, 10)),
    )


def own_mlp() -> keras.Model:
    """The same of this library's layers."""
    layers = keras.layers
    parts = [layers.Dense(512, activation="relu"), layers.Dense(512, activation="relu"), layers.Dense(10)]
    return keras.Sequential([keras.Input((784,)), *parts])


def own_small_mlp() -> keras.Model:
    """The same of this library's layers."""
    layers = keras.layers
    parts = [layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu"), layers.Dense(10)]
    return keras.Sequential([keras.Input((32,)), *parts])


def own_convnet() -> keras.Model:
    """The same of this library's layers, channels first."""
    layers, first = keras.layers, {"data_format": "channels_first"}
    return keras.Sequential(
        [
            keras.Input((1, 28, 28)),
            *(layers.Conv2D(32, 3, activation="relu", **first), layers.MaxPooling2D(**first)),
            *(layers.Conv2D(64, 3, activation="relu", **first), layers.MaxPooling2D(**first)),
            *(layers.Flatten(), layers.Dense(10)),
        ]
    )


# name: module, model of own layers, shape of a row, batch size, rows
CASES = {
    "MLP 784-512-512-10, batch 128": (mlp, own_mlp, (784,), 128, 6_400),
    "small MLP 32-64-64-10, batch 32": (small_mlp, own_small_mlp, (32,), 32, 6_400),
    "convnet 28x28, batch 64": (convnet, own_convnet, (1, 28, 28), 64, 1_280),
}


def plain(module: nn.Module, loader: DataLoader) -> Train:
    """The loop that one writes by hand."""
    optimizer, criterion = torch.optim.Adam(module.parameters()), nn.CrossEntropyLoss()

    def epoch() -> None:
        module.train()
        for x, y in loader:
            optimizer.zero_grad()
            criterion(module(x), y).backward()
            optimizer.step()

    return epoch


def accelerate(module: nn.Module, loader: DataLoader) -> Train:
    """Accelerate's loop."""
    from accelerate import Accelerator

    accelerator, criterion = Accelerator(cpu=True), nn.CrossEntropyLoss()
    module, optimizer, loader = accelerator.prepare(module, torch.optim.Adam(module.parameters()), loader)

    def epoch() -> None:
        module.train()
        for x, y in loader:
            optimizer.zero_grad()
            accelerator.backward(criterion(module(x), y))
            optimizer.step()

    return epoch


def lightning(module: nn.Module, loader: DataLoader) -> Train:
    """Lightning's trainer, without anything that it would print or write."""
    import lightning as L

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.criterion = module, nn.CrossEntropyLoss()

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            x, y = batch
            return self.criterion(self.net(x), y)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters())

    one = Module()
    off = dict.fromkeys(("enable_progress_bar", "enable_checkpointing", "enable_model_summary", "logger"), False)

    def epoch() -> None:
        L.Trainer(max_epochs=1, accelerator="cpu", devices=1, barebones=False, **off).fit(one, loader)

    return epoch


def fit(model: keras.Model, loader: DataLoader, optimizer: object) -> Train:
    """`fit`."""
    model.compile(optimizer, loss=nn.CrossEntropyLoss())
    return lambda: model.fit(loader, verbose=0)


def contenders(name: str, share: float) -> tuple[dict[str, Train], int]:
    """Everybody's epoch, and its rows."""
    module, own, shape, batch, rows = CASES[name]
    rows = max(int(rows * share) // batch, 2) * batch
    data = TensorDataset(torch.randn(rows, *shape), torch.randint(0, 10, (rows,)))
    loader = DataLoader(data, batch_size=batch, shuffle=True)
    wrapped = keras.Sequential([keras.Input(shape), keras.layers.TorchModuleWrapper(module())])
    model = own()
    return {
        "torch loop": plain(module(), loader),
        "torchkeras, torch module": fit(wrapped, loader, torch.optim.Adam(wrapped.parameters())),
        "torchkeras, own layers": fit(model, loader, "adam"),
        "Lightning": lightning(module(), loader),
        "Accelerate": accelerate(module(), loader),
    }, rows


def main() -> None:
    """Measure all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples, one round; nothing is written")
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    lines, head = [], ""
    for name in CASES:
        epochs, rows = contenders(name, 0.1 if given.quick else 1.0)
        best = dict.fromkeys(epochs, float("inf"))
        for _ in range(2 if given.quick else given.rounds + 1):  # the first round builds
            for who, epoch in epochs.items():
                begin = time.process_time()
                epoch()
                best[who] = min(best[who], time.process_time() - begin)
        loop = best["torch loop"]
        cells = [f"{rows / seconds:,.0f} ({loop / seconds:.2f})" for seconds in best.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        head = f"| network | {' | '.join(best)} |\n|---|{'---|' * len(best)}"
        print(lines[-1], flush=True)
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "lightning", "accelerate"))
    place = f"{date.today()}, CPU, Python {platform.python_version()}, {packages}"
    text = (
        "# Against Lightning and Accelerate\n\n"
        "Samples per second of processor time in training, on one thread, best epoch, and in brackets the ratio to the "
        "torch loop. "
        f"{place}. Made by `python benchmarks/frameworks.py`, whose first lines say what is compared.\n\n"
    )
    text += "\n".join([head, *lines, ""])
    print("\n" + text)
    if not given.quick:
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
