"""Connectionist temporal classification: sequences without alignment."""

from __future__ import annotations

import torch

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.types import ArrayLike
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.loss import FunctionLoss
from torchkeras.ops.nn.ctc import sequence_values


def ctc(y_true: ArrayLike, y_pred: ArrayLike) -> torch.Tensor:
    """Compute the connectionist temporal classification (CTC) loss of each sequence.

    [Graves et al., 2006](https://www.cs.toronto.edu/~graves/icml_2006.pdf)

    Args:
        y_true: class numbers, `(batch, max_length)`; 0 stands for padding.
        y_pred: logits, `(batch, steps, classes)`; class 0 is the blank.

    Returns:
        A tensor `(batch,)`.

    Raises:
        ValueError: the shapes are others.

    Example:
        >>> round(keras.losses.ctc(np.array([[1]]), np.zeros((1, 1, 2))).item(), 4)  # log(2)
        0.6931
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
    """Compute the connectionist temporal classification (CTC) loss: sequences without an alignment.

    Targets are class numbers `(batch, max_length)`, padded with 0; predictions are logits `(batch, steps, classes)`, of
    which class 0 is the blank. [Graves et al., 2006](https://www.cs.toronto.edu/~graves/icml_2006.pdf)

    Args:
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"ctc"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.CTC()
        >>> round(loss(np.array([[1]]), np.zeros((1, 1, 2))).item(), 4)  # log(2)
        0.6931
    """

    _tk_keeps_integers = True

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "ctc", dtype: PolicyLike | None = None
    ) -> None:
        super().__init__(ctc, reduction, name, dtype)
