"""Intersection over union of predicted and true classes, as for images."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from torchkeras.core import settings
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.metrics.metric import Metric


class IoU(Metric):
    """The mean over some classes of `true positives / (true positives + false positives + false negatives)`.

    Args:
        num_classes: how many classes there are; entries of others are left out.
        target_class_ids: the classes whose mean is taken. Classes that never occur do not count.
        ignore_class: entries whose label is this class are left out.
        sparse_y_true, sparse_y_pred: whether they hold class numbers; else a score a class along the axis.
        axis: the class axis.
        dtype: default: `"int"`, which counts weights as integers.
    """

    _direction = "up"
    config_keys = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Any,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name=name, dtype=dtype or "int")
        if max(target_class_ids) >= num_classes:
            raise ValueError(
                f"target_class_ids must lie below num_classes={num_classes}; received {max(target_class_ids)}."
            )
        self.num_classes = num_classes
        self.target_class_ids = list(target_class_ids)
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self.total_cm = self.add_variable((num_classes, num_classes), None, self.dtype, name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of labels and predictions.

        Raises:
            ValueError: they differ in number.
        """
        y_pred, y_true = self._as_batch(y_pred), self._as_batch(y_true)
        y_true = (y_true if self.sparse_y_true else y_true.argmax(self.axis)).reshape(-1).to(self._torch_dtype)
        y_pred = (y_pred if self.sparse_y_pred else y_pred.argmax(self.axis)).reshape(-1).to(self._torch_dtype)
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"y_true and y_pred must hold as many classes; received {y_true.numel()} of y_true and "
                f"{y_pred.numel()} of y_pred."
            )
        if not self._follow(y_pred):
            return
        classes = self.num_classes
        valid = (y_true >= 0) & (y_true < classes) & (y_pred >= 0) & (y_pred < classes)
        if self.ignore_class is not None:
            valid = valid & (y_true != self.ignore_class)
        place = (y_true.long() * classes + y_pred.long()).where(valid, 0)
        weight = self._entry_weights(sample_weight, y_true).where(valid, 0)
        counts = torch.zeros(classes * classes, dtype=self._torch_dtype, device=y_pred.device)
        counts = counts.index_add_(0, place, weight).view(classes, classes)
        self.total_cm.add_(counts)

    def _entry_weights(self, sample_weight: Any, like: torch.Tensor) -> torch.Tensor:
        if sample_weight is None:
            return torch.ones_like(like)
        if "int" in self.dtype and "float" in standardize_dtype(getattr(sample_weight, "dtype", "int32")):
            warnings.warn(
                f"sample_weight is float but {self.name} counts in {self.dtype}: casting cuts the weights to integers. "
                "Make the metric with dtype='float32' to count them as they are.",
                stacklevel=3,
            )
        return convert_to_tensor(sample_weight, self._torch_dtype, like.device).reshape(-1).broadcast_to(like.shape)

    def result(self) -> torch.Tensor:
        matrix = self.total_cm.value
        ids = torch.tensor(self.target_class_ids, device=matrix.device)
        both = matrix.diagonal()
        either = (matrix.sum(0) + matrix.sum(1) - both)[ids].float()
        epsilon = settings.epsilon()
        present = either > 1e-9
        iou = (both[ids].float() / (either + epsilon)).where(present, 0.0)
        return iou.sum() / (present.sum() + epsilon)


class BinaryIoU(IoU):
    """IoU of two classes, told apart by a threshold.

    Args:
        target_class_ids: 0, 1 or both.
        threshold: scores from it on say 1.
    """

    config_keys = ("target_class_ids", "threshold")

    def __init__(
        self, target_class_ids: Any = (0, 1), threshold: float = 0.5, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(num_classes=2, target_class_ids=target_class_ids, name=name, dtype=dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of labels and scores."""
        super().update_state(y_true, self._as_batch(y_pred, torch.float32) >= self.threshold, sample_weight)


class MeanIoU(IoU):
    """The mean of the IoU of all classes.

    Args:
        num_classes: how many classes there are; entries of others are left out.
        ignore_class: entries whose label is this class are left out.
        sparse_y_true, sparse_y_pred: whether they hold class numbers; else a score a class along the axis.
        axis: the class axis.
    """

    config_keys = ("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, list(range(num_classes)), name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis
        )


class OneHotIoU(IoU):
    """IoU of some classes, with one-hot labels.

    Args:
        num_classes, target_class_ids, ignore_class, axis: as in `IoU`.
        sparse_y_pred: whether predictions are class numbers; else a score a class.
    """

    config_keys = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Any,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


class OneHotMeanIoU(MeanIoU):
    """The mean of the IoU of all classes, with one-hot labels.

    Args:
        num_classes, ignore_class, axis: as in `MeanIoU`.
        sparse_y_pred: whether predictions are class numbers; else a score a class.
    """

    config_keys = ("num_classes", "ignore_class", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
