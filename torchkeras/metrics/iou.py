"""Intersection over union of predicted and true classes, as for images."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from torchkeras.core import settings
from torchkeras.core.config.limits import count_objects
from torchkeras.core.tensors.convert import constant, convert_to_tensor
from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.core.types import ArrayLike
from torchkeras.core.user_warnings import warn_user
from torchkeras.dtype_policies.policy import PolicyLike
from torchkeras.metrics.matches import best_classes
from torchkeras.metrics.metric import Metric


class IoU(Metric):
    """Compute the mean intersection over union (IoU) of some classes.

    `iou = true positives / (true positives + false positives + false negatives)`, for each class.

    Args:
        num_classes: number of classes; entries of other classes are left out.
        target_class_ids: numbers of the classes whose mean is computed. Classes that never occur do not count.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype in which entries are counted; `None` means `int32`, which cuts sample weights to integers. Default:
            `None`.
        ignore_class: label whose entries are left out, such as 255 for "not known". Default: `None`.
        sparse_y_true: whether labels are class numbers; if not, they are one-hot. Default: `True`.
        sparse_y_pred: whether predictions are class numbers; if not, they are scores per class. Default: `True`.
        axis: axis of the classes, where labels or predictions have one. Default: `-1`.

    Raises:
        ValueError: a number in `target_class_ids` is not below `num_classes`.

    Example:
        >>> metric = keras.metrics.IoU(num_classes=2, target_class_ids=[0])
        >>> metric.update_state([0, 0, 1, 1], [0, 1, 0, 1])
        >>> round(metric.result().item(), 4)
        0.3333
    """

    _direction = "up"
    _tk_config_keys: tuple[str, ...] = (
        "num_classes",
        "target_class_ids",
        "ignore_class",
        "sparse_y_true",
        "sparse_y_pred",
        "axis",
    )

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: PolicyLike | None = None,
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

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch.

        Args:
            y_true: labels.
            y_pred: predictions.
            sample_weight: weight of each sample, `(batch,)` or a shape that broadcasts. Default: `None`.

        Raises:
            ValueError: the shapes do not fit together.
        """
        y_pred, y_true = self._as_batch(y_pred), self._as_batch(y_true)
        y_true = (y_true if self.sparse_y_true else best_classes(y_true, self.axis)).reshape(-1).to(self._torch_dtype)
        y_pred = (y_pred if self.sparse_y_pred else best_classes(y_pred, self.axis)).reshape(-1).to(self._torch_dtype)
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

    def _entry_weights(self, sample_weight: ArrayLike | None, like: torch.Tensor) -> torch.Tensor:
        if sample_weight is None:
            return torch.ones_like(like)
        if "int" in self.dtype and "float" in standardize_dtype(getattr(sample_weight, "dtype", "int32")):
            warn_user(
                f"sample_weight is float but {self.name} counts in {self.dtype}: casting cuts the weights to integers. "
                "Make the metric with dtype='float32' to count them as they are."
            )
        return convert_to_tensor(sample_weight, self._torch_dtype, like.device).reshape(-1).broadcast_to(like.shape)

    def result(self) -> torch.Tensor:
        """Return the mean IoU of the chosen classes so far, a scalar tensor."""
        matrix = self.total_cm.value
        ids = constant(self.target_class_ids, torch.int64, matrix.device)
        both = matrix.diagonal()
        either = (matrix.sum(0) + matrix.sum(1) - both)[ids].float()
        epsilon = settings.epsilon()
        present = either > 1e-9
        iou = (both[ids].float() / (either + epsilon)).where(present, 0.0)
        return iou.sum() / (present.sum() + epsilon)


