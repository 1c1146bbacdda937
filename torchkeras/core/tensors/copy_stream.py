"""Copies of batches to a GPU beside the computation, in a stream of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import torch

from torchkeras.core import tree

T = TypeVar("T")
_is_enabled = False


def enable_copy_stream() -> None:
    """Copy batches to a CUDA device in a stream of their own, while the step before is still computing.

    Python runs ahead of a GPU. Without this switch the copy of a batch waits in the GPU's queue behind the kernels of
    the steps before; with it, the copy starts at once, from pinned memory, and the step waits for its own batch alone.
    It serves batches from loaders, generators, `PyDataset`s and arrays too large for the device; arrays that lie on the
    device are not copied. Other devices are not affected. The order of batches and all numbers stay the same.

    Example:
        >>> keras.config.enable_copy_stream()
        >>> keras.config.is_copy_stream_enabled()
        True
        >>> keras.config.disable_copy_stream()
    """
    global _is_enabled
    _is_enabled = True


def disable_copy_stream() -> None:
    """Copy batches in the stream of the computation, as by default.

    Example:
        >>> keras.config.disable_copy_stream()
        >>> keras.config.is_copy_stream_enabled()
        False
    """
    global _is_enabled
    _is_enabled = False


def is_copy_stream_enabled() -> bool:
    """Return whether batches are copied to CUDA devices in a stream of their own.

    Returns:
        `True` after `enable_copy_stream()`.

    Example:
        >>> keras.config.is_copy_stream_enabled()
        False
    """
    return _is_enabled


class Streams(Protocol):
    """The queues of a kind of device."""

    def pinned(self, tensor: torch.Tensor, copied: bool) -> torch.Tensor:
        """A tensor of the host in memory from which the device copies without the host waiting.

        Args:
            tensor: the tensor.
            copied: whether the result must be other memory than that of the tensor.
        """

    def staging(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """A new tensor of the host, without values, in such memory."""

    def beside(self, make: Callable[[], T], device: torch.device) -> T:
        """The result of a function whose copies run beside the computation; what is computed next waits for them."""


class CudaStreams:
    """A stream for copies for each CUDA device."""

    def __init__(self) -> None:
        self._streams: dict[torch.device, torch.cuda.Stream] = {}

    def pinned(self, tensor: torch.Tensor, copied: bool) -> torch.Tensor:
        if copied:
            return self.staging(tensor.shape, tensor.dtype).copy_(tensor)
        if tensor.is_pinned():
            return tensor
        try:
            return tensor.pin_memory()
        except RuntimeError:  # the system lets this process pin no more memory: the host waits for the copy
            return tensor

    def staging(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        try:
            return torch.empty(shape, dtype=dtype, device="cpu", pin_memory=True)
        except RuntimeError:
            return torch.empty(shape, dtype=dtype, device="cpu")

    def beside(self, make: Callable[[], T], device: torch.device) -> T:
        stream = self._streams.get(device)
        if stream is None:
            stream = self._streams[device] = torch.cuda.Stream(device)
        with torch.cuda.stream(stream):
            result = make()
            done = stream.record_event()
        computing = torch.cuda.current_stream(device)
        computing.wait_event(done)
        for leaf in tree.flatten(result):
            if isinstance(leaf, torch.Tensor) and leaf.is_cuda:
                leaf.record_stream(computing)  # its memory belongs to the stream of copies: not to be reused too early
        return result


STREAMS: dict[str, Streams] = {"cuda": CudaStreams()}


def beside(make: Callable[[], T], device: torch.device) -> T:
    """The result of a function that copies a batch to a device, where possible beside the computation there."""
    streams = STREAMS.get(device.type) if _is_enabled else None
    return make() if streams is None else streams.beside(make, device)


# From other memory the driver copies so few bytes at once; of more, the host waits until the device comes to the copy.
_STAGED = 64 * 2**10


def staging(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """A new tensor of the host, without values, from which a device copies without the host waiting, if it can."""
    streams = STREAMS.get(device.type)
    return torch.empty(shape, dtype=dtype, device="cpu") if streams is None else streams.staging(shape, dtype)


def pinned(tensor: torch.Tensor, device: torch.device, is_lasting: bool = True) -> torch.Tensor:
    """A tensor that is to be copied to a device, in pinned memory where that is of use.

    Args:
        tensor: the tensor.
        device: the device.
        is_lasting: whether its values stay until the device has copied them. From memory that the user pinned the copy
            runs later; a generator that fills one buffer again and again would overwrite it meanwhile.
    """
    streams = STREAMS.get(device.type)
    if streams is None or tensor.device.type != "cpu" or tensor.layout is not torch.strided:
        return tensor
    copied = not is_lasting and tensor.is_pinned()
    return streams.pinned(tensor, copied) if copied or _is_enabled or tensor.nbytes > _STAGED else tensor
