"""Gradients that are stopped, or replaced by the user's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras.core import registry, tree
from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import any_symbolic
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.ops.callables import check_callable


@op(elementwise=True, file_module="keras.src.ops.core")
def stop_gradient(variable: Tensor) -> Tensor:
    """Return the tensor as a constant, through which no gradient flows.

    Args:
        variable: tensor.

    Returns:
        A tensor that shares the memory.

    Example:
        >>> keras.ops.stop_gradient(torch.ones(2, requires_grad=True)).requires_grad
        False
    """
    return variable.detach()


class _CustomGradient(torch.autograd.Function):
    """A function that returns its outputs and the function of their gradients, over the tensors among its arguments."""

    @staticmethod
    def forward(ctx: Any, function: Callable, template: tuple, *tensors: Tensor) -> Any:
        """One tensor, or the leaves of the outputs and then their structure, which autograd hands on as it is."""
        outputs, ctx.gradient = function(*_filled(template, tensors))
        ctx.template = template
        ctx.save_for_backward(*tensors)
        if isinstance(outputs, Tensor):
            return outputs
        leaves = tree.flatten(outputs)
        ctx.outputs = tree.map_structure(lambda leaf: None, outputs)
        ctx.mark_non_differentiable(*(x for x in leaves if isinstance(x, Tensor) and not _is_differentiable(x)))
        return (*leaves, ctx.outputs)

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> tuple:
        tensors = ctx.saved_tensors  # read once: a checkpoint computes them for one reading
        args = _filled(ctx.template, tensors)
        given = upstream[0] if len(upstream) == 1 else _packed(ctx.outputs, upstream[:-1])
        gradients = tree.flatten(ctx.gradient(*args, upstream=given))
        leaves = tree.flatten(ctx.template)
        if len(gradients) == len(leaves):
            gradients = [gradient for gradient, leaf in zip(gradients, leaves, strict=True) if leaf is _TENSOR]
        if len(gradients) != len(tensors):
            raise ValueError(
                f"The gradient function of a custom_gradient must return one gradient for each of the {len(leaves)} "
                f"arguments (None where there is none), or for each of the {len(tensors)} tensors among "
                f"them. It returned {len(gradients)}."
            )
        return (None, None, *gradients)


_TENSOR = "torchkeras: the place of a tensor"


def _placeholder(x: Any) -> Any:
    return _TENSOR if isinstance(x, Tensor) else x


def _filled(template: Any, tensors: Sequence[Any]) -> Any:
    """The template with the tensors at their places."""
    rest = iter(tensors)
    return tree.map_structure(lambda leaf: next(rest) if leaf is _TENSOR else leaf, template)


def _packed(structure: Any, leaves: Sequence[Any]) -> Any:
    """The leaves in the given structure."""
    rest = iter(leaves)
    return tree.map_structure(lambda leaf: next(rest), structure)


def _is_differentiable(x: Tensor) -> bool:
    return x.is_floating_point() or x.is_complex()


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function a gradient of its own.

    Args:
        f: function of tensors that returns its output and a function `grad(*args, upstream)`. `args` are the arguments
            of `f`, `upstream` is the gradient of the output (a tuple for several outputs); `grad` returns a gradient
            for each argument.

    Returns:
        A function that returns only the output.

    Example:
        >>> @keras.ops.custom_gradient
        ... def double(x):
        ...     return 2.0 * x, lambda x, upstream: 3.0 * upstream
        >>> x = torch.tensor(1.0, requires_grad=True)
        >>> double(x).backward()
        >>> float(x.grad)
        3.0
    """
    check_callable("custom_gradient", "f", f)
    names = _positional_names(f)

    @functools.wraps(f)
    def with_gradient(*args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return f(*args, **kwargs)[0]
        if kwargs:
            args, kwargs = _by_position(names, args, kwargs)
        tensors = [x for x in tree.flatten(args) if isinstance(x, Tensor)]
        function = functools.partial(f, **kwargs) if kwargs else f
        result = _CustomGradient.apply(function, tree.map_structure(_placeholder, args), *tensors)
        return result if isinstance(result, Tensor) else _packed(result[-1], result[:-1])

    return with_gradient


def _positional_names(f: Callable) -> dict[str, Any]:
    """The names of the arguments that can be passed by position, with their defaults."""
    parameters = inspect.signature(f).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}


def _by_position(names: dict[str, Any], args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """The arguments, tensors among the keywords moved to the positions of their names."""
    last = len(args)
    for name, value in kwargs.items():
        tensors = [x for x in tree.flatten(value) if isinstance(x, Tensor)]
        if tensors and name in names:
            last = max(last, list(names).index(name) + 1)
        elif any(x.requires_grad for x in tensors):
            raise ValueError(
                f"custom_gradient: the argument {name!r} is keyword-only and holds a tensor that requires a gradient. "
                f"Only positional arguments have gradients: make it one, or detach the tensor."
            )
    if last == len(args):
        return args, kwargs
    rest = dict(kwargs)
    return (*args, *(rest.pop(name, names[name]) for name in list(names)[len(args) : last])), rest


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Make the function of the gradients of another function. Keras has it from 3.16 on.

    Args:
        f: function that returns a scalar.
        argnums: position of the argument of the gradient, or a sequence of positions. Default: `0`.

    Returns:
        A function with the arguments of `f` that returns the gradient, or a tuple of one for each position.

    Example:
        >>> slope = keras.ops.grad(lambda x: keras.ops.sum(x**2))
        >>> slope(torch.tensor([1.0, 3.0]))
        tensor([2., 6.])
    """
    positions = argnums if isinstance(argnums, int) else tuple(argnums)

    @functools.wraps(f)
    def gradients(*args: Any, **kwargs: Any) -> Any:
        return torch.func.grad(f, positions)(*(_as_tensors(value) for value in args), **kwargs)

    return gradients


def _as_tensors(value: Any) -> Any:
    """Arrays and numbers of floats as tensors; all else as it is."""
    return tree.map_structure(lambda leaf: convert_to_tensor(leaf) if _is_float_array(leaf) else leaf, value)


def _is_float_array(leaf: Any) -> bool:
    return isinstance(leaf, float) or (isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f")


registry.register_public(grad, "keras.ops", "grad")
