"""The state of the running calls: training flag, autocast, stateless values. Each thread has its own."""

from __future__ import annotations

import threading
from typing import Any


class CallState(threading.local):
    """Ambient values of the call in progress; `None` where nobody has said anything.

    Attributes:
        training: training flag of the enclosing call.
        autocast: the torch dtype to which float weights are cast when they are read.
        stateless: the innermost `StatelessScope`.
        symbolic: whether shapes are being inferred: values mean nothing then and no state may change.
        place: the device of weights that are made meanwhile.
        gathered: the weights that the call in progress has gathered from the parts on several ranks.
        special: whether one of these changes what reading a weight gives: one look on the hot path.
        entry: the outermost layer whose call is in progress.
        deferred: what that call does at its end, once for all layers (`core/variables/deferred.py`); `None` if nothing.
        casts: where casts of weights are found that are made for many at once (`core/variables/weight_casts.py`).
        safe_mode: whether the load in progress refuses what could run code.
        memory_limit: counts what the load in progress makes (`core/config/limits.py`).
        unfilled: takes note of large weights that are made without initial values, because the load in progress has
            values for them (`core/variables/unfilled.py`).
        own_modes: how many of torch's function modes in this thread are this library's, and only look.
        unseen: what `is_unseen` says while a call is run again, namely what it said in the first run.
    """

    def __init__(self) -> None:
        # In the instance (once a thread), not in the class: torch.compile guards what it finds in the instance's dict.
        self.training: bool | None = None
        self.autocast: Any = None
        self.stateless: Any = None
        self.symbolic = False
        self.place: Any = None
        self.gathered: Any = None
        self.special = False
        self.entry: Any = None
        self.deferred: Any = None
        self.casts: Any = None
        self.safe_mode: bool | None = None
        self.memory_limit: Any = None
        self.unfilled: Any = None
        self.own_modes = 0
        self.unseen: bool | None = None

    def set(self, name: str, value: Any) -> Any:
        """Set `autocast`, `stateless`, `symbolic` or `gathered`; returns what it was."""
        before = getattr(self, name)
        setattr(self, name, value)
        asked = (self.autocast, self.stateless, self.gathered)
        self.special = self.symbolic or any(value is not None for value in asked)
        return before


state = CallState()
