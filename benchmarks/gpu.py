"""Training steps of large networks on a GPU: plain torch and this library in eager mode, replayed and compiled.

    python benchmarks/gpu.py [--networks resnet50,bert,gpt2] [--ways torch,eager,replayed,jit,...]
                             [--steps 24] [--limit 90] [--seconds 360] [--out FOLDER] [--small]

Each network and way runs in a process of its own, which is ended after `--limit` seconds. The ways take turns, the
compiled ones last, and after `--seconds` in all none is begun. bfloat16, Adam, loss and accuracy kept on the device.
`--small` shrinks the networks so that the script can be tried on a CPU, where "replayed" is eager mode. The results are
printed and written to FOLDER as gpu.md and gpu.json after each of them.

Columns: milliseconds a step (the best of two epochs), seconds of the first epoch (with what is compiled or captured),
milliseconds of kernels a step and the share of the step in which no kernel runs, kernels and launches a step, calls
that wait for the device within an epoch, the share of the device's arithmetic that the network's own arithmetic takes
(MFU), and the peak of allocated memory.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from gpu_networks import NETWORKS, SMALL, Network, keras_network, torch_network

WAYS = ("torch", "eager", "replayed", "jit", "torch-compiled", "jit-replayed")
LEAST_SECONDS = 15  # in less time no process comes to its first number
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# Dense bfloat16 arithmetic by the makers' data sheets, in operations per second.
PEAKS = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}

Training = Callable[[int, int], tuple[list[float], float]]
"""Trains for some epochs of some batches; the seconds of each epoch and the mean loss of the last one."""


def wait() -> float:
    """Wait for the device; the time then."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def torch_way(of: Network, steps: int, compiled: bool) -> Training:
    """The loop that a good torch user writes: data on the device, nothing read back before the epoch's end."""
    layout = torch.preserve_format if of.vocabulary else torch.channels_last
    model = torch_network(of).to(DEVICE, memory_format=layout)
    x, y = of.data(steps, DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=True)

    def forward(inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast(DEVICE, torch.bfloat16):
            logits = model(inputs)
        return F.cross_entropy(logits.flatten(0, -2).float(), targets.flatten()), logits

    run = torch.compile(forward) if compiled else forward

    def epoch(steps: int) -> float:
        total, right = torch.zeros((), device=DEVICE), torch.zeros((), device=DEVICE)
        order = torch.randperm(steps * of.batch, device=DEVICE)
        for rows in order.split(of.batch):
            targets = y[rows]
            loss, logits = run(x[rows], targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                total += loss
                right += (logits.argmax(-1) == targets).float().mean()
        return float(total) / steps

    def train(epochs: int, steps: int) -> tuple[list[float], float]:
        seconds, loss = [], 0.0
        for _ in range(epochs):
            begin = wait()
            loss = epoch(steps)
            seconds.append(wait() - begin)
        return seconds, loss

    return train


def keras_way(of: Network, steps: int, way: str) -> Training:
    """`fit` of this library."""
    import torchkeras as keras

    keras.utils.set_random_seed(0)  # one order of the rows, whatever the way
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.config.set_cuda_graphs("always" if way.endswith("replayed") else "off")
    model = keras_network(keras, of)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    jit = {"eager": False, "replayed": "auto", "jit": True, "jit-replayed": True}[way]
    model.compile(keras.optimizers.Adam(1e-4), loss, metrics=["accuracy"], jit_compile=jit)
    x, y = of.data(steps, DEVICE)

    class Clock(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.begin = wait()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seconds.append(wait() - self.begin)

    def train(epochs: int, steps: int) -> tuple[list[float], float]:
        rows, clock = steps * of.batch, Clock()
        history = model.fit(x[:rows], y[:rows], of.batch, epochs=epochs, verbose=0, callbacks=[clock]).history
        return clock.seconds, history["loss"][-1]

    return train


def flops(of: Network) -> float:
    """Floating point operations of one training step, without a device."""
    with torch.device("meta"):
        model, x = torch_network(of), of.data(1, "meta")[0]
    with FlopCounterMode(display=False) as counter:
        model(x).float().sum().backward()
    return float(counter.get_total_flops())


def measure(key: str, way: str, steps: int, small: bool) -> dict[str, Any]:
    """All numbers of one network trained in one way."""
    torch.manual_seed(0)
    of = (SMALL if small else NETWORKS)[key]
    train = torch_way(of, steps, way == "torch-compiled") if way.startswith("torch") else keras_way(of, steps, way)
    seconds, loss = train(4, steps)
    best = min(seconds[2:])
    found: dict[str, Any] = {
        "network": of.name,
        "way": way,
        "steps": steps,
        "ms": 1000 * best / steps,
        "first_epoch_s": seconds[0],
        "second_epoch_s": seconds[1],
        "loss": loss,
    }
    if DEVICE == "cuda":
        found["gib"] = torch.cuda.max_memory_allocated() / 2**30
        found["gib_reserved"] = torch.cuda.max_memory_reserved() / 2**30
        found["waits"] = count_waits(train, steps)
        peak = next((value for name, value in PEAKS.items() if name in torch.cuda.get_device_name()), None)
        found["mfu"] = flops(of) * steps / best / peak if peak else None
    print("PART " + json.dumps(found), flush=True)
    found.update(profile(train, min(steps, 4), found["ms"]))
    return found


def count_waits(train: Training, steps: int) -> int:
    """Calls that wait for the device, the reading of the epoch's values among them."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            train(1, steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing CUDA operation" in str(one.message) for one in caught)


def profile(train: Training, steps: int, ms: float) -> dict[str, Any]:
    """Kernels, launches and the time of the kernels, per step."""
    if DEVICE != "cuda":
        return {}
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity

    with torch.profiler.profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], acc_events=True) as profiler:
        train(1, steps)
        wait()
    events = profiler.events()
    kernels = [e for e in events if e.device_type == DeviceType.CUDA and not e.name.startswith("Mem")]
    launches = [e for e in events if e.name.startswith(("cudaLaunch", "cuLaunch", "cudaGraphLaunch"))]
    busy = sum(e.time_range.elapsed_us() for e in kernels) / 1000 / steps
    return {
        "kernel_ms": busy,
        "host_share": max(0.0, 1 - busy / ms),
        "kernels": len(kernels) / steps,
        "launches": len(launches) / steps,
    }


# ------------------------------------------------------------------------------------------------ all of them


def run_apart(key: str, way: str, options: argparse.Namespace, limit: float) -> dict[str, Any]:
    """`measure` in a process of its own; after `limit` seconds, what it had found."""
    command = [sys.executable, __file__, "--one", key, way, "--steps", str(options.steps)]
    command += ["--small"] if options.small else []
    begin, late = time.perf_counter(), False
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        late = True
    found: dict[str, Any] = {"network": (SMALL if options.small else NETWORKS)[key].name, "way": way}
    for line in out.splitlines():
        if line.startswith(("PART ", "ALL ")):
            found = json.loads(line.split(" ", 1)[1])
    if late:
        found["problem"] = f"ended after {limit:.0f} s"
    elif process.returncode:
        found["problem"] = (err.strip().splitlines() or ["no message"])[-1][:200]
        found["error"] = err[-3000:]
    found["seconds"] = time.perf_counter() - begin
    return found


COLUMNS = {
    "network": "{}",
    "way": "{}",
    "ms": "{:.2f}",
    "first_epoch_s": "{:.1f}",
    "kernel_ms": "{:.2f}",
    "host_share": "{:.0%}",
    "kernels": "{:.0f}",
    "launches": "{:.0f}",
    "waits": "{}",
    "mfu": "{:.1%}",
    "gib": "{:.1f}",
    "loss": "{:.3f}",
    "problem": "{}",
}


def table(rows: list[dict[str, Any]], card: str, steps: int) -> str:
    """The results in Markdown."""
    heads = ["network", "way", "ms a step", "first epoch, s", "kernels, ms", "no kernel runs", "kernels", "launches"]
    heads += ["waits an epoch", "MFU", "GiB", "loss", ""]
    lines = [
        "# Training steps on a GPU",
        "",
        f"{card}, torch {torch.__version__}, bfloat16, Adam, {steps} steps an epoch. Made by `benchmarks/gpu.py`.",
        "",
        "| " + " | ".join(heads) + " |",
        "|" + "---|" * len(heads),
    ]
    for row in rows:
        cells = ["" if row.get(name) is None else form.format(row[name]) for name, form in COLUMNS.items()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--limit", type=float, default=90, help="seconds for one network in one way")
    parser.add_argument("--seconds", type=float, default=360, help="for all of them together")
    parser.add_argument("--out", default=None)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("NETWORK", "WAY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        with nullcontext() if DEVICE == "cuda" else torch.device("cpu"):
            print("ALL " + json.dumps(measure(*options.one, options.steps, options.small)), flush=True)
        return
    card = torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU"
    networks, begin = options.networks.split(","), time.perf_counter()
    rows: list[dict[str, Any]] = []
    order: dict[str, None] = {}
    for way, key in itertools.product(options.ways.split(","), networks):
        name = (SMALL if options.small else NETWORKS)[key].name
        left = options.seconds - (time.perf_counter() - begin)
        if left < LEAST_SECONDS:
            rows.append({"network": name, "way": way, "problem": "not begun in time"})
        else:
            rows.append(run_apart(key, way, options, min(options.limit, left)))
        print(json.dumps({k: v for k, v in rows[-1].items() if k != "error"}), flush=True)
        if "error" in rows[-1]:
            print(rows[-1]["error"], flush=True)
        order.setdefault(name)
        rows.sort(key=lambda row: list(order).index(row["network"]))
        if options.out:
            folder = Path(options.out)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "gpu.md").write_text(table(rows, card, options.steps))
            (folder / "gpu.json").write_text(json.dumps({"card": card, "torch": torch.__version__, "rows": rows}))
    print(table(rows, card, options.steps))


if __name__ == "__main__":
    main()
