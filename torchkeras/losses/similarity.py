"""Circle loss: embeddings of one class together, of different classes apart."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.masks import set_mask
from torchkeras.core.types import ArrayLike
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.losses.loss import FunctionLoss


def circle(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    ref_labels: ArrayLike | None = None,
    ref_embeddings: ArrayLike | None = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> torch.Tensor:
    """Compute the circle loss of each embedding: near to those of its class, far from all others.

    [Sun et al., 2020](https://arxiv.org/abs/2002.10857)

    Args:
        y_true: class numbers, `(batch,)`.
        y_pred: embeddings of length 1, `(batch, size)`.
        ref_labels: class numbers of the embeddings to compare with; `None` means `y_true`. Default: `None`.
        ref_embeddings: embeddings to compare with; `None` means `y_pred`. Default: `None`.
        remove_diagonal: whether the pair of an embedding with itself is left out. Default: `True`.
        gamma: scale of the similarities. Default: `80`.
        margin: by how much embeddings of one class shall be more similar than others. Default: `0.4`.

    Returns:
        A tensor `(batch,)`.

    Raises:
        ValueError: there are not as many labels as embeddings.

    Example:
        >>> embeddings = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> keras.losses.circle(np.array([0, 0, 1]), embeddings).shape
        torch.Size([3])
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
    """Compute the circle loss: embeddings of one class near to each other, of different classes apart.

    Targets are class numbers `(batch,)`, predictions embeddings of length 1, `(batch, size)`. [Sun et al.,
    2020](https://arxiv.org/abs/2002.10857)

    Args:
        gamma: scale of the similarities. Default: `80.0`.
        margin: by how much embeddings of one class shall be more similar than others. Default: `0.4`.
        remove_diagonal: whether the pair of an embedding with itself is left out. Default: `True`.
        reduction: how the values per sample become one number: `"sum_over_batch_size"` or `"mean"` (their mean),
            `"sum"`, `"mean_with_sample_weight"` (the weighted sum divided by the sum of the weights), `"none"` or
            `None` (no reduction). Default: `"sum_over_batch_size"`.
        name: name of the loss. Default: `"circle"`.
        dtype: dtype name or policy in which the loss is computed; `None` means `keras.config.floatx()`. Default:
            `None`.

    Example:
        >>> loss = keras.losses.Circle()
        >>> embeddings = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> loss(np.array([0, 0, 1]), embeddings).shape
        torch.Size([])
    """

    _tk_config_keys = ("gamma", "margin", "remove_diagonal")
    _tk_keeps_integers = True

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str = "circle",
        dtype: PolicyLike | None = None,
    ) -> None:
        arguments = {"gamma": gamma, "margin": margin, "remove_diagonal": remove_diagonal}
        super().__init__(circle, reduction, name, dtype, **arguments)
        self.__dict__.update(arguments)
