"""CPU seconds that compiling a training step takes, whole and by blocks, for transformers of few and of many blocks.

Usage: python benchmarks/compile_time.py [--blocks 2 24]    (writes benchmarks/results/compile_time.md)

Each number is from a fresh process with torch's caches off: the CPU time of two epochs of two batches (the first batch
runs uncompiled) less that of the same training without compilation.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
KINDS = {"uncompiled": False, "whole": True, "regional": "regional"}


def train(kind: str, count: int) -> None:
    """Train a transformer of so many blocks; print the CPU seconds and the number of graphs."""
    import numpy as np

    import torchkeras as keras
    from torchkeras import layers

    class Block(layers.Layer):
        def __init__(self, width: int, **kwargs: object) -> None:
            super().__init__(**kwargs)
            self.norms = [layers.LayerNormalization() for _ in range(2)]
            self.attention = layers.MultiHeadAttention(4, width // 4, dropout=0.1)
            self.dense = [layers.Dense(2 * width, activation="gelu"), layers.Dense(width)]

        def call(self, inputs: torch.Tensor, training: bool = False) -> torch.Tensor:
            normal = self.norms[0](inputs)
            inputs = inputs + self.attention(normal, normal, training=training)
            return inputs + self.dense[1](self.dense[0](self.norms[1](inputs)))

    outputs = inputs = keras.Input((16, 32))
    for _ in range(count):
        outputs = Block(32)(outputs)
    model = keras.Model(inputs, layers.Dense(1)(outputs))
    model.compile("sgd", "mse", jit_compile=KINDS[kind])
    x, y = np.ones((16, 16, 32), "float32"), np.ones((16, 16, 1), "float32")
    start = sum(os.times()[:4])
    model.fit(x, y, epochs=2, batch_size=8, verbose=0)
    print(sum(os.times()[:4]) - start)


def seconds(kind: str, count: int) -> float:
    """The CPU seconds of `train` in a fresh process."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }
    command = [sys.executable, __file__, "--train", kind, str(count)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", nargs="+", type=int, default=[2, 24])
    parser.add_argument("--train", nargs=2)
    options = parser.parse_args()
    if options.train:
        return train(options.train[0], int(options.train[1]))
    lines = [
        "# Seconds to compile",
        "",
        f"Made by `benchmarks/compile_time.py`: torch {torch.__version__}, CPU seconds, caches off.",
        "A transformer of blocks (attention and a feed-forward part of width 32) is trained for four batches.",
        "",
        f"| `jit_compile` | {' | '.join(f'{count} blocks' for count in options.blocks)} | last / first |",
        f"|---|{'---|' * len(options.blocks)}---|",
    ]
    base = [seconds("uncompiled", count) for count in options.blocks]
    for kind in ("regional", "whole"):
        found = [seconds(kind, count) - without for count, without in zip(options.blocks, base, strict=True)]
        name = "True" if kind == "whole" else '"regional"'
        lines.append(f"| `{name}` | {' | '.join(f'{s:.1f}' for s in found)} | {found[-1] / found[0]:.2f} |")
        print(lines[-1], flush=True)
    (ROOT / "benchmarks" / "results" / "compile_time.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
