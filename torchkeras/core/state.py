"""What the calls now running have agreed on: training, autocast, stateless values. One set a thread."""

from __future__ import annotations

import threading
from typing import Any


class CallState(threading.local):
    """Ambient values of the call in progress; `None` where nobody has said anything."""

    training: bool | None = None
    """Whether the enclosing call trains."""

    autocast: Any = None
    """The torch dtype to which float weights are cast when they are read."""

    stateless: Any = None
    """The innermost `StatelessScope`."""

    symbolic: bool = False
    """Whether shapes are being inferred: values mean nothing now and no state may change."""


state = CallState()
