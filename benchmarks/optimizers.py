"""One optimizer step, against the optimizers of torch itself; writes benchmarks/results/optimizers.md.

    python benchmarks/optimizers.py [--only Adam] [--rounds 9] [--device cpu]

The two take turns in one process; the table has the best round of each. "small" are six weights of a small network,
where the step's own cost shows; "MLP" are the weights of 784-512-512-10, where the memory's does. torch's optimizer is
the `foreach=True` one, which is its default on GPUs; where torch has a fused kernel there is a row against that too.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch

from torchkeras import optimizers

SIZES: dict[str, list[tuple[int, ...]]] = {
    "small": [(16, 32), (32,), (32, 32), (32,), (32, 10), (10,)],
    "MLP": [(784, 512), (512,), (512, 512), (512,), (512, 10), (10,)],
}
STEPS = {"small": 300, "MLP": 20}
RESULTS = Path(__file__).resolve().parent / "results"
Step = Callable[[], object]


def of_torch(name: str, **arguments: object) -> Callable[[list], Step]:
    return lambda parameters: getattr(torch.optim, name)(parameters, lr=1e-3, **arguments).step


def clipped(parameters: list) -> Step:
    """torch's Adam behind torch's clipping."""
    step = torch.optim.Adam(parameters, lr=1e-3, foreach=True).step

    def clip_and_step() -> None:
        torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
        step()

    return clip_and_step


def scaled(parameters: list) -> Step:
    """torch's Adam behind its gradient scaler, which reads from the device whether to step."""
    optimizer = torch.optim.Adam(parameters, lr=1e-3, foreach=True)
    scaler = torch.amp.GradScaler(parameters[0].device.type)
    scaler.scale(torch.ones((), device=parameters[0].device))

    def step() -> None:
        scaler.step(optimizer)
        scaler.update()

    return step


def averaged(parameters: list) -> Step:
    """torch's Adam and an average of the weights."""
    step = torch.optim.Adam(parameters, lr=1e-3, foreach=True).step
    averages = [p.detach().clone() for p in parameters]

    def step_and_average() -> None:
        step()
        torch._foreach_lerp_(averages, [p.detach() for p in parameters], 0.01)

    return step_and_average


def of_muon(parameters: list) -> Step:
    """torch's Muon for the matrices, which multiplies in bfloat16 (ours, as Keras's, in the weights' type); AdamW."""
    matrices = [p for p in parameters if p.dim() == 2]
    muon = torch.optim.Muon(matrices, lr=1e-3)
    adam = torch.optim.AdamW([p for p in parameters if p.dim() != 2], lr=1e-3, foreach=True)

    def step() -> None:
        muon.step()
        adam.step()

    return step


