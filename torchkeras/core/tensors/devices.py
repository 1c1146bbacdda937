"""Where tensors are made: the current device."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from torchkeras.core import accelerators
from torchkeras.core.state import state
from torchkeras.core.torch_internals import constant_result, count_function_modes
from torchkeras.core.types import DeviceLike


class _Devices(threading.local):
    def __init__(self) -> None:
        self.scopes: list[torch.device] = []


_devices = _Devices()
_META = torch.device("meta")
_CPU = torch.device("cpu")
_default: torch.device | None = None
_accelerator: accelerators.Accelerator | None = None
_has_looked = False  # for an accelerator
has_accelerator = False
"""Whether an accelerator was found; `current_device()` looks for it. For hot paths, to read without a call."""

with _META:  # torch imports a module for its first scope: now, not while a file is read
    pass


def parse_device(device: DeviceLike) -> torch.device:
    """A torch device from torch's or Keras's spelling (`"gpu:0"` means `"cuda:0"`), as tensors on it report it.

    The result can therefore be compared with `tensor.device`: `"cuda"` gets the index of the current CUDA device.

    Raises:
        ValueError: `device` is neither a string nor a torch device.
    """
    if isinstance(device, torch.device):
        return canonical_device(device)
    if not isinstance(device, str):
        raise ValueError(
            f"A device is named by a string such as 'cpu' or 'gpu:0' (or is a torch.device). "
            f"Received: device_name='{device}'."
        )
    return canonical_device(torch.device(device.lower().replace("gpu", "cuda")))


def canonical_device(device: torch.device) -> torch.device:
    """The device as a tensor reports it: `cuda` becomes `cuda:0` (the current one), `cpu:0` becomes `cpu`.

    A device that this process can't use is returned as it is: there are no tensors to compare it with, and torch
    explains what is missing when the first one is made.
    """
    if (device.index is None) == (device.type in ("cpu", "meta")):
        return device
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError):  # the latter is torch's error where it was built without the device
        return device


def set_default_device(device: DeviceLike | None) -> None:
    """Make `device` (`None`: let torch decide) the place of new weights and data."""
    global _default
    _default = None if device is None else parse_device(device)


@constant_result  # compiled code would break at the question for torch's default device
def current_device() -> torch.device:
    """The innermost `device` scope's device, else the set default, else an accelerator if there is one, else the CPU.

    While shapes are inferred it is `meta`.
    """
    global _accelerator, _has_looked, has_accelerator
    if state.symbolic:
        return _META
    if _devices.scopes:
        return _devices.scopes[-1]
    # A default device of torch's is a mode: to see that there is none costs a thirtieth of the question for it.
    if count_function_modes():
        ambient = torch.get_default_device()
        if ambient.type != "cpu":
            return ambient
    if _default is not None:
        return _default
    if not _has_looked:
        _accelerator, _has_looked = accelerators.find_accelerator(), True
        has_accelerator = _accelerator is not None
    return _CPU if _accelerator is None else accelerators.current_of(_accelerator)


def _begin_child() -> None:
    """Look for an accelerator again in a process that was forked: it may not be able to use its parent's."""
    global _has_looked, has_accelerator, _accelerator, _default
    _has_looked, has_accelerator, _accelerator = False, False, None
    if accelerators.is_in_bad_fork():  # then no scope around the fork, nor a default, may name it
        _devices.scopes.clear()
        _default = None


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_begin_child)


def default_device(device: torch.device) -> AbstractContextManager[object]:
    """Inside, torch's functions make tensors on a device; nothing to enter where they do so in any case."""
    return _NO_SCOPE if device.type == "cpu" and not count_function_modes() else device


_NO_SCOPE: AbstractContextManager[None] = nullcontext()


@contextmanager
def known_device(device: torch.device) -> Iterator[None]:
    """Inside, `current_device()` is a device that torch's own scope has set as well: it need not be asked for."""
    _devices.scopes.append(device)
    try:
        yield
    finally:
        _devices.scopes.pop()


def join_current_device(module: nn.Module) -> None:
    """Move a torch module that lies on the CPU, torch's default, to where weights of layers are made now.

    Its parameters stay the same objects, as with `module.to(device)`. A module that lies elsewhere stays there.
    """
    device = current_device()
    if device.type in ("cpu", "meta"):
        return
    tensors = [*module.parameters(), *module.buffers()]
    if tensors and all(tensor.device.type == "cpu" for tensor in tensors):
        module.to(device)


@contextmanager
def without_values() -> Iterator[None]:
    """Shapes are inferred inside: tensors are made on `meta`, and no state changes."""
    outer = None if state.symbolic else current_device()
    before, place = state.set("symbolic", True), state.place
    state.place = outer or place
    try:
        with torch.no_grad(), _META:
            yield
    finally:
        state.set("symbolic", before)
        state.place = place


@contextmanager
def with_values() -> Iterator[None]:
    """Make real tensors inside, even while shapes are inferred: weights, and constants of a layer."""
    if not state.symbolic:
        yield
        return
    state.set("symbolic", False)
    try:
        with torch.device(state.place):
            yield
    finally:
        state.set("symbolic", True)


@contextmanager
def device(device_name: DeviceLike) -> Iterator[None]:
    """Make tensors and weights on the named device inside the scope.

    Args:
        device_name: such as `"cpu"`, `"cuda:1"` or Keras's `"gpu:1"`, or a `torch.device`.

    Raises:
        ValueError: `device_name` is neither a string nor a torch device.

    Example:
        >>> with keras.device("cpu"):
        ...     layer = keras.layers.Dense(2)
        ...     layer.build((None, 3))
        >>> layer.kernel.device
        device(type='cpu')
    """
    _devices.scopes.append(parse_device(device_name))
    try:
        yield
    finally:
        _devices.scopes.pop()
