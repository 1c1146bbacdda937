"""How much memory a model may take that is made from a config, where the config may come from a stranger."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from torchkeras.core import accelerators
from torchkeras.core.state import state
from torchkeras.core.tensors.devices import current_device
from torchkeras.core.torch_internals import UncompiledDispatchMode, argument_names
from torchkeras.core.torch_replacements import FunctionMode

MIB = 1 << 20
GIB = 1 << 30


class BadFileError(ValueError):
    """A file that is truncated, corrupt, no model, or not allowed; the message names the file and the member."""


# ---------------------------------------------------------------------------- the setting


class _Setting:
    max_model_bytes: int | None = 4 * GIB


def max_model_bytes() -> int | None:
    """Return the setting of `set_max_model_bytes`.

    Returns:
        The number of bytes; `None` if there is no limit.

    Example:
        >>> keras.config.max_model_bytes() == 4 * 2**30
        True
    """
    return _Setting.max_model_bytes


def set_max_model_bytes(value: int | None) -> None:
    """Set how many bytes of weights a model may have that is made from a config alone.

    A config of a few hundred bytes can ask for any number of weights. `load_model` grants what the file has values for.
    `model_from_json`, `deserialize_keras_object`, `from_config` of models and the `deserialize` functions have no such
    measure and grant this number. `clone_model` and models that are built in code have no limit.

    Args:
        value: a number of bytes, 4 GiB at the start (enough for BERT-large or any model of `keras.applications`), or
            `None` for no limit. Raise it for your own larger models; for configs of strangers leave it.

    Raises:
        ValueError: a negative number.

    Example:
        >>> keras.config.set_max_model_bytes(16 * 2**30)
        >>> keras.config.set_max_model_bytes(4 * 2**30)
    """
    if value is not None and not value >= 0:
        raise ValueError(f"max_model_bytes must be a number of bytes or None; received {value!r}.")
    _Setting.max_model_bytes = None if value is None else int(value)


# ---------------------------------------------------------------------------- the limit


class MemoryLimit(UncompiledDispatchMode):
    """Inside, what would be larger than allowed is refused before its memory is taken.

    Args:
        weight_bytes: of all weights together.
        reason: the end of the message: why no more is granted, and what to do.
        name: of the file or text with the config.
        spare: bytes of other things that are granted in any case.
    """

    def __init__(self, weight_bytes: int, reason: str, name: str, spare: int = 16 * MIB) -> None:
        super().__init__()
        self.name, self.reason = name, reason
        self.weights_left = spare + weight_bytes
        self.largest = spare + 2 * weight_bytes
        self.left = 4 * spare + 6 * weight_bytes
        self.objects_left = _MOST_OBJECTS

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.__name__.split(".")[0]
        if name in _SIZE_ARGUMENTS:
            self.spend(_bytes_asked_for(name, func, args, kwargs))
        elif name in _PIECES:
            self.spend_objects(_PIECE * _pieces(name, args, kwargs))
        return func(*args, **kwargs)

    def spend(self, size: int) -> None:
        """Count bytes that are about to be taken.

        Raises:
            BadFileError: they are too many.
        """
        self.left -= size
        if size > self.largest or self.left < 0:
            self._refuse(size)

    def spend_weight(self, size: int) -> None:
        """Count the bytes of a weight that is about to be made.

        Raises:
            BadFileError: they are too many.
        """
        self.weights_left -= size
        if self.weights_left < 0:
            self._refuse(size)

    def spend_objects(self, number: int) -> None:
        """Count Python objects that are about to be made.

        Raises:
            BadFileError: they are too many.
        """
        self.objects_left -= number
        if self.objects_left < 0:
            raise BadFileError(
                f"{self.name} asks for {number:,} objects at once (thresholds, pieces of a tensor, ...), more than the "
                f"{_MOST_OBJECTS:,} that a config may. It is not loaded."
            )

    def _refuse(self, size: int) -> None:
        raise BadFileError(
            f"{self.name} describes weights larger or more than are granted: it asks for {readable(size)} at once. "
            f"{self.reason} It is not loaded."
        )


class _LimitOfFunctions(FunctionMode):
    """A `MemoryLimit` that sees torch's public functions, and not the operators below them."""

    def __init__(self, limit: MemoryLimit) -> None:
        super().__init__()
        self._limit = limit

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return self._limit.__torch_dispatch__(func, types, args, kwargs)


class NoLimit:
    """Inside, nothing is counted: the config is that of a model that exists."""

    def spend(self, size: int) -> None:
        """Nothing."""

    def spend_weight(self, size: int) -> None:
        """Nothing."""

    def spend_objects(self, number: int) -> None:
        """Nothing."""


