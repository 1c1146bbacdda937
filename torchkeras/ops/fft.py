"""Fourier transforms, frames of signals, complex numbers as pairs of real and imaginary tensors."""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.core.operations.op import op
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.convert import convert_to_tensor
from torchkeras.core.tensors.dtypes import is_float
from torchkeras.core.types import ArrayLike

op = functools.partial(op, file_module="keras.src.ops.math")


def _check(x: Any, rank: int) -> tuple[int | None, ...]:
    """The shape of a complex input, given as its two parts.

    Raises:
        ValueError: not two tensors of floats, their shapes differ, or have fewer than `rank` axes.
    """
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ValueError(f"Input `x` should be a tuple of two tensors - real and imaginary. Received: x={x}.")
    real, imaginary = x
    shape = real.shape
    if shape != imaginary.shape:
        raise ValueError(
            "Input `x` should be a tuple of two tensors - real and imaginary. Both the real and imaginary parts should "
            f"have the same shape. Received: {tuple(shape)} and {tuple(imaginary.shape)}."
        )
    if len(shape) < rank:
        raise ValueError(f"Input should have rank >= {rank}. Received: input.shape = {tuple(shape)}.")
    if not is_float(real.dtype):  # one that is promotes the other
        raise ValueError(
            "At least one tensor in input `x` is not of type float: cast it. "
            f"Received: {real.dtype} and {imaginary.dtype}."
        )
    return shape


def _complex(x: list[Tensor], rank: int) -> Tensor:
    if len(x) != 2 or x[0].shape != x[1].shape or x[0].ndim < rank or not x[0].is_floating_point():
        _check(x, rank)  # says which
    return torch.complex(x[0], x[1])


def _same(x: Any) -> tuple[KerasTensor, KerasTensor]:
    if None in _check(x, 1)[-1:]:
        raise ValueError(f"Input should have its last dimension fully-defined. Received: input.shape = {x[0].shape}.")
    return KerasTensor(x[0].shape, x[0].dtype), KerasTensor(x[0].shape, x[0].dtype)


def _same2(x: Any) -> tuple[KerasTensor, KerasTensor]:
    if None in _check(x, 2)[-2:]:
        raise ValueError(f"Input should have its (-2, -1) axes fully-defined. Received: input.shape = {x[0].shape}.")
    return KerasTensor(x[0].shape, x[0].dtype), KerasTensor(x[0].shape, x[0].dtype)


