"""Connectionist temporal classification: sequences without alignment."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.losses.loss import FunctionLoss
from torchkeras.ops.nn.ctc import sequence_values


def ctc(y_true: Any, y_pred: Any) -> torch.Tensor:
    """The CTC loss of each sequence.

    Args:
        y_true: class numbers, `(batch, max_length)`; 0 is both padding and the blank.
        y_pred: logits, `(batch, steps, classes)`.

    Raises:
        ValueError: the shapes are others.
    """
    y_pred = convert_to_tensor(y_pred)
    y_true = convert_to_tensor(y_true, None, y_pred.device)
    if y_true.dim() != 2 or y_pred.dim() != 3 or y_true.shape[0] != y_pred.shape[0]:
        raise ValueError(
            f"y_true must have the shape (batch, max_length) and y_pred (batch, steps, classes); received y_true of "
            f"shape {tuple(y_true.shape)} and y_pred of shape {tuple(y_pred.shape)}."
        )
    if y_pred.dtype in (torch.float16, torch.bfloat16):
        y_pred = y_pred.float()
    steps = torch.full((y_pred.shape[0],), y_pred.shape[1], dtype=torch.int64, device=y_pred.device)
    return sequence_values(y_true, y_pred, (y_true != 0).sum(-1), steps)


class CTC(FunctionLoss):
    """Connectionist temporal classification: targets are class numbers padded with 0, predictions are logits."""

    keeps_integers = True

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str = "ctc", dtype: Any = None) -> None:
        super().__init__(ctc, reduction, name, dtype)
