"""Circle loss: embeddings of one class together, of different classes apart."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.masks import set_mask
from torchkeras.losses.loss import FunctionLoss


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> torch.Tensor:
    """The circle loss of each embedding (arXiv:2002.10857).

    Args:
        y_true: class numbers, `(batch,)`.
        y_pred: embeddings of length 1, `(batch, size)`.
        ref_labels, ref_embeddings: what they are compared with; default: themselves.
        remove_diagonal: leave out the pairs of an embedding with itself.
        gamma: scale.
        margin: how much nearer than the others embeddings of one class shall be.

    Raises:
        ValueError: labels and embeddings differ in number.
    """
    y_pred = convert_to_tensor(y_pred)
    labels = convert_to_tensor(y_true, torch.int32, y_pred.device)
    others = y_pred if ref_embeddings is None else convert_to_tensor(ref_embeddings, y_pred.dtype, y_pred.device)
    other_labels = labels if ref_labels is None else convert_to_tensor(ref_labels, torch.int32, y_pred.device)
    if labels.numel() != y_pred.shape[0]:
        raise ValueError(
            f"y_true must hold one label an embedding; received y_true of shape {tuple(labels.shape)} and y_pred of "
            f"shape {tuple(y_pred.shape)}."
        )
    distance = (1.0 - y_pred @ others.T).clamp(min=0.0)
    same = labels.reshape(-1, 1) == other_labels.reshape(1, -1)
    different = ~same
    if remove_diagonal:
        same = same & ~torch.eye(*same.shape, dtype=torch.bool, device=same.device)
    near = gamma * (margin + distance) * (distance - margin)
    far = gamma * (1.0 + margin - distance).clamp(min=0.0) * (1.0 - margin - distance)
    loss = F.softplus(_logsumexp(near, same) + _logsumexp(far, different))
    set_mask(loss, loss > 0)
    return loss


def _logsumexp(x: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    return x.where(where, float("-inf")).logsumexp(1)


class Circle(FunctionLoss):
    """Circle loss on embeddings of length 1 and class numbers.

    Args:
        gamma: scale.
        margin: how much nearer than the others embeddings of one class shall be.
        remove_diagonal: leave out the pairs of an embedding with itself.
    """

    config_keys = ("gamma", "margin", "remove_diagonal")
    keeps_integers = True

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str = "circle",
        dtype: Any = None,
    ) -> None:
        arguments = {"gamma": gamma, "margin": margin, "remove_diagonal": remove_diagonal}
        super().__init__(circle, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)
