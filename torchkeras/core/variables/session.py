"""Switches of the running process, and a fresh start."""

from __future__ import annotations

from collections.abc import Callable

from torchkeras.core import naming
from torchkeras.core.variables import seeds


class _Switches:
    interactive_logging = True
    traceback_filtering = True
    flash_attention: bool | None = None
    max_epochs: int | None = None
    max_steps_per_epoch: int | None = None


_switches = _Switches()
_at_clear: list[Callable[[], None]] = []


def at_clear(function: Callable[[], None]) -> None:
    """Have `clear_session` call `function` too: for state that is kept on a floor above this one."""
    _at_clear.append(function)


def clear_session(free_memory: bool = True) -> None:
    """Count names from zero again; forget the global seed generator and the global dtype policy."""
    naming.reset_names()
    seeds._GLOBAL.clear()
    for function in _at_clear:
        function()


def enable_interactive_logging() -> None:
    """Print progress to standard output."""
    _switches.interactive_logging = True


def disable_interactive_logging() -> None:
    """Send progress to the logging module instead of standard output."""
    _switches.interactive_logging = False


def is_interactive_logging_enabled() -> bool:
    return _switches.interactive_logging


def enable_traceback_filtering() -> None:
    """Leave this package's frames out of tracebacks, and name the layer and its arguments in errors (the default)."""
    _switches.traceback_filtering = True


def disable_traceback_filtering() -> None:
    """Show all frames in tracebacks, and errors as they were raised."""
    _switches.traceback_filtering = False


def is_traceback_filtering_enabled() -> bool:
    """Whether tracebacks leave this package's frames out."""
    return _switches.traceback_filtering


def enable_flash_attention() -> None:
    """Let attention use torch's flash kernel wherever torch finds it usable (the default)."""
    _switches.flash_attention = True


def disable_flash_attention() -> None:
    """Keep attention from torch's flash kernel."""
    _switches.flash_attention = False


def is_flash_attention_enabled() -> bool | None:
    return _switches.flash_attention


def is_nnx_enabled() -> bool:
    """Whether layers are those of JAX's NNX: never, with torch."""
    return False


def set_max_epochs(max_epochs: int | None) -> None:
    """Let no `fit()` run more epochs than this; `None` lifts the limit."""
    _switches.max_epochs = max_epochs


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Let no epoch run more batches than this; `None` lifts the limit."""
    _switches.max_steps_per_epoch = max_steps_per_epoch


def max_epochs() -> int | None:
    return _switches.max_epochs


def max_steps_per_epoch() -> int | None:
    return _switches.max_steps_per_epoch
