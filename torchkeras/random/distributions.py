"""Random tensors. A seed is an integer, a `SeedGenerator`, or `None` for the global one; the numbers are Keras's."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.tensors.dtypes import is_float, standardize_dtype, torch_dtype
from torchkeras.core.variables.seeded_random import drawn, truncated


def normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> torch.Tensor:
    """Normal values."""
    kind = torch_dtype(standardize_dtype(dtype))
    return drawn("normal", seed, tuple(shape), kind, current_device(), (mean, stddev))


def uniform(shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None) -> torch.Tensor:
    """Values uniform in `[minval, maxval)`.

    Raises:
        ValueError: `dtype` is not a float type.
    """
    if not is_float(dtype):
        raise ValueError(
            f"`keras.random.uniform` requires a floating point `dtype`. Received: dtype={dtype!r}. "
            f"Use randint() for integers."
        )
    shape = tuple(shape)
    values = drawn("uniform", seed, shape or (1,), torch_dtype(standardize_dtype(dtype)), current_device())
    values = (maxval - minval) * values + minval
    return values if shape else values[0]


def randint(shape: Any, minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> torch.Tensor:
    """Integers uniform in `[minval, maxval)`.

    Raises:
        ValueError: `dtype` is not an integer type.
    """
    if "int" not in standardize_dtype(dtype):
        raise ValueError(
            f"`keras.random.randint` requires an integer `dtype`. Received: dtype={dtype!r}. Use uniform() for floats."
        )
    return drawn("randint", seed, tuple(shape), torch_dtype(dtype), current_device(), (minval, maxval))


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> torch.Tensor:
    """Normal values, those farther out than two deviations drawn again."""
    return truncated(seed, shape, torch_dtype(standardize_dtype(dtype)), current_device(), mean, stddev)


def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> torch.Tensor:
    """Values of the Gamma distribution of shape `alpha` (a number, or a tensor that broadcasts) and scale 1."""
    alpha = _parameter(alpha, shape)
    return drawn("gamma", seed, alpha.shape, alpha.dtype, alpha.device, (), [alpha]).to(torch_dtype(dtype))


def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> torch.Tensor:
    """Values of the Beta distribution; `alpha` and `beta` are numbers, or tensors that broadcast to `shape`."""
    both = torch.stack([_parameter(alpha, shape), _parameter(beta, shape)], dim=-1)
    values = drawn("dirichlet", seed, both.shape, both.dtype, both.device, (), [both])
    return values[..., 0].to(torch_dtype(dtype))


def binomial(shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> torch.Tensor:
    """How many of `counts` independent trials succeed with `probabilities`: numbers, or tensors that broadcast."""
    counts, probabilities = _parameter(counts, shape), _parameter(probabilities, shape)
    common = torch.promote_types(counts.dtype, probabilities.dtype)
    given = [counts.to(common), probabilities.to(common)]
    return drawn("binomial", seed, counts.shape, common, counts.device, (), given).to(torch_dtype(dtype))


def _parameter(value: Any, shape: Any) -> torch.Tensor:
    """A distribution's parameter in a type that torch draws in."""
    value = convert_to_tensor(value)
    return torch.broadcast_to(value if value.dtype == torch.float64 else value.float(), tuple(shape))


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> torch.Tensor:
    """Draws of class indices by logits of shape `(batch, classes)`; the result has shape `(batch, num_samples)`.

    Raises:
        ValueError: the logits have another rank than two.
    """
    logits = convert_to_tensor(logits)
    if logits.dim() != 2:
        raise ValueError(
            f"categorical() takes logits of shape (batch_size, num_classes); received shape {tuple(logits.shape)}."
        )
    shape = (logits.shape[0], num_samples)
    chances = torch.softmax(logits, -1)
    return drawn("categorical", seed, shape, torch.int64, logits.device, (), [chances]).to(torch_dtype(dtype))


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> torch.Tensor:
    """The inputs with a share `rate` of the elements zero and the rest scaled up by `1 / (1 - rate)`."""
    inputs = convert_to_tensor(inputs)
    if rate == 0.0:
        return inputs
    if rate == 1.0:
        return torch.zeros_like(inputs)
    if seed is None and noise_shape is None and inputs.is_floating_point():
        return torch.nn.functional.dropout(inputs, rate, training=True)
    shape = inputs.shape if noise_shape is None else [
        inputs.shape[i] if size is None else size for i, size in enumerate(noise_shape)
    ]  # fmt: skip
    kept = torch.full(tuple(shape), 1.0 - rate, device=inputs.device)
    mask = drawn("bernoulli", seed, kept.shape, kept.dtype, kept.device, (), [kept]).bool()
    return torch.where(mask, inputs / (1.0 - rate), torch.zeros_like(inputs))


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> torch.Tensor:
    """The elements along `axis` in random order; what lies along the axes before it has an order each, as in Keras."""
    x = convert_to_tensor(x)
    if not -x.dim() <= axis < x.dim():
        raise IndexError(f"axis must be in [-{x.dim()}, {x.dim()}) for a tensor of {x.dim()} axes; received {axis}.")
    axis %= x.dim()
    order = drawn("uniform", seed, x.shape[: axis + 1], torch.get_default_dtype(), x.device).argsort(axis)
    return torch.gather(x, axis, order.reshape(*order.shape, *[1] * (x.dim() - axis - 1)).expand(x.shape))