@contextmanager
def limited(limit: MemoryLimit | NoLimit | None = None) -> Iterator[None]:
    """Count what is made inside against a limit; the outermost one holds, so that a file's parts share one.

    Args:
        limit: default: that of configs without a file, `max_model_bytes()`.
    """
    if state.memory_limit is not None:
        yield
        return
    if limit is None:
        limit = config_limit("The config")
    state.memory_limit = limit
    try:
        if isinstance(limit, MemoryLimit):
            # torch_xla makes tensors that nothing can change in place where a mode sees operators.
            with _LimitOfFunctions(limit) if accelerators.is_lazy(current_device()) else limit:
                yield
        else:
            yield
    finally:
        state.memory_limit = None


def config_limit(name: str) -> MemoryLimit | NoLimit:
    """The limit of a config without a file; `name` is for messages."""
    granted = _Setting.max_model_bytes
    if granted is None:
        return NoLimit()
    reason = (
        f"A config without a file of weights is granted {readable(granted)}; for a config that you trust raise it by "
        f"keras.config.set_max_model_bytes(bytes)."
    )
    return MemoryLimit(granted, reason, name)


def file_limit(weight_bytes: int, name: str) -> MemoryLimit:
    """The limit of a file that has so many bytes of values: a saved model has the values of its weights with it."""
    return MemoryLimit(weight_bytes, f"The file holds {readable(weight_bytes)} of values.", name)


def count_objects(number: Any) -> None:
    """Count Python objects that a constructor is about to make; free outside a load.

    Raises:
        BadFileError: they are more than a config may ask for.
    """
    if state.memory_limit is not None and isinstance(number, (int, float)):
        state.memory_limit.spend_objects(int(min(max(number, 0), 1 << 62)))


def readable(size: float) -> str:
    """A number of bytes for people."""
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    power = min(int(math.log(size, 1024)), len(units) - 1) if size >= 1 else 0
    return f"{size / 1024**power:.4g} {units[power]}"


# ---------------------------------------------------------------------------- sizes of calls


def _bytes_asked_for(name: str, func: Any, args: tuple, kwargs: dict) -> int:
    """The size of what a function that makes tensors would make; 0 on `meta`."""
    own = args[0] if args and isinstance(args[0], torch.Tensor) else None
    names = _SIZE_ARGUMENTS[name]
    device = kwargs.get("device") or (own.device if own is not None else None)
    if device is not None and torch.device(device).type == "meta":
        return 0
    given = dict(zip(argument_names(func, args), args)) | kwargs
    count = 1
    for argument in names:
        value = given.get(argument, 1)
        count *= math.prod(value) if isinstance(value, (list, tuple)) else int(value)
    if "repeats" in names and own is not None:
        count *= own.numel()
    dtype = kwargs.get("dtype") or (own.dtype if own is not None else torch.get_default_dtype())
    return max(0, count) * dtype.itemsize


_MOST_OBJECTS = 2_000_000
_PIECE = 16  # a tensor, on `meta` too, weighs as much as so many numbers in a list
_PIECES = frozenset({"unbind", "split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk"})


def _pieces(name: str, args: tuple, kwargs: dict) -> int:
    """The number of tensors that a function cuts a tensor into."""
    own = args[0] if args and isinstance(args[0], torch.Tensor) else None
    if own is None:
        return 0
    if name == "unbind":
        dim = args[1] if len(args) > 1 else kwargs.get("dim", 0)
        return int(own.shape[dim]) if own.dim() else 0
    given = args[1] if len(args) > 1 else 0
    if isinstance(given, (list, tuple)):
        return len(given) + 1
    if not isinstance(given, int) or name not in ("split", "unsafe_split"):
        return int(given) if isinstance(given, int) else 0
    dim = args[2] if len(args) > 2 else kwargs.get("dim", 0)
    return int(own.shape[dim]) // max(given, 1) + 1


_SIZE_ARGUMENTS = {
    "empty": ("size",),
    "empty_permuted": ("size",),
    "empty_strided": ("size",),
    "full": ("size",),
    "new_empty": ("size",),
    "new_empty_strided": ("size",),
    "new_full": ("size",),
    "new_ones": ("size",),
    "new_zeros": ("size",),
    "ones": ("size",),
    "rand": ("size",),
    "randint": ("size",),
    "randn": ("size",),
    "randperm": ("n",),
    "zeros": ("size",),
    "arange": ("end",),
    "eye": ("n", "m"),
    "linspace": ("steps",),
    "logspace": ("steps",),
    "repeat": ("repeats",),
    "bincount": ("minlength",),
    "hann_window": ("window_length",),
    "hamming_window": ("window_length",),
    "blackman_window": ("window_length",),
    "bartlett_window": ("window_length",),
    "kaiser_window": ("window_length",),
}
