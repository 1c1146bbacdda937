"""Errors as users should see them: with the call that failed, and without the frames of this package."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from torchkeras.core import tree
from torchkeras.core.symbolic.keras_tensor import KerasTensor
from torchkeras.core.tensors.dtypes import standardize_dtype
from torchkeras.core.variables.session import is_traceback_filtering_enabled

F = TypeVar("F", bound=Callable)

_PACKAGE = str(Path(__file__).parents[2]) + os.sep
_TORCH_CALL = inspect.getfile(nn.Module)
# The functions of ops are compiled from sources that lie in no file.
_GENERATED = "<op"


def filtered(function: F) -> F:
    """A function that users call, from whose errors the frames of this package are taken out.

    `keras.config.disable_traceback_filtering()` leaves all frames in.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            hide_frames(error)
            raise

    return call  # type: ignore[return-value]


def hide_frames(error: BaseException) -> None:
    """Take the frames of this package and of torch's module calls out of an error's traceback, if that is wanted."""
    if torch.compiler.is_compiling() or not is_traceback_filtering_enabled():
        return
    kept, current = [], error.__traceback__
    while current is not None:
        if _is_of_interest(current):
            kept.append(current)
        current = current.tb_next
    shown: TracebackType | None = None
    for entry in reversed(kept):
        shown = TracebackType(shown, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    error.__traceback__ = shown


def _is_of_interest(entry: TracebackType) -> bool:
    file = entry.tb_frame.f_code.co_filename
    return not (file.startswith((_PACKAGE, _GENERATED)) or file == _TORCH_CALL)


def explain_call(
    error: Exception, method: str, place: str, arguments: dict[str, object], reason: str | None = None
) -> None:
    """Write into an error which call it came from and with which arguments; the innermost call alone does so.

    The error stays the same object. Where its message can't be replaced, a note says it.

    Args:
        error: raised by the call.
        method: name of the method, `"Dense.call()"`.
        place: the layer's path.
        arguments: by name.
        reason: sentences that stand before the message: what the call needs, where that is known. Default: `None`.
    """
    if torch.compiler.is_compiling() or not is_traceback_filtering_enabled():
        return
    if getattr(error, "_torchkeras_explained", False):
        return
    head = f"Exception encountered when calling {method} of {place!r}." + (f"\n\n{reason}" if reason else "")
    received = "\n".join(f"  • {name}={describe(value)}" for name, value in arguments.items())
    tail = f"Arguments received by {method}:\n{received}"
    try:
        error._torchkeras_explained = True  # type: ignore[attr-defined]
    except AttributeError:  # a class with slots: its error may be explained once more further out
        pass
    if len(error.args) == 1 and isinstance(error.args[0], str) and type(error).__str__ is BaseException.__str__:
        error.args = (f"{head}\n\n{error.args[0]}\n\n{tail}",)
    else:
        error.add_note(f"{head}\n\n{tail}")


def complete(error: Exception) -> Exception:
    """The error, marked as one that names the layer and its inputs itself, so that calls add nothing to it."""
    error._torchkeras_explained = True  # type: ignore[attr-defined]
    return error


def describe(value: object) -> str:
    """An argument in an error message: tensors by shape and type, small integers on the CPU also by their range."""
    if isinstance(value, (list, tuple, dict)):
        return str(tree.map_structure(_Described, value))
    return _describe(value)


class _Described:
    """A value of a nest that shows itself as its description."""

    def __init__(self, value: object) -> None:
        self.text = _describe(value)

    def __repr__(self) -> str:
        return self.text


def _describe(value: object) -> str:
    if isinstance(value, KerasTensor):
        return f"KerasTensor(shape={value.shape}, dtype={value.dtype})"
    if isinstance(value, torch.Tensor):
        return f"torch.Tensor(shape={tuple(value.shape)}, dtype={standardize_dtype(value.dtype)}{_range(value)})"
    if isinstance(value, np.ndarray):
        integers = value.dtype.kind in "iu" and value.size
        bounds = f", values from {value.min()} to {value.max()}" if integers else ""
        return f"numpy.ndarray(shape={value.shape}, dtype={value.dtype}{bounds})"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _range(x: torch.Tensor) -> str:
    """The smallest and largest value of integers: those of indices and labels are often why a call failed."""
    if x.device.type != "cpu" or x.is_floating_point() or x.is_complex() or x.dtype is torch.bool:
        return ""
    if x.layout is not torch.strided or x.numel() == 0 or type(x) not in (torch.Tensor, nn.Parameter):
        return ""
    return f", values from {int(x.min())} to {int(x.max())}"
