"""The crossentropy of logits that are never there all at once: a matrix product and its loss, a few rows at a time.

With 50,000 classes the logits of a batch, their logarithms and their gradients take many times the memory of all other
activations. Here the logits of some rows are made, and from them at once the loss of these rows and the gradients of
the product's arguments; then the next rows take their place. The numbers are those of the plain path, to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.fast_paths.linear import linear
from torchkeras.core.tensors.masks import get_mask
from torchkeras.losses.loss import Loss, LossFunctionWrapper
from torchkeras.losses.reduction import reduce_weighted, without_uncounted
from torchkeras.losses.sparse import sparse_categorical_crossentropy
from torchkeras.ops.nn.crossentropy import IGNORED_CLASS, rows_of_classes

# Bytes of the logits that are made at once; their softmax takes as much again. Smaller parts took longer on a CPU; a
# GPU wants large products.
CPU_BYTES = 64 * 2**20
DEVICE_BYTES = 256 * 2**20


class Product(NamedTuple):
    """The logits `inputs @ kernel + bias`, not computed yet.

    Attributes:
        inputs: tensor of shape `(..., features)`.
        kernel: tensor of shape `(features, classes)`.
        bias: tensor of shape `(classes,)`, or `None`.
    """

    inputs: Tensor
    kernel: Tensor
    bias: Tensor | None

    def stand_in(self) -> Tensor:
        """A tensor with the shape, type and place of the logits and no memory of its own; its values are NaN."""
        one = torch.full((1,), torch.nan, dtype=self.kernel.dtype, device=self.kernel.device)
        return one.expand(*self.inputs.shape[:-1], self.kernel.shape[1])


def takes_product(loss: Loss | None) -> bool:
    """Whether a loss is the crossentropy of class numbers with logits, reduced to one number, and nothing else."""
    if not isinstance(loss, LossFunctionWrapper) or loss.fn is not sparse_categorical_crossentropy:
        return False
    cls, arguments = type(loss), loss._fn_kwargs
    is_plain = cls.call is LossFunctionWrapper.call and cls.__call__ is LossFunctionWrapper.__call__
    from_logits = bool(arguments.get("from_logits", False)) and arguments.get("axis", -1) == -1
    return is_plain and from_logits and not arguments.get("label_smoothing") and loss.reduction not in (None, "none")


class CrossentropyOfProduct:
    """A loss `(y_true, logits, sample_weight)` of logits that are not computed yet.

    Args:
        loss: a loss for which `takes_product` holds.
        product: the logits.
    """

    def __init__(self, loss: LossFunctionWrapper, product: Product) -> None:
        self.loss, self.product = loss, product
        self.name, self.reduction = loss.name, loss.reduction

    def __call__(self, y_true: Tensor, logits: Tensor, sample_weight: Any = None) -> Tensor:
        """The loss; `logits` is the product's stand-in."""
        return crossentropy_of_product(self.loss, y_true, logits, self.product, sample_weight)


def crossentropy_of_product(
    loss: LossFunctionWrapper, y_true: Tensor, logits: Tensor, product: Product, sample_weight: Any = None
) -> Tensor:
    """The value of `loss(y_true, logits, sample_weight)`.

    Args:
        loss: a loss for which `takes_product` holds.
        y_true: class numbers.
        logits: the product's `stand_in()`, which may carry a mask.
        product: the logits, not computed yet.
        sample_weight: as for the loss.

    Returns:
        A scalar tensor. Its gradients are computed with it; its backward pass can run once.

    Raises:
        ValueError: the shapes do not go together.
    """
    dtype, mask = loss._torch_dtype, get_mask(logits)
    y_true = loss._cast(y_true)
    if sample_weight is not None or mask is not None:
        y_true = without_uncounted(y_true, sample_weight, mask)
    target, _, shape = rows_of_classes(y_true, logits, -1, ("y_true", "y_pred"))
    valid: Tensor | None = None
    ignored: Any = loss._fn_kwargs.get("ignore_class")
    if ignored is not None:
        valid = torch.ne(target, ignored)
        target = target.where(valid, 0)
        mask = valid.reshape(shape) if mask is None else mask & valid.reshape(shape)

    def reduced(values: Tensor) -> Tensor:
        values = values if valid is None else values.where(valid, 0.0)
        return reduce_weighted(values.reshape(shape), sample_weight, mask, loss.reduction, dtype)

    inputs, kernel, bias = product
    inputs = inputs.reshape(-1, inputs.shape[-1]).to(kernel.dtype)
    limit = CPU_BYTES if inputs.device.type == "cpu" else DEVICE_BYTES
    rows = max(1, limit // (kernel.shape[1] * dtype.itemsize))
    return _CrossentropyOfProduct.apply(inputs, kernel, bias, target, reduced, dtype, rows)


class _CrossentropyOfProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        kernel: Tensor,
        bias: Tensor | None,
        target: Tensor,
        reduced: Callable[[Tensor], Tensor],
        dtype: torch.dtype,
        rows: int,
    ) -> Tensor:
        gradients = _Gradients(inputs, kernel, bias, ctx.needs_input_grad)
        values = torch.empty(len(target), dtype=dtype, device=inputs.device)
        factors = _factors(reduced, values)
        parts = max(1, math.ceil(len(target) / rows))
        for some in _slices(len(target), math.ceil(len(target) / parts)):
            logs = torch.log_softmax(linear(inputs[some], kernel, bias).to(dtype), -1)
            values[some] = F.nll_loss(logs, target[some], reduction="none")
            gradients.add(some, _gradient(logs, target[some], factors[some]).to(kernel.dtype))
            del logs  # else it is in memory beside the next ones
        ctx.gradients = gradients
        return reduced(values)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("The backward pass of a crossentropy that was computed in parts can run once.")
        return *gradients.times(grad), None, None, None, None


