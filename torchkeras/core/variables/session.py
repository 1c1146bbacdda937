"""Switches of the running process, and a fresh start."""

from __future__ import annotations

import os
from collections.abc import Callable

from torchkeras.core import naming
from torchkeras.core.variables import seeds


def _whole_number(name: str) -> int | None:
    """The value of an environment variable; `None` if it is not set.

    Raises:
        ValueError: it is no whole number.
    """
    given = os.environ.get(name)
    try:
        return None if given is None else int(given)
    except ValueError:
        raise ValueError(f"The environment variable {name} must be a whole number; received {given!r}.") from None


class _Switches:
    interactive_logging = True
    traceback_filtering = True
    flash_attention: bool | None = None
    max_epochs = _whole_number("KERAS_MAX_EPOCHS")
    max_steps_per_epoch = _whole_number("KERAS_MAX_STEPS_PER_EPOCH")


_switches = _Switches()
_at_clear: list[Callable[[], None]] = []


def at_clear(function: Callable[[], None]) -> None:
    """Have `clear_session` call a function too, to reset state that higher floors keep."""
    _at_clear.append(function)


def clear_session(free_memory: bool = True) -> None:
    """Reset the global state: count names from zero again, and forget the global seed generator and dtype policy.

    Args:
        free_memory: kept for Keras's signature. Default: `True`.

    Example:
        >>> keras.utils.clear_session()
        >>> keras.layers.Dense(2).name
        'dense'
    """
    naming.reset_names()
    seeds._GLOBAL.clear()
    for function in _at_clear:
        function()


def enable_interactive_logging() -> None:
    """Print progress bars and messages to standard output (the default).

    Example:
        >>> keras.config.enable_interactive_logging()
        >>> keras.config.is_interactive_logging_enabled()
        True
    """
    _switches.interactive_logging = True


def disable_interactive_logging() -> None:
    """Send progress bars and messages to Python's `logging` instead of standard output.

    Example:
        >>> keras.config.disable_interactive_logging()
        >>> keras.config.is_interactive_logging_enabled()
        False
        >>> keras.config.enable_interactive_logging()
    """
    _switches.interactive_logging = False


def is_interactive_logging_enabled() -> bool:
    """Return whether progress bars and messages go to standard output.

    Example:
        >>> keras.config.is_interactive_logging_enabled()
        True
    """
    return _switches.interactive_logging


def enable_traceback_filtering() -> None:
    """Leave this package's frames out of tracebacks, and name the layer and its arguments in errors (the default).

    Example:
        >>> keras.config.enable_traceback_filtering()
        >>> keras.config.is_traceback_filtering_enabled()
        True
    """
    _switches.traceback_filtering = True


def disable_traceback_filtering() -> None:
    """Show all frames in tracebacks, and errors as they were raised.

    Example:
        >>> keras.config.disable_traceback_filtering()
        >>> keras.config.is_traceback_filtering_enabled()
        False
        >>> keras.config.enable_traceback_filtering()
    """
    _switches.traceback_filtering = False


def is_traceback_filtering_enabled() -> bool:
    """Return whether tracebacks leave this package's frames out.

    Example:
        >>> keras.config.is_traceback_filtering_enabled()
        True
    """
    return _switches.traceback_filtering


def enable_flash_attention() -> None:
    """Let attention use torch's flash kernel wherever torch can (the default).

    Example:
        >>> keras.config.enable_flash_attention()
        >>> keras.config.is_flash_attention_enabled()
        True
    """
    _switches.flash_attention = True


def disable_flash_attention() -> None:
    """Keep attention from using torch's flash kernel.

    Example:
        >>> keras.config.disable_flash_attention()
        >>> keras.config.is_flash_attention_enabled()
        False
        >>> keras.config.enable_flash_attention()
    """
    _switches.flash_attention = False


def is_flash_attention_enabled() -> bool | None:
    """Return whether attention may use torch's flash kernel.

    Returns:
        `True` or `False` as it was set; `None` if it was not set, which lets torch choose.

    Example:
        >>> keras.config.enable_flash_attention()
        >>> keras.config.is_flash_attention_enabled()
        True
    """
    return _switches.flash_attention


def is_nnx_enabled() -> bool:
    """Return whether layers are those of JAX's NNX: never, with torch.

    Example:
        >>> keras.config.is_nnx_enabled()
        False
    """
    return False


def set_max_epochs(max_epochs: int | None) -> None:
    """Limit the number of epochs of every `fit`.

    Args:
        max_epochs: greatest number of epochs; `None` for no limit.

    Example:
        >>> keras.config.set_max_epochs(1)
        >>> keras.config.max_epochs()
        1
        >>> keras.config.set_max_epochs(None)
    """
    _switches.max_epochs = max_epochs


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limit the number of batches of every epoch.

    Args:
        max_steps_per_epoch: greatest number of batches; `None` for no limit.

    Example:
        >>> keras.config.set_max_steps_per_epoch(5)
        >>> keras.config.max_steps_per_epoch()
        5
        >>> keras.config.set_max_steps_per_epoch(None)
    """
    _switches.max_steps_per_epoch = max_steps_per_epoch


def max_epochs() -> int | None:
    """Return the greatest number of epochs of a `fit`; `None` for no limit.

    Example:
        >>> keras.config.max_epochs() is None
        True
    """
    return _switches.max_epochs


def max_steps_per_epoch() -> int | None:
    """Return the greatest number of batches of an epoch; `None` for no limit.

    Example:
        >>> keras.config.max_steps_per_epoch() is None
        True
    """
    return _switches.max_steps_per_epoch
