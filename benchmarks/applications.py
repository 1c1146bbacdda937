"""The networks of `keras.applications` against torchvision's eager models of the same name, on a CPU.

    python benchmarks/applications.py [--size 224] [--batch 8] [--repeats 5] [--train | --no-grad] [--out FILE] [NAMES]

torchvision must be installed. Both contenders run in turns on the same random images, channels last: in inference mode,
with `--no-grad` under `torch.no_grad()`, or with `--train` forward and backward of a crossentropy. The ratio is of
their least CPU times, which tell more than the clock on a machine that others use, too. Architectures of one name are
not always equal: the ResNets of Keras have biases and stride in another convolution than torchvision's.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision

import torchkeras as keras

NAMES = {
    "MobileNetV2": "mobilenet_v2",
    "MobileNetV3Small": "mobilenet_v3_small",
    "MobileNetV3Large": "mobilenet_v3_large",
    "ResNet50": "resnet50",
    "ResNet101": "resnet101",
    "DenseNet121": "densenet121",
    "DenseNet169": "densenet169",
    "EfficientNetB0": "efficientnet_b0",
    "EfficientNetB1": "efficientnet_b1",
    "EfficientNetV2S": "efficientnet_v2_s",
    "EfficientNetV2M": "efficientnet_v2_m",
    "ConvNeXtTiny": "convnext_tiny",
    "ConvNeXtSmall": "convnext_small",
    "VGG16": "vgg16",
    "VGG19": "vgg19",
    "InceptionV3": "inception_v3",
}


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def gradients(model: torch.nn.Module, probabilities: Callable[[], torch.Tensor], labels: torch.Tensor) -> None:
    torch.nn.functional.nll_loss(probabilities().log(), labels).backward()
    for parameter in model.parameters():
        parameter.grad = None


MODES = {"train": "Training", "no_grad": "Under no_grad", "inference_mode": "Inference"}


def compare(name: str, size: int, batch: int, repeats: int, mode: str) -> tuple[float, float]:
    """Least CPU seconds of a batch: ours, torchvision's."""
    size = 299 if name == "InceptionV3" else size
    ours = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3))
    options = {"aux_logits": False, "init_weights": False} if name == "InceptionV3" else {}
    theirs = getattr(torchvision.models, NAMES[name])(weights=None, **options).eval()
    theirs = theirs.to(memory_format=torch.channels_last)
    images = torch.rand(batch, size, size, 3)
    calls: tuple[Callable[[], object], Callable[[], object]]
    calls = (lambda: ours(images), lambda: theirs(images.permute(0, 3, 1, 2)))
    if mode == "train":
        theirs.train()
        labels = torch.randint(0, 1000, (batch,))
        calls = (
            lambda: gradients(ours, lambda: ours(images, training=True), labels),
            lambda: gradients(theirs, lambda: theirs(images.permute(0, 3, 1, 2)).softmax(-1), labels),
        )
    with contextlib.nullcontext() if mode == "train" else getattr(torch, mode)():
        for call in calls:
            call()
        times = [[seconds(call) for call in calls] for _ in range(repeats)]
    return min(t[0] for t in times), min(t[1] for t in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--train", dest="mode", action="store_const", const="train", default="inference_mode")
    modes.add_argument("--no-grad", dest="mode", action="store_const", const="no_grad")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("names", nargs="*", default=list(NAMES))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    lines = [
        f"{MODES[args.mode]} on CPU, {args.threads} threads, {args.batch} images of "
        f"{args.size} pixels (InceptionV3: 299), torch {torch.__version__}, torchvision {torchvision.__version__}; "
        f"least CPU time of {args.repeats}, in turns.",
        "",
        "| network | ours, CPU ms | torchvision, CPU ms | speed (torchvision = 1) |",
        "|---|---|---|---|",
    ]
    for name in args.names:
        ours, theirs = compare(name, args.size, args.batch, args.repeats, args.mode)
        lines.append(f"| {name} | {1e3 * ours:.0f} | {1e3 * theirs:.0f} | {theirs / ours:.2f} |")
        print(lines[-1], flush=True)
        if args.out is not None:
            args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