def _slices(size: int, rows: int) -> Iterator[slice]:
    for start in range(0, size, rows):
        yield slice(start, start + rows)


def _gradient(logs: Tensor, target: Tensor, factors: Tensor) -> Tensor:
    """`factor * (softmax - one_hot(target))` for each row: the gradient of the logits, in the memory of `logs`.

    Args:
        logs: the logarithms of the softmax, of shape `(rows, classes)`.
        target: the classes, of shape `(rows,)`.
        factors: the gradient of each row's crossentropy.
    """
    counted = target != IGNORED_CLASS
    factors = factors.where(counted, 0.0).unsqueeze(-1)
    return logs.exp_().mul_(factors).scatter_add_(-1, target.where(counted, 0).unsqueeze(-1), -factors)


def _factors(reduced: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """The gradient of the reduction, which is linear: it is the same for all values."""
    with torch.enable_grad():
        zeros = torch.zeros_like(values).requires_grad_()
        return torch.autograd.grad(reduced(zeros), zeros)[0]


class _Gradients:
    """The gradients of a product's arguments, added up over parts of its rows.

    Args:
        inputs, kernel, bias: the arguments.
        wanted: which of them need a gradient.
    """

    def __init__(self, inputs: Tensor, kernel: Tensor, bias: Tensor | None, wanted: Sequence[bool]) -> None:
        self.inputs, self.kernel = inputs, kernel
        self.dtype = kernel.dtype
        # Sums of many parts in a half type would lose what one product, which adds up in float32, keeps.
        exact = torch.promote_types(kernel.dtype, torch.float32)
        # A table that is read transposed gets a gradient that lies in memory as the table does.
        self.is_transposed = not kernel.is_contiguous() and kernel.t().is_contiguous()
        shape = kernel.t().shape if self.is_transposed else kernel.shape
        self.of_inputs = torch.empty_like(inputs) if wanted[0] else None
        self.of_kernel = torch.zeros(shape, dtype=exact, device=kernel.device) if wanted[1] else None
        self.of_bias = None
        if wanted[2]:
            self.of_bias = torch.zeros(kernel.shape[1], dtype=exact, device=kernel.device)

    def add(self, some: slice, of_logits: Tensor) -> None:
        """Take the gradient of the logits of some rows."""
        if self.of_inputs is not None:
            torch.mm(of_logits, self.kernel.t(), out=self.of_inputs[some])
        if self.of_kernel is not None:
            left, right = self.inputs[some].t(), of_logits
            if self.is_transposed:
                left, right = right.t(), left.t()
            if self.of_kernel.dtype is self.dtype:
                self.of_kernel.addmm_(left, right)
            else:
                self.of_kernel.add_(left @ right)
        if self.of_bias is not None:
            self.of_bias.add_(of_logits.sum(0, dtype=self.of_bias.dtype))

    def times(self, factor: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of inputs, kernel and bias times a number, in the types of these."""
        kernel = self.of_kernel
        if kernel is not None and self.is_transposed:
            kernel = kernel.t()
        found = (self.of_inputs, kernel, self.of_bias)
        return tuple(None if one is None else one.mul_(factor).to(self.dtype) for one in found)
