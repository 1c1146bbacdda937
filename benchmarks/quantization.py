"""Quantized models against the float ones: size, time of a prediction, error.

    python benchmarks/quantization.py [--write]

Each row is measured beside its float model in one process, on one thread: the ratio of times is what to read, since a
machine's speed differs from minute to minute. MB are those of the variables. The error is the largest difference of
outputs over the largest output of the float model. `--write` puts the table into `benchmarks/results/quantization.md`.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from pathlib import Path

import torch

import torchkeras as keras

RESULTS = Path(__file__).parent / "results" / "quantization.md"
WIDTHS = (1024, 2048, 4096)
MODES = {
    "int8": {"mode": "int8"},
    "int8, weights alone": {"config": keras.quantizers.Int8QuantizationConfig(activation_quantizer=None)},
    "int4, groups of 128": {"mode": "int4"},
    "int4, one scale for each output": {"config": keras.quantizers.Int4QuantizationConfig(block_size=None)},
    "ternary": {"mode": "ternary"},
    "int4, inputs in int8": {
        "config": keras.quantizers.Int4QuantizationConfig(
            activation_quantizer=keras.quantizers.AbsMaxQuantizer(axis=-1), block_size=None
        )
    },
}


def mlp(width: int) -> keras.Model:
    """Three square layers."""
    inputs = keras.Input((width,))
    x = keras.layers.Dense(width, activation="relu")(inputs)
    x = keras.layers.Dense(width, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(width)(x))


def block(width: int) -> keras.Model:
    """One block of a transformer over 64 tokens: attention of 16 heads and a feed-forward part."""
    inputs = keras.Input((64, width))
    x = keras.layers.LayerNormalization()(inputs)
    x = inputs + keras.layers.MultiHeadAttention(16, width // 16)(x, x)
    y = keras.layers.Dense(4 * width, activation="gelu")(keras.layers.LayerNormalization()(x))
    return keras.Model(inputs, x + keras.layers.Dense(width)(y))


def megabytes(model: keras.Model) -> float:
    """The size of the variables."""
    return sum(w.numel() * w.element_size() for w in model.weights) / 2**20


def milliseconds(models: list[keras.Model], x: torch.Tensor, rounds: int = 7) -> list[float]:
    """The best time of each model, measured in turn."""
    best = [float("inf")] * len(models)
    with torch.inference_mode():
        for _ in range(rounds):
            for i, model in enumerate(models):
                model(x)
                start = time.perf_counter()
                for _ in range(3):
                    model(x)
                best[i] = min(best[i], (time.perf_counter() - start) / 3 * 1e3)
    return best


def rows_of(name: str, make, width: int, x: torch.Tensor) -> list[str]:
    model = make(width)
    quantized = []
    for settings in MODES.values():
        twin = make(width)
        twin.set_weights(model.get_weights())
        twin.quantize(**settings)
        quantized.append(twin)
    times = milliseconds([model, *quantized], x)
    size = megabytes(model)
    with torch.inference_mode():
        expected = model(x).float()
        rows = [f"| {name} | float32 | {size:.1f} | 1.00 | {times[0]:.2f} | 1.00 | |"]
        for mode, twin, ms in zip(MODES, quantized, times[1:], strict=True):
            error = ((twin(x).float() - expected).abs().max() / expected.abs().max()).item()
            rows.append(
                f"| {name} | {mode} | {megabytes(twin):.1f} | {megabytes(twin) / size:.2f} | {ms:.2f} | "
                f"{ms / times[0]:.2f} | {error:.4f} |"
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--widths", type=int, nargs="*", default=WIDTHS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keras.utils.set_random_seed(0)
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for width in arguments.widths:
            for batch in (1, 16, 32):
                rows += rows_of(f"MLP of 3 x {width}, {batch} rows", mlp, width, torch.randn(batch, width))
        rows += rows_of("transformer block of 1024, 64 tokens", block, 1024, torch.randn(1, 64, 1024))
    table = [
        "# Quantized models",
        "",
        f"`python benchmarks/quantization.py --write`, torch {torch.__version__}, {platform.machine()}, one thread,",
        f"{torch.backends.cpu.get_cpu_capability()}. MB and ms are followed by the ratio to the float model in",
        "the same run; the error is the largest difference of outputs over the largest output of the float model.",
        "",
        "| model | mode | MB | of float | ms | of float | error |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]
    print("\n".join(table))
    if arguments.write:
        RESULTS.write_text("\n".join(table))


if __name__ == "__main__":
    main()
