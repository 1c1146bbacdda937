"""One switch for the fast paths of this folder, for whoever wants to know whether one of them is to blame.

A fast path computes what the plain path does, to float rounding, in fewer or quicker kernels. It applies by itself
where it can; `TORCHKERAS_FAST_PATHS=0` in the environment, or `use_fast_paths(False)` before losses and models are
made, leaves the plain paths alone.
"""

from __future__ import annotations

import os

_enabled = os.environ.get("TORCHKERAS_FAST_PATHS", "1") != "0"


def fast_paths_enabled() -> bool:
    """Whether fast paths may be taken."""
    return _enabled


def use_fast_paths(enabled: bool) -> bool:
    """Switch the fast paths on or off for losses, metrics and models that are made from here on.

    Returns:
        Whether they were on before.
    """
    global _enabled
    before, _enabled = _enabled, bool(enabled)
    return before
