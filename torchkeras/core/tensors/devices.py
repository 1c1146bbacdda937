"""Where tensors are made: the current device."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from torchkeras.core.state import state


class _Devices(threading.local):
    def __init__(self) -> None:
        self.scopes: list[torch.device] = []


_devices = _Devices()
_META = torch.device("meta")
_default: torch.device | None = None
_detected: torch.device | None = None


def parse_device(device: Any) -> torch.device:
    """A torch device from torch's or Keras's spelling (`"gpu:0"` means `"cuda:0"`).

    Raises:
        ValueError: neither a string nor a device.
    """
    if isinstance(device, torch.device):
        return device
    if not isinstance(device, str):
        raise ValueError(
            f"A device is named by a string such as 'cpu' or 'gpu:0' (or is a torch.device). "
            f"Received: device_name='{device}'."
        )
    return torch.device(device.lower().replace("gpu", "cuda"))


def set_default_device(device: Any) -> None:
    """Make `device` (`None`: let torch decide) the place of new weights and data."""
    global _default
    _default = None if device is None else parse_device(device)


def current_device() -> torch.device:
    """The innermost `device` scope's device, else the set default, else CUDA where there is one, else the CPU.

    While shapes are inferred it is `meta`.
    """
    global _detected
    if state.symbolic:
        return _META
    if _devices.scopes:
        return _devices.scopes[-1]
    # A default device of torch's is a mode: to see that there is none costs a thirtieth of the question for it.
    if torch._C._len_torch_function_stack():
        ambient = torch.get_default_device()
        if ambient.type != "cpu":
            return ambient
    if _default is not None:
        return _default
    if _detected is None:
        _detected = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return _detected


# What `torch.compiler.assume_constant_result` sets, without importing the compiler: compiled code keeps the device that
# it was compiled for, where it would break at the question for torch's default device.
current_device._dynamo_marked_constant = True  # type: ignore[attr-defined]


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
    """What is made inside outlives the inference of shapes that may be going on: weights, a layer's constants."""
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
def device(device_name: Any) -> Iterator[None]:
    """Make tensors and weights on the named device inside the scope."""
    _devices.scopes.append(parse_device(device_name))
    try:
        yield
    finally:
        _devices.scopes.pop()
