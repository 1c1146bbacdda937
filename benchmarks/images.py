"""Layers that transform images, against Keras on torch (and torchvision.transforms.v2); writes results/images.md.

    python benchmarks/images.py [--only RandomHue] [--rounds 7] [--batch 32] [--size 224] [--device cpu]

All take turns in one process on the same batch of float32 images, channels last, `training=True`; the table has the
best round of each. torchvision, where it is installed, gets the same batch as a view with channels first.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch

import torchkeras
from timing import Run, best_times, waits_for

RESULTS = Path(__file__).resolve().parent / "results"


class Row(NamedTuple):
    """A layer and its arguments; `torchvision` makes the transform that does the same out of torchvision's module."""

    name: str
    arguments: dict[str, Any]
    torchvision: Callable[[Any], Any] | None = None


ROWS = [
    Row("RandomBrightness", {"factor": 0.3}),
    Row("RandomContrast", {"factor": 0.3}),
    Row("RandomInvert", {}),
    Row("RandomPosterization", {"factor": 5}),
    Row("Solarization", {"addition_factor": 0.3, "threshold_factor": 0.3}),
    Row("RandomColorDegeneration", {"factor": 0.3}),
    Row("RandomGrayscale", {}),
    Row("RandomHue", {"factor": 0.3}),
    Row("RandomSaturation", {"factor": 0.3}),
    Row("RandomColorJitter", dict.fromkeys(("brightness_factor", "contrast_factor", "hue_factor"), 0.3)),
    Row("RandomSharpness", {"factor": 0.5}),
    Row("AutoContrast", {}),
    Row("Equalization", {}),
    Row("ContrastLimitedAdaptiveHistogramEqualization", {}),
    Row("MixUp", {}),
    Row("CutMix", {}),
    Row("Mosaic", {}),
    Row("RandAugment", {}),
    Row("AugMix", {}),
    Row("Resizing", {"height": 160, "width": 160}, lambda v2: v2.Resize((160, 160), antialias=False)),
    Row("Resizing", {"height": 160, "width": 160, "antialias": True}, lambda v2: v2.Resize((160, 160))),
    Row(
        "Resizing",
        {"height": 160, "width": 160, "interpolation": "bicubic"},
        lambda v2: v2.Resize((160, 160), v2.InterpolationMode.BICUBIC, antialias=False),
    ),
    Row("CenterCrop", {"height": 160, "width": 160}, lambda v2: v2.CenterCrop(160)),
    Row("RandomCrop", {"height": 160, "width": 160}, lambda v2: v2.RandomCrop(160)),
    Row("RandomFlip", {"mode": "horizontal"}, lambda v2: v2.RandomHorizontalFlip(1.0)),
    Row("RandomFlip", {"mode": "vertical"}, lambda v2: v2.RandomVerticalFlip(1.0)),
    Row("RandomRotation", {"factor": 0.1}, lambda v2: v2.RandomRotation(36, v2.InterpolationMode.BILINEAR)),
    Row(
        "RandomRotation",
        {"factor": 0.1, "interpolation": "nearest", "fill_mode": "constant"},
        lambda v2: v2.RandomRotation(36, v2.InterpolationMode.NEAREST),
    ),
    Row(
        "RandomTranslation",
        {"height_factor": 0.2, "width_factor": 0.2},
        lambda v2: v2.RandomAffine(0, translate=(0.2, 0.2), interpolation=v2.InterpolationMode.BILINEAR),
    ),
    Row(
        "RandomZoom",
        {"height_factor": 0.2},
        lambda v2: v2.RandomAffine(0, scale=(0.8, 1.2), interpolation=v2.InterpolationMode.BILINEAR),
    ),
    Row(
        "RandomShear",
        {"x_factor": 0.2, "y_factor": 0.2},
        lambda v2: v2.RandomAffine(0, shear=(-11, 11, -11, 11), interpolation=v2.InterpolationMode.BILINEAR),
    ),
    Row("RandomPerspective", {"scale": 0.5}, lambda v2: v2.RandomPerspective(0.5, p=1.0)),
    Row("RandomElasticTransform", {"scale": (0.5, 0.5)}, lambda v2: v2.ElasticTransform(50.0, 5.6)),
    Row("RandomGaussianBlur", {}, lambda v2: v2.GaussianBlur(3)),
    Row("RandomGaussianBlur", {"kernel_size": 9}, lambda v2: v2.GaussianBlur(9)),
    Row("RandomErasing", {"fill_value": 0.0}, lambda v2: v2.RandomErasing(1.0)),
    Row("RandomErasing", {}, lambda v2: v2.RandomErasing(1.0, value="random")),
]


def runs_of(row: Row, images: torch.Tensor) -> dict[str, Run]:
    mine = getattr(torchkeras.layers, row.name)(**row.arguments)
    runs: dict[str, Run] = {"torchkeras": lambda: mine(images, training=True)}
    if hasattr(keras.layers, row.name):
        theirs = getattr(keras.layers, row.name)(**row.arguments)
        runs["Keras"] = lambda: theirs(images, training=True)
    if row.torchvision is not None:
        try:
            from torchvision.transforms import v2
        except ImportError:
            return runs
        transform, planes = row.torchvision(v2), images.permute(0, 3, 1, 2)
        runs["torchvision"] = lambda: transform(planes)
    return runs


def line_of(row: Row, times: dict[str, float]) -> str:
    cells = [f"{1e3 * times[name]:.2f}" if name in times else "" for name in ("torchkeras", "Keras", "torchvision")]
    others = [f"{times[name] / times['torchkeras']:.2f}" if name in times else "" for name in ("Keras", "torchvision")]
    arguments = ", ".join(f"{name}={value}" for name, value in row.arguments.items())
    return f"| {row.name}({arguments}) | {' | '.join(cells)} | {' | '.join(others)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    images = torch.rand(options.batch, options.size, options.size, 3, device=options.device) * 255
    lines = []
    for row in ROWS:
        if options.only in row.name:
            lines.append(line_of(row, best_times(runs_of(row, images), options.rounds, waits_for(options.device))))
            print(lines[-1], flush=True)
    if options.only:
        return
    place = torch.cuda.get_device_name() if options.device != "cpu" else f"{torch.get_num_threads()} CPU threads"
    heading = f"""# Layers that transform images

{date.today()}, {platform.machine()}, {place}, torch {torch.__version__}, Keras {keras.__version__};
{options.batch} images of {options.size} x {options.size} x 3 float32. Milliseconds, the best of {options.rounds}
rounds; ratios above 1 mean that torchkeras is faster.

| layer | torchkeras | Keras | torchvision | Keras / torchkeras | torchvision / torchkeras |
|---|---|---|---|---|---|
"""
    RESULTS.joinpath("images.md").write_text(heading + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
