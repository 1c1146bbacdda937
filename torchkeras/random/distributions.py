"""Random tensors. A seed is an integer, a `SeedGenerator`, or `None` for the global one; the numbers are Keras's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.tensors.dtypes import is_float, standardize_dtype, torch_dtype
from torchkeras.core.types import ArrayLike, DTypeLike
from torchkeras.core.variables.portable_random import is_portable_random_enabled
from torchkeras.core.variables.seeded_random import random_values, sample_truncated_normal
from torchkeras.core.variables.seeds import SeedGenerator

Seed: TypeAlias = int | SeedGenerator | None


def normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: DTypeLike | None = None, seed: Seed = None
) -> torch.Tensor:
    """Draw values of the normal distribution.

    Args:
        shape: the shape of the result, a tuple of integers.
        mean: the mean. Default: `0.0`.
        stddev: the standard deviation. Default: `1.0`.
        dtype: the float type of the result; `None` means `keras.config.floatx()`. Default: `None`.
        seed: an integer gives the same values at each call, a `keras.random.SeedGenerator` other values at each call,
            `None` takes the global generator, which `keras.utils.set_random_seed` seeds. Default: `None`.

    Returns:
        A tensor.

    Example:
        >>> keras.random.normal((2, 3), seed=1).shape
        torch.Size([2, 3])
    """
    kind = torch_dtype(standardize_dtype(dtype))
    return random_values("normal", seed, tuple(shape), kind, current_device(), (mean, stddev))


def uniform(
    shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0, dtype: DTypeLike | None = None, seed: Seed = None
) -> torch.Tensor:
    """Draw values uniformly from `[minval, maxval)`.

    Args:
        shape: the shape of the result, a tuple of integers.
        minval: the lower end, included. Default: `0.0`.
        maxval: the upper end, excluded. Default: `1.0`.
        dtype: the float type of the result; `None` means `keras.config.floatx()`. Default: `None`.
        seed: an integer gives the same values at each call, a `keras.random.SeedGenerator` other values at each call,
            `None` takes the global generator, which `keras.utils.set_random_seed` seeds. Default: `None`.

    Returns:
        A tensor.

    Raises:
        ValueError: `dtype` is not a float type.

    Example:
        >>> x = keras.random.uniform((100,), 2.0, 3.0)
        >>> bool(((x >= 2) & (x < 3)).all())
        True
    """
    if not is_float(dtype):
        raise ValueError(
            f"`keras.random.uniform` requires a floating point `dtype`. Received: dtype={dtype!r}. "
            f"Use randint() for integers."
        )
    shape = tuple(shape)
    values = random_values("uniform", seed, shape or (1,), torch_dtype(standardize_dtype(dtype)), current_device())
    values = (maxval - minval) * values + minval
    return values if shape else values[0]


def randint(
    shape: Sequence[int], minval: int, maxval: int, dtype: DTypeLike = "int32", seed: Seed = None
) -> torch.Tensor:
    """Draw integers uniformly from `[minval, maxval)`.

    Args:
        shape: the shape of the result, a tuple of integers.
        minval: the smallest integer.
        maxval: the integer after the largest.
        dtype: the integer type of the result. Default: `"int32"`.
        seed: an integer gives the same values at each call, a `keras.random.SeedGenerator` other values at each call,
            `None` takes the global generator, which `keras.utils.set_random_seed` seeds. Default: `None`.

    Returns:
        A tensor.

    Raises:
        ValueError: `dtype` is not an integer type.

    Example:
        >>> keras.random.randint((3,), 4, 5)
        tensor([4, 4, 4], dtype=torch.int32)
    """
    if "int" not in standardize_dtype(dtype):
        raise ValueError(
            f"`keras.random.randint` requires an integer `dtype`. Received: dtype={dtype!r}. Use uniform() for floats."
        )
    return random_values("randint", seed, tuple(shape), torch_dtype(dtype), current_device(), (minval, maxval))


def truncated_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: DTypeLike | None = None, seed: Seed = None
) -> torch.Tensor:
    """Draw values of the normal distribution, without those farther than two deviations from the mean.

    Args:
        shape: the shape of the result, a tuple of integers.
        mean: the mean. Default: `0.0`.
        stddev: the standard deviation before truncation. Default: `1.0`.
        dtype: the float type of the result; `None` means `keras.config.floatx()`. Default: `None`.
        seed: an integer gives the same values at each call, a `keras.random.SeedGenerator` other values at each call,
            `None` takes the global generator, which `keras.utils.set_random_seed` seeds. Default: `None`.

    Returns:
        A tensor.

    Example:
        >>> bool((keras.random.truncated_normal((1000,)).abs() <= 2).all())
        True
    """
    return sample_truncated_normal(seed, shape, torch_dtype(standardize_dtype(dtype)), current_device(), mean, stddev)


def gamma(shape: Sequence[int], alpha: ArrayLike, dtype: DTypeLike | None = None, seed: Seed = None) -> torch.Tensor:
    """Draw values of the gamma distribution with scale 1.

    Args:
        shape: the shape of the result, a tuple of integers.
        alpha: the distribution's shape parameter, a number or a tensor that broadcasts to `shape`.
        dtype: the float type of the result; `None` means `keras.config.floatx()`. Default: `None`.
        seed: an integer gives the same values at each call, a `keras.random.SeedGenerator` other values at each call,
            `None` takes the global generator, which `keras.utils.set_random_seed` seeds. Default: `None`.

    Returns:
        A tensor.

    Raises:
        ValueError: `alpha`, given as a number or an array, is not positive.

    Example:
        >>> bool((keras.random.gamma((2, 3), 0.5) >= 0).all())
        True
    """
    _check("alpha", alpha, lambda a: a > 0, "positive")
    alpha = _parameter(alpha, shape)
    return random_values("gamma", seed, alpha.shape, alpha.dtype, alpha.device, (), [alpha]).to(torch_dtype(dtype))


def beta(
    shape: Sequence[int], alpha: ArrayLike, beta: ArrayLike, dtype: DTypeLike | None = None, seed: Seed = None
) -> torch.Tensor:
    """Draw values of the beta distribution.

    Args:
        shape: the shape of the result, a tuple of integers.
        alpha: the first parameter, a number or a tensor that broadcasts to `shape`.
        beta: the second parameter, likewise.
        dtype: the float type of the result; `None` means `keras.config.floatx()`. Default: `None`.
        seed: an integer gives the same values at each call, a `keras.random.SeedGenerator` other values at each call,
            `None` takes the global generator, which `keras.utils.set_random_seed` seeds. Default: `None`.

    Returns:
        A tensor of values between 0 and 1.

    Raises:
        ValueError: `alpha` or `beta`, given as numbers or arrays, are not positive.

    Example:
        >>> keras.random.beta((2, 3), 2.0, 5.0).shape
        torch.Size([2, 3])
    """
    _check("alpha", alpha, lambda a: a > 0, "positive")
    _check("beta", beta, lambda b: b > 0, "positive")
    both = torch.stack([_parameter(alpha, shape), _parameter(beta, shape)], dim=-1)
    values = random_values("dirichlet", seed, both.shape, both.dtype, both.device, (), [both])
    return values[..., 0].to(torch_dtype(dtype))


def binomial(
    shape: Sequence[int], counts: ArrayLike, probabilities: ArrayLike, dtype: DTypeLike | None = None, seed: Seed = None
) -> torch.Tensor:
    """Draw how many of `counts` independent trials succeed with `probabilities`.

    Args:
        shape: the shape of the result, a tuple of integers.
        counts: the number of trials, a number or a tensor that broadcasts to `shape`.
        probabilities: the chance of success in one trial, likewise.
        dtype: the float type of the result; `None` means `keras.config.floatx()`. Default: `None`.
        seed: an integer gives the same values at each call, a `keras.random.SeedGenerator` other values at each call,
            `None` takes the global generator, which `keras.utils.set_random_seed` seeds. Default: `None`.

    Returns:
        A float tensor of whole numbers.

    Raises:
        ValueError: a count, given as a number or an array, is no whole number, or a probability is not in [0, 1].

    Example:
        >>> keras.random.binomial((2,), 5, 1.0)
        tensor([5., 5.])
    """
    _check("counts", counts, lambda n: (n >= 0) & (n == np.floor(n)), "whole numbers, at least 0")
    _check("probabilities", probabilities, lambda p: (p >= 0) & (p <= 1), "in [0, 1]")
    counts, probabilities = _parameter(counts, shape), _parameter(probabilities, shape)
    common = torch.promote_types(counts.dtype, probabilities.dtype)
    given = [counts.to(common), probabilities.to(common)]
    return random_values("binomial", seed, counts.shape, common, counts.device, (), given).to(torch_dtype(dtype))


def _check(name: str, value: ArrayLike, holds: Callable[[np.ndarray], np.ndarray], must_be: str) -> None:
    """Refuse parameters without a distribution; tensors pass, for they may be on a device that nobody waits for."""
    if torch.compiler.is_compiling() or isinstance(value, torch.Tensor):
        return
    if not np.all(holds(np.asarray(value))):
        raise ValueError(f"`{name}` must be {must_be}. Received: {name}={value}")


def _parameter(value: ArrayLike, shape: Sequence[int]) -> torch.Tensor:
    """A distribution's parameter in a type that torch draws in."""
    value = convert_to_tensor(value)
    return torch.broadcast_to(value if value.dtype == torch.float64 else value.float(), tuple(shape))


