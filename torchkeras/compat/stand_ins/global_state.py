"""Values by name, for each thread."""

from __future__ import annotations

import threading
from typing import Any

_VALUES = threading.local()


def get_global_attribute(name: str, default: Any = None, set_to_default: bool = False) -> Any:
    """The value of that name in this thread, else `default`, which `set_to_default` keeps for the next time."""
    value = getattr(_VALUES, name, None)
    if value is None and default is not None:
        value = default
        if set_to_default:
            set_global_attribute(name, value)
    return value


def set_global_attribute(name: str, value: Any) -> None:
    """Keep a value under a name for this thread."""
    setattr(_VALUES, name, value)
