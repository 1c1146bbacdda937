"""The weights that a module computes with, found by calling it: a module of any class that is linear in its inputs."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# A quantized module rounds its inputs; one that is not linear is off by far more.
_TOLERANCE = 0.1


@torch.no_grad()
def linear_weights(module: nn.Module, features: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """The matrix `(out, in)` and the bias of a module that maps vectors linearly.

    Args:
        module: a module that takes the place of `nn.Linear`.
        features: number of input features.
        dtype: type of its inputs.

    Raises:
        ValueError: its outputs are not linear in the inputs.
    """
    place = _device_of(module)
    x = torch.randn(8, features, dtype=dtype, device=place)
    with _Evaluating(module):
        bias = module(torch.zeros(1, features, dtype=dtype, device=place))[0]
        weight = (module(torch.eye(features, dtype=dtype, device=place)) - bias).t()
        _check(module, module(x), F.linear(x, weight.to(dtype), bias.to(dtype)))
    return {"weight": weight, "bias": bias}


@torch.no_grad()
def conv_weights(
    module: nn.Module,
    kernel_shape: tuple[int, ...],
    groups: int,
    dilation: tuple[int, ...],
    padding: tuple[int, ...],
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    """The kernel `(out, in, *window)` and the bias of a module that maps images as a convolution does.

    Args:
        module: a module that takes the place of `nn.Conv2d`, or of its relatives.
        kernel_shape: `(*window, in, out)`.
        groups: number of groups of channels.
        dilation: distances within the window.
        padding: zeros that the module adds on either side.
        dtype: type of its inputs.

    Raises:
        ValueError: its outputs are no convolution of the inputs.
    """
    *window, per_group, filters = kernel_shape
    rank, channels, taps = len(window), per_group * groups, math.prod(window)
    lengths = [(k - 1) * d + 1 for k, d in zip(window, dilation)]
    taken = (slice(None), slice(None), *padding)  # where the window lies on the inputs alone
    place = _device_of(module)
    steps = (slice(None), slice(None), *(slice(None, None, d) for d in dilation))
    impulses = torch.zeros(channels * taps, channels, *lengths, dtype=dtype, device=place)
    impulses[steps] = torch.eye(channels * taps, dtype=dtype, device=place).view(-1, channels, *window)
    with _Evaluating(module):
        bias = module(torch.zeros(1, channels, *lengths, dtype=dtype, device=place))[taken][0]
        responses = (module(impulses)[taken] - bias).view(channels, taps, filters)
        x = torch.randn(4, channels, *lengths, dtype=dtype, device=place)
        outputs = module(x)[taken]
    inputs = x[steps].reshape(4, channels * taps)
    _check(module, outputs, inputs @ responses.reshape(channels * taps, filters) + bias)
    share = filters // groups
    parts = [
        responses[g * per_group : (g + 1) * per_group, :, g * share : (g + 1) * share].permute(2, 0, 1)
        for g in range(groups)
    ]
    return {"weight": torch.cat(parts).reshape(filters, per_group, *window[:rank]), "bias": bias}


@torch.no_grad()
def transposed_conv_weights(
    module: nn.Module, channels: int, dilation: tuple[int, ...], dtype: torch.dtype
) -> dict[str, Tensor]:
    """The weights of a module that convolves transposed, without groups and without cutting borders off.

    The outputs for one pixel are its window.

    Args:
        module: a module that takes the place of `nn.ConvTranspose1d`, `nn.ConvTranspose2d` or `nn.ConvTranspose3d`.
        channels: number of input channels.
        dilation: dilation of the window.
        dtype: dtype of the inputs.

    Raises:
        ValueError: the module is not linear.
    """
    place, ones = _device_of(module), (1,) * len(dilation)
    with _Evaluating(module):
        bias = module(torch.zeros(1, channels, *ones, dtype=dtype, device=place))
        responses = module(torch.eye(channels, dtype=dtype, device=place).view(channels, channels, *ones)) - bias
        x = torch.randn(4, channels, dtype=dtype, device=place)
        outputs = module(x.view(4, channels, *ones))
    _check(module, outputs, torch.tensordot(x, responses, 1) + bias)
    weight = responses[(slice(None), slice(None), *(slice(None, None, d) for d in dilation))]
    return {"weight": weight, "bias": bias[0].flatten(1)[:, 0]}


@torch.no_grad()
def embedding_weights(module: nn.Module, rows: int) -> dict[str, Tensor]:
    """The table of a module that looks up vectors.

    Args:
        module: a module that takes the place of `nn.Embedding`.
        rows: number of indices.
    """
    with _Evaluating(module):
        return {"weight": module(torch.arange(rows, device=_device_of(module)))}


def _check(module: nn.Module, outputs: Tensor, expected: Tensor) -> None:
    error = float((outputs - expected).float().norm() / expected.float().norm().clamp(min=1e-12))
    if not error < _TOLERANCE:
        raise ValueError(
            f"The module must be linear in its inputs, as the one that it replaces; its outputs differ from those of "
            f"the weights that were read off by {error:.0%}. It stays in the model: {module}"
        )


class _Evaluating:
    """Inside, a module is in evaluation mode: no dropout."""

    def __init__(self, module: nn.Module) -> None:
        self.modes = [(part, part.training) for part in module.modules()]

    def __enter__(self) -> None:
        for part, _ in self.modes:
            part.training = False

    def __exit__(self, *error: object) -> None:
        for part, mode in self.modes:
            part.training = mode


def _device_of(module: nn.Module) -> torch.device:
    tensor = next(module.parameters(), None)
    if tensor is None:
        tensor = next(module.buffers(), None)
    return torch.device("cpu") if tensor is None else tensor.device
