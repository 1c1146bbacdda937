"""Sines, tangents and their inverses, plain and hyperbolic, and angles in degrees."""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.ops.numpy.elementwise import wide_float


@op(dtype="float", elementwise=True)
def sin(x: Tensor) -> Tensor:
    """Compute the sine of each element, in radians.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.sin([0.0, 1.0])
        tensor([0.0000, 0.8415])
    """
    return torch.sin(x)


@op(dtype="float", elementwise=True)
def cos(x: Tensor) -> Tensor:
    """Compute the cosine of each element, in radians.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.cos([0.0, 1.0])
        tensor([1.0000, 0.5403])
    """
    return torch.cos(x)


@op(dtype="float", elementwise=True)
def tan(x: Tensor) -> Tensor:
    """Compute the tangent of each element, in radians.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.tan([0.0, 1.0])
        tensor([0.0000, 1.5574])
    """
    return torch.tan(x)


@op(dtype="float", elementwise=True)
def arcsin(x: Tensor) -> Tensor:
    """Compute the inverse sine of each element, in radians.

    Args:
        x: tensor with values in [-1, 1].

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.arcsin([0.0, 1.0])
        tensor([0.0000, 1.5708])
    """
    return torch.arcsin(x)


@op(dtype="float", elementwise=True)
def arccos(x: Tensor) -> Tensor:
    """Compute the inverse cosine of each element, in radians.

    Args:
        x: tensor with values in [-1, 1].

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.arccos([0.0, 1.0])
        tensor([1.5708, 0.0000])
    """
    return torch.arccos(x)


@op(dtype="float", elementwise=True)
def arctan(x: Tensor) -> Tensor:
    """Compute the inverse tangent of each element, in radians.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.arctan([0.0, 1.0])
        tensor([0.0000, 0.7854])
    """
    return torch.arctan(x)


@op(dtype="float", elementwise=True)
def sinc(x: Tensor) -> Tensor:
    """Compute `sin(pi x) / (pi x)` of each element, and 1 at 0.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.sinc([0.0, 0.5])
        tensor([1.0000, 0.6366])
    """
    return torch.sinc(x)


@op(dtype="float", elementwise=True)
def sinh(x: Tensor) -> Tensor:
    """Compute the hyperbolic sine of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.sinh([0.0, 1.0])
        tensor([0.0000, 1.1752])
    """
    return torch.sinh(x)


@op(dtype="float", elementwise=True)
def cosh(x: Tensor) -> Tensor:
    """Compute the hyperbolic cosine of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.cosh([0.0, 1.0])
        tensor([1.0000, 1.5431])
    """
    return torch.cosh(x)


@op(dtype="float", elementwise=True)
def tanh(x: Tensor) -> Tensor:
    """Compute the hyperbolic tangent of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.tanh([0.0, 1.0])
        tensor([0.0000, 0.7616])
    """
    return torch.tanh(x)


@op(dtype="float", elementwise=True)
def arcsinh(x: Tensor) -> Tensor:
    """Compute the inverse hyperbolic sine of each element.

    Args:
        x: tensor.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.arcsinh([0.0, 1.0])
        tensor([0.0000, 0.8814])
    """
    return torch.arcsinh(x)


@op(dtype="float", elementwise=True)
def arccosh(x: Tensor) -> Tensor:
    """Compute the inverse hyperbolic cosine of each element.

    Args:
        x: tensor with values of at least 1.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.arccosh([1.0, 2.0])
        tensor([0.0000, 1.3170])
    """
    return torch.arccosh(x)


@op(dtype="float", elementwise=True)
def arctanh(x: Tensor) -> Tensor:
    """Compute the inverse hyperbolic tangent of each element.

    Args:
        x: tensor with values in (-1, 1).

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.arctanh([0.0, 0.5])
        tensor([0.0000, 0.5493])
    """
    return torch.arctanh(x)


@op(elementwise=True)
def deg2rad(x: Tensor) -> Tensor:
    """Convert degrees to radians.

    Args:
        x: tensor of angles in degrees.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.deg2rad([0.0, 180.0])
        tensor([0.0000, 3.1416])
    """
    return torch.deg2rad(wide_float(x))


@op(elementwise=True)
def rad2deg(x: Tensor) -> Tensor:
    """Convert radians to degrees.

    Args:
        x: tensor of angles in radians.

    Returns:
        A tensor of the shape of `x`.

    Example:
        >>> keras.ops.rad2deg([0.0, 1.0])
        tensor([ 0.0000, 57.2958])
    """
    return torch.rad2deg(wide_float(x))