@op(dtype="common", name="FFT", spec=_same)
def fft(x: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Compute the discrete Fourier transform along the last axis.

    Args:
        x: pair of real and imaginary parts `(..., size)`.

    Returns:
        A pair of real and imaginary parts.

    Example:
        >>> keras.ops.fft((np.array([1.0, 0.0]), np.zeros(2)))[0]
        tensor([1., 1.], dtype=torch.float64)
    """
    result = torch.fft.fft(_complex(x, 1))
    return result.real, result.imag


@op(dtype="common", name="FFT2", spec=_same2)
def fft2(x: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Compute the discrete Fourier transform along the last two axes.

    Args:
        x: pair of real and imaginary parts.

    Returns:
        A pair of real and imaginary parts.

    Example:
        >>> keras.ops.fft2((np.ones((2, 2)), np.zeros((2, 2))))[0]
        tensor([[4., 0.],
                [0., 0.]], dtype=torch.float64)
    """
    result = torch.fft.fft2(_complex(x, 2))
    return result.real, result.imag


@op(dtype="common", name="IFFT2", spec=_same2)
def ifft2(x: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Invert `fft2`.

    Args:
        x: pair of real and imaginary parts.

    Returns:
        A pair of real and imaginary parts.

    Example:
        >>> keras.ops.ifft2((np.array([[4.0, 0.0], [0.0, 0.0]]), np.zeros((2, 2))))[0]
        tensor([[1., 1.],
                [1., 1.]], dtype=torch.float64)
    """
    result = torch.fft.ifft2(_complex(x, 2))
    return result.real, result.imag


@op(dtype="float", name="RFFT")
def rfft(x: Tensor, fft_length: int | None = None) -> tuple[Tensor, Tensor]:
    """Compute the Fourier transform of real values along the last axis.

    Args:
        x: tensor of reals.
        fft_length: length to which the axis is cut or padded with zeros; `None`: as it is. Default: `None`.

    Returns:
        Real and imaginary parts `(..., fft_length // 2 + 1)` of the frequencies that are not negative.

    Example:
        >>> keras.ops.rfft(np.array([1.0, 2.0, 3.0]))[0]
        tensor([ 6.0000, -1.5000], dtype=torch.float64)
    """
    if x.ndim < 1:
        raise ValueError(f"Input should have rank >= 1. Received: input.shape = {tuple(x.shape)}.")
    result = torch.fft.rfft(x, fft_length)
    return result.real, result.imag


@op(dtype="common", name="IRFFT")
def irfft(x: list[Tensor], fft_length: int | None = None) -> Tensor:
    """Invert `rfft`.

    Args:
        x: pair of real and imaginary parts.
        fft_length: number of real values; `None`: `2 * (frequencies - 1)`. Default: `None`.

    Returns:
        A tensor of reals.

    Example:
        >>> keras.ops.irfft((np.array([6.0, -2.0, 0.0]), np.zeros(3)), 4)
        tensor([0.5000, 1.5000, 2.5000, 1.5000], dtype=torch.float64)
    """
    return torch.fft.irfft(_complex(x, 1), fft_length)


def _sequences(x: Any, sequence_length: int, sequence_stride: int) -> KerasTensor:
    if len(x.shape) < 1:
        raise ValueError(f"Input should have rank >= 1. Received: input.shape = {x.shape}.")
    *batch, size = x.shape
    count = None if size is None else 1 + (size - sequence_length) // sequence_stride
    return KerasTensor((*batch, count, sequence_length), x.dtype)


@op(spec=_sequences)
def extract_sequences(x: Tensor, sequence_length: int, sequence_stride: int) -> Tensor:
    """Cut overlapping windows along the last axis.

    Args:
        x: tensor `(..., size)`.
        sequence_length: length of a window.
        sequence_stride: distance between the starts of windows.

    Returns:
        A tensor `(..., count, sequence_length)`, which shares the memory.

    Example:
        >>> keras.ops.extract_sequences(np.arange(4.0), 2, 1)
        tensor([[0., 1.],
                [1., 2.],
                [2., 3.]], dtype=torch.float64)
    """
    return x.unfold(-1, sequence_length, sequence_stride)


def _spectrum(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: str | ArrayLike | None = "hann",
    center: bool = True,
) -> tuple[KerasTensor, KerasTensor]:
    *batch, size = x.shape
    padded = None if size is None else size + (fft_length // 2 * 2 if center else 0)
    count = None if padded is None else 1 + (padded - fft_length) // sequence_stride
    shape = (*batch, count, fft_length // 2 + 1)
    return KerasTensor(shape, x.dtype), KerasTensor(shape, x.dtype)


@op(name="STFT", spec=_spectrum)
def stft(
    x: Tensor,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: str | ArrayLike | None = "hann",
    center: bool = True,
) -> tuple[Tensor, Tensor]:
    """Compute the short-time Fourier transform: `rfft` of windows along the last axis.

    Args:
        x: float32 or float64 tensor `(..., size)`.
        sequence_length: length of the window, which lies in the middle of `fft_length` samples.
        sequence_stride: distance between windows, in samples.
        fft_length: number of samples of each transform.
        window: `"hann"`, `"hamming"` (both periodic), `None` for ones, or `sequence_length` weights. Default: `"hann"`.
        center: whether windows are centered at their sample, with the signal reflected at its ends. Default: `True`.

    Returns:
        Real and imaginary parts `(..., count, fft_length // 2 + 1)`.

    Example:
        >>> keras.ops.stft(np.ones(8), 4, 2, 4)[0].shape
        torch.Size([5, 3])
    """
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"Invalid input type. Expected `float32` or `float64`: cast `x`. Received: {x.dtype}.")
    if fft_length < sequence_length:
        raise ValueError(
            "`fft_length` must equal or larger than `sequence_length`. "
            f"Received: sequence_length={sequence_length}, fft_length={fft_length}."
        )
    weights = _weights(window, sequence_length, sequence_stride, x)
    flat = x.flatten(0, -2) if x.ndim > 2 else x
    result = torch.stft(
        flat, fft_length, sequence_stride, sequence_length, weights, center=center, return_complex=True
    ).transpose(-1, -2)
    if x.ndim > 2:
        result = result.unflatten(0, x.shape[:-1])
    return result.real, result.imag


def _weights(window: Any, length: int, stride: int, like: Tensor) -> Tensor:
    """The weights of a window in the signal's type.

    Raises:
        ValueError: no such window, one of another length, or a stride that is no positive integer.
    """
    if not isinstance(stride, int) or stride < 1:
        raise ValueError(f"`sequence_stride` must be a positive integer. Received: sequence_stride={stride}.")
    if window is None:
        return like.new_ones(length)
    if isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ValueError(
                'If a string is passed to `window`, it must be one of `"hann"`, `"hamming"`. '
                f"Received: window={window}."
            )
        make = torch.hann_window if window == "hann" else torch.hamming_window
        return make(length, dtype=like.dtype, device=like.device)
    weights = convert_to_tensor(window, like.dtype, like.device)
    if weights.shape != (length,):
        raise ValueError(
            "The shape of `window` must be equal to [sequence_length]. "
            f"Received: {tuple(weights.shape)} for sequence_length={length}."
        )
    return weights


def _signal(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: str | ArrayLike | None = "hann",
    center: bool = True,
) -> KerasTensor:
    *batch, count, _ = _check(x, 2)
    size = length
    if length is None and count is not None:
        size = sequence_stride * (count - 1) + fft_length - (fft_length // 2 * 2 if center else 0)
    return KerasTensor((*batch, size), x[0].dtype)


@op(dtype="common", name="ISTFT", spec=_signal)
def istft(
    x: list[Tensor],
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: str | ArrayLike | None = "hann",
    center: bool = True,
) -> Tensor:
    """Invert `stft`: put overlapping windows back in their places and add them up.

    Args:
        x: real and imaginary parts `(..., count, fft_length // 2 + 1)`.
        sequence_length: length of the window, which lies in the middle of `fft_length` samples.
        sequence_stride: distance between windows, in samples.
        fft_length: number of samples of each transform.
        length: largest number of samples; `None`: as many as the windows cover. Default: `None`.
        window: as given to `stft`; the sum is divided by the sum of its squares, unless it is `None`. Default:
            `"hann"`.
        center: as given to `stft`. Default: `True`.

    Returns:
        A tensor `(..., size)`.

    Example:
        >>> keras.ops.istft(keras.ops.stft(np.ones(8), 4, 2, 4), 4, 2, 4)
        tensor([1., 1., 1., 1., 1., 1., 1., 1.], dtype=torch.float64)
    """
    frames = torch.fft.irfft(_complex(x, 2), fft_length)
    weights = _weights(window, sequence_length, sequence_stride, frames)
    if window is not None:
        before = (fft_length - sequence_length) // 2
        whole = fft_length + -fft_length % sequence_stride  # strides: a row each
        weights = F.pad(weights, (before, whole - sequence_length - before)).reshape(-1, sequence_stride)
        frames = frames * (weights / weights.square().sum(0)).flatten()[:fft_length]
    *batch, count, _ = frames.shape
    size = sequence_stride * (count - 1) + fft_length
    columns = frames.reshape(-1, count, fft_length).transpose(1, 2)
    signal = F.fold(columns, (1, size), (1, fft_length), stride=(1, sequence_stride)).reshape(*batch, size)
    start = fft_length // 2 if center else 0
    return signal[..., start : size - start if length is None else start + length]


@op
def view_as_complex(x: Tensor) -> Tensor:
    """Read real and imaginary parts along the last axis as complex numbers.

    Args:
        x: tensor `(..., 2)`.

    Returns:
        A complex64 tensor `(...)`.

    Example:
        >>> keras.ops.view_as_complex(np.array([1.0, 2.0], "float32"))
        tensor(1.+2.j)
    """
    if x.dim() < 1 or x.shape[-1] != 2:
        raise ValueError(
            f"Last dimension of input must be size 2 (real and imaginary). Received shape: {tuple(x.shape)}."
        )
    return torch.complex(*x.float().unbind(-1))


@op
def view_as_real(x: Tensor) -> Tensor:
    """Return real and imaginary parts of complex numbers along a new last axis.

    Args:
        x: complex tensor `(...)`.

    Returns:
        A tensor `(..., 2)`.

    Example:
        >>> keras.ops.view_as_real(np.array([1 + 2j]))
        tensor([[1., 2.]], dtype=torch.float64)
    """
    return torch.view_as_real(x)
