"""The metrics by what they take, with arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

# What a metric takes, and its arguments.
NUMBERS, POSITIVE, BITS, LABELS, ONE_HOT, CLASSES, SEGMENTS, VALUES = (
    "numbers positive bits labels one-hot classes segments values".split()
)
METRICS: dict[str, tuple[str, dict[str, Any]]] = {
    "Mean": (VALUES, {}),
    "Sum": (VALUES, {}),
    "MeanSquaredError": (NUMBERS, {}),
    "RootMeanSquaredError": (NUMBERS, {}),
    "MeanAbsoluteError": (NUMBERS, {}),
    "MeanAbsolutePercentageError": (NUMBERS, {}),
    "MeanSquaredLogarithmicError": (POSITIVE, {}),
    "CosineSimilarity": (NUMBERS, {}),
    "LogCoshError": (NUMBERS, {}),
    "R2Score": (NUMBERS, {}),
    "R2Score adjusted": (NUMBERS, {"num_regressors": 2}),
    "R2Score apart": (NUMBERS, {"class_aggregation": None}),
    "R2Score weighted": (NUMBERS, {"class_aggregation": "variance_weighted_average"}),
    "PearsonCorrelation": (NUMBERS, {}),
    "PearsonCorrelation axis": (NUMBERS, {"axis": 0}),
    "ConcordanceCorrelation": (NUMBERS, {}),
    "ConcordanceCorrelation axis": (NUMBERS, {"axis": 0}),
    "Hinge": (BITS, {}),
    "SquaredHinge": (BITS, {}),
    "CategoricalHinge": (ONE_HOT, {}),
    "KLDivergence": (POSITIVE, {}),
    "Poisson": (POSITIVE, {}),
    "BinaryCrossentropy": (BITS, {}),
    "BinaryCrossentropy smooth": (BITS, {"from_logits": True, "label_smoothing": 0.1}),
    "CategoricalCrossentropy": (ONE_HOT, {}),
    "CategoricalCrossentropy logits": (ONE_HOT, {"from_logits": True, "label_smoothing": 0.1}),
    "SparseCategoricalCrossentropy": (CLASSES, {}),
    "SparseCategoricalCrossentropy logits": (CLASSES, {"from_logits": True}),
    "SparseCategoricalCrossentropy ignore": (CLASSES, {"ignore_class": 1}),
    "Accuracy": (BITS, {}),
    "BinaryAccuracy": (BITS, {}),
    "BinaryAccuracy threshold": (BITS, {"threshold": 0.3}),
    "CategoricalAccuracy": (ONE_HOT, {}),
    "SparseCategoricalAccuracy": (CLASSES, {}),
    "TopKCategoricalAccuracy": (ONE_HOT, {"k": 2}),
    "SparseTopKCategoricalAccuracy": (CLASSES, {"k": 3}),
    "TruePositives": (BITS, {}),
    "FalsePositives": (BITS, {"thresholds": 0.3}),
    "TrueNegatives": (BITS, {"thresholds": [0.2, 0.7, 0.4]}),
    "FalseNegatives": (BITS, {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}),
    "Precision": (BITS, {}),
    "Precision thresholds": (BITS, {"thresholds": [0.8, 0.2]}),
    "Precision class": (LABELS, {"class_id": 1}),
    "Precision top": (LABELS, {"top_k": 2}),
    "Precision top class": (LABELS, {"top_k": 3, "class_id": 2, "thresholds": 0.4}),
    "Recall": (BITS, {}),
    "Recall thresholds": (BITS, {"thresholds": [0.0, 0.5, 1.0]}),
    "Recall top": (LABELS, {"top_k": 2}),
    "SensitivityAtSpecificity": (BITS, {"specificity": 0.4}),
    "SensitivityAtSpecificity class": (LABELS, {"specificity": 0.4, "class_id": 3, "num_thresholds": 11}),
    "SpecificityAtSensitivity": (BITS, {"sensitivity": 0.5}),
    "PrecisionAtRecall": (BITS, {"recall": 0.5}),
    "PrecisionAtRecall one": (BITS, {"recall": 0.5, "num_thresholds": 1}),
    "RecallAtPrecision": (BITS, {"precision": 0.55}),
    "F1Score": (LABELS, {}),
    "F1Score micro": (LABELS, {"average": "micro", "threshold": 0.5}),
    "F1Score macro": (LABELS, {"average": "macro", "threshold": 0.6}),
    "FBetaScore": (LABELS, {"average": "weighted", "beta": 2.0}),
    "FBetaScore half": (LABELS, {"beta": 0.5, "threshold": 0.4}),
    "IoU": (SEGMENTS, {"num_classes": 3, "target_class_ids": [0, 2]}),
    "IoU ignore": (SEGMENTS, {"num_classes": 4, "target_class_ids": [1], "ignore_class": 2}),
    "IoU float": (SEGMENTS, {"num_classes": 3, "target_class_ids": (1, 2), "dtype": "float32"}),
    "MeanIoU": (SEGMENTS, {"num_classes": 3}),
    "MeanIoU scores": (ONE_HOT, {"num_classes": 5, "sparse_y_true": False, "sparse_y_pred": False}),
    "OneHotIoU": (ONE_HOT, {"num_classes": 5, "target_class_ids": [0, 3]}),
    "OneHotMeanIoU": (ONE_HOT, {"num_classes": 5}),
    "BinaryIoU": (BITS, {"threshold": 0.4}),
    "BinaryIoU one": (BITS, {"target_class_ids": [1]}),
}
for _curve in ("ROC", "PR", "PRGAIN"):
    for _method in ("interpolation", "majoring", "minoring"):
        METRICS[f"AUC {_curve} {_method}"] = (BITS, {"curve": _curve, "summation_method": _method})
METRICS |= {
    "AUC few": (BITS, {"num_thresholds": 3}),
    "AUC thresholds": (BITS, {"thresholds": [0.7, 0.1, 0.35]}),
    "AUC even thresholds": (BITS, {"thresholds": [0.25, 0.5, 0.75]}),
    "AUC logits": (NUMBERS, {"from_logits": True}),
    "AUC weights": (LABELS, {"label_weights": [0.5, 1.0, 2.0, 0.1, 1.5]}),
    "AUC labels": (LABELS, {"multi_label": True}),
    "AUC labels known": (LABELS, {"multi_label": True, "num_labels": 5, "curve": "PR"}),
    "AUC labels weights": (
        LABELS,
        {"multi_label": True, "label_weights": [0.5, 1.0, 2.0, 0.1, 1.5], "curve": "PRGAIN"},
    ),
    "AUC labels thresholds": (LABELS, {"multi_label": True, "thresholds": [0.1, 0.6, 0.8]}),
}


def make_batch(
    rng: np.random.Generator, kind: str, arguments: dict, rows: int = 7, classes: int = 5
) -> tuple[np.ndarray, ...]:
    """Targets and predictions (or values alone) of a batch."""
    shape = (rows, classes)
    scores = rng.normal(size=shape)
    if not arguments.get("from_logits") and kind not in (NUMBERS, VALUES):
        scores = 1.0 / (1.0 + np.exp(-scores))
    labels = rng.integers(0, classes, size=rows)
    if kind == VALUES:
        return (scores.astype("float32"),)
    if kind == SEGMENTS:
        return rng.integers(0, 4, size=shape), rng.integers(0, 4, size=shape)
    true = {
        NUMBERS: rng.normal(size=shape),
        POSITIVE: np.abs(rng.normal(size=shape)) / 2.0,
        BITS: rng.integers(0, 2, size=shape),
        LABELS: rng.integers(0, 2, size=shape),
        ONE_HOT: np.eye(classes)[labels],
        CLASSES: labels,
    }[kind]
    if arguments.get("from_logits") and kind == NUMBERS:
        true = (true > 0).astype("float32")
    return true if kind == CLASSES else true.astype("float32"), scores.astype("float32")