K = optimizers
ROWS: dict[str, tuple[Callable[[list], Step] | None, Callable[[], optimizers.Optimizer]]] = {
    "SGD": (of_torch("SGD", foreach=True), lambda: K.SGD(1e-3)),
    "SGD, fused": (of_torch("SGD", fused=True), lambda: K.SGD(1e-3)),
    "SGD momentum": (of_torch("SGD", momentum=0.9, foreach=True), lambda: K.SGD(1e-3, momentum=0.9)),
    "SGD nesterov": (
        of_torch("SGD", momentum=0.9, nesterov=True, foreach=True),
        lambda: K.SGD(1e-3, momentum=0.9, nesterov=True),
    ),
    "Adam": (of_torch("Adam", foreach=True), lambda: K.Adam(1e-3)),
    "Adam, fused": (of_torch("Adam", fused=True), lambda: K.Adam(1e-3)),
    "Adam amsgrad": (of_torch("Adam", amsgrad=True, foreach=True), lambda: K.Adam(1e-3, amsgrad=True)),
    "Adam with a schedule": (
        of_torch("Adam", foreach=True),
        lambda: K.Adam(K.schedules.CosineDecay(1e-3, 10_000)),
    ),
    "Adam global_clipnorm": (clipped, lambda: K.Adam(1e-3, global_clipnorm=1.0)),
    "Adam use_ema": (averaged, lambda: K.Adam(1e-3, use_ema=True)),
    "Adam, loss scaled": (scaled, lambda: K.LossScaleOptimizer(K.Adam(1e-3))),
    "AdamW": (of_torch("AdamW", foreach=True), lambda: K.AdamW(1e-3)),
    "AdamW, fused": (of_torch("AdamW", fused=True), lambda: K.AdamW(1e-3)),
    "RMSprop": (of_torch("RMSprop", foreach=True), lambda: K.RMSprop(1e-3)),
    "RMSprop centered": (
        of_torch("RMSprop", centered=True, momentum=0.9, foreach=True),
        lambda: K.RMSprop(1e-3, centered=True, momentum=0.9),
    ),
    "Adagrad": (of_torch("Adagrad", foreach=True), lambda: K.Adagrad(1e-3)),
    "Adadelta": (of_torch("Adadelta", foreach=True), lambda: K.Adadelta(1e-3)),
    "Adamax": (of_torch("Adamax", foreach=True), lambda: K.Adamax(1e-3)),
    "Nadam": (of_torch("NAdam", foreach=True), lambda: K.Nadam(1e-3)),
    "Adafactor": (of_torch("Adafactor", foreach=True), lambda: K.Adafactor(1e-3)),
    "Muon": (of_muon, lambda: K.Muon(1e-3)),
    "Ftrl": (None, lambda: K.Ftrl(1e-3)),
    "Lamb": (None, lambda: K.Lamb(1e-3)),
    "Lion": (None, lambda: K.Lion(1e-3)),
    "ScheduleFreeAdamW": (None, lambda: K.ScheduleFreeAdamW(1e-3)),
}


def weights(shapes: list[tuple[int, ...]], device: str) -> list[torch.nn.Parameter]:
    made = [torch.nn.Parameter(torch.randn(shape, device=device)) for shape in shapes]
    for parameter in made:
        parameter.grad = torch.randn_like(parameter)
    return made


def seconds(step: Step, steps: int, device: str) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps


def our_step(optimizer: optimizers.Optimizer, parameters: list) -> Step:
    optimizer.build(parameters)
    return lambda: optimizer.apply([p.grad for p in parameters], parameters)


def measure(row: str, size: str, options: argparse.Namespace) -> list[float]:
    """Microseconds of torch's step (if it has one) and of ours."""
    theirs, ours = ROWS[row]
    steps = [] if theirs is None else [theirs(weights(SIZES[size], options.device))]
    steps.append(our_step(ours(), weights(SIZES[size], options.device)))
    times = [[seconds(step, STEPS[size], options.device) for step in steps] for _ in range(options.rounds + 1)]
    return [1e6 * min(column) for column in zip(*times[1:])]


def cells(times: list[float]) -> list[str]:
    if len(times) == 1:
        return ["", f"{times[0]:,.0f}", ""]
    return [f"{times[0]:,.0f}", f"{times[1]:,.0f}", f"**{times[1] / times[0]:.2f}**"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "| optimizer | torch, small | ours, small | ours / torch | torch, MLP | ours, MLP | ours / torch |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        if options.only.lower() in row.lower():
            found = [cell for size in SIZES for cell in cells(measure(row, size, options))]
            lines.append("| " + " | ".join([row, *found]) + " |")
            print(lines[-1], flush=True)
    where = torch.cuda.get_device_name() if options.device == "cuda" else "one thread"
    head = (
        "# Optimizers\n\nMicroseconds of a step, the best round; below 1 ours is the faster one. Without a number of "
        f"torch's: torch has no such optimizer. torch's Muon multiplies in bfloat16, ours, as Keras's, in the weights' "
        f"own type.\n\n{date.today()}, {options.device}, {where}, Python "
        f"{platform.python_version()}, torch {torch.__version__}; {options.rounds} rounds.\n\n"
    )
    if not options.only:
        name = "optimizers.md" if options.device == "cpu" else "optimizers-cuda.md"
        (RESULTS / name).write_text(head + "\n".join(lines) + "\n")
        print(f"written to {RESULTS / name}")


if __name__ == "__main__":
    main()
