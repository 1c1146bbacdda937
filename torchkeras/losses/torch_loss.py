"""torch's own losses, modules and functions, as Keras's."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules import loss as torch_losses

from torchkeras.core.registry import register_public
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.masks import get_mask
from torchkeras.core.types import ArrayLike
from torchkeras.distributed.rank_share import current_share
from torchkeras.losses.loss import Loss
from torchkeras.losses.reduction import reduce_weighted
from torchkeras.losses.shapes import check_broadcast, match_ranks

# Losses of torch's by what their targets are: values like the predictions, class numbers, places of classes.
_OF_VALUES = (
    *("BCELoss", "BCEWithLogitsLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss", "PoissonNLLLoss"),
    *("SmoothL1Loss", "SoftMarginLoss", "MultiLabelSoftMarginLoss", "HingeEmbeddingLoss"),
    *("binary_cross_entropy", "binary_cross_entropy_with_logits", "huber_loss", "kl_div", "l1_loss", "mse_loss"),
    *("poisson_nll_loss", "smooth_l1_loss", "soft_margin_loss", "multilabel_soft_margin_loss", "hinge_embedding_loss"),
)
_OF_CLASSES = ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss", "cross_entropy", "nll_loss", "multi_margin_loss")
_OF_PLACES = ("MultiLabelMarginLoss", "multilabel_margin_loss")
_APART = ("NLLLoss2d", "LinearCrossEntropyLoss", "TripletMarginWithDistanceLoss")  # an alias; weights; a function
MODULES = tuple(name for name in torch_losses.__all__ if name not in _APART)
FUNCTIONS = tuple(name for name in (*_OF_VALUES, *_OF_CLASSES, *_OF_PLACES) if name not in MODULES)
_FUNCTIONS_OF_TORCH = frozenset(id(function) for function in vars(F).values() if inspect.isroutine(function))
_DEPRECATED = ("size_average", "reduce")


def is_torch_loss(identifier: object) -> bool:
    """Whether it is a loss of torch's kind: a module, or a function of `torch.nn.functional`, also with arguments."""
    if isinstance(identifier, functools.partial):
        return is_torch_loss(identifier.func)
    return isinstance(identifier, nn.Module) or id(identifier) in _FUNCTIONS_OF_TORCH