def categorical(logits: ArrayLike, num_samples: int, dtype: DTypeLike = "int32", seed: Seed = None) -> torch.Tensor:
    """Draw class indices by unnormalized log-probabilities.

    Args:
        logits: a tensor of shape `(batch, classes)`.
        num_samples: how many indices are drawn per row.
        dtype: the integer type of the result. Default: `"int32"`.
        seed: an integer gives the same values at each call, a `keras.random.SeedGenerator` other values at each call,
            `None` takes the global generator, which `keras.utils.set_random_seed` seeds. Default: `None`.

    Returns:
        A tensor of shape `(batch, num_samples)`.

    Raises:
        ValueError: the logits have another rank than two.

    Example:
        >>> keras.random.categorical(np.log([[1e-9, 1.0]]), 3)
        tensor([[1, 1, 1]], dtype=torch.int32)
    """
    logits = convert_to_tensor(logits)
    if logits.dim() != 2:
        raise ValueError(
            f"categorical() takes logits of shape (batch_size, num_classes); received shape {tuple(logits.shape)}."
        )
    shape = (logits.shape[0], num_samples)
    chances = torch.softmax(logits, -1)
    return random_values("categorical", seed, shape, torch.int64, logits.device, (), [chances]).to(torch_dtype(dtype))


def dropout(
    inputs: ArrayLike, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Seed = None
) -> torch.Tensor:
    """Set a random share of the elements to zero, and scale the others up so that the expected sum stays.

    Args:
        inputs: a tensor.
        rate: the share of zeros, between 0 and 1; the others are multiplied by `1 / (1 - rate)`.
        noise_shape: a shape that broadcasts to that of `inputs`: along its sizes of 1 the elements share their fate;
            `None` in it stands for the size of `inputs`. Default: `None`, for each element on its own.
        seed: an integer gives the same values at each call, a `keras.random.SeedGenerator` other values at each call,
            `None` takes the global generator, which `keras.utils.set_random_seed` seeds. Default: `None`.

    Returns:
        A tensor of the shape of `inputs`.

    Example:
        >>> sorted(set(keras.random.dropout(np.ones(100), 0.5).tolist()))
        [0.0, 2.0]
    """
    inputs = convert_to_tensor(inputs)
    if rate == 0.0:
        return inputs
    if rate == 1.0:
        return torch.zeros_like(inputs)
    if seed is None and noise_shape is None and inputs.is_floating_point() and not is_portable_random_enabled():
        return torch.nn.functional.dropout(inputs, rate, training=True)
    shape = inputs.shape if noise_shape is None else [
        inputs.shape[i] if size is None else size for i, size in enumerate(noise_shape)
    ]  # fmt: skip
    kept = torch.full(tuple(shape), 1.0 - rate, device=inputs.device)
    mask = random_values("bernoulli", seed, kept.shape, kept.dtype, kept.device, (), [kept]).bool()
    return torch.where(mask, inputs / (1.0 - rate), torch.zeros_like(inputs))


def shuffle(x: ArrayLike, axis: int = 0, seed: Seed = None) -> torch.Tensor:
    """Put the elements along an axis into random order.

    Each index of the axes before it has an order of its own, as in Keras on torch.

    Args:
        x: a tensor.
        axis: the axis. Default: `0`.
        seed: an integer gives the same values at each call, a `keras.random.SeedGenerator` other values at each call,
            `None` takes the global generator, which `keras.utils.set_random_seed` seeds. Default: `None`.

    Returns:
        A tensor of the shape of `x`.

    Raises:
        IndexError: `x` has no such axis.

    Example:
        >>> sorted(keras.random.shuffle(np.arange(4)).tolist())
        [0, 1, 2, 3]
    """
    x = convert_to_tensor(x)
    if not -x.dim() <= axis < x.dim():
        raise IndexError(f"axis must be in [-{x.dim()}, {x.dim()}) for a tensor of {x.dim()} axes; received {axis}.")
    axis %= x.dim()
    order = random_values("uniform", seed, x.shape[: axis + 1], torch.get_default_dtype(), x.device).argsort(axis)
    return torch.gather(x, axis, order.reshape(*order.shape, *[1] * (x.dim() - axis - 1)).expand(x.shape))
