"""How many aten calls a training step makes: an exact figure of what the host of a GPU has to launch.

    python benchmarks/launches.py [NAME ...] [--top]     # networks whose names contain NAME; all: writes results/

A step is forward, loss, backward, Adam and the metrics, in mixed bfloat16: of `fit`, and of a plain torch loop
(autocast, the fused Adam, loss and accuracy kept on the device). Views do not count. Shuffling, and what an epoch does
at its end, are in the figure, divided by the epoch's steps. No GPU is needed: what the layers do on a CPU alone they
leave out where operations are counted.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from launch_cases import NETWORKS
from launch_network import Network

RESULTS = Path(__file__).resolve().parent / "results"
STEPS, BATCH = 4, 2
VIEWS = frozenset(
    "t transpose view _unsafe_view permute detach alias expand slice select unsqueeze squeeze reshape as_strided split "
    "split_with_sizes unbind narrow _record_function_enter_new _record_function_exit".split()
)
Calls = dict[str, float]
Around = Callable[[int], contextlib.AbstractContextManager]


class Count(TorchDispatchMode):
    """Counts the calls made inside, by name."""

    def __init__(self, calls: collections.Counter) -> None:
        super().__init__()
        self.calls = calls

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name.split("::")[-1] not in VIEWS:
            self.calls[str(func)] += 1
        return func(*args, **(kwargs or {}))


def torch_epochs(network: Network, epochs: int, around: Around) -> None:
    """The loop that a good torch user writes."""
    module = network.module()
    x, y = (torch.from_numpy(array) for array in network.data(BATCH * STEPS))
    if len(network.shape) == 3:
        module, x = module.to(memory_format=torch.channels_last), x.permute(0, 3, 1, 2)
    optimizer = torch.optim.Adam(module.parameters(), 1e-4, fused=True)
    for epoch in range(epochs):
        with around(epoch):
            order, total, right = torch.randperm(len(x)), torch.zeros(()), torch.zeros(())
            for start in range(0, len(x), BATCH):
                rows = order[start : start + BATCH]
                wanted = y[rows]
                with torch.autocast("cpu", torch.bfloat16):
                    logits = module(x[rows])
                loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), wanted.reshape(-1))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach()
                right += (logits.detach().argmax(-1) == wanted).float().mean()
            total.item(), right.item()


def keras_epochs(network: Network, epochs: int, around: Around) -> None:
    """`fit`."""
    import torchkeras as keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        inputs = keras.Input(network.shape, dtype="int64" if len(network.shape) == 1 else "float32")
        model = keras.Model(inputs, network.layers(keras, inputs))
    finally:
        keras.config.set_dtype_policy(before)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss, metrics=["accuracy"], jit_compile=False)

    class Inside(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.context = around(epoch)
            self.context.__enter__()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.context.__exit__(None, None, None)

    x, y = network.data(BATCH * STEPS)
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[Inside()])


def calls_per_step(run: Callable[[Network, int, Around], None], network: Network) -> Calls:
    """The calls of a step of the third epoch, by name."""
    found: collections.Counter = collections.Counter()
    run(network, 3, lambda epoch: Count(found) if epoch == 2 else contextlib.nullcontext())
    return {name: count / STEPS for name, count in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--top", action="store_true", help="list the calls whose numbers differ most")
    options = parser.parse_args()
    torch.manual_seed(0)
    lines = ["| network | torch loop | torchkeras | ratio |", "|---|---|---|---|"]
    for network in NETWORKS:
        if options.names and not any(name.lower() in network.name.lower() for name in options.names):
            continue
        plain, ours = calls_per_step(torch_epochs, network), calls_per_step(keras_epochs, network)
        a, b = sum(plain.values()), sum(ours.values())
        lines.append(f"| {network.name} | {a:.0f} | {b:.0f} | {b / a:.2f} |")
        print(lines[-1], flush=True)
        if options.top:
            rows = sorted((ours.get(name, 0) - plain.get(name, 0), name) for name in {*plain, *ours})
            for difference, name in (*rows[:6], *rows[-12:]):
                print(f"    {difference:+7.1f}  {name}")
    if not options.names:
        text = " ".join(__doc__.split("\n\n")[2].split())
        by = f"torch {torch.__version__}; `python benchmarks/launches.py`."
        table = "\n".join(lines)
        (RESULTS / "launches.md").write_text(f"# Aten calls of a training step\n\n{text}\n\n{by}\n\n{table}\n")


if __name__ == "__main__":
    main()
