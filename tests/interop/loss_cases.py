"""The losses by the targets that they take, with arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

# What targets a loss takes, and its arguments.
NUMBERS, POSITIVE, BITS, SIGNS, ONE_HOT, CLASSES = "numbers", "positive", "bits", "signs", "one-hot", "classes"
LOSSES: dict[str, tuple[str, dict[str, Any]]] = {
    "MeanSquaredError": (NUMBERS, {}),
    "MeanAbsoluteError": (NUMBERS, {}),
    "MeanAbsolutePercentageError": (NUMBERS, {}),
    "MeanSquaredLogarithmicError": (POSITIVE, {}),
    "Huber": (NUMBERS, {}),
    "Huber delta": (NUMBERS, {"delta": 0.3}),
    "LogCosh": (NUMBERS, {}),
    "CosineSimilarity": (NUMBERS, {}),
    "CosineSimilarity axis": (NUMBERS, {"axis": 1}),
    "Hinge": (SIGNS, {}),
    "Hinge bits": (BITS, {}),
    "SquaredHinge": (BITS, {}),
    "CategoricalHinge": (ONE_HOT, {}),
    "KLDivergence": (POSITIVE, {}),
    "Poisson": (POSITIVE, {}),
    "BinaryCrossentropy": (BITS, {}),
    "BinaryCrossentropy logits": (BITS, {"from_logits": True}),
    "BinaryCrossentropy smooth": (BITS, {"label_smoothing": 0.2}),
    "BinaryCrossentropy logits smooth": (BITS, {"from_logits": True, "label_smoothing": 0.1}),
    "BinaryFocalCrossentropy": (BITS, {}),
    "BinaryFocalCrossentropy balanced": (
        BITS,
        {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5, "from_logits": True, "label_smoothing": 0.1},
    ),
    "CategoricalCrossentropy": (ONE_HOT, {}),
    "CategoricalCrossentropy logits": (ONE_HOT, {"from_logits": True}),
    "CategoricalCrossentropy smooth": (ONE_HOT, {"label_smoothing": 0.2}),
    "CategoricalCrossentropy logits smooth": (ONE_HOT, {"from_logits": True, "label_smoothing": 0.1}),
    "CategoricalFocalCrossentropy": (ONE_HOT, {}),
    "CategoricalFocalCrossentropy logits": (ONE_HOT, {"from_logits": True, "alpha": 0.5, "label_smoothing": 0.1}),
    "SparseCategoricalCrossentropy": (CLASSES, {}),
    "SparseCategoricalCrossentropy logits": (CLASSES, {"from_logits": True}),
    "SparseCategoricalCrossentropy ignore": (CLASSES, {"ignore_class": 2}),
    "SparseCategoricalCrossentropy ignore logits": (CLASSES, {"ignore_class": 0, "from_logits": True}),
    "CategoricalGeneralizedCrossEntropy": (CLASSES, {"q": 0.7}),
    "Dice": (BITS, {}),
    "Dice axis": (BITS, {"axis": -1}),
    "Tversky": (BITS, {"alpha": 0.3, "beta": 0.6}),
    "Tversky axis": (BITS, {"axis": (1,)}),
}


def make_batch(
    rng: np.random.Generator, kind: str, arguments: dict, shape: tuple = (6, 5), dtype: str = "float32"
) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions that a loss takes."""
    classes = shape[-1]
    pred = rng.normal(size=shape)
    if kind in (BITS, ONE_HOT, CLASSES) and not arguments.get("from_logits"):
        pred = 1.0 / (1.0 + np.exp(-2.0 * pred))
    if kind == POSITIVE:
        pred = np.abs(pred) / 2.0 + 0.01
    labels = rng.integers(0, classes, size=shape[:-1])
    true = {
        NUMBERS: lambda: rng.normal(size=shape),
        POSITIVE: lambda: np.abs(rng.normal(size=shape)) / 2.0,
        BITS: lambda: rng.integers(0, 2, size=shape).astype(dtype),
        SIGNS: lambda: rng.choice([-1.0, 1.0], size=shape),
        ONE_HOT: lambda: np.eye(classes)[labels],
        CLASSES: lambda: labels,
    }[kind]()
    return true if kind == CLASSES else true.astype(dtype), pred.astype(dtype)