class TorchLoss(Loss):
    """A torch loss module or function as a Keras loss: torch takes the prediction first, Keras the target.

    Class numbers may have a last axis of 1, and classes may be the last axis of the predictions, as Keras has them.
    With sample weights, or a mask on the predictions, torch gives the values and Keras's rules reduce them.

    Args:
        function: the module, or the function.
        name: default: that of the class or function.
    """

    keras_module = None

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self.kind = _kind(function)
        summed = _argument(function, "reduction") == "sum"
        super().__init__(name=name or self.kind, reduction="sum" if summed else "sum_over_batch_size")
        self.function = function
        self._values: Callable | None = None
        self._device: torch.device | None = None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: ArrayLike | None = None) -> torch.Tensor:
        """The loss of a batch.

        Raises:
            ValueError: the shapes do not go together, or the loss can't be weighted.
        """
        mask = get_mask(y_pred)
        if not isinstance(y_true, torch.Tensor):
            y_true = convert_to_tensor(y_true, device=y_pred.device)
        if sample_weight is None and mask is None:
            y_true, y_pred = self._as_torch_takes(y_true, y_pred)
            value = self.function(y_pred, y_true)
            value = current_share().scale_sum(value) if self.reduction == "sum" and value.dim() == 0 else value
            return value if value.dim() == 0 else value.mean()
        values = self.call(y_true, y_pred)
        if values.dim() == 0:
            raise ValueError(
                f"A torch loss that reduces by itself can't be weighted by sample; {self.name} returned a scalar, and "
                f"there are {'sample weights' if sample_weight is not None else 'masks'}. Make it with "
                f"reduction='none'."
            )
        axes = mask.dim() if mask is not None else convert_to_tensor(sample_weight).dim()
        if values.dim() > axes:
            values = values.flatten(axes).mean(-1)
        return reduce_weighted(values, sample_weight, mask, self.reduction, values.dtype)

    def call(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """The values that torch's reduction would reduce, where it can be switched off."""
        y_true, y_pred = self._as_torch_takes(y_true, y_pred)
        return self._unreduced()(y_pred, y_true)

    def _as_torch_takes(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self._device != y_pred.device and isinstance(self.function, nn.Module):
            self._device = y_pred.device
            self.function.to(y_pred.device)
        if self.kind in _OF_CLASSES:
            return _with_classes(y_true, y_pred)
        if self.kind in _OF_PLACES:
            return y_true.long(), y_pred
        y_true, y_pred = match_ranks(y_true, y_pred)
        if self.kind in _OF_VALUES:
            check_broadcast("y_true", y_true, "y_pred", y_pred)
            y_true = y_true.to(y_pred.dtype).broadcast_to(y_pred.shape)
        return y_true, y_pred

    def _unreduced(self) -> Callable:
        """The function that gives values instead of their mean."""
        if self._values is None:
            self._values = self.function
            if _argument(self.function, "weight") is not None:
                return self._values  # the mean by class weights is not Keras's
            if self.kind in MODULES:
                self._values = copy.copy(self.function)
                self._values.reduction = "none"  # type: ignore[attr-defined]
            elif self.kind in FUNCTIONS:
                self._values = functools.partial(self.function, reduction="none")
        return self._values

    def get_config(self) -> dict[str, Any]:
        """The name of torch's class or function, and its arguments.

        Raises:
            ValueError: it is not one of torch's, or an argument is no plain value.
        """
        function = self.function
        positional = isinstance(function, functools.partial) and function.args
        if self.kind in MODULES and type(function) is getattr(torch_losses, self.kind):
            names = [name for name in inspect.signature(type(function)).parameters if name not in _DEPRECATED]
            arguments = {name: getattr(function, name) for name in names}
        elif self.kind in FUNCTIONS and not positional:
            arguments = function.keywords if isinstance(function, functools.partial) else {}
        else:
            raise ValueError(f"The torch loss {self.kind} is none of torch's own, which alone files can describe.")
        described = {name: _plain(value, f"{self.kind}({name}=...)") for name, value in arguments.items()}
        return {"name": self.name, "torch_loss": self.kind, "arguments": described}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TorchLoss:
        kind = config["torch_loss"]
        arguments = {k: torch.tensor(v) if isinstance(v, list) else v for k, v in config["arguments"].items()}
        if kind in MODULES:
            function = getattr(torch_losses, kind)(**arguments)
        elif kind in FUNCTIONS:
            function = functools.partial(getattr(F, kind), **arguments) if arguments else getattr(F, kind)
        else:
            raise ValueError(f"Unknown torch loss {kind!r}. Known: {', '.join((*MODULES, *FUNCTIONS))}.")
        return cls(function, config["name"])


register_public(TorchLoss, "torchkeras.losses")


def _kind(function: Callable) -> str:
    function = function.func if isinstance(function, functools.partial) else function
    return getattr(function, "__name__", type(function).__name__)


def _argument(function: Callable, name: str) -> Any:
    return function.keywords.get(name) if isinstance(function, functools.partial) else getattr(function, name, None)


def _with_classes(y_true: torch.Tensor, y_pred: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Class numbers as int64 without a last axis of 1, probabilities as floats, and the classes in torch's place."""
    if y_true.dim() == y_pred.dim() and y_true.shape[-1] == 1 and y_pred.shape[-1] != 1:
        y_true = y_true.squeeze(-1)
    if y_true.shape == y_pred.shape:
        y_true = y_true.to(y_pred.dtype)
        return (y_true.movedim(-1, 1), y_pred.movedim(-1, 1)) if y_pred.dim() > 2 else (y_true, y_pred)
    if y_pred.dim() > 2 and y_true.shape == y_pred.shape[:-1]:
        y_pred = y_pred.movedim(-1, 1)
    if y_true.shape != (*y_pred.shape[:1], *y_pred.shape[2:]):
        raise ValueError(
            f"y_true must hold class numbers in the shape of y_pred without its class axis, or probabilities in the "
            f"shape of y_pred; received y_true of shape {tuple(y_true.shape)} and y_pred of shape "
            f"{tuple(y_pred.shape)}."
        )
    return y_true.long(), y_pred


def _plain(value: object, what: str) -> Any:
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"{what} is {value!r}, which no file can describe.")