class BinaryIoU(IoU):
    """Compute the mean intersection over union (IoU) of the classes 0 and 1, divided by a threshold.

    `iou = true positives / (true positives + false positives + false negatives)`, for each class.

    Args:
        target_class_ids: numbers of the classes whose mean is computed. Classes that never occur do not count. Default:
            `(0, 1)`.
        threshold: scores of at least this value mean class 1. Default: `0.5`.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype in which entries are counted; `None` means `int32`, which cuts sample weights to integers. Default:
            `None`.

    Example:
        >>> metric = keras.metrics.BinaryIoU(threshold=0.3)
        >>> metric.update_state([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])
        >>> round(metric.result().item(), 4)
        0.3333
    """

    _tk_config_keys = ("target_class_ids", "threshold")

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: PolicyLike | None = None,
    ) -> None:
        super().__init__(num_classes=2, target_class_ids=target_class_ids, name=name, dtype=dtype)
        self.threshold = threshold

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add a batch.

        Args:
            y_true: labels 0 or 1.
            y_pred: predictions.
            sample_weight: weight of each sample, `(batch,)` or a shape that broadcasts. Default: `None`.

        Raises:
            ValueError: the shapes do not fit together.
        """
        super().update_state(y_true, self._as_batch(y_pred, torch.float32) >= self.threshold, sample_weight)


class MeanIoU(IoU):
    """Compute the mean intersection over union (IoU) of all classes.

    `iou = true positives / (true positives + false positives + false negatives)`, for each class.

    Args:
        num_classes: number of classes; entries of other classes are left out.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype in which entries are counted; `None` means `int32`, which cuts sample weights to integers. Default:
            `None`.
        ignore_class: label whose entries are left out, such as 255 for "not known". Default: `None`.
        sparse_y_true: whether labels are class numbers; if not, they are one-hot. Default: `True`.
        sparse_y_pred: whether predictions are class numbers; if not, they are scores per class. Default: `True`.
        axis: axis of the classes, where labels or predictions have one. Default: `-1`.

    Example:
        >>> metric = keras.metrics.MeanIoU(num_classes=2)
        >>> metric.update_state([0, 0, 1, 1], [0, 1, 0, 1])
        >>> round(metric.result().item(), 4)
        0.3333
    """

    _tk_config_keys: tuple[str, ...] = ("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: PolicyLike | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        count_objects(num_classes)
        super().__init__(
            num_classes, list(range(num_classes)), name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis
        )


class OneHotIoU(IoU):
    """Compute the mean intersection over union (IoU) of some classes; labels are one-hot.

    `iou = true positives / (true positives + false positives + false negatives)`, for each class.

    Args:
        num_classes: number of classes; entries of other classes are left out.
        target_class_ids: numbers of the classes whose mean is computed. Classes that never occur do not count.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype in which entries are counted; `None` means `int32`, which cuts sample weights to integers. Default:
            `None`.
        ignore_class: label whose entries are left out, such as 255 for "not known". Default: `None`.
        sparse_y_pred: whether predictions are class numbers; if not, they are scores per class. Default: `False`.
        axis: axis of the classes, where labels or predictions have one. Default: `-1`.

    Example:
        >>> metric = keras.metrics.OneHotIoU(num_classes=3, target_class_ids=[0, 2])
        >>> metric.update_state(np.array([[0, 0, 1], [1, 0, 0]]), np.array([[0.2, 0.1, 0.7], [0.3, 0.6, 0.1]]))
        >>> round(metric.result().item(), 4)
        0.5
    """

    _tk_config_keys = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: PolicyLike | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


class OneHotMeanIoU(MeanIoU):
    """Compute the mean intersection over union (IoU) of all classes; labels are one-hot.

    `iou = true positives / (true positives + false positives + false negatives)`, for each class.

    Args:
        num_classes: number of classes; entries of other classes are left out.
        name: name of the metric; `None` derives it from the name of the class. Default: `None`.
        dtype: dtype in which entries are counted; `None` means `int32`, which cuts sample weights to integers. Default:
            `None`.
        ignore_class: label whose entries are left out, such as 255 for "not known". Default: `None`.
        sparse_y_pred: whether predictions are class numbers; if not, they are scores per class. Default: `False`.
        axis: axis of the classes, where labels or predictions have one. Default: `-1`.

    Example:
        >>> metric = keras.metrics.OneHotMeanIoU(num_classes=3)
        >>> metric.update_state(np.array([[0, 0, 1], [1, 0, 0]]), np.array([[0.2, 0.1, 0.7], [0.3, 0.6, 0.1]]))
        >>> round(metric.result().item(), 4)
        0.3333
    """

    _tk_config_keys = ("num_classes", "ignore_class", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: PolicyLike | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
