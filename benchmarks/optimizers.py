"""The Python cost of one optimizer step on small CPU parameters, against torch's own optimizers.

    python benchmarks/optimizers.py [--parameters 6] [--steps 2000] [--rounds 7]

The two take turns in one run; the table has the best round of each and their ratio (below 1: ours is faster).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from torchkeras import optimizers

SHAPES = [(16, 32), (32,), (32, 32), (32,), (32, 10), (10,)]
ROWS: dict[str, tuple[Callable, Callable]] = {
    "SGD": (lambda p: torch.optim.SGD(p, 1e-3, fused=True), lambda: optimizers.SGD(1e-3)),
    "SGD momentum": (
        lambda p: torch.optim.SGD(p, 1e-3, momentum=0.9, fused=True),
        lambda: optimizers.SGD(1e-3, momentum=0.9),
    ),
    "Adam": (lambda p: torch.optim.Adam(p, 1e-3, fused=True), lambda: optimizers.Adam(1e-3)),
    "Adam amsgrad": (
        lambda p: torch.optim.Adam(p, 1e-3, amsgrad=True, fused=True),
        lambda: optimizers.Adam(1e-3, amsgrad=True),
    ),
    "AdamW": (lambda p: torch.optim.AdamW(p, 1e-3, fused=True), lambda: optimizers.AdamW(1e-3)),
    "Adam schedule": (
        lambda p: torch.optim.Adam(p, 1e-3, fused=True),
        lambda: optimizers.Adam(optimizers.schedules.CosineDecay(1e-3, 10_000)),
    ),
    "Adam global_clipnorm": (lambda p: _Clipped(p), lambda: optimizers.Adam(1e-3, global_clipnorm=1.0)),
    "RMSprop": (lambda p: torch.optim.RMSprop(p, 1e-3, foreach=True), lambda: optimizers.RMSprop(1e-3)),
    "Adagrad": (lambda p: torch.optim.Adagrad(p, 1e-3, foreach=True), lambda: optimizers.Adagrad(1e-3)),
    "Adadelta": (lambda p: torch.optim.Adadelta(p, 1e-3, foreach=True), lambda: optimizers.Adadelta(1e-3)),
    "Adamax": (lambda p: torch.optim.Adamax(p, 1e-3, foreach=True), lambda: optimizers.Adamax(1e-3)),
    "Nadam": (lambda p: torch.optim.NAdam(p, 1e-3, foreach=True), lambda: optimizers.Nadam(1e-3)),
    "Adafactor": (lambda p: torch.optim.Adafactor(p, 1e-3, foreach=True), lambda: optimizers.Adafactor(1e-3)),
}


class _Clipped:
    """torch's Adam behind torch's clipping."""

    def __init__(self, parameters: list) -> None:
        self.parameters = parameters
        self.optimizer = torch.optim.Adam(parameters, 1e-3, fused=True)

    def step(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()


def parameters(count: int) -> list[torch.nn.Parameter]:
    made = [torch.nn.Parameter(torch.randn(SHAPES[i % len(SHAPES)])) for i in range(count)]
    for parameter in made:
        parameter.grad = torch.randn_like(parameter)
    return made


def seconds(step: Callable[[], None], steps: int) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=int, default=6)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'optimizer':22s} {'torch µs':>9s} {'ours µs':>9s} {'ratio':>6s}")
    for name, (make_theirs, make_ours) in ROWS.items():
        theirs_parameters, our_parameters = parameters(options.parameters), parameters(options.parameters)
        theirs, ours = make_theirs(theirs_parameters), make_ours()
        ours.build(our_parameters)

        def our_step(optimizer: optimizers.Optimizer = ours, of: list = our_parameters) -> None:
            optimizer.apply([p.grad for p in of], of)

        times = [(seconds(theirs.step, options.steps), seconds(our_step, options.steps)) for _ in range(options.rounds)]
        best = [1e6 * min(column) for column in zip(*times)]
        print(f"{name:22s} {best[0]:9.1f} {best[1]:9.1f} {best[1] / best[0]:6.2f}")


if __name__ == "__main__":
    main()
