"""What the calls now running have agreed on: training, autocast, stateless values. One set a thread."""

from __future__ import annotations

import threading
from typing import Any


class CallState(threading.local):
    """Ambient values of the call in progress; `None` where nobody has said anything."""

    training: bool | None = None
    """Whether the enclosing call was told to train (or not)."""

    autocast: Any = None
    """The torch dtype to which float weights are cast when they are read."""

    stateless: Any = None
    """The innermost `StatelessScope`."""

    symbolic: bool = False
    """Whether shapes are being inferred: values mean nothing now and no state may change."""

    special: bool = False
    """Whether one of the three above changes what reading a weight gives. One look on the hot path, not three."""

    entry: Any = None
    """The outermost layer whose call is in progress."""

    safe_mode: bool | None = None
    """Whether the load in progress refuses what could run code."""

    def set(self, name: str, value: Any) -> Any:
        """Set `autocast`, `stateless` or `symbolic`; returns what it was."""
        before = getattr(self, name)
        setattr(self, name, value)
        self.special = self.symbolic or self.autocast is not None or self.stateless is not None
        return before


state = CallState()
