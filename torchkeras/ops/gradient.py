"""What flows backwards: nothing, or what the user says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import any_symbolic


@op(elementwise=True, file_module="keras.src.ops.core")
def stop_gradient(variable: Tensor) -> Tensor:
    """`variable`, through which no gradient flows."""
    return variable.detach()


class _OwnGradient(torch.autograd.Function):
    """A function that returns its outputs and the function of their gradients."""

    @staticmethod
    def forward(ctx: Any, function: Callable, *args: Any) -> Any:
        outputs, ctx.gradient = function(*args)
        ctx.save_for_backward(*(x for x in args if isinstance(x, Tensor)))
        ctx.args = tuple(None if isinstance(x, Tensor) else x for x in args)
        return tuple(outputs) if isinstance(outputs, list) else outputs

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        saved = iter(ctx.saved_tensors)
        args = [next(saved) if needed or x is None else x for needed, x in zip(ctx.needs_input_grad[1:], ctx.args)]
        gradients = ctx.gradient(*args, upstream=upstream[0] if len(upstream) == 1 else upstream)
        return (None, *gradients) if isinstance(gradients, (list, tuple)) else (None, gradients)


def custom_gradient(f: Callable) -> Callable:
    """A decorator of functions that return their output and a function `grad(*args, upstream)` for its gradients.

    `args` are the function's own arguments, `upstream` the gradient of its output (a tuple for several outputs); the
    result has a gradient for each argument.
    """

    @functools.wraps(f)
    def with_gradient(*args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return f(*args, **kwargs)[0]
        return _OwnGradient.apply(functools.partial(f, **kwargs) if kwargs else f, *args)

    return with_gradient
